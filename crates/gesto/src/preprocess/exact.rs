//! Resizing straight from the definitions, in f64: slow, for tests and comparisons.

use super::{Fit, Mapping, PAD, Resize};
use crate::frame::Frame;

/// What the network would see were every sample exact: red, green and blue of each pixel of an input of `height` x
/// `width`, 0 to 255, row by row.
///
/// YUV frames are taken as their 8-bit RGB pixels, where the kernels blend luma and chroma before they convert; that may
/// differ by some levels.
#[must_use]
pub fn exact(frame: &Frame<'_>, fit: Fit, resize: Resize, height: u32, width: u32) -> Vec<[f64; 3]> {
    let upright = Upright::new(frame);
    let (mapping, blocks) = match resize {
        Resize::GraphConv => {
            let (mapping, blocks) = Mapping::blocks(frame, fit, height, width);
            (mapping, Some(blocks))
        }
        _ => (Mapping::new(frame, fit, height, width), None),
    };
    let [left, top, w, h] = mapping.target();
    let place = |i: u32, side: u32, from: usize| (f64::from(i) + 0.5) * from as f64 / f64::from(side);
    let pixel = |x: u32, y: u32| {
        let at = (place(x, w, upright.width), place(y, h, upright.height));
        match (resize, blocks) {
            (_, Some(blocks)) => {
                let first = [x, y].map(|i| i as usize);
                upright.block(
                    [0, 1].map(|i| (first[i] * blocks.size[i]) as isize - blocks.before[i] as isize),
                    blocks.size,
                )
            }
            (Resize::CpuNearest | Resize::GpuNearest | Resize::GraphGather, _) => {
                let clamp = |at: f64, side: usize| (at as usize).min(side - 1);
                upright.pixel(clamp(at.0, upright.width), clamp(at.1, upright.height))
            }
            (Resize::CpuArea, _) => {
                let half = [upright.width as f64 / f64::from(w), upright.height as f64 / f64::from(h)];
                upright.area(at, [half[0] / 2.0, half[1] / 2.0])
            }
            _ => upright.bilinear(at),
        }
    };
    let inside = |x: u32, y: u32| (left..left + w).contains(&x) && (top..top + h).contains(&y);
    (0..height)
        .flat_map(|y| (0..width).map(move |x| (x, y)))
        .map(|(x, y)| if inside(x, y) { pixel(x - left, y - top) } else { [f64::from(PAD); 3] })
        .collect()
}

/// A frame's pixels, turned upright.
struct Upright {
    width: usize,
    height: usize,
    pixels: Vec<[u8; 3]>,
}

impl Upright {
    fn new(frame: &Frame<'_>) -> Self {
        let (width, height) = frame.upright_size();
        let (w, h) = (frame.width() as f32, frame.height() as f32);
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| {
            // Pixel centres: exact in f32 for every side that a frame may have.
            let (x, y) = frame.orientation().to_stored((x as f32 + 0.5, y as f32 + 0.5), w, h);
            frame.pixel(x as u32, y as u32)
        });
        Self { width: width as usize, height: height as usize, pixels: pixels.collect() }
    }

    fn pixel(&self, x: usize, y: usize) -> [f64; 3] {
        self.pixels[y * self.width + x].map(f64::from)
    }

    /// The four pixels around a point, weighted by nearness; edges repeat.
    fn bilinear(&self, (x, y): (f64, f64)) -> [f64; 3] {
        let taps = |at: f64, side: usize| {
            let at = (at - 0.5).clamp(0.0, (side - 1) as f64);
            let first = at as usize;
            (first, (first + 1).min(side - 1), at - first as f64)
        };
        let ((x0, x1, fx), (y0, y1, fy)) = (taps(x, self.width), taps(y, self.height));
        let [a, b, c, d] = [(x0, y0), (x1, y0), (x0, y1), (x1, y1)].map(|(x, y)| self.pixel(x, y));
        std::array::from_fn(|i| {
            (1.0 - fy) * ((1.0 - fx) * a[i] + fx * b[i]) + fy * ((1.0 - fx) * c[i] + fx * d[i])
        })
    }

    /// The mean of a rectangle around a point, `half` as far to each side.
    fn area(&self, (x, y): (f64, f64), half: [f64; 2]) -> [f64; 3] {
        let cover = |at: f64, half: f64, side: usize| {
            let (from, to) = ((at - half).max(0.0), (at + half).min(side as f64));
            (from as usize..(to.ceil() as usize).min(side))
                .map(move |p| (p, ((p + 1) as f64).min(to) - (p as f64).max(from)))
        };
        let (mut sum, mut weights) = ([0.0; 3], 0.0);
        for (y, wy) in cover(y, half[1], self.height) {
            for (x, wx) in cover(x, half[0], self.width) {
                let pixel = self.pixel(x, y);
                (0..3).for_each(|i| sum[i] += pixel[i] * wx * wy);
                weights += wx * wy;
            }
        }
        sum.map(|sum| sum / weights)
    }

    /// The mean of a block that may reach over the edges, where all is black.
    fn block(&self, first: [isize; 2], size: [usize; 2]) -> [f64; 3] {
        let mut sum = [0.0; 3];
        for y in (0..size[1] as isize).map(|y| first[1] + y) {
            for x in (0..size[0] as isize).map(|x| first[0] + x) {
                if (0..self.width as isize).contains(&x) && (0..self.height as isize).contains(&y) {
                    let pixel = self.pixel(x as usize, y as usize);
                    (0..3).for_each(|i| sum[i] += pixel[i]);
                }
            }
        }
        sum.map(|sum| sum / (size[0] * size[1]) as f64)
    }
}
