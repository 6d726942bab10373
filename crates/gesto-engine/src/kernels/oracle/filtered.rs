//! Minimal filtering with numbers of bf16: what is multiplied was mixed first and rounded once more, so the sums are others
//! than the plain convolution's.

use super::case::{Case, Map, Step};
use super::stored;
use crate::plan::layout::Format;

const POSITIONS: usize = 16;

/// Mixed and rounded weights and inputs of a step.
pub(super) struct Filtered {
    /// `[convolution][out][in][position]`
    weights: Vec<Vec<[f32; POSITIONS]>>,
    /// `[square][in][position]`
    inputs: Vec<[f32; POSITIONS]>,
    channels: usize,
    /// Squares side by side.
    columns: usize,
}

impl Filtered {
    pub(super) fn new(case: &Case, step: &Step) -> Self {
        let input = &step.input;
        let weights = step.task.convs.iter().map(|&id| {
            let windows = step.model.weights(id).weight;
            windows.as_chunks::<9>().0.iter().map(window).collect()
        });
        let (rows, columns) = (case.height.div_ceil(2), case.width.div_ceil(2));
        let squares = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
        let inputs = squares.flat_map(|(row, column)| {
            (0..input.channels).map(move |i| square(input, 2 * row, 2 * column, i))
        });
        Self { weights: weights.collect(), inputs: inputs.collect(), channels: input.channels, columns }
    }

    /// The sum at a cell, and that of the absolute products.
    pub(super) fn sum(&self, conv: usize, channel: usize, y: usize, x: usize) -> (f64, f64) {
        let square = (y / 2 * self.columns + x / 2) * self.channels;
        // How the positions of an axis make its first and its second output.
        let axis = [[1.0, 1.0, 1.0, 0.0], [0.0, 1.0, -1.0, -1.0]];
        let (mut sum, mut absolute) = (0.0, 0.0);
        for i in 0..self.channels {
            let weights = &self.weights[conv][channel * self.channels + i];
            for (position, (w, d)) in weights.iter().zip(&self.inputs[square + i]).enumerate() {
                let factor = axis[y % 2][position / 4] * axis[x % 2][position % 4];
                let product = factor * f64::from(*w) * f64::from(*d);
                sum += product;
                absolute += product.abs();
            }
        }
        (sum, absolute)
    }
}

/// `G w G'`, in f32 as the packer computes it.
fn window(w: &[f32; 9]) -> [f32; POSITIONS] {
    const G: [[f32; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];
    let mut mixed = [0.0; POSITIONS];
    for v in 0..4 {
        let row: [f32; 3] = std::array::from_fn(|x| G[v][0] * w[x] + G[v][1] * w[3 + x] + G[v][2] * w[6 + x]);
        for u in 0..4 {
            mixed[4 * v + u] = stored(Format::Bf16, G[u][0] * row[0] + G[u][1] * row[1] + G[u][2] * row[2]);
        }
    }
    mixed
}

/// `B' d B` of the 4x4 inputs around the square of outputs from `top`, `left` on.
fn square(input: &Map, top: usize, left: usize, channel: usize) -> [f32; POSITIONS] {
    let at = |v: usize, u: usize| match ((top + v).checked_sub(1), (left + u).checked_sub(1)) {
        (Some(y), Some(x)) if y < input.grid.height && x < input.grid.width => input.at(y, x, channel),
        _ => 0.0,
    };
    let mix = |[a, b, c, d]: [f32; 4]| [a - c, b + c, c - b, b - d];
    let columns: [[f32; 4]; 4] = std::array::from_fn(|u| mix(std::array::from_fn(|v| at(v, u))));
    let mut mixed = [0.0; POSITIONS];
    for v in 0..4 {
        for (u, number) in mix(std::array::from_fn(|u| columns[u][v])).into_iter().enumerate() {
            mixed[4 * v + u] = stored(Format::Bf16, number);
        }
    }
    mixed
}
