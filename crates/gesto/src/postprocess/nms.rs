//! Greedy class-aware non-maximum suppression.

use crate::geometry::Rect;

/// A decoded candidate in pixels of the network's input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// Where.
    pub bbox: Rect,
    /// Probability of the class.
    pub score: f32,
    /// Position in the head's list of classes.
    pub class: u32,
    /// Position in the head's list of candidates.
    pub candidate: u32,
}

/// Suppresses boxes; keeps its buffers between frames.
#[derive(Debug, Clone, Default)]
pub struct Nms {
    /// Boxes' ranks (high half: score, best first) and positions (low half).
    order: Vec<u64>,
    kept: Vec<Block>,
    survivors: Vec<Scored>,
}

/// Kept boxes as columns, so that one candidate is compared with all of them at once.
#[derive(Debug, Clone, Copy)]
struct Block {
    left: [f32; LANES],
    top: [f32; LANES],
    right: [f32; LANES],
    bottom: [f32; LANES],
    area: [f32; LANES],
    class: [u32; LANES],
}

const LANES: usize = 8;

/// Free lanes hold an empty box, which overlaps nothing.
const FREE: Block = Block {
    left: [0.0; LANES],
    top: [0.0; LANES],
    right: [0.0; LANES],
    bottom: [0.0; LANES],
    area: [0.0; LANES],
    class: [u32::MAX; LANES],
};

impl Nms {
    /// Keeps every box whose overlap (IoU) with each better kept box of its class is at most `iou`; stops after
    /// `most`. What remains is sorted best first.
    ///
    /// Of equal scores the earlier in the list is better. Boxes whose score is NaN are dropped. Boxes without an
    /// area overlap nothing, so they all stay.
    pub fn suppress(&mut self, boxes: &mut Vec<Scored>, iou: f32, most: usize) {
        self.order.clear();
        let ranked = boxes.iter().zip(0_u64..).filter(|(found, _)| !found.score.is_nan());
        self.order.extend(ranked.map(|(found, i)| u64::from(rank(found.score)) << 32 | i));
        self.order.sort_unstable();
        self.kept.clear();
        self.survivors.clear();
        for &entry in &self.order {
            if self.survivors.len() == most {
                break;
            }
            let found = boxes[entry as u32 as usize];
            if self.kept.iter().any(|block| block.overlaps(&found, iou)) {
                continue;
            }
            let lane = self.survivors.len() % LANES;
            if lane == 0 {
                self.kept.push(FREE);
            }
            if let Some(block) = self.kept.last_mut() {
                block.set(lane, &found);
            }
            self.survivors.push(found);
        }
        // Copied, not swapped: each buffer keeps the size it has grown to.
        boxes.clear();
        boxes.extend_from_slice(&self.survivors);
    }
}

/// An integer that is smaller the higher the score; never called with NaN.
fn rank(score: f32) -> u32 {
    // Adding zero makes -0 equal to 0. Positive floats sort as their bits do, negative ones the other way round.
    let bits = (score + 0.0).to_bits();
    if bits >> 31 == 0 { !(bits | 1 << 31) } else { bits }
}

impl Block {
    fn set(&mut self, lane: usize, found: &Scored) {
        let b = &found.bbox;
        self.left[lane] = b.x;
        self.top[lane] = b.y;
        self.right[lane] = b.right();
        self.bottom[lane] = b.bottom();
        self.area[lane] = b.area();
        self.class[lane] = found.class;
    }

    /// Whether any of these boxes has the class of `found` and overlaps it by more than `iou`.
    fn overlaps(&self, found: &Scored, iou: f32) -> bool {
        let b = &found.bbox;
        let (left, top, right, bottom, area) = (b.x, b.y, b.right(), b.bottom(), b.area());
        let mut any = false;
        for i in 0..LANES {
            let w = right.min(self.right[i]) - left.max(self.left[i]);
            let h = bottom.min(self.bottom[i]) - top.max(self.top[i]);
            let overlap = w.max(0.0) * h.max(0.0);
            // 0 / 0 is NaN, and NaN is not more than anything. No early exit, so that the loop vectorises.
            any |= (overlap / (area + self.area[i] - overlap) > iou) & (self.class[i] == found.class);
        }
        any
    }
}
