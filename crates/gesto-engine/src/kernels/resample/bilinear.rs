//! Bilinear samples: four pixels weighted by nearness.
//!
//! Arithmetic, for one colour of the pixels `a b` above `c d`, with shares of the right and the lower pixel in 1/255 and
//! 1/16448: `row(p, q) = (255 - x) (p - 128) + x (q - 128)` fits 16 bits with its sign, which is what the
//! instruction for 8-bit products gives; `(16448 - y) row(a, b) + y row(c, d)` is the value in units of 2^-22, since
//! 255 * 16448 = 2^22 - 64. It is within one level of the exact value: half a level from the eight bits of `x`, half
//! from rounding.

use super::read::{self, Visitor};
use super::{CHUNK, Tier};
use crate::picture::Picture;
use crate::resample::axis::{Axis, Tap, Turn};

/// Whole of the shares along a stored row.
const ALONG: f64 = 255.0;
/// Whole of the shares from row to row.
pub(super) const DOWN: i32 = 16448;
/// Half a level to round, and the 128 that was taken away.
pub(super) const ROUND: i32 = (128 << 22) + (1 << 21);
/// Bits of a level.
pub(super) const BITS: i32 = 22;
/// Output rows from the one that is computed to the one whose pixels are fetched.
pub(super) const AHEAD: usize = 1;

/// Tables of a bilinear resize, in the order of the network's pixels.
#[derive(Debug, Clone)]
pub(crate) struct Blend {
    columns: Vec<Share>,
    rows: Vec<Share>,
    weights: Weights,
    pairs: Option<Pairs>,
}

/// A tap in whole numbers.
#[derive(Debug, Clone, Copy)]
struct Share {
    first: usize,
    second: usize,
    share: i32,
}

/// The weights of rows and columns, each pair of them spread over a lane of 16 bytes.
#[derive(Debug, Clone)]
pub(super) struct Weights {
    /// Columns hold the weights from stored row to stored row, and rows those along them.
    pub(super) swapped: bool,
    pub(super) columns: Vec<[u8; 16]>,
    pub(super) rows: Vec<[u8; 16]>,
}

/// Where the vector kernels find pixels by themselves: formats whose two neighbours lie in eight bytes.
#[derive(Debug, Clone)]
pub(super) struct Pairs {
    /// Which bytes of the two pairs, above and below, make a lane.
    pub(super) shuffle: [u8; 16],
    /// Byte offsets of each column's pairs above and below, to be added to the row's.
    pub(super) near: Vec<usize>,
    pub(super) far: Vec<usize>,
    /// Those of each row.
    pub(super) rows: Vec<[usize; 2]>,
    /// The largest of the columns.
    last: [usize; 2],
}

impl Blend {
    /// For pictures of this size, format and stride.
    pub(crate) fn new(picture: &Picture<'_>, turn: Turn, columns: Axis, rows: Axis) -> Self {
        let share = |tap: Tap, along: bool| {
            let whole = if along { ALONG } else { f64::from(DOWN) };
            let share =
                Share { first: tap.first, second: tap.second, share: (tap.share * whole).round() as i32 };
            // The last pixel of a row has no right neighbour: it is read as the neighbour of the one before it.
            let alone = along && share.first == share.second && share.first > 0;
            if alone { Share { first: share.first - 1, share: ALONG as i32, ..share } } else { share }
        };
        let table = |axis: Axis, along| (0..axis.to).map(|i| share(axis.tap(i), along)).collect::<Vec<_>>();
        let (columns, rows) = (table(columns, !turn.swapped), table(rows, turn.swapped));
        let spread = |shares: &[Share], along_row| {
            shares.iter().map(|s| if along_row { along(s.share) } else { down(s.share) }).collect()
        };
        let weights = Weights {
            swapped: turn.swapped,
            columns: spread(&columns, !turn.swapped),
            rows: spread(&rows, turn.swapped),
        };
        let pairs = Pairs::new(picture, turn.swapped, &columns, &rows);
        Self { columns, rows, weights, pairs }
    }

    /// Samples row `y` of the target from column `first` on, as red, green, blue and zero.
    pub(super) fn sample(
        &self,
        tier: Tier,
        picture: &Picture<'_>,
        y: usize,
        first: usize,
        line: &mut [[u8; 4]],
    ) {
        assert!(first + line.len() <= self.columns.len() && y < self.rows.len());
        #[cfg(target_arch = "x86_64")]
        if line.len() >= 4 && tier != Tier::Plain {
            match &self.pairs {
                Some(pairs) if pairs.reach(picture, y) => {
                    let data = picture.plane(0).data;
                    // SAFETY: the tier proves the instructions; every pair of this row lies in `data`.
                    unsafe {
                        match tier {
                            Tier::Avx512(_) => {
                                super::avx512::bilinear(&self.weights, pairs, data, y, first, line)
                            }
                            _ => super::avx2::bilinear(&self.weights, pairs, data, y, first, line),
                        }
                    }
                }
                _ => self.gather_and_blend(tier, picture, y, first, line),
            }
            return;
        }
        let columns = &self.columns[first..first + line.len()];
        let swapped = self.weights.swapped;
        read::visit(picture, Around { columns, row: self.rows[y], swapped, line, make: blended });
        read::to_rgb(tier, picture.format(), line);
    }

    /// For the other formats: pixels are collected one by one, and blended by the vector kernels.
    #[cfg(target_arch = "x86_64")]
    fn gather_and_blend(
        &self,
        tier: Tier,
        picture: &Picture<'_>,
        y: usize,
        first: usize,
        line: &mut [[u8; 4]],
    ) {
        let mut lanes = [[0; 16]; CHUNK];
        let lanes = &mut lanes[..line.len()];
        let columns = &self.columns[first..first + line.len()];
        let (row, swapped) = (self.rows[y], self.weights.swapped);
        let make = |_: Share, _: Share, corners| lane(corners);
        read::visit(picture, Around { columns, row, swapped, line: lanes, make });
        // SAFETY: the tier proves the instructions; there is a lane for each pixel.
        unsafe {
            match tier {
                Tier::Avx512(_) => super::avx512::blend(&self.weights, lanes, y, first, line),
                _ => super::avx2::blend(&self.weights, lanes, y, first, line),
            }
        }
        read::to_rgb(tier, picture.format(), line);
    }
}

/// Makes something of the four pixels around each sample of a row.
struct Around<'a, T, F> {
    columns: &'a [Share],
    row: Share,
    swapped: bool,
    line: &'a mut [T],
    /// Takes the shares along a stored row and from row to row, and the pixels above left and right, below left and right.
    make: F,
}

impl<T, F: Fn(Share, Share, [[u8; 3]; 4]) -> T> Visitor for Around<'_, T, F> {
    #[inline(always)]
    fn visit(self, pixel: impl Fn(usize, usize) -> [u8; 3]) {
        for (to, &column) in self.line.iter_mut().zip(self.columns) {
            let (x, y) = if self.swapped { (self.row, column) } else { (column, self.row) };
            let above = [pixel(x.first, y.first), pixel(x.second, y.first)];
            let below = [pixel(x.first, y.second), pixel(x.second, y.second)];
            *to = (self.make)(x, y, [above[0], above[1], below[0], below[1]]);
        }
    }
}

/// The definition, in the format's own colours.
#[inline(always)]
fn blended(x: Share, y: Share, corners: [[u8; 3]; 4]) -> [u8; 4] {
    let mut sample = [0; 4];
    for c in 0..3 {
        let [a, b, d, e] = corners.map(|pixel| i32::from(pixel[c]) - 128);
        let row = |p: i32, q: i32| (ALONG as i32 - x.share) * p + x.share * q;
        sample[c] = (((DOWN - y.share) * row(a, b) + y.share * row(d, e) + ROUND) >> BITS) as u8;
    }
    sample
}

/// The order in which the vector kernels blend pixels: colour by colour.
#[inline(always)]
fn lane([a, b, c, d]: [[u8; 3]; 4]) -> [u8; 16] {
    // One store of 16 bytes.
    [a[0], b[0], c[0], d[0], a[1], b[1], c[1], d[1], a[2], b[2], c[2], d[2], 0, 0, 0, 0]
}

/// Both weights of a pair, for pixels of one stored row.
fn along(share: i32) -> [u8; 16] {
    let pair = [(ALONG as i32 - share) as u8, share as u8];
    std::array::from_fn(|i| pair[i % 2])
}

/// Both weights of the rows above and below.
fn down(share: i32) -> [u8; 16] {
    let (above, below) = (((DOWN - share) as i16).to_le_bytes(), (share as i16).to_le_bytes());
    let pair = [above[0], above[1], below[0], below[1]];
    std::array::from_fn(|i| pair[i % 4])
}

impl Pairs {
    fn new(picture: &Picture<'_>, swapped: bool, columns: &[Share], rows: &[Share]) -> Option<Self> {
        let (bytes, colours) = read::packed(picture.format())?;
        if picture.width() < 2 {
            return None;
        }
        let stride = picture.plane(0).stride;
        let place = |share: &Share, is_pair: bool| {
            if is_pair { [bytes * share.first; 2] } else { [share.first, share.second].map(|y| stride * y) }
        };
        let columns: Vec<_> = columns.iter().map(|share| place(share, !swapped)).collect();
        let mut shuffle = [0x80; 16];
        for (c, colour) in colours.into_iter().enumerate() {
            let neighbour = bytes as u8;
            let from = [colour, neighbour + colour, 8 + colour, 8 + neighbour + colour];
            shuffle[4 * c..4 * c + 4].copy_from_slice(&from);
        }
        let last = |i: usize| columns.iter().map(|column| column[i]).max().unwrap_or(0);
        Some(Self {
            shuffle,
            last: [last(0), last(1)],
            near: columns.iter().map(|column| column[0]).collect(),
            far: columns.iter().map(|column| column[1]).collect(),
            rows: rows.iter().map(|share| place(share, swapped)).collect(),
        })
    }

    /// Whether eight bytes can be read at every pair of row `y`.
    fn reach(&self, picture: &Picture<'_>, y: usize) -> bool {
        let [near, far] = self.rows[y];
        (near + self.last[0]).max(far + self.last[1]) + 8 <= picture.plane(0).data.len()
    }
}
