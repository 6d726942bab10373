//! Where feature maps lie in the device's memory.
//!
//! All maps share one buffer. A map is channels-last with a border of zeros, so that a 3x3 kernel never asks whether a
//! tap lies outside: rows are one cell longer than the picture, the spare cell being the right border of its row and the
//! left border of the next, and a row of zeros stands above and below. A cell's place is then linear: the tap one row
//! up is always the same number of cells away, and sixteen neighbouring cells are the rows of a matrix tile.

/// Channels of a matrix tile; maps are padded to a multiple of it.
pub(crate) const BLOCK: usize = 16;

/// A map's place in the shared buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plane {
    /// First element.
    pub(crate) base: usize,
    /// Elements from one cell to the next.
    pub(crate) pitch: usize,
    /// Cells of the picture, without the border.
    pub(crate) height: usize,
    /// Cells of a row, without the border.
    pub(crate) width: usize,
    /// Cells from one row to the next.
    pub(crate) row: usize,
}

impl Plane {
    /// Cells from one picture of the batch to the next.
    pub(crate) fn image(&self) -> usize {
        (self.height + 2) * self.row
    }

    /// Number of the cell `(y, x)` of a picture.
    pub(crate) fn cell(&self, image: usize, y: usize, x: usize) -> usize {
        image * self.image() + (y + 1) * self.row + x + 1
    }

    /// Whether two maps number their cells alike.
    pub(crate) fn same_cells(&self, other: &Self) -> bool {
        (self.height, self.width, self.row) == (other.height, other.width, other.row)
    }
}

/// Hands out places one after the other.
///
/// Places are not reused within a frame: the borders are zero because nothing ever writes them, and the whole network
/// needs only 6 MB at 320 x 224 in f16.
#[derive(Debug)]
pub(crate) struct Arena {
    batch: usize,
    elements: usize,
}

impl Arena {
    pub(crate) fn new(batch: usize) -> Self {
        Self { batch, elements: 0 }
    }

    /// A map of `channels`, padded to whole tiles.
    pub(crate) fn map(&mut self, height: usize, width: usize, channels: usize) -> Plane {
        self.place(height, width, width + 1, channels.next_multiple_of(BLOCK))
    }

    /// The network's input: three channels in four, so that four neighbouring pixels fill one tile's width.
    /// Rows have an even number of cells, which keeps such a run of pixels on a 16-byte boundary.
    pub(crate) fn picture(&mut self, height: usize, width: usize) -> Plane {
        self.place(height, width, (width + 2).next_multiple_of(2), 4)
    }

    fn place(&mut self, height: usize, width: usize, row: usize, pitch: usize) -> Plane {
        let plane = Plane { base: self.elements, pitch, height, width, row };
        // Tiles may read, and throw away, cells past the last picture.
        let cells = self.batch * plane.image() + row + 2 * BLOCK + 2;
        self.elements += (cells * pitch).next_multiple_of(128);
        plane
    }

    /// Elements handed out so far, with room for the last tile's overrun.
    pub(crate) fn elements(&self) -> usize {
        self.elements + 64 * 1024
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tap_of_every_cell_lies_in_the_map_or_its_border() {
        let mut arena = Arena::new(2);
        arena.map(3, 3, 1);
        let plane = arena.map(4, 5, 17);
        assert_eq!(plane.pitch, 32);
        let inside: Vec<usize> =
            (0..2).flat_map(|b| (0..4).flat_map(move |y| (0..5).map(move |x| plane.cell(b, y, x)))).collect();
        for (b, y, x) in [(0, 0, 0), (0, 3, 4), (1, 0, 4), (1, 3, 0), (1, 2, 2)] {
            for (dy, dx) in [(-1i64, -1i64), (-1, 1), (1, -1), (1, 1), (0, 1), (0, -1)] {
                let (v, u) = (y as i64 + dy, x as i64 + dx);
                let cell = plane.cell(b, y, x) as i64 + dy * plane.row as i64 + dx;
                let within = (0..4).contains(&v) && (0..5).contains(&u);
                assert_eq!(within, inside.contains(&(cell as usize)), "{b} {y} {x} {dy} {dx}");
                assert!((0..(2 * plane.image()) as i64 + 1).contains(&cell));
            }
        }
    }
}
