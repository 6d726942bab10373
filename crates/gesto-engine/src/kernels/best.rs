//! The best class of each anchor point, as a step of the plan: what follows reads one number and one class for each.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::memory::SharedArena;
use crate::network::Candidate;
use crate::plan::layout::{Grid, LINE};
use crate::plan::{Level, part};

/// For each anchor point of a head the best logit and its class. Threads write different anchor points; they are read
/// after a barrier.
#[derive(Debug)]
pub(crate) struct Best(Vec<AtomicU64>);

impl Best {
    /// Room for all anchor points of these levels.
    pub(crate) fn new(levels: &[Level]) -> Self {
        let anchors = levels.iter().map(|level| level.grid.height * level.grid.width).sum();
        Self(std::iter::repeat_with(AtomicU64::default).take(anchors).collect())
    }

    /// What member `index` of `size` does: some rows of each level. Anchor points without a logit of at least `limit` get minus
    /// infinity: nobody asks for their class.
    ///
    /// # Safety
    /// `levels` belong to `arena`'s plan; no thread writes the class planes meanwhile.
    pub(super) unsafe fn find(
        &self,
        levels: &[Level],
        arena: SharedArena<'_>,
        limit: f32,
        index: usize,
        size: usize,
    ) {
        let mut before = 0;
        for level in levels {
            let Grid { height, width } = level.grid;
            let rows = part(height, index, size);
            // SAFETY: passed on from the caller.
            unsafe { self.rows(level, arena, limit, before, rows) };
            before += height * width;
        }
    }

    /// # Safety
    /// As [`find`](Self::find).
    unsafe fn rows(
        &self,
        level: &Level,
        arena: SharedArena<'_>,
        limit: f32,
        before: usize,
        rows: Range<usize>,
    ) {
        for y in rows {
            for x in 0..level.grid.width {
                let cell = (y * level.grid.pitch() + x) * LINE;
                // SAFETY: the cell lies inside the plane, 16 numbers of f32.
                let logits = |plane: usize| unsafe { arena.at(plane + cell).cast::<[f32; 16]>().read() };
                // Most cells end here: a comparison of whole lines is all that they cost.
                let passes = |plane: usize| logits(plane).iter().fold(false, |any, &x| any | (x >= limit));
                let (mut most, mut class) = (f32::NEG_INFINITY, 0);
                if level.classes.iter().fold(false, |any, &plane| any | passes(plane)) {
                    let all = level.classes.iter().flat_map(|&plane| logits(plane));
                    for (logit, at) in all.zip(0_u64..) {
                        if logit > most {
                            (most, class) = (logit, at);
                        }
                    }
                }
                let found = u64::from(most.to_bits()) << 32 | class;
                self.0[before + y * level.grid.width + x].store(found, Relaxed);
            }
        }
    }

    /// Adds the anchor points of a level that reach `limit`; gives the number of the anchor point after its last.
    pub(super) fn scan(
        &self,
        level: usize,
        grid: Grid,
        limit: f32,
        anchor: u32,
        found: &mut Vec<Candidate>,
    ) -> u32 {
        let end = anchor + (grid.height * grid.width) as u32;
        for (anchor, (best, at)) in (anchor..end).zip(self.0[anchor as usize..].iter().zip(0_u32..)) {
            let best = best.load(Relaxed);
            let logit = f32::from_bits((best >> 32) as u32);
            if logit >= limit {
                let (y, x) = (at / grid.width as u32, at % grid.width as u32);
                found.push(Candidate { anchor, level: level as u32, y, x, class: best as u32, logit });
            }
        }
        end
    }
}
