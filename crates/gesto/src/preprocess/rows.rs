//! Loops over one row of samples. The flat ones are written for the compiler to vectorise.

use std::ops::Range;

use super::axis::Axis;
use crate::frame::{Frame, PixelFormat};

/// Bytes of a sample: three colours in the frame's own order (RGB, BGR or YUV) and one spare byte, since four are
/// moved as one word.
pub(super) const CHANNELS: usize = 4;

/// A row of samples.
#[derive(Debug, Clone, Default)]
pub(super) struct Samples(Vec<[u8; CHANNELS]>);

impl Samples {
    pub(super) fn resize(&mut self, len: usize) {
        self.0.resize(len, [0; CHANNELS]);
    }

    pub(super) fn pixels(&self) -> &[[u8; CHANNELS]] {
        &self.0
    }
}

/// For each output pixel the samples of two neighbours, and their blend with the pair below.
#[derive(Debug, Clone, Default)]
pub(super) struct Pairs {
    above: Vec<[u8; 2 * CHANNELS]>,
    below: Vec<[u8; 2 * CHANNELS]>,
    /// 8.8 fixed point.
    mixed: Vec<[u16; 2 * CHANNELS]>,
}

impl Pairs {
    pub(super) fn resize(&mut self, len: usize) {
        self.above.resize(len, Default::default());
        self.below.resize(len, Default::default());
        self.mixed.resize(len, Default::default());
    }

    /// Blends two rows of a frame into one row of output: `weight` in 1/65536 is that of the lower row.
    ///
    /// Sums are 16 bits wide, which is what baseline SIMD multiplies. Down the rows weights have 8 bits (an error of
    /// half a level at most), along them 16, of whose product the upper half is kept.
    pub(super) fn blend(
        &mut self,
        format: PixelFormat,
        [above, below]: [Row<'_>; 2],
        weight: u16,
        columns: &Axis,
        out: &mut Samples,
    ) {
        above.gather_pairs(format, columns.first(), &mut self.above);
        below.gather_pairs(format, columns.first(), &mut self.below);
        let lower = (weight >> 8) + (weight >> 7 & 1);
        let upper = 256 - lower;
        let rows = self.above.as_flattened().iter().zip(self.below.as_flattened());
        for (mixed, (&a, &b)) in self.mixed.as_flattened_mut().iter_mut().zip(rows) {
            *mixed = u16::from(a) * upper + u16::from(b) * lower;
        }
        for ((out, mixed), weights) in out.0.iter_mut().zip(&self.mixed).zip(columns.weights()) {
            // Index loops over arrays: these vectorise, `array::from_fn` does not.
            let mut share = [0; 2 * CHANNELS];
            for i in 0..2 * CHANNELS {
                share[i] = ((u32::from(mixed[i]) * u32::from(weights[i])) >> 16) as u16;
            }
            for i in 0..CHANNELS {
                // Half a level to round, and what the two truncations lost.
                out[i] = ((share[i] + share[i + CHANNELS] + 130) >> 8) as u8;
            }
        }
    }
}

/// One row of a frame: the first plane's bytes, and for NV12 the chroma row that belongs to it.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    bytes: &'a [u8],
    chroma: &'a [u8],
}

impl<'a> Row<'a> {
    pub(super) fn of(frame: &Frame<'a>, y: u32) -> Self {
        let row = |plane: usize, y: u32| {
            let plane = &frame.planes()[plane];
            &plane.data[y as usize * plane.stride..][..frame.format().row_bytes(frame.width())]
        };
        let chroma = if frame.format() == PixelFormat::Nv12 { row(1, y / 2) } else { &[] };
        Self { bytes: row(0, y), chroma }
    }

    /// Samples of the pixels `at`.
    pub(super) fn gather(&self, format: PixelFormat, at: &[u32], out: &mut Samples) {
        self.visit(format, Singles { at, out: &mut out.0 });
    }

    /// Samples of the pixels `at` and their right neighbours; the last pixel is its own neighbour.
    fn gather_pairs(&self, format: PixelFormat, at: &[u32], out: &mut [[u8; 2 * CHANNELS]]) {
        self.visit(format, Neighbours { at, out });
    }

    /// Hands over the function that reads one pixel in this format, so that each loop is compiled for each format.
    fn visit(&self, format: PixelFormat, visitor: impl Visitor) {
        match format {
            PixelFormat::Rgb8 | PixelFormat::Bgr8 => {
                let row = self.bytes.as_chunks::<3>().0;
                visitor.visit(row.len(), |x| {
                    let [a, b, c] = row[x];
                    [a, b, c, 0]
                });
            }
            PixelFormat::Rgba8 | PixelFormat::Bgra8 => {
                let row = self.bytes.as_chunks::<4>().0;
                visitor.visit(row.len(), |x| row[x]);
            }
            PixelFormat::Gray8 => visitor.visit(self.bytes.len(), |x| [self.bytes[x]; 4]),
            PixelFormat::Nv12 => {
                let chroma = self.chroma.as_chunks::<2>().0;
                visitor.visit(self.bytes.len(), |x| {
                    let [u, v] = chroma[x / 2];
                    [self.bytes[x], u, v, 0]
                });
            }
            PixelFormat::Yuyv => {
                let pairs = self.bytes.as_chunks::<4>().0;
                visitor.visit(2 * pairs.len(), |x| {
                    let [y0, u, y1, v] = pairs[x / 2];
                    [if x % 2 == 0 { y0 } else { y1 }, u, v, 0]
                });
            }
        }
    }
}

/// Something to do with a row's pixels.
trait Visitor {
    /// `len` pixels, read by `sample`.
    fn visit(self, len: usize, sample: impl Fn(usize) -> [u8; CHANNELS]);
}

struct Singles<'a> {
    at: &'a [u32],
    out: &'a mut [[u8; CHANNELS]],
}

impl Visitor for Singles<'_> {
    fn visit(self, _: usize, sample: impl Fn(usize) -> [u8; CHANNELS]) {
        for (out, &x) in self.out.iter_mut().zip(self.at) {
            *out = sample(x as usize);
        }
    }
}

struct Neighbours<'a> {
    at: &'a [u32],
    out: &'a mut [[u8; 2 * CHANNELS]],
}

impl Visitor for Neighbours<'_> {
    fn visit(self, len: usize, sample: impl Fn(usize) -> [u8; CHANNELS]) {
        for (out, &x) in self.out.iter_mut().zip(self.at) {
            let x = x as usize;
            let [left, right] = [sample(x), sample((x + 1).min(len - 1))].map(u32::from_le_bytes);
            // One store of eight bytes.
            *out = (u64::from(left) | u64::from(right) << 32).to_le_bytes();
        }
    }
}

/// Mean over a rectangle of each output pixel: first down the rows, as bytes, then along them.
#[derive(Debug, Clone, Default)]
pub(super) struct Averager {
    /// Weighted sums of the rows' bytes, of both planes.
    sums: [Vec<u32>; 2],
    /// Their means.
    means: [Vec<u8>; 2],
    /// The mean row as samples, one for each pixel of the frame.
    row: Samples,
    every: Vec<u32>,
}

impl Averager {
    /// The output row that covers the rows `span` of the frame.
    pub(super) fn row(&mut self, frame: &Frame<'_>, span: Range<f32>, columns: &Axis, out: &mut Samples) {
        let width = frame.width() as usize;
        let bytes = frame.format().row_bytes(frame.width());
        for (p, plane) in frame.planes().iter().enumerate() {
            // Chroma rows are twice as high.
            let (span, rows) = match p {
                0 => (span.clone(), frame.height()),
                _ => (span.start / 2.0..span.end / 2.0, frame.height() / 2),
            };
            let (sums, means) = (&mut self.sums[p], &mut self.means[p]);
            sums.clear();
            sums.resize(bytes, HALF);
            for (y, weight) in shares(span, rows) {
                let row = &plane.data[y as usize * plane.stride..][..bytes];
                for (sum, &byte) in sums.iter_mut().zip(row) {
                    *sum += u32::from(byte) * u32::from(weight);
                }
            }
            means.clear();
            means.extend(sums.iter().map(|sum| (sum / WHOLE) as u8));
        }
        if self.every.len() != width {
            self.every.clear();
            self.every.extend(0..frame.width());
            self.row.resize(width);
        }
        let mean = Row { bytes: &self.means[0], chroma: &self.means[1] };
        mean.gather(frame.format(), &self.every, &mut self.row);
        for (i, out) in out.0.iter_mut().enumerate() {
            let mut sum = [HALF; CHANNELS];
            for (x, weight) in shares(columns.span(i), frame.width()) {
                for (sum, &v) in sum.iter_mut().zip(&self.row.0[x as usize]) {
                    *sum += u32::from(v) * u32::from(weight);
                }
            }
            *out = sum.map(|v| (v / WHOLE) as u8);
        }
    }
}

/// The weights of a mean add up to this: with 15 bits a whole pixel's weight still fits 16.
const WHOLE: u32 = 1 << 15;

/// Half a level, so that the division at the end rounds.
const HALF: u32 = WHOLE / 2;

/// Pixels under `span` and their shares of it, which add up to exactly [`WHOLE`].
fn shares(span: Range<f32>, limit: u32) -> impl Iterator<Item = (u32, u16)> {
    let first = (span.start as u32).min(limit - 1);
    let end = (span.end.ceil() as u32).clamp(first + 1, limit);
    let per_pixel = WHOLE as f32 / (span.end - span.start);
    let mut given = 0;
    (first..end).map(move |pixel| {
        // Rounded cumulatively: no remainder is left over.
        let up_to = if pixel + 1 == end {
            WHOLE
        } else {
            (((pixel + 1) as f32 - span.start) * per_pixel + 0.5) as u32
        };
        let up_to = up_to.clamp(given, WHOLE);
        let weight = up_to - given;
        given = up_to;
        (pixel, weight as u16)
    })
}
