//! The network evaluated plainly, one operation after the other: slow, obvious, the yardstick of every kernel.

use crate::model::{Activation, ConvId, Graph, Model, Op};

/// A feature map of f32, `[y][x][channel]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Numbers for each cell.
    pub channels: usize,
    /// `height * width * channels` numbers.
    pub data: Vec<f32>,
}

impl Map {
    /// A map of zeros.
    #[must_use]
    pub fn zeros(height: usize, width: usize, channels: usize) -> Self {
        Self { height, width, channels, data: vec![0.0; height * width * channels] }
    }

    /// The channels of one cell.
    #[must_use]
    pub fn cell(&self, y: usize, x: usize) -> &[f32] {
        let start = (y * self.width + x) * self.channels;
        &self.data[start..start + self.channels]
    }

    fn cell_mut(&mut self, y: usize, x: usize) -> &mut [f32] {
        let start = (y * self.width + x) * self.channels;
        &mut self.data[start..start + self.channels]
    }
}

/// Rounding applied to every number that a kernel of lower precision would store.
pub type Rounding = fn(f32) -> f32;

/// No rounding: the f32 network.
#[must_use]
pub fn exact(x: f32) -> f32 {
    x
}

/// Round to nearest even bf16, the arithmetic of the bf16 kernels: weights and stored activations are bf16,
/// sums are f32.
#[must_use]
pub fn to_bf16(x: f32) -> f32 {
    half::bf16::from_f32(x).to_f32()
}

/// `x * sigmoid(x)`.
#[must_use]
pub fn silu(x: f32) -> f32 {
    x / (1.0 + (-x).exp())
}

/// Evaluates the whole graph on one picture.
///
/// `rgb` is the network input, `height * width` pixels of 8-bit RGB. Gives one map for each value of the graph,
/// in the order of [`Graph::values`].
///
/// # Panics
/// When `rgb` has another length, or a side is not a multiple of [`Graph::max_stride`].
#[must_use]
pub fn run(model: &Model, rgb: &[u8], height: usize, width: usize, round: Rounding) -> Vec<Map> {
    let graph = model.graph();
    assert_eq!(rgb.len(), height * width * 3, "8-bit RGB at the network's size");
    assert!(
        height.is_multiple_of(graph.max_stride()) && width.is_multiple_of(graph.max_stride()),
        "sides are multiples of the stride"
    );
    let mut maps: Vec<Map> = graph
        .values
        .iter()
        .map(|value| Map::zeros(height / value.stride, width / value.stride, value.channels))
        .collect();
    for (to, &from) in maps[graph.input.index()].data.iter_mut().zip(rgb) {
        *to = f32::from(from);
    }
    for op in &graph.ops {
        let map = evaluate(model, graph, op, &maps, round);
        maps[op.output().index()] = map;
    }
    maps
}

fn evaluate(model: &Model, graph: &Graph, op: &Op, maps: &[Map], round: Rounding) -> Map {
    let shape = &maps[op.output().index()];
    let mut out = Map::zeros(shape.height, shape.width, shape.channels);
    match op {
        Op::Conv { conv, input, .. } => {
            convolve(model, *conv, &maps[input.index()], &mut out, round, *input == graph.input)
        }
        Op::Add { a, b, .. } => {
            let (a, b) = (&maps[a.index()], &maps[b.index()]);
            for ((to, &a), &b) in out.data.iter_mut().zip(&a.data).zip(&b.data) {
                *to = round(a + b);
            }
        }
        Op::Slice { input, start, .. } => {
            let input = &maps[input.index()];
            each_cell(&mut out, |y, x, cell| {
                cell.copy_from_slice(&input.cell(y, x)[*start..*start + cell.len()]);
            });
        }
        Op::Concat { inputs, .. } => each_cell(&mut out, |y, x, cell| {
            let mut rest = cell;
            for input in inputs {
                let from = maps[input.index()].cell(y, x);
                let (head, tail) = rest.split_at_mut(from.len());
                head.copy_from_slice(from);
                rest = tail;
            }
        }),
        Op::Upsample { input, .. } => {
            let input = &maps[input.index()];
            each_cell(&mut out, |y, x, cell| cell.copy_from_slice(input.cell(y / 2, x / 2)));
        }
        Op::MaxPool { size, input, .. } => {
            let input = &maps[input.index()];
            let reach = size / 2;
            each_cell(&mut out, |y, x, cell| {
                cell.fill(f32::NEG_INFINITY);
                for v in y.saturating_sub(reach)..(y + reach + 1).min(input.height) {
                    for u in x.saturating_sub(reach)..(x + reach + 1).min(input.width) {
                        for (to, &from) in cell.iter_mut().zip(input.cell(v, u)) {
                            *to = to.max(from);
                        }
                    }
                }
            });
        }
    }
    debug_assert_eq!(out.channels, graph.value(op.output()).channels);
    out
}

fn each_cell(map: &mut Map, mut f: impl FnMut(usize, usize, &mut [f32])) {
    for y in 0..map.height {
        for x in 0..map.width {
            f(y, x, map.cell_mut(y, x));
        }
    }
}

fn convolve(model: &Model, id: ConvId, input: &Map, out: &mut Map, round: Rounding, is_first: bool) {
    let conv = model.graph().conv(id);
    let weights = model.weights(id);
    let (k, channels) = (conv.kernel, conv.in_channels);
    // The picture stays in whole numbers, which every format holds; its weights make it 0 to 1.
    let scale = if is_first { 1.0 / 255.0 } else { 1.0 };
    // [ky][kx][in][out]: the inner loop runs over neighbouring output channels.
    let mut weight = vec![0.0f32; weights.weight.len()];
    for (o, rows) in weights.weight.chunks_exact(channels * k * k).enumerate() {
        for (i, taps) in rows.chunks_exact(k * k).enumerate() {
            for (t, &w) in taps.iter().enumerate() {
                weight[(t * channels + i) * conv.out_channels + o] = round(w * scale);
            }
        }
    }
    let (height, width) = (input.height, input.width);
    each_cell(out, |y, x, cell| {
        cell.copy_from_slice(&weights.bias);
        for ky in 0..k {
            for kx in 0..k {
                let (v, u) = (y * conv.stride + ky, x * conv.stride + kx);
                // Shifted by the padding: a tap outside the map reads zero.
                let (Some(v), Some(u)) = (v.checked_sub(k / 2), u.checked_sub(k / 2)) else { continue };
                if v >= height || u >= width {
                    continue;
                }
                let rows = &weight[(ky * k + kx) * channels * conv.out_channels..];
                for (&a, row) in input.cell(v, u).iter().zip(rows.chunks_exact(conv.out_channels)) {
                    for (to, &w) in cell.iter_mut().zip(row) {
                        *to += a * w;
                    }
                }
            }
        }
        if conv.activation == Activation::Silu {
            for to in cell.iter_mut() {
                *to = round(silu(*to));
            }
        }
    });
}
