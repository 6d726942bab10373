//! Which weights to fetch into the second-level cache while a step runs.
//!
//! The weights of a whole network are larger than that cache, so that every frame brings them from the third level again,
//! and the deepest layers, whose maps are small, would wait for them. While shallow layers compute, that way is free.

use std::ops::Range;

use super::layout::LINE;
use super::{Plan, Step};

/// Bytes that arrive in a cycle beside a step's own work.
const RATE: usize = 4;
/// Cycles of the matrix unit for a tap of one tile and chunk, and of the vector units for the sums.
const TAP: usize = 16;
const SUMS: usize = 80;

/// For each dense step, in order, the parts of [`Plan::weights`] to fetch while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schedule(Vec<Vec<Range<usize>>>);

impl Schedule {
    /// What member `index` of a team of `size` fetches; nothing on tiers that would not gain by it.
    pub(crate) fn new(plan: &Plan, index: usize, size: usize) -> Self {
        if !plan.kernels.has_matrix_unit() {
            return Self(Vec::new());
        }
        let work: Vec<_> =
            plan.dense.iter().flatten().map(|step| Work::new(plan, step, index, size)).collect();
        Self(schedule(&work))
    }

    pub(crate) fn steps(&self) -> &[Vec<Range<usize>>] {
        &self.0
    }
}

/// What a step is to one thread: the weights it reads, and about how many cycles it takes.
#[derive(Debug, Clone, Default)]
struct Work {
    weights: Range<usize>,
    cycles: usize,
}

impl Work {
    fn new(plan: &Plan, step: &Step, index: usize, size: usize) -> Self {
        let Step::Conv(step) = step else { return Self::default() };
        let share = step.share(index, size, step.tiles.len());
        let blocks = &step.blocks[share.blocks];
        let ([first, ..], [.., last]) = (blocks, blocks) else { return Self::default() };
        let chunks = last.chunks.end - first.chunks.start;
        Self {
            weights: first.weights..last.weights + plan.kernels.block_bytes(step, last),
            cycles: share.tiles.len() * chunks * (TAP * step.taps.len() + SUMS),
        }
    }
}

/// Places the weights of all steps in steps before them, as late as the rate allows, so that they are not driven out again
/// before they are read.
fn schedule(work: &[Work]) -> Vec<Vec<Range<usize>>> {
    let mut ahead = vec![Vec::new(); work.len()];
    // Weights without a place yet, last needed first.
    let mut open: Vec<Range<usize>> = Vec::new();
    for (ahead, step) in ahead.iter_mut().zip(work).rev() {
        let mut room = (step.cycles * RATE).next_multiple_of(LINE);
        while room > 0
            && let Some(last) = open.first_mut()
        {
            let part = last.len().min(room);
            ahead.insert(0, last.end - part..last.end);
            last.end -= part;
            room -= part;
            if last.start == last.end {
                open.remove(0);
            }
        }
        if step.weights.start < step.weights.end {
            open.push(step.weights.clone());
        }
    }
    ahead
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_fetched_before_their_step_and_no_faster_than_the_rate() {
        let step =
            |weights: Range<usize>, cycles| Work { weights: 64 * weights.start..64 * weights.end, cycles };
        let work = [
            step(0..1, 160),   // fetches 10 lines at most
            step(1..3, 1600),  // many
            step(3..3, 0),     // a pool
            step(3..15, 32),   // 2
            step(15..20, 160), // the last one
        ];
        let lines = |ranges: &Vec<Range<usize>>| -> Vec<_> {
            ranges.iter().map(|range| (range.start / LINE, range.end / LINE)).collect()
        };
        let ahead: Vec<_> = schedule(&work).iter().map(lines).collect();
        assert_eq!(ahead, [vec![(1, 3)], vec![(3, 15), (15, 18)], vec![], vec![(18, 20)], vec![]]);
    }
}
