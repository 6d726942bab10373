//! Weights in the order in which kernels read them.
//!
//! For each block of output channels, for each tap:
//! - f32: for each number of the line, 16 weights a chunk, chunks side by side;
//! - bf16: for each chunk a tile of 16 rows, one a pair of numbers, of 16 pairs, one an output channel;
//! - bytes: the same with 16 quadruples of numbers.
//!
//! Weights of bytes are symmetric, with a scale for each output channel. The scale of each map read is folded into them, so
//! that a concatenation may join maps of different scales: `sum w s (a - z) = t (sum q a - sum q z)`, `q = round(w s / t)`.

use super::layout::{Format, LINE};
use super::lower::{ConvTask, Tap, Weight};
use super::{Block, Chunk, TapOffset};
use crate::kernels::memory::{Line, Lines};
use crate::model::{Model, Quantization};

/// Logit of class channels that exist only to fill a plane: below every threshold.
const NEVER: f32 = -1e30;

/// Collects packed weights of all steps. Every row of weights is a cache line: 16 f32, or 16 pairs of bf16.
pub(super) struct Packer {
    lines: Vec<Line>,
}

pub(super) struct Packed {
    pub(super) blocks: Vec<Block>,
    pub(super) bias: usize,
}

impl Packer {
    /// With room for all weights of a model.
    pub(super) fn new(model: &Model, format: Format) -> Self {
        // A little more than the parameters: biases and lines are filled up.
        Self { lines: Vec::with_capacity(model.graph().parameters() * format.bytes() / LINE * 9 / 8) }
    }

    pub(super) fn finish(self) -> Lines {
        Lines::from(self.lines)
    }

    /// Packs the weights and biases of a convolution task in blocks of `per_block` chunks.
    pub(super) fn pack(&mut self, layout: &Layout<'_>, per_block: usize, format: Format) -> Packed {
        let columns = layout.columns();
        let bias = self.bytes();
        for chunk in 0..layout.chunks.len() {
            self.lines
                .push(Line::from_words(std::array::from_fn(|i| columns.bias(16 * chunk + i).to_bits())));
        }
        let quantized = (format == Format::U8).then(|| Quantized::new(layout, &columns));
        if let Some(quantized) = &quantized {
            self.lines
                .extend(quantized.scales.iter().map(|scales| Line::from_words(scales.map(f32::to_bits))));
            self.lines.extend(quantized.offsets.iter().map(|o| Line::from_words(o.map(|o| o as u32))));
        }
        let mut blocks = Vec::new();
        for first in (0..layout.chunks.len()).step_by(per_block) {
            let chunks = first..(first + per_block).min(layout.chunks.len());
            let weights = self.bytes();
            for (tap, offset) in layout.taps.iter().zip(layout.offsets) {
                match format {
                    Format::F32 => {
                        for lane in &tap.lanes[..offset.lanes as usize] {
                            for chunk in chunks.clone() {
                                self.lines
                                    .push(Line::from_words(columns.chunk(chunk, *lane).map(f32::to_bits)));
                            }
                        }
                    }
                    Format::U8 => {
                        let quantized = quantized.as_ref().expect("made above");
                        for chunk in chunks.clone() {
                            for quad in tap.lanes.as_chunks::<4>().0 {
                                let bytes =
                                    quad.map(|lane| quantized.chunk(layout, &columns, chunk, tap, lane));
                                let words =
                                    std::array::from_fn(|i| u32::from_le_bytes(bytes.map(|b| b[i] as u8)));
                                self.lines.push(Line::from_words(words));
                            }
                        }
                    }
                    Format::Bf16 => {
                        for chunk in chunks.clone() {
                            for pair in tap.lanes.as_chunks::<2>().0 {
                                let [even, odd] = pair.map(|lane| columns.chunk(chunk, lane).map(bf16_bits));
                                let words = std::array::from_fn(|i| even[i] | odd[i] << 16);
                                self.lines.push(Line::from_words(words));
                            }
                        }
                    }
                }
            }
            blocks.push(Block { chunks, weights });
        }
        Packed { blocks, bias }
    }

    /// Room for `count` lines, zero until they are written.
    pub(super) fn reserve(&mut self, count: usize) -> &mut [Line] {
        let begin = self.lines.len();
        self.lines.resize(begin + count, Line::ZERO);
        &mut self.lines[begin..]
    }

    pub(super) fn bytes(&self) -> usize {
        self.lines.len() * LINE
    }
}

fn bf16_bits(x: f32) -> u32 {
    u32::from(half::bf16::from_f32(x).to_bits())
}

/// What a task's weights are, and how its input is read.
pub(super) struct Layout<'a> {
    pub(super) model: &'a Model,
    pub(super) task: &'a ConvTask,
    pub(super) taps: &'a [Tap],
    pub(super) offsets: &'a [TapOffset],
    pub(super) chunks: &'a [Chunk],
    /// Of all planes.
    pub(super) quantizations: &'a [Quantization],
}

impl Layout<'_> {
    /// The task's weights by output column.
    pub(super) fn columns(&self) -> Columns {
        Columns::new(self.model, self.task, self.chunks.len())
    }
}

/// How the weights of a task become bytes, chunk by chunk.
struct Quantized {
    /// What a sum of products is worth, for each output channel.
    scales: Vec<[f32; 16]>,
    /// What the zeros of the maps read add to a sum, to be taken away.
    offsets: Vec<[i32; 16]>,
}

impl Quantized {
    fn new(layout: &Layout<'_>, columns: &Columns) -> Self {
        let chunks = layout.chunks.len();
        let mut quantized = Self { scales: vec![[0.0; 16]; chunks], offsets: vec![[0; 16]; chunks] };
        for chunk in 0..chunks {
            let mut largest = [0.0f32; 16];
            for tap in layout.taps {
                let scale = layout.quantizations[tap.plane.0].scale;
                for lane in &tap.lanes {
                    let weights = columns.chunk(chunk, *lane);
                    largest = std::array::from_fn(|i| largest[i].max((weights[i] * scale).abs()));
                }
            }
            quantized.scales[chunk] = largest.map(|largest| largest / 127.0);
            let mut offsets = [0i32; 16];
            for tap in layout.taps {
                let zero = i32::from(layout.quantizations[tap.plane.0].zero);
                for lane in &tap.lanes {
                    let bytes = quantized.chunk(layout, columns, chunk, tap, *lane);
                    offsets = std::array::from_fn(|i| offsets[i] - zero * i32::from(bytes[i]));
                }
            }
            quantized.offsets[chunk] = offsets;
        }
        quantized
    }

    /// The weights of 16 output channels for one number of the input.
    fn chunk(
        &self,
        layout: &Layout<'_>,
        columns: &Columns,
        chunk: usize,
        tap: &Tap,
        lane: Option<Weight>,
    ) -> [i8; 16] {
        let scale = layout.quantizations[tap.plane.0].scale;
        let weights = columns.chunk(chunk, lane);
        std::array::from_fn(|i| {
            let step = self.scales[chunk][i];
            // Output channels that only fill a plane have no weights and no scale.
            if step > 0.0 { (weights[i] * scale / step).round_ties_even() as i8 } else { 0 }
        })
    }
}

/// The output channels of a task as columns of its chunks; columns that only fill a plane hold zeros.
pub(super) struct Columns {
    /// `[column] -> (convolution, output channel)`
    from: Vec<Option<(usize, usize)>>,
    convs: Vec<ConvNumbers>,
    is_partial: bool,
    filler_bias: f32,
}

struct ConvNumbers {
    /// `[in][ky][kx][out]`, so that the output channels of a chunk are neighbours.
    weight: Vec<f32>,
    bias: Vec<f32>,
    out_channels: usize,
    kernel: usize,
}

impl Columns {
    fn new(model: &Model, task: &ConvTask, chunks: usize) -> Self {
        let mut from = Vec::with_capacity(16 * chunks);
        for (conv, pieces) in task.outputs.iter().enumerate() {
            let mut channel = 0;
            for piece in pieces {
                from.extend((0..piece.lanes).map(|i| (i < piece.channels).then_some((conv, channel + i))));
                channel += piece.channels;
            }
        }
        debug_assert_eq!(from.len(), 16 * chunks);
        let convs = task
            .convs
            .iter()
            .map(|&id| {
                let conv = model.graph().conv(id);
                let numbers = model.weights(id);
                let scale = if task.reads_bytes { 1.0 / 255.0 } else { 1.0 };
                let per_output = numbers.weight.len() / conv.out_channels;
                let mut weight = vec![0.0; numbers.weight.len()];
                for (o, row) in numbers.weight.chunks_exact(per_output).enumerate() {
                    for (to, from) in weight[o..].iter_mut().step_by(conv.out_channels).zip(row) {
                        *to = from * scale;
                    }
                }
                ConvNumbers {
                    weight,
                    bias: numbers.bias,
                    out_channels: conv.out_channels,
                    kernel: conv.kernel,
                }
            })
            .collect();
        let filler_bias = if task.full_precision { NEVER } else { 0.0 };
        Self { from, convs, is_partial: task.is_partial, filler_bias }
    }

    fn bias(&self, column: usize) -> f32 {
        match self.from[column] {
            _ if self.is_partial => 0.0,
            Some((conv, channel)) => self.convs[conv].bias[channel],
            None => self.filler_bias,
        }
    }

    /// The weights of 16 output channels for one number of the input.
    pub(super) fn chunk(&self, chunk: usize, lane: Option<Weight>) -> [f32; 16] {
        let mut row = [0.0; 16];
        let Some(lane) = lane else { return row };
        for (to, from) in row.iter_mut().zip(&self.from[16 * chunk..]) {
            let Some((conv, channel)) = *from else { continue };
            let conv = &self.convs[conv];
            let tap = (lane.channel * conv.kernel + lane.ky) * conv.kernel + lane.kx;
            *to = conv.weight[tap * conv.out_channels + channel];
        }
        row
    }
}
