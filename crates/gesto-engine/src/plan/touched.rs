//! Which bytes of the arena a part of a step reads and writes: two parts that run side by side must not meet in any that one
//! of them writes.

use std::ops::Range;

use super::layout::LINE;
use super::{ConvStep, PoolStep, Tile};

/// Bytes, as ranges in ascending order that do not touch. At most some more than are read or written.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    pub(crate) reads: Vec<Range<usize>>,
    pub(crate) writes: Vec<Range<usize>>,
}

impl Touched {
    /// Some blocks of a convolution over `tiles`, of which a kernel reads the inputs of `reach` cells each.
    pub(crate) fn by_conv(step: &ConvStep, reach: usize, blocks: &Range<usize>, tiles: &[Tile]) -> Self {
        let (mut reads, mut writes) = (Vec::new(), Vec::new());
        // Tiles in ascending order read and write what lies between the first's and the last's.
        for run in tiles.chunk_by(|a, b| a.output < b.output && a.input < b.input) {
            let ([first, ..], [.., last]) = (run, run) else { continue };
            let inputs = first.input as usize * step.input_cell
                ..last.input as usize * step.input_cell + (reach - 1) * step.row + LINE;
            for tap in &step.taps {
                // The plan checked that no tap leaves the arena.
                reads
                    .push(inputs.start.strict_add_signed(tap.bytes)..inputs.end.strict_add_signed(tap.bytes));
            }
            let cells = first.output as usize..(last.output + last.count) as usize;
            let halved = &step.cells.halved[cells.clone()];
            for chunk in
                step.blocks[blocks.clone()].iter().flat_map(|block| &step.chunks[block.chunks.clone()])
            {
                let bytes = |place: usize| place + cells.start * chunk.cell..place + cells.end * chunk.cell;
                writes.push(bytes(chunk.output));
                reads.extend(chunk.residual.map(bytes));
                if let Some(place) = chunk.partial {
                    let (low, high) = halved
                        .iter()
                        .fold((u32::MAX, 0), |(low, high), &cell| (low.min(cell), high.max(cell)));
                    reads.push(place + low as usize * LINE..place + (high as usize + 1) * LINE);
                }
            }
        }
        Self { reads: merged(reads), writes: merged(writes) }
    }

    /// Every `of`-th plane of a pool from `part` on.
    pub(crate) fn by_pool(step: &PoolStep, part: usize, of: usize) -> Self {
        let planes = || step.planes.iter().skip(part).step_by(of);
        let bytes = |&place: &usize| place..place + step.grid.run() * step.cell;
        // What one pool writes the next one reads.
        let reads = planes().flatten().map(bytes).collect();
        let writes = planes().flat_map(|chain| &chain[1..]).map(bytes).collect();
        Self { reads: merged(reads), writes: merged(writes) }
    }

    /// Whether one writes what the other reads or writes.
    pub(crate) fn conflicts(&self, other: &Self) -> bool {
        meet(&self.writes, &other.reads)
            || meet(&self.writes, &other.writes)
            || meet(&self.reads, &other.writes)
    }
}

fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| range.start);
    ranges.dedup_by(|next, last| {
        let touches = next.start <= last.end;
        if touches {
            last.end = last.end.max(next.end);
        }
        touches
    });
    ranges
}

fn meet(a: &[Range<usize>], b: &[Range<usize>]) -> bool {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
        if x.end <= y.start {
            a.next();
        } else if y.end <= x.start {
            b.next();
        } else {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_merged_and_compared_like_sets() {
        // Ranges of small numbers, from a generator, against sets of their numbers.
        let mut state = 1u32;
        let mut number = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as usize % below as usize
        };
        for _ in 0..if cfg!(miri) { 30 } else { 2_000 } {
            let [a, b] = [(); 2].map(|()| {
                let mut range = |_| {
                    let start = number(40);
                    start..start + 1 + number(6)
                };
                (0..5).map(&mut range).collect::<Vec<_>>()
            });
            let numbers = |ranges: &[Range<usize>]| {
                ranges.iter().cloned().flatten().collect::<std::collections::BTreeSet<_>>()
            };
            let (in_order_a, in_order_b) = (merged(a.clone()), merged(b.clone()));
            assert_eq!(numbers(&in_order_a), numbers(&a));
            assert!(in_order_a.windows(2).all(|pair| pair[0].end < pair[1].start), "{in_order_a:?}");
            assert_eq!(meet(&in_order_a, &in_order_b), !numbers(&a).is_disjoint(&numbers(&b)), "{a:?} {b:?}");
        }
    }
}
