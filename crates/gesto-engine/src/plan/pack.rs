//! Weights in the order in which kernels read them.
//!
//! For each block of output channels, for each tap:
//! - f32: for each number of the line, 16 weights a chunk, chunks side by side;
//! - bf16: for each chunk a tile of 16 rows, one a pair of numbers, of 16 pairs, one an output channel.

use super::layout::{Format, LINE};
use super::lower::{ConvTask, Tap, Weight};
use super::{Block, Chunk, TapOffset};
use crate::kernels::memory::Lines;
use crate::model::Model;

/// Logit of class channels that exist only to fill a plane: below every threshold.
const NEVER: f32 = -1e30;

/// Collects packed weights of all steps.
#[derive(Debug, Default)]
pub(super) struct Packer {
    bytes: Vec<u8>,
}

pub(super) struct Packed {
    pub(super) blocks: Vec<Block>,
    pub(super) bias: usize,
}

impl Packer {
    pub(super) fn finish(self) -> Lines {
        Lines::from_bytes(&self.bytes)
    }

    /// Packs the weights and biases of a convolution task in blocks of `per_block` chunks.
    pub(super) fn pack(&mut self, layout: &Layout<'_>, per_block: usize, format: Format) -> Packed {
        let columns = Columns::new(layout.model, layout.task, layout.chunks.len());
        let bias = self.bytes.len();
        for column in 0..columns.len() {
            self.bytes.extend(columns.bias(column).to_ne_bytes());
        }
        let mut blocks = Vec::new();
        for first in (0..layout.chunks.len()).step_by(per_block) {
            let chunks = first..(first + per_block).min(layout.chunks.len());
            let weights = self.bytes.len();
            for (tap, offset) in layout.taps.iter().zip(layout.offsets) {
                match format {
                    Format::F32 => {
                        for lane in &tap.lanes[..offset.lanes as usize] {
                            for chunk in chunks.clone() {
                                let row = columns.chunk(chunk, *lane);
                                self.bytes.extend(row.iter().flat_map(|weight| weight.to_ne_bytes()));
                            }
                        }
                    }
                    Format::Bf16 => {
                        for chunk in chunks.clone() {
                            for pair in tap.lanes.as_chunks::<2>().0 {
                                let [even, odd] =
                                    pair.map(|lane| columns.chunk(chunk, lane).map(half::bf16::from_f32));
                                let row = even
                                    .iter()
                                    .zip(&odd)
                                    .flat_map(|(a, b)| [a.to_ne_bytes(), b.to_ne_bytes()]);
                                self.bytes.extend(row.flatten());
                            }
                        }
                    }
                }
            }
            self.bytes.resize(self.bytes.len().next_multiple_of(LINE), 0);
            blocks.push(Block { chunks, weights });
        }
        Packed { blocks, bias }
    }
}

/// What a task's weights are, and how its input is read.
pub(super) struct Layout<'a> {
    pub(super) model: &'a Model,
    pub(super) task: &'a ConvTask,
    pub(super) taps: &'a [Tap],
    pub(super) offsets: &'a [TapOffset],
    pub(super) chunks: &'a [Chunk],
}

/// The output channels of a task as columns of its chunks; columns that only fill a plane hold zeros.
struct Columns {
    /// `[column] -> (convolution, output channel)`
    from: Vec<Option<(usize, usize)>>,
    convs: Vec<ConvNumbers>,
    is_partial: bool,
    filler_bias: f32,
}

struct ConvNumbers {
    weight: Vec<f32>,
    bias: Vec<f32>,
    in_channels: usize,
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
                let mut numbers = model.weights(id);
                if task.reads_bytes {
                    numbers.weight.iter_mut().for_each(|weight| *weight *= 1.0 / 255.0);
                }
                ConvNumbers {
                    weight: numbers.weight,
                    bias: numbers.bias,
                    in_channels: conv.in_channels,
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

    fn len(&self) -> usize {
        self.from.len()
    }

    /// The weights of 16 output channels for one number of the input.
    fn chunk(&self, chunk: usize, lane: Option<Weight>) -> [f32; 16] {
        let Some(lane) = lane else { return [0.0; 16] };
        std::array::from_fn(|i| {
            let Some((conv, channel)) = self.from[16 * chunk + i] else { return 0.0 };
            let conv = &self.convs[conv];
            let at =
                ((channel * conv.in_channels + lane.channel) * conv.kernel + lane.ky) * conv.kernel + lane.kx;
            conv.weight[at]
        })
    }
}
