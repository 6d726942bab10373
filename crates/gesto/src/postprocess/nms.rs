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
    few: Few,
    /// Boxes' ranks (high half: score, best first) and positions (low half).
    order: Vec<u64>,
    kept: Vec<Block>,
    survivors: Vec<Scored>,
}

/// Boxes as columns, so that one box is compared with several at once.
#[derive(Debug, Clone, Copy)]
struct Block {
    left: [f32; LANES],
    top: [f32; LANES],
    right: [f32; LANES],
    bottom: [f32; LANES],
    area: [f32; LANES],
    class: [u32; LANES],
}

/// The width of the vector registers that every x86-64 and 64-bit Arm processor has.
const LANES: usize = 4;

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
        self.survivors.clear();
        if boxes.len() <= FEW {
            self.few.suppress(boxes, iou, most, &mut self.survivors);
        } else {
            self.many(boxes, iou, most);
        }
        // Copied, not swapped: each buffer keeps the size it has grown to.
        boxes.clear();
        boxes.extend_from_slice(&self.survivors);
    }

    /// Sorts, then compares each box with those kept before it: for crowds.
    fn many(&mut self, boxes: &[Scored], iou: f32, most: usize) {
        self.order.clear();
        let ranked = boxes.iter().zip(0_u64..).filter(|(found, _)| !found.score.is_nan());
        self.order.extend(ranked.map(|(found, i)| u64::from(rank(found.score)) << 32 | i));
        self.order.sort_unstable();
        self.kept.clear();
        for &entry in &self.order {
            if self.survivors.len() == most {
                break;
            }
            let found = boxes[entry as u32 as usize];
            if self.kept.iter().any(|block| block.overlapping(&found, iou) != [0; LANES]) {
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
    }
}

/// So many boxes are not worth a sort: an ordinary frame has twenty or thirty, of two or three objects.
const FEW: usize = 64;

/// Takes the best box that is left and drops what overlaps it, as often as there are objects.
#[derive(Debug, Clone)]
struct Few {
    blocks: [Block; FEW / LANES],
    ranks: [[u32; LANES]; FEW / LANES],
}

impl Default for Few {
    fn default() -> Self {
        Self { blocks: [FREE; FEW / LANES], ranks: [[GONE; LANES]; FEW / LANES] }
    }
}

/// The rank of a box that is kept, suppressed or no box; every number's rank is smaller.
const GONE: u32 = u32::MAX;

impl Few {
    fn suppress(&mut self, boxes: &[Scored], iou: f32, most: usize, survivors: &mut Vec<Scored>) {
        let used = boxes.len().div_ceil(LANES);
        let (blocks, ranks) = (&mut self.blocks[..used], &mut self.ranks[..used]);
        if let Some(last) = ranks.last_mut() {
            *last = [GONE; LANES];
        }
        for (i, found) in boxes.iter().enumerate() {
            blocks[i / LANES].set(i % LANES, found);
            ranks[i / LANES][i % LANES] = if found.score.is_nan() { GONE } else { rank(found.score) };
        }
        while survivors.len() < most {
            // The best of each lane, then of all; the first of equals is found by its place.
            let lanes =
                ranks.iter().fold([GONE; LANES], |best, row| std::array::from_fn(|i| best[i].min(row[i])));
            let best = lanes.into_iter().fold(GONE, u32::min);
            if best == GONE {
                break;
            }
            let Some(place) = ranks.as_flattened().iter().position(|&rank| rank == best) else { break };
            let found = boxes[place];
            for (block, ranks) in blocks.iter().zip(ranks.iter_mut()) {
                let dropped = block.overlapping(&found, iou);
                for (rank, dropped) in ranks.iter_mut().zip(dropped) {
                    *rank |= dropped;
                }
            }
            ranks[place / LANES][place % LANES] = GONE;
            survivors.push(found);
        }
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

    /// All bits for each of these boxes that has the class of `found` and overlaps it by more than `iou`, 0 for the others.
    fn overlapping(&self, found: &Scored, iou: f32) -> [u32; LANES] {
        // Unlike `f32::min` and `max`, which look for NaN, one instruction each.
        let less = |a: f32, b: f32| if a < b { a } else { b };
        let more = |a: f32, b: f32| if a > b { a } else { b };
        let b = &found.bbox;
        let (left, top, right, bottom, area) = (b.x, b.y, b.right(), b.bottom(), b.area());
        let mut all = [0; LANES];
        // No early exit, so that the loop becomes vector instructions.
        for (i, lane) in all.iter_mut().enumerate() {
            let w = less(right, self.right[i]) - more(left, self.left[i]);
            let h = less(bottom, self.bottom[i]) - more(top, self.top[i]);
            let overlap = more(w, 0.0) * more(h, 0.0);
            // 0 / 0 is NaN, and NaN is not more than anything.
            let over = overlap / (area + self.area[i] - overlap) > iou;
            *lane = u32::from(over & (self.class[i] == found.class)).wrapping_neg();
        }
        all
    }
}
