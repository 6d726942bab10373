//! Means over each output pixel's area: first down the stored rows, as bytes, then along them.
//!
//! Weights are whole numbers that add up to 2^15, so a mean is exact but for two roundings, one level at most together.

use std::ops::Range;

use super::read::{self, Visitor};
use super::{Cells, Output, Tables, Tier};
use crate::picture::Picture;
use crate::resample::axis::{Axis, Turn};

/// Weights of a mean add up to this: with 15 bits a whole pixel's weight still fits 16.
const WHOLE: u32 = 1 << 15;
/// Half a level, so that the division at the end rounds.
const HALF: u32 = WHOLE / 2;

/// Tables of a resize by means, in the stored picture's order.
#[derive(Debug, Clone)]
pub(crate) struct Mean {
    pub(crate) turn: Turn,
    /// Along the stored rows, and down them.
    pub(crate) along: Axis,
    pub(crate) down: Axis,
}

/// What one thread keeps between rows.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    sums: Vec<u32>,
    /// Means of the rows' bytes, of both planes.
    means: [Vec<u8>; 2],
    /// The mean row, pixel by pixel.
    row: Vec<[u8; 3]>,
}

/// Writes the pixels that come from `lines`, rows of the resized stored picture.
///
/// # Safety
/// `output` is a whole picture of the tables' size in [`Cells::Rgb8`], and no other thread touches these lines' pixels.
pub(crate) unsafe fn fill(
    tier: Tier,
    tables: &Tables,
    mean: &Mean,
    picture: &Picture<'_>,
    lines: Range<usize>,
    scratch: &mut Scratch,
    output: Output,
) {
    let [left, top, width, height] = tables.target;
    let (len, count) = if mean.turn.swapped { (height, width) } else { (width, height) };
    assert!(output.cells == Cells::Rgb8 && lines.end <= count && mean.along.to == len);
    assert!(left + width <= tables.width && top + height <= tables.height);
    let flip = |i: usize, side: usize, flip: bool| if flip { side - 1 - i } else { i };
    for j in lines {
        average_rows(tier, picture, mean.down.span(j), scratch);
        for i in 0..len {
            let sample = average_pixels(&scratch.row, mean.along.span(i));
            let rgb = picture.format().to_rgb(sample);
            let (x, y) = if mean.turn.swapped { (j, i) } else { (i, j) };
            let (x, y) = (flip(x, width, mean.turn.flip_x), flip(y, height, mean.turn.flip_y));
            // SAFETY: the pixel lies in the target, which lies in the picture.
            unsafe {
                output.start.add((top + y) * output.pitch + 3 * (left + x)).cast::<[u8; 3]>().write(rgb)
            };
        }
    }
}

/// The mean of the stored rows under `span`, as pixels in the format's own colours.
fn average_rows(tier: Tier, picture: &Picture<'_>, span: (f64, f64), scratch: &mut Scratch) {
    let format = picture.format();
    for plane in 0..format.planes() {
        // Chroma rows are twice as high.
        let (span, rows) = match plane {
            0 => (span, picture.height()),
            _ => ((span.0 / 2.0, span.1 / 2.0), picture.height() / 2),
        };
        let Scratch { sums, means, .. } = scratch;
        sums.clear();
        sums.resize(picture.row(plane, 0).len(), HALF);
        for (y, weight) in shares(span, rows) {
            accumulate(tier, sums, picture.row(plane, y), weight);
        }
        means[plane].clear();
        means[plane].extend(sums.iter().map(|sum| (sum / WHOLE) as u8));
    }
    let Scratch { means: [first, second], row, .. } = scratch;
    row.resize(picture.width(), [0; 3]);
    let mean = picture.with_one_row([first, second]);
    read::visit(&mean, Row(row));
}

struct Row<'a>(&'a mut [[u8; 3]]);

impl Visitor for Row<'_> {
    #[inline(always)]
    fn visit(self, pixel: impl Fn(usize, usize) -> [u8; 3]) {
        for (x, to) in self.0.iter_mut().enumerate() {
            *to = pixel(x, 0);
        }
    }
}

/// The mean of the pixels under `span`.
fn average_pixels(row: &[[u8; 3]], span: (f64, f64)) -> [u8; 3] {
    let mut sum = [HALF; 3];
    for (x, weight) in shares(span, row.len()) {
        for (sum, &v) in sum.iter_mut().zip(&row[x]) {
            *sum += u32::from(v) * u32::from(weight);
        }
    }
    sum.map(|v| (v / WHOLE) as u8)
}

/// Adds a weighted row of bytes to sums.
fn accumulate(tier: Tier, sums: &mut [u32], row: &[u8], weight: u16) {
    match tier {
        Tier::Plain => accumulate_plain(sums, row, weight),
        // SAFETY: the tier proves the instructions.
        #[cfg(target_arch = "x86_64")]
        Tier::Avx2(_) => unsafe { super::avx2::accumulate(sums, row, weight) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Tier::Avx512(_) => unsafe { super::avx512::accumulate(sums, row, weight) },
    }
}

/// The definition; the compiler vectorises it for the instructions of the function that it is inlined into.
#[inline(always)]
pub(super) fn accumulate_plain(sums: &mut [u32], row: &[u8], weight: u16) {
    for (sum, &byte) in sums.iter_mut().zip(row) {
        *sum += u32::from(byte) * u32::from(weight);
    }
}

/// Pixels under `span` and their shares of it, which add up to exactly [`WHOLE`].
fn shares(span: (f64, f64), limit: usize) -> impl Iterator<Item = (usize, u16)> {
    let first = (span.0 as usize).min(limit - 1);
    let end = (span.1.ceil() as usize).clamp(first + 1, limit);
    let per_pixel = f64::from(WHOLE) / (span.1 - span.0);
    let mut given = 0;
    (first..end).map(move |pixel| {
        // Rounded cumulatively: no remainder is left over.
        let up_to =
            if pixel + 1 == end { WHOLE } else { (((pixel + 1) as f64 - span.0) * per_pixel + 0.5) as u32 };
        let up_to = up_to.clamp(given, WHOLE);
        let weight = up_to - given;
        given = up_to;
        (pixel, weight as u16)
    })
}
