//! From raw numbers to boxes and keypoints in pixels of the network's input.

use gesto_engine::model::DFL_BINS;
use gesto_engine::{Candidate, HeadOutput};

use super::{HeadResults, Scored};
use crate::geometry::Rect;
use crate::keypoint::KEYPOINTS;

/// A head's output of the CPU engine together with the strides of its levels.
#[derive(Debug)]
pub struct EngineHead<'a> {
    /// The engine's output.
    pub output: HeadOutput<'a>,
    /// Input pixels per cell of each level.
    pub strides: &'a [usize],
}

impl HeadResults for EngineHead<'_> {
    fn candidates(&self) -> usize {
        self.output.candidates().len()
    }

    fn boxes(&self, out: &mut Vec<Scored>) {
        out.extend(self.output.candidates().iter().zip(0..).map(|(candidate, i)| {
            let cell = Cell::of(candidate, self.strides);
            let bbox = decode_box(cell, &self.output.box_logits(candidate));
            Scored { bbox, score: sigmoid(candidate.logit), class: candidate.class, candidate: i }
        }));
    }

    fn keypoints(&self, candidate: u32) -> [(f32, f32, f32); KEYPOINTS] {
        let candidate = &self.output.candidates()[candidate as usize];
        let cell = Cell::of(candidate, self.strides);
        let mut raw = [0.0; 3 * KEYPOINTS];
        self.output.keypoints(candidate, &mut raw);
        std::array::from_fn(|i| decode_keypoint(cell, [raw[3 * i], raw[3 * i + 1], raw[3 * i + 2]]))
    }
}

/// A cell of one level; its centre is the anchor point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// Column.
    pub x: f32,
    /// Row.
    pub y: f32,
    /// Pixels per cell.
    pub stride: f32,
}

impl Cell {
    fn of(candidate: &Candidate, strides: &[usize]) -> Self {
        let stride = strides[candidate.level as usize] as f32;
        Self { x: candidate.x as f32, y: candidate.y as f32, stride }
    }
}

/// The box around a cell's anchor point whose sides (left, top, right, bottom) lie at distances with these
/// distribution logits (Distribution Focal Loss, arXiv:2006.04388).
#[must_use]
pub fn decode_box(cell: Cell, logits: &[f32; 4 * DFL_BINS]) -> Rect {
    let (x, y) = ((cell.x + 0.5) * cell.stride, (cell.y + 0.5) * cell.stride);
    let sides = logits.as_chunks::<DFL_BINS>().0;
    let [left, top, right, bottom] = [0, 1, 2, 3].map(|side| expectation(&sides[side]) * cell.stride);
    Rect::new(x - left, y - top, left + right, top + bottom)
}

/// Place and probability of a keypoint from its raw `x, y, visibility`.
#[must_use]
pub fn decode_keypoint(cell: Cell, [x, y, visibility]: [f32; 3]) -> (f32, f32, f32) {
    ((2.0 * x + cell.x) * cell.stride, (2.0 * y + cell.y) * cell.stride, sigmoid(visibility))
}

/// Probability of a logit.
#[must_use]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Numbers added side by side; their order is fixed, so results are the same on every machine.
const LANES: usize = 8;

/// Expected bin of a softmax distribution.
fn expectation(logits: &[f32; DFL_BINS]) -> f32 {
    let (halves, _) = logits.as_chunks::<LANES>();
    let mut max = [f32::NEG_INFINITY; LANES];
    for half in halves {
        for (max, &v) in max.iter_mut().zip(half) {
            *max = if v > *max { v } else { *max };
        }
    }
    let max = max.iter().fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a });
    let (mut sum, mut weighted) = ([0.0_f32; LANES], [0.0_f32; LANES]);
    for (h, half) in halves.iter().enumerate() {
        for i in 0..LANES {
            // The largest exponent is 0: nothing overflows, and the sum is at least 1.
            let p = exp_of_negative(half[i] - max);
            sum[i] += p;
            weighted[i] += p * (h * LANES + i) as f32;
        }
    }
    total(weighted) / total(sum)
}

fn total(v: [f32; LANES]) -> f32 {
    ((v[0] + v[4]) + (v[1] + v[5])) + ((v[2] + v[6]) + (v[3] + v[7]))
}

/// `exp(x)` for `x <= 0` to about 2 units in the last place; 0 below -87; NaN stays NaN.
///
/// `2^n * exp(r)` with `|r| <= ln 2 / 2`, where `exp(r)` is a polynomial (coefficients of Cephes' `expf`). Unlike
/// the library's function it is free of calls and branches, so a loop over it vectorises.
fn exp_of_negative(x: f32) -> f32 {
    /// Adding and subtracting this rounds to an integer, whose bits stand at the low end of the sum.
    const ROUND: f32 = 12_582_912.0;
    let clamped = if x < -87.0 { -87.0 } else { x };
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // ln 2 in two parts: the first has few bits, so that n times it is exact.
    let r = clamped - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let mut p = 1.987_569_2e-4;
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p * r + c;
    }
    let fraction = p * r * r + r + 1.0;
    // n lies in -126..=0; 127 is the exponent's bias and 23 the width of the mantissa.
    let power = f32::from_bits((shifted.to_bits().wrapping_add(127)) << 23);
    if x < -87.0 { 0.0 } else { fraction * power }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_exact_to_a_few_units() {
        for i in 0..=870_000 {
            let x = -(i as f32) * 1e-4;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp_of_negative(x)) - exact).abs() / exact;
            assert!(error < 3e-7, "exp({x}) is off by {error}");
        }
        assert_eq!(exp_of_negative(0.0), 1.0);
        assert_eq!(exp_of_negative(-1e30), 0.0);
        assert_eq!(exp_of_negative(f32::NEG_INFINITY), 0.0);
        assert!(exp_of_negative(f32::NAN).is_nan());
    }

    #[test]
    fn a_sure_distribution_gives_its_bin() {
        for bin in 0..DFL_BINS {
            let mut logits = [-1e4; DFL_BINS];
            logits[bin] = 1e4;
            assert_eq!(expectation(&logits), bin as f32);
        }
    }

    #[test]
    fn huge_equal_logits_neither_overflow_nor_vanish() {
        for value in [-3e38, -1e4, 0.0, 1e4, 3e38] {
            assert!((expectation(&[value; DFL_BINS]) - 7.5).abs() < 1e-5, "{value}");
        }
    }

    #[test]
    fn keypoints_follow_the_definition() {
        let cell = Cell { x: 3.0, y: 5.0, stride: 8.0 };
        // (2 v + (centre in cells - 0.5)) * stride, centre = column + 0.5.
        assert_eq!(decode_keypoint(cell, [0.25, -1.0, 0.0]), (28.0, 24.0, 0.5));
    }
}
