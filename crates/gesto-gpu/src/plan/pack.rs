//! Weights in the order in which the kernels read them, and the table that tells each of a convolution's steps
//! where to read.
//!
//! A convolution is a matrix product whose inner dimension is walked in steps of sixteen (channel run, tap, sixteen
//! channels). A step's table entry is an element offset and the distance between cells; the kernel adds the output
//! cell's number times that distance. Concatenation, slicing and the kernel's shape are thereby all in the table.

use gesto_engine::model::{Conv, ConvWeights};

use super::layout::BLOCK;
use super::lower::Run;
use crate::error::{Error, ErrorKind, Result};

/// Where one step reads, relative to cell number 0.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct Step {
    /// Elements to add, modulo 2^32: a tap above or to the left of a map at the buffer's start is negative.
    pub(crate) offset: u32,
    /// Elements from one cell to the next.
    pub(crate) pitch: u32,
}

/// A step and, for each of its sixteen lanes, the position in `[in][ky][kx]` of the weight it meets.
struct Sourced {
    step: Step,
    lanes: [Option<usize>; BLOCK],
}

/// Order of a 16 x 16 block of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlockOrder {
    /// Neighbouring outputs lie together: the vector kernel loads four at a time.
    OutputsTogether,
    /// Neighbouring inputs lie together: matrix units take pairs of them from one register.
    InputsTogether,
}

/// Packed weights of one convolution.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) steps: Vec<Step>,
    /// `[step][output block]` of 16 x 16 numbers.
    pub(crate) weights: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    pub(crate) output_blocks: usize,
}

pub(crate) fn pack(conv: &Conv, weights: &ConvWeights, inputs: &[Run], order: BlockOrder) -> Result<Packed> {
    let sourced = steps(conv, inputs)?;
    let outputs = conv.out_channels.next_multiple_of(BLOCK);
    let row = conv.in_channels * conv.kernel * conv.kernel;
    let mut packed = vec![0.0; sourced.len() * outputs * BLOCK];
    for (s, step) in sourced.iter().enumerate() {
        for (k, source) in step.lanes.iter().enumerate() {
            let Some(source) = source else { continue };
            for o in 0..conv.out_channels {
                let (block, n) = (o / BLOCK, o % BLOCK);
                let within = match order {
                    BlockOrder::OutputsTogether => k * BLOCK + n,
                    BlockOrder::InputsTogether => n * BLOCK + k,
                };
                packed[(s * outputs / BLOCK + block) * BLOCK * BLOCK + within] =
                    weights.weight[o * row + source];
            }
        }
    }
    let mut bias = weights.bias.clone();
    bias.resize(outputs, 0.0);
    Ok(Packed {
        steps: sourced.into_iter().map(|s| s.step).collect(),
        weights: packed,
        bias,
        output_blocks: outputs / BLOCK,
    })
}

fn steps(conv: &Conv, inputs: &[Run]) -> Result<Vec<Sourced>> {
    let (k, reach) = (conv.kernel, (conv.kernel / 2) as i64);
    let taps = k * k;
    let total: usize = inputs.iter().map(|run| run.channels).sum();
    if total != conv.in_channels {
        let message = format!("{:?} reads {} channels but {total} reach it", conv.name, conv.in_channels);
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    let at = |run: &Run, channel: usize, dy: i64, dx: i64| {
        let elements = run.plane.base as i64
            + (run.start + channel) as i64
            + (dy * run.plane.row as i64 + dx) * run.plane.pitch as i64;
        Step { offset: elements as u32, pitch: run.plane.pitch as u32 }
    };
    let mut steps = Vec::new();
    let mut first = 0;
    for run in inputs {
        if run.plane.pitch < BLOCK {
            // The picture: four neighbouring pixels of four channels make one step.
            if k != 3 || run.plane.pitch != 4 {
                return Err(Error::new(ErrorKind::Unsupported, format!("{:?} reads the picture", conv.name)));
            }
            for ky in 0..k {
                let lanes = std::array::from_fn(|lane| {
                    let (kx, channel) = (lane / 4, lane % 4);
                    (kx < k && channel < run.channels).then(|| (first + channel) * taps + ky * k + kx)
                });
                steps.push(Sourced { step: at(run, 0, ky as i64 - 1, -1), lanes });
            }
        } else {
            // Tap by tap within a chunk of channels: the staged kernel keeps a chunk close for all of its taps.
            for channel in (0..run.channels).step_by(BLOCK) {
                for tap in 0..taps {
                    let (ky, kx) = (tap / k, tap % k);
                    let lanes = std::array::from_fn(|lane| {
                        (channel + lane < run.channels).then(|| (first + channel + lane) * taps + tap)
                    });
                    steps.push(Sourced {
                        step: at(run, channel, ky as i64 - reach, kx as i64 - reach),
                        lanes,
                    });
                }
            }
        }
        first += run.channels;
    }
    Ok(steps)
}
