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
    let [left, top, right, bottom] = expectations(logits).map(|bins| bins * cell.stride);
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

/// Expected bin of each side's softmax distribution.
///
/// Loops run over fixed arrays and sums over four lanes in a fixed order: that vectorises, and gives the same
/// number on every machine.
fn expectations(logits: &[f32; 4 * DFL_BINS]) -> [f32; 4] {
    let mut p = *logits;
    for side in p.as_chunks_mut::<DFL_BINS>().0 {
        let max = maximum(side);
        for v in side {
            // The largest exponent is 0: nothing overflows, and the sum is at least 1.
            *v -= max;
        }
    }
    for v in &mut p {
        *v = exp_of_negative(*v);
    }
    let sides = p.as_chunks::<DFL_BINS>().0;
    std::array::from_fn(|side| {
        let (mut sum, mut weighted) = ([0.0; 4], [0.0; 4]);
        for (bins, start) in sides[side].as_chunks::<4>().0.iter().zip([0.0, 4.0, 8.0, 12.0]) {
            for i in 0..4 {
                sum[i] += bins[i];
                weighted[i] += bins[i] * (start + i as f32);
            }
        }
        total(weighted) / total(sum)
    })
}

fn total(v: [f32; 4]) -> f32 {
    (v[0] + v[2]) + (v[1] + v[3])
}

/// The largest of a side's logits, by halves.
fn maximum(v: &[f32; DFL_BINS]) -> f32 {
    let mut m = *v;
    for width in [8, 4, 2, 1] {
        for i in 0..width {
            m[i] = if m[i + width] > m[i] { m[i + width] } else { m[i] };
        }
    }
    m[0]
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
            let mut logits = [-1e4; 4 * DFL_BINS];
            for side in 0..4 {
                logits[side * DFL_BINS + (bin + side) % DFL_BINS] = 1e4;
            }
            let want = [0, 1, 2, 3].map(|side| ((bin + side) % DFL_BINS) as f32);
            assert_eq!(expectations(&logits), want);
        }
    }

    #[test]
    fn huge_equal_logits_neither_overflow_nor_vanish() {
        for value in [-3e38, -1e4, 0.0, 1e4, 3e38] {
            let got = expectations(&[value; 4 * DFL_BINS]);
            assert!(got.iter().all(|bin| (bin - 7.5).abs() < 1e-5), "{value}: {got:?}");
        }
    }

    #[test]
    fn keypoints_follow_the_definition() {
        let cell = Cell { x: 3.0, y: 5.0, stride: 8.0 };
        // (2 v + (centre in cells - 0.5)) * stride, centre = column + 0.5.
        assert_eq!(decode_keypoint(cell, [0.25, -1.0, 0.0]), (28.0, 24.0, 0.5));
    }
}
