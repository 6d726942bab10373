//! Fetching later steps' weights bit by bit while a kernel computes.

use std::ops::Range;

use crate::plan::layout::LINE;

/// What to fetch during one step, cut into portions.
#[derive(Debug)]
pub(super) struct Ahead<'a> {
    weights: &'a [u8],
    ranges: &'a [Range<usize>],
    /// Bytes of the first range that are done.
    done: usize,
    /// Bytes of a portion.
    portion: usize,
}

/// Some cache lines in a row that are left to fetch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines {
    next: *const u8,
    end: *const u8,
}

impl<'a> Ahead<'a> {
    /// In about `portions` portions.
    pub(super) fn new(weights: &'a [u8], ranges: &'a [Range<usize>], portions: usize) -> Self {
        let lines = ranges.iter().map(|range| range.len() / LINE).sum::<usize>();
        Self { weights, ranges, done: 0, portion: lines.div_ceil(portions.max(1)) * LINE }
    }

    /// The next portion; empty when all is done.
    pub(super) fn next(&mut self) -> Lines {
        let Some(range) = self.ranges.first() else {
            return Lines { next: std::ptr::null(), end: std::ptr::null() };
        };
        let from = range.start + self.done;
        let to = range.end.min(from + self.portion);
        if to == range.end {
            (self.ranges, self.done) = (&self.ranges[1..], 0);
        } else {
            self.done += self.portion;
        }
        let at = |byte| self.weights.as_ptr().wrapping_add(byte);
        Lines { next: at(from), end: at(to) }
    }
}

impl Lines {
    pub(super) fn len(self) -> usize {
        (self.end as usize - self.next as usize) / LINE
    }

    /// Fetches one line into the second-level cache, if any is left.
    #[inline(always)]
    pub(super) fn one(&mut self) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        if self.next < self.end {
            // SAFETY: a prefetch changes nothing that the program could see and never faults; SSE is part of x86-64.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(self.next.cast()) };
            self.next = self.next.wrapping_add(LINE);
        }
    }
}
