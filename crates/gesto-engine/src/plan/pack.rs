//! Weights in the order in which kernels read them.
//!
//! For each block of output channels, for each tap:
//! - f32: for each number of the line, 16 weights a chunk, chunks side by side;
//! - bf16: for each chunk a tile of 16 rows, one a pair of numbers, of 16 pairs, one an output channel;
//! - bytes: the same with 16 quadruples of numbers.
//!
//! A step of minimal filtering has its transformed weights instead (see [`winograd::pack`]).
//!
//! Weights of bytes are symmetric, with a scale for each output channel. The scale of each map read is folded into them, so
//! that a concatenation may join maps of different scales: `sum w s (a - z) = t (sum q a - sum q z)`, `q = round(w s / t)`.

use std::ops::Range;

use super::layout::{Format, LINE};
use super::task::{ConvTask, Tap, Weight};
use super::{Block, Chunk, TapOffset, winograd};
use crate::kernels::memory::{Line, Lines, advise_huge_pages};
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
        // Transformed windows are 16/9 as large, and biases and lines are filled up. Room that stays empty is never touched.
        let mut lines = Vec::with_capacity(model.graph().parameters() * format.bytes() / LINE * 2);
        advise_huge_pages(lines.spare_capacity_mut());
        Self { lines }
    }

    pub(super) fn finish(self) -> Lines {
        Lines::from(self.lines)
    }

    /// Packs the biases of a convolution task, and its weights block by block.
    pub(super) fn pack(&mut self, layout: &Layout<'_>, format: Format) -> Packed {
        let columns = Columns::new(layout.model, layout.task, layout.chunks.len());
        let bias = self.bytes();
        let quantized = (format == Format::U8).then(|| Quantized::new(layout, &columns));
        let biases = (0..layout.chunks.len()).map(|chunk| match &quantized {
            Some(quantized) => quantized.bias(&columns, chunk),
            None => columns.bias(chunk),
        });
        let scales = quantized.iter().flat_map(|quantized| quantized.scales.iter().copied());
        self.lines.extend(biases.chain(scales).map(|numbers| Line::from_words(numbers.map(f32::to_bits))));
        let mut blocks = Vec::new();
        for first in (0..layout.chunks.len()).step_by(layout.per_block) {
            let chunks = first..(first + layout.per_block).min(layout.chunks.len());
            blocks.push(Block { chunks: chunks.clone(), weights: self.bytes() });
            match &quantized {
                _ if layout.filtered => self.lines.extend(winograd::pack(layout, &columns, chunks, format)),
                Some(quantized) => self.bytes_of(layout, &columns, chunks, quantized),
                None => self.floats_of(layout, &columns, chunks, format),
            }
        }
        Packed { blocks, bias }
    }

    /// The weights of one block as f32 or bf16.
    fn floats_of(&mut self, layout: &Layout<'_>, columns: &Columns, chunks: Range<usize>, format: Format) {
        for (tap, offset) in layout.taps.iter().zip(layout.offsets) {
            if format == Format::F32 {
                for lane in &tap.lanes[..offset.lanes as usize] {
                    let numbers = chunks.clone().map(|chunk| columns.chunk(chunk, *lane).map(f32::to_bits));
                    self.lines.extend(numbers.map(Line::from_words));
                }
                continue;
            }
            for chunk in chunks.clone() {
                for pair in tap.lanes.as_chunks::<2>().0 {
                    let [even, odd] = pair.map(|lane| columns.chunk(chunk, lane));
                    self.lines.push(bf16_pairs(&even, &odd));
                }
            }
        }
    }

    /// The weights of one block as bytes.
    fn bytes_of(
        &mut self,
        layout: &Layout<'_>,
        columns: &Columns,
        chunks: Range<usize>,
        quantized: &Quantized,
    ) {
        for tap in layout.taps {
            for chunk in chunks.clone() {
                for quad in tap.lanes.as_chunks::<4>().0 {
                    let bytes = quad.map(|lane| quantized.chunk(layout, columns, chunk, tap, lane));
                    let word = |i: usize| u32::from_le_bytes(bytes.map(|b| b[i] as u8));
                    self.lines.push(Line::from_words(std::array::from_fn(word)));
                }
            }
        }
    }

    fn bytes(&self) -> usize {
        self.lines.len() * LINE
    }
}

/// Rounds a finite number to the nearest bf16, ties to even.
fn bf16_bits(x: f32) -> u32 {
    let bits = x.to_bits();
    (bits + 0x7fff + (bits >> 16 & 1)) >> 16
}

/// 16 pairs of numbers, rounded.
pub(super) fn bf16_pairs(even: &[f32; 16], odd: &[f32; 16]) -> Line {
    Line::from_words(std::array::from_fn(|i| bf16_bits(even[i]) | bf16_bits(odd[i]) << 16))
}

/// What a task's weights are, how its input is read, and how kernels want them.
pub(super) struct Layout<'a> {
    pub(super) model: &'a Model,
    pub(super) task: &'a ConvTask,
    pub(super) taps: &'a [Tap],
    pub(super) offsets: &'a [TapOffset],
    pub(super) chunks: &'a [Chunk],
    /// Of all planes.
    pub(super) quantizations: &'a [Quantization],
    /// Chunks of a block.
    pub(super) per_block: usize,
    /// Weights are packed for minimal filtering.
    pub(super) filtered: bool,
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
                    offsets = std::array::from_fn(|i| offsets[i].wrapping_sub(zero * i32::from(bytes[i])));
                }
            }
            quantized.offsets[chunk] = offsets;
        }
        quantized
    }

    /// Biases with the offsets in them.
    fn bias(&self, columns: &Columns, chunk: usize) -> [f32; 16] {
        let (bias, scale, offset) = (columns.bias(chunk), self.scales[chunk], self.offsets[chunk]);
        std::array::from_fn(|i| f64::from(offset[i]).mul_add(f64::from(scale[i]), f64::from(bias[i])) as f32)
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
            if step > 0.0 { nearest_byte(weights[i] * scale / step) } else { 0 }
        })
    }
}

/// The nearest of -128 to 127, ties to even.
///
/// By an addition that leaves no bits for fractions, so that 16 numbers take a few vector instructions:
/// `f32::round_ties_even` is a call on processors whose baseline has no instruction for it, x86-64's among them, and twice
/// for each weight it took half of a network's start.
fn nearest_byte(x: f32) -> i8 {
    const NO_FRACTIONS: f32 = 1.5 * (1 << 23) as f32;
    // The number in two's complement, in the last bits of the mantissa.
    (x.clamp(-128.0, 127.0) + NO_FRACTIONS).to_bits() as i8
}

/// The output channels of a task as columns of its chunks; columns that only fill a plane hold zeros.
pub(super) struct Columns {
    chunks: Vec<Chunk16>,
    /// Side of the window.
    kernel: usize,
}

/// 16 columns: neighbouring output channels of one convolution.
struct Chunk16 {
    /// `[in][ky][kx][column]`
    weights: Vec<[f32; 16]>,
    bias: [f32; 16],
}

impl Columns {
    fn new(model: &Model, task: &ConvTask, chunks: usize) -> Self {
        let filler_bias = if task.full_precision && !task.is_partial { NEVER } else { 0.0 };
        let scale = if task.reads_bytes { 1.0 / 255.0 } else { 1.0 };
        let mut columns = Self { chunks: Vec::with_capacity(chunks), kernel: 1 };
        for (&id, pieces) in task.convs.iter().zip(&task.outputs) {
            let conv = model.graph().conv(id);
            columns.kernel = conv.kernel;
            let numbers = model.weights(id);
            let len = numbers.weight.len() / conv.out_channels;
            let rows: Vec<&[f32]> = numbers.weight.chunks_exact(len).collect();
            let mut first = 0;
            for piece in pieces {
                for skip in (0..piece.lanes).step_by(16) {
                    // Empty when the chunk only fills the plane.
                    let used = first + skip..first + piece.channels.min(skip + 16);
                    let rows = rows.get(used.clone()).unwrap_or_default();
                    let mut bias = [filler_bias; 16];
                    if !task.is_partial && !rows.is_empty() {
                        bias[..rows.len()].copy_from_slice(&numbers.bias[used]);
                    }
                    let weights = transpose(rows, len, scale);
                    columns.chunks.push(Chunk16 { weights, bias });
                }
                first += piece.channels;
            }
        }
        debug_assert_eq!(columns.chunks.len(), chunks);
        columns
    }

    fn bias(&self, chunk: usize) -> [f32; 16] {
        self.chunks[chunk].bias
    }

    /// The weights of 16 output channels for one number of the input.
    pub(super) fn chunk(&self, chunk: usize, lane: Option<Weight>) -> [f32; 16] {
        lane.map_or([0.0; 16], |Weight { channel, ky, kx }| {
            self.chunks[chunk].weights[(channel * self.kernel + ky) * self.kernel + kx]
        })
    }
}

/// Up to 16 rows of `len` numbers as `len` rows of 16, times `scale`.
fn transpose(rows: &[&[f32]], len: usize, scale: f32) -> Vec<[f32; 16]> {
    let mut to = vec![[0.0; 16]; len];
    // 16 columns at a time: their cache lines stay at hand until all rows are done.
    for (first, to) in (0..len).step_by(16).zip(to.chunks_mut(16)) {
        for (column, row) in rows.iter().enumerate() {
            for (to, from) in to.iter_mut().zip(&row[first..]) {
                to[column] = from * scale;
            }
        }
    }
    to
}

#[cfg(test)]
mod tests {
    use super::nearest_byte;

    #[test]
    fn bytes_are_rounded_as_by_the_standard_library() {
        let ties = (-260..=260).map(|half| half as f32 / 2.0);
        let around = ties.flat_map(|x| [x, x.next_up(), x.next_down()]);
        let random = (0..100_000u32).map(|i| i.wrapping_mul(2_654_435_761) as i32 as f32 * 7e-8);
        for x in around.chain(random).chain([0.0, -0.0, 1e-40, -1e-40, 1e9, -1e9]) {
            assert_eq!(nearest_byte(x), x.round_ties_even() as i8, "{x}");
        }
    }
}
