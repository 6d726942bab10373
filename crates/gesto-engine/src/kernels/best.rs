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

    /// What member `index` of `size` does: some rows of each level. Below `limit`, where nobody asks for the class, it is
    /// left 0.
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
                let mut most = f32::NEG_INFINITY;
                for &plane in &level.classes {
                    let logit = maximum(logits(plane));
                    most = if logit > most { logit } else { most };
                }
                let class = if most >= limit {
                    let all = level.classes.iter().flat_map(|&plane| logits(plane));
                    all.zip(0..).find(|(logit, _)| *logit == most).map_or(0, |(_, class)| class)
                } else {
                    0
                };
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

/// The largest number, by halves; NaN counts as the smallest.
fn maximum(numbers: [f32; 16]) -> f32 {
    let mut most = numbers.map(|x| if x > f32::NEG_INFINITY { x } else { f32::NEG_INFINITY });
    for width in [8, 4, 2, 1] {
        for i in 0..width {
            most[i] = if most[i + width] > most[i] { most[i + width] } else { most[i] };
        }
    }
    most[0]
}

#[cfg(test)]
mod tests {
    use super::maximum;

    #[test]
    fn the_largest_of_sixteen() {
        for at in 0..16 {
            let mut numbers = [-3.5; 16];
            numbers[(at + 5) % 16] = f32::NAN;
            numbers[at] = -1.25;
            assert_eq!(maximum(numbers), -1.25);
        }
        assert_eq!(maximum([f32::NAN; 16]), f32::NEG_INFINITY);
    }
}
