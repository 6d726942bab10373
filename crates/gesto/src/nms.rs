//! Greedy class-aware non-maximum suppression.

use crate::geometry::Rect;

/// A decoded candidate in pixels of the network's input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scored {
    pub(crate) bbox: Rect,
    pub(crate) score: f32,
    pub(crate) class: u32,
    /// Position in the engine's list of candidates.
    pub(crate) candidate: u32,
}

/// Keeps, best first, every box that overlaps no better kept box of its class by more than `iou`; at most `most`.
pub(crate) fn suppress(boxes: &mut Vec<Scored>, iou: f32, most: usize) {
    boxes.retain(|b| !b.score.is_nan());
    boxes.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.candidate.cmp(&b.candidate)));
    let mut kept = 0;
    for i in 0..boxes.len() {
        if kept == most {
            break;
        }
        let b = boxes[i];
        if boxes[..kept].iter().all(|k| k.class != b.class || k.bbox.iou(&b.bbox) <= iou) {
            boxes[kept] = b;
            kept += 1;
        }
    }
    boxes.truncate(kept);
}
