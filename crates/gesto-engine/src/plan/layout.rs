//! Where feature maps lie in memory.
//!
//! A map is a list of *planes*; a plane holds a few channels of every cell, cell after cell, row after row:
//! `[y][x][channel]`. One cell of a plane is at most 64 bytes, a cache line and the row of an AMX tile.
//! Concatenation and slicing only make other lists of planes.
//!
//! Each row is followed by one cell that is always zero, and each plane by zero rows, so that a 3x3 window may
//! read past every border:
//!
//! ```text
//! 0 0 0 0      the row above
//! 0 a b c 0    the zero after a row is the zero before the next
//!   d e f 0
//!   0 0 0 0    the row below
//! ```
//!
//! In a plane of bytes the borders hold the byte that stands for zero.
//!
//! With cells numbered through (`p = y * pitch + x`, `pitch = width + 1`) a tap of the window is a fixed distance,
//! for every cell, and a kernel may take any run of cells, borders included. What it would write to a
//! border, it writes as zero.

use std::collections::HashMap;
use std::ops::Range;

/// Bytes of a cache line; planes begin on one.
pub(crate) const LINE: usize = 64;
/// Cells that a kernel may touch past the last one of a plane: the largest run of cells of one tile.
pub(crate) const RUN_SLACK: usize = 32;

/// Number format of activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    F32,
    Bf16,
    /// A scale and a zero of its own for each map.
    U8,
}

impl Format {
    /// Bytes of one number.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Format::F32 => 4,
            Format::Bf16 => 2,
            Format::U8 => 1,
        }
    }

    /// Numbers in a cache line.
    pub(crate) fn lanes(self) -> usize {
        LINE / self.bytes()
    }
}

/// Size of a map in cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Grid {
    pub(crate) height: usize,
    pub(crate) width: usize,
}

impl Grid {
    /// Cells from one row to the next.
    pub(crate) fn pitch(self) -> usize {
        self.width + 1
    }

    /// Cells of the inside, the border cell after each row included.
    pub(crate) fn run(self) -> usize {
        self.height * self.pitch()
    }

    /// Cells before the first: the row above and the cell before it.
    fn lead(self) -> usize {
        self.pitch() + 1
    }

    /// Cells of a whole plane.
    fn total(self) -> usize {
        self.lead() + self.run() + self.pitch() + 1 + RUN_SLACK
    }
}

/// A plane that has no place yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PlaneId(pub(crate) usize);

/// Shape of a plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Plane {
    pub(crate) grid: Grid,
    /// Bytes of one cell.
    pub(crate) cell: usize,
    /// What the borders hold.
    pub(crate) zero: u8,
}

impl Plane {
    fn size(self) -> usize {
        (self.grid.total() * self.cell + 2 * LINE).next_multiple_of(LINE)
    }

    /// All bytes of a plane whose cell (0, 0) lies at `place`.
    pub(crate) fn bytes(self, place: usize) -> Range<usize> {
        let start = place - self.origin();
        start..start + self.size()
    }

    /// Bytes from the plane's first to its cell (0, 0).
    fn origin(self) -> usize {
        // Cells of 64 bytes shall begin on a cache line; the smaller ones do so as well.
        (self.grid.lead() * self.cell).next_multiple_of(LINE)
    }
}

/// Places planes in one arena. A plane's memory goes on to later planes of the same shape only: their borders lie in
/// the same places, so that zeros stay zeros without being written again.
#[derive(Debug, Default)]
pub(crate) struct Places {
    free: HashMap<Plane, Vec<usize>>,
    size: usize,
}

impl Places {
    /// Byte offset of cell (0, 0) of a plane that is nobody else's until [`give_back`](Self::give_back).
    pub(crate) fn take(&mut self, plane: Plane) -> usize {
        if let Some(place) = self.free.get_mut(&plane).and_then(Vec::pop) {
            return place;
        }
        let start = self.size;
        // An odd number of lines between planes keeps equal cells of many planes out of one cache set.
        self.size += plane.size() + if (plane.size() / LINE).is_multiple_of(2) { LINE } else { 0 };
        start + plane.origin()
    }

    /// The plane at `place` is read no more.
    pub(crate) fn give_back(&mut self, plane: Plane, place: usize) {
        self.free.entry(plane).or_default().push(place);
    }

    /// Bytes of the arena.
    pub(crate) fn size(&self) -> usize {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_do_not_overlap_and_have_room_for_every_tap() {
        let mut places = Places::default();
        let mut taken: Vec<(usize, usize)> = Vec::new();
        for (height, width, cell) in [(1, 1, 64), (7, 10, 64), (80, 56, 32), (320, 224, 8), (3, 5, 16)] {
            let plane = Plane { grid: Grid { height, width }, cell, zero: 0 };
            let origin = places.take(plane);
            assert_eq!(origin % LINE, 0);
            let first = origin - (plane.grid.pitch() + 1) * cell;
            // A kernel of small cells may read a whole line at the last cell.
            let last = origin + (plane.grid.run() + RUN_SLACK + plane.grid.pitch()) * cell + LINE;
            assert!(last <= places.size());
            assert!(taken.iter().all(|&(from, to)| last <= from || first >= to));
            taken.push((first, last));
        }
    }

    #[test]
    fn only_planes_of_one_shape_share_memory() {
        let mut places = Places::default();
        let plane = Plane { grid: Grid { height: 4, width: 4 }, cell: 64, zero: 0 };
        let other = Plane { cell: 32, ..plane };
        let shifted = Plane { zero: 9, ..plane };
        let place = places.take(plane);
        places.give_back(plane, place);
        assert_ne!(places.take(other), place);
        assert_ne!(places.take(shifted), place);
        assert_eq!(places.take(plane), place);
    }
}
