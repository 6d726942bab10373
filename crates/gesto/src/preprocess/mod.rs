//! From a frame to the network's input: resize, colours, orientation, letterbox, in one pass over the output.

mod axis;
mod mapping;
#[cfg(test)]
mod reference;
mod resize;
mod rows;
#[cfg(test)]
mod tests;

pub use mapping::{Fit, Mapping};
pub use resize::Resize;

use crate::frame::{Frame, Orientation, PixelFormat};
use axis::Axis;
use rows::{Averager, Pairs, Row, Samples};

/// Grey of the letterbox's bars, as in training.
pub const PAD: u8 = 114;

/// Fills network inputs of one size. Keeps its tables and buffers, so that frames of one kind cost no allocation
/// after the first.
#[derive(Debug, Clone)]
pub struct Preprocessor {
    height: u32,
    width: u32,
    fit: Fit,
    resize: Resize,
    /// What the tables below were made for.
    tables_for: Option<(u32, u32, Orientation)>,
    columns: Axis,
    rows: Axis,
    /// The four neighbours of each pixel of one output row.
    pairs: Pairs,
    /// One output row in the frame's own colours.
    line: Samples,
    averager: Averager,
}

impl Preprocessor {
    /// For network inputs of `height` x `width` pixels.
    #[must_use]
    pub fn new(height: u32, width: u32, fit: Fit, resize: Resize) -> Self {
        Self {
            height,
            width,
            fit,
            resize,
            tables_for: None,
            columns: Axis::default(),
            rows: Axis::default(),
            pairs: Pairs::default(),
            line: Samples::default(),
            averager: Averager::default(),
        }
    }

    /// Writes `frame` upright into `input` (`height * width` pixels of 8-bit RGB, row by row) and tells how their
    /// coordinates relate.
    ///
    /// # Panics
    /// When `input` has another length.
    pub fn run(&mut self, frame: &Frame<'_>, input: &mut [u8]) -> Mapping {
        let pixels = input.as_chunks_mut::<3>().0;
        assert_eq!(pixels.len(), self.height as usize * self.width as usize, "input has the network's size");
        let mapping = Mapping::new(frame, self.fit, self.height, self.width);
        let target = mapping.target();
        self.prepare(frame, target);
        fill_bars(pixels, self.width, target);
        let place = Placement::new(frame.orientation(), target, self.width);
        for j in 0..self.rows.len() {
            self.resize_row(frame, j);
            place.write(frame.format(), j, self.line.pixels(), pixels);
        }
        mapping
    }

    /// Makes the tables for this kind of frame unless they are there.
    fn prepare(&mut self, frame: &Frame<'_>, target: [u32; 4]) {
        let key = (frame.width(), frame.height(), frame.orientation());
        if self.tables_for == Some(key) {
            return;
        }
        let [_, _, w, h] = target;
        // Resized in the stored orientation; the turn happens when a row is written.
        let (w, h) = if frame.orientation().rotation.swaps_sides() { (h, w) } else { (w, h) };
        self.columns.plan(self.resize, frame.width(), w);
        self.rows.plan(self.resize, frame.height(), h);
        self.pairs.resize(w as usize);
        self.line.resize(w as usize);
        self.tables_for = Some(key);
    }

    /// Computes row `j` of the resized stored picture.
    fn resize_row(&mut self, frame: &Frame<'_>, j: usize) {
        let format = frame.format();
        match self.resize {
            Resize::CpuBilinear => {
                let (first, second, weight) = self.rows.tap(j);
                let rows = [Row::of(frame, first), Row::of(frame, second)];
                self.pairs.blend(format, rows, weight, &self.columns, &mut self.line);
            }
            Resize::CpuNearest => {
                let row = Row::of(frame, self.rows.first()[j]);
                row.gather(format, self.columns.first(), &mut self.line);
            }
            Resize::CpuArea => self.averager.row(frame, self.rows.span(j), &self.columns, &mut self.line),
            other => unreachable!("{other} is refused when a detector is built"),
        }
    }
}

/// Greys what the picture leaves free.
fn fill_bars(pixels: &mut [[u8; 3]], width: u32, [left, top, w, h]: [u32; 4]) {
    let [left, top, w, h] = [left, top, w, h].map(|v| v as usize);
    for (y, row) in pixels.chunks_exact_mut(width as usize).enumerate() {
        if (top..top + h).contains(&y) {
            row[..left].fill([PAD; 3]);
            row[left + w..].fill([PAD; 3]);
        } else {
            row.fill([PAD; 3]);
        }
    }
}

/// Where pixel `i` of row `j` of the resized stored picture goes: `origin + i * along + j * across`.
struct Placement {
    origin: isize,
    along: isize,
    across: isize,
}

impl Placement {
    fn new(orientation: Orientation, [left, top, w, h]: [u32; 4], width: u32) -> Self {
        let swaps = orientation.rotation.swaps_sides();
        let (w, h) = if swaps { (h as f32, w as f32) } else { (w as f32, h as f32) };
        // Pixel centres keep the turn exact; a network's sides are far below 2^23.
        let at = |i: f32, j: f32| {
            let (x, y) = orientation.to_upright((i + 0.5, j + 0.5), w, h);
            (y as isize + top as isize) * width as isize + x as isize + left as isize
        };
        let origin = at(0.0, 0.0);
        // A side of one pixel has no second pixel; its step is then never used.
        Self { origin, along: at(1.0, 0.0) - origin, across: at(0.0, 1.0) - origin }
    }

    /// Writes one row as RGB.
    fn write(&self, format: PixelFormat, j: usize, row: &[[u8; 4]], pixels: &mut [[u8; 3]]) {
        let start = self.origin + j as isize * self.across;
        match format {
            PixelFormat::Bgr8 | PixelFormat::Bgra8 => {
                self.spread(start, row, pixels, |[b, g, r, _]| [r, g, b]);
            }
            PixelFormat::Nv12 | PixelFormat::Yuyv => {
                self.spread(start, row, pixels, |[y, u, v, _]| crate::frame::yuv_to_rgb(y, u, v));
            }
            PixelFormat::Rgb8 | PixelFormat::Rgba8 | PixelFormat::Gray8 => {
                self.spread(start, row, pixels, |[r, g, b, _]| [r, g, b]);
            }
        }
    }

    fn spread(
        &self,
        start: isize,
        row: &[[u8; 4]],
        pixels: &mut [[u8; 3]],
        rgb: impl Fn([u8; 4]) -> [u8; 3],
    ) {
        if self.along == 1 {
            let out = &mut pixels[start as usize..][..row.len()];
            for (out, &sample) in out.iter_mut().zip(row) {
                *out = rgb(sample);
            }
        } else {
            let mut at = start;
            for &sample in row {
                pixels[at as usize] = rgb(sample);
                at += self.along;
            }
        }
    }
}
