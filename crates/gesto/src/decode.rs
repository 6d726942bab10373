//! From the network's raw numbers to boxes and keypoints in pixels of its input.

use gesto_engine::Candidate;
use gesto_engine::model::DFL_BINS;

use crate::geometry::Rect;

/// Centre of a candidate's cell in network pixels.
fn center(candidate: &Candidate, stride: usize) -> (f32, f32) {
    let stride = stride as f32;
    ((candidate.x as f32 + 0.5) * stride, (candidate.y as f32 + 0.5) * stride)
}

/// The box whose four sides' distances from the cell's centre have these distributions
/// (Distribution Focal Loss, arXiv:2006.04388).
pub(crate) fn decode_box(candidate: &Candidate, stride: usize, logits: &[f32; 4 * DFL_BINS]) -> Rect {
    let (x, y) = center(candidate, stride);
    let sides = logits.as_chunks::<DFL_BINS>().0;
    let [left, top, right, bottom] = [0, 1, 2, 3].map(|side| expectation(&sides[side]) * stride as f32);
    Rect::new(x - left, y - top, left + right, top + bottom)
}

/// Expected bin of a softmax distribution.
fn expectation(logits: &[f32; DFL_BINS]) -> f32 {
    // The largest exponent is 0, so nothing overflows and the sum is at least 1.
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (mut sum, mut weighted) = (0.0, 0.0);
    for (bin, &logit) in logits.iter().enumerate() {
        let p = (logit - max).exp();
        sum += p;
        weighted += p * bin as f32;
    }
    weighted / sum
}

/// Place and visibility of one keypoint from its raw `x, y, visibility`.
pub(crate) fn decode_keypoint(candidate: &Candidate, stride: usize, raw: [f32; 3]) -> ((f32, f32), f32) {
    let stride = stride as f32;
    let x = (2.0 * raw[0] + candidate.x as f32) * stride;
    let y = (2.0 * raw[1] + candidate.y as f32) * stride;
    ((x, y), sigmoid(raw[2]))
}

pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}
