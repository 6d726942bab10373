//! Minimal filtering for 3x3 windows without stride: F(2x2, 3x3) of Lavin and Gray, arXiv:1509.09308.
//!
//! A square of 2x2 outputs takes 16 multiplications a channel instead of 36: inputs and weights are transformed, multiplied
//! position by position, and the sums transformed back.

use std::ops::Range;

use super::layout::{Format, Grid, LINE};
use super::pack::{Columns, Layout, bf16_pairs};
use super::task::Weight;
use crate::kernels::memory::Line;

/// Positions of a transformed square.
pub(crate) const POSITIONS: usize = 16;

/// What a convolution needs to run this way.
#[derive(Debug)]
pub(crate) struct Winograd {
    /// Byte offset in the arena of cell 0 of each plane read.
    pub(crate) planes: Vec<usize>,
    /// Squares along each axis.
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl Winograd {
    /// `planes` are the places of a task's sources, `grid` is the map written.
    pub(super) fn new(planes: Vec<usize>, grid: Grid) -> Self {
        Self { planes, rows: grid.height.div_ceil(2), columns: grid.width.div_ceil(2) }
    }

    /// Squares of 2x2 outputs, the overhanging ones included.
    pub(crate) fn squares(&self) -> usize {
        self.rows * self.columns
    }

    /// Bytes of scratch for `squares` at a time: transformed inputs, then sums.
    pub(crate) fn scratch(&self, chunks: usize, squares: usize) -> usize {
        POSITIONS * squares * LINE * (self.planes.len() + chunks)
    }

    /// Lines of packed weights of a block of `chunks`.
    pub(crate) fn lines(&self, chunks: usize) -> usize {
        POSITIONS * self.planes.len() * 16 * chunks
    }
}

/// The transformed weights of one block: `[position][input line][number][16 C]`, with bf16
/// `[position][input line][pair][chunk][16 pairs]`.
pub(super) fn pack(layout: &Layout<'_>, columns: &Columns, block: Range<usize>, format: Format) -> Vec<Line> {
    let sources = &layout.task.sources;
    let mut lines = vec![Line::ZERO; POSITIONS * sources.len() * 16 * block.len()];
    for (s, source) in sources.iter().enumerate() {
        let channel = |lane: usize| (lane < source.channels).then_some(source.first + lane);
        for row in 0..16 {
            for (c, chunk) in block.clone().enumerate() {
                let number = |lane: usize| match channel(lane) {
                    Some(channel) => {
                        transform(|ky, kx| columns.chunk(chunk, Some(Weight { channel, ky, kx })))
                    }
                    None => [[0.0; 16]; POSITIONS],
                };
                let rows = match format {
                    Format::Bf16 => {
                        let [even, odd] = paired(row).map(number);
                        std::array::from_fn(|position| bf16_pairs(&even[position], &odd[position]))
                    }
                    _ => number(row).map(|row| Line::from_words(row.map(f32::to_bits))),
                };
                for (position, line) in rows.into_iter().enumerate() {
                    let at = (position * sources.len() + s) * 16 + row;
                    lines[at * block.len() + c] = line;
                }
            }
        }
    }
    lines
}

/// Channels of a line of 32 that meet in dot product `pair`: transformed inputs have the even channels first.
fn paired(pair: usize) -> [usize; 2] {
    let first = 4 * (pair % 8) + pair / 8;
    [first, first + 2]
}

/// Rows of G: the transform of a window of three weights to four positions.
const G: [[f32; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];

/// `G w G'` for 16 output channels at once.
fn transform(weight: impl Fn(usize, usize) -> [f32; 16]) -> [[f32; 16]; POSITIONS] {
    let window: [[[f32; 16]; 3]; 3] = std::array::from_fn(|ky| std::array::from_fn(|kx| weight(ky, kx)));
    let dot = |g: [f32; 3], w: [[f32; 16]; 3]| {
        std::array::from_fn(|i| g[0] * w[0][i] + g[1] * w[1][i] + g[2] * w[2][i])
    };
    let rows: [[[f32; 16]; 3]; 4] =
        G.map(|g| std::array::from_fn(|kx| dot(g, [window[0][kx], window[1][kx], window[2][kx]])));
    std::array::from_fn(|position| dot(G[position % 4], rows[position / 4]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transformed_weights_of_a_flat_window() {
        // A window of ones: G sums its rows to (1, 1.5, 0.5, 1) along each axis.
        let axis = [1.0, 1.5, 0.5, 1.0];
        for (position, row) in transform(|_, _| [1.0; 16]).into_iter().enumerate() {
            assert_eq!(row, [axis[position / 4] * axis[position % 4]; 16]);
        }
    }
}
