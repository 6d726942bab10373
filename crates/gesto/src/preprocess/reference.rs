//! Resizing pixel by pixel, straight from the definitions, for tests to compare with.

use super::{Mapping, PAD, Resize};
use crate::frame::Frame;

/// Fills a network input of the given width; grey outside the picture.
pub(super) fn fill(frame: &Frame<'_>, mapping: &Mapping, resize: Resize, width: u32, input: &mut [u8]) {
    let [left, top, w, h] = mapping.target();
    for (i, pixel) in input.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let (x, y) = (i as u32 % width, i as u32 / width);
        let inside = (left..left + w).contains(&x) && (top..top + h).contains(&y);
        let (x, y) = (x as f32, y as f32);
        *pixel = match resize {
            _ if !inside => [PAD; 3],
            Resize::CpuBilinear | Resize::Fused => {
                bilinear(frame, mapping.point_to_frame((x + 0.5, y + 0.5)))
            }
            Resize::CpuNearest => nearest(frame, mapping.point_to_frame((x + 0.5, y + 0.5))),
            Resize::CpuArea => {
                area(frame, mapping.point_to_frame((x, y)), mapping.point_to_frame((x + 1.0, y + 1.0)))
            }
            other => unreachable!("{other} has a reference of its own"),
        };
    }
}

fn bilinear(frame: &Frame<'_>, (x, y): (f32, f32)) -> [u8; 3] {
    let (x0, x1, fx) = taps(x, frame.width());
    let (y0, y1, fy) = taps(y, frame.height());
    let [a, b, c, d] = [(x0, y0), (x1, y0), (x0, y1), (x1, y1)].map(|(x, y)| frame.samples(x, y));
    frame.format().to_rgb(std::array::from_fn(|i| {
        let [a, b, c, d] = [a[i], b[i], c[i], d[i]].map(f32::from);
        let (above, below) = (a + (b - a) * fx, c + (d - c) * fx);
        (above + (below - above) * fy + 0.5) as u8
    }))
}

/// The two pixels around a continuous coordinate and the weight of the second; edges repeat.
fn taps(at: f32, side: u32) -> (u32, u32, f32) {
    let at = (at - 0.5).clamp(0.0, (side - 1) as f32);
    let first = (at as u32).min(side - 1);
    (first, (first + 1).min(side - 1), at - first as f32)
}

fn nearest(frame: &Frame<'_>, (x, y): (f32, f32)) -> [u8; 3] {
    frame.pixel((x as u32).min(frame.width() - 1), (y as u32).min(frame.height() - 1))
}

fn area(frame: &Frame<'_>, a: (f32, f32), b: (f32, f32)) -> [u8; 3] {
    let (xs, ys) = (cover(a.0, b.0, frame.width()), cover(a.1, b.1, frame.height()));
    let mut sum = [0.0; 3];
    let mut weight = 0.0;
    for &(y, wy) in &ys {
        for &(x, wx) in &xs {
            let sample = frame.samples(x, y);
            for (sum, v) in sum.iter_mut().zip(sample) {
                *sum += f64::from(v) * wx * wy;
            }
            weight += wx * wy;
        }
    }
    frame.format().to_rgb(sum.map(|v| (v / weight + 0.5) as u8))
}

/// Pixels between two coordinates and how much of each lies there.
fn cover(a: f32, b: f32, side: u32) -> Vec<(u32, f64)> {
    let (a, b) = (f64::from(a.min(b)).max(0.0), f64::from(a.max(b)).min(f64::from(side)));
    (a as u32..(b.ceil() as u32).min(side))
        .map(|p| (p, f64::from(p + 1).min(b) - f64::from(p).max(a)))
        .collect()
}
