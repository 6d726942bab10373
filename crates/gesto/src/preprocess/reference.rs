//! Bilinear resize pixel by pixel, straight from the definition.

use super::{Mapping, PAD};
use crate::frame::Frame;

/// Samples the frame at each input pixel's centre; grey outside the picture.
pub(super) fn fill(frame: &Frame<'_>, mapping: &Mapping, width: u32, input: &mut [u8]) {
    let [left, top, w, h] = mapping.target();
    for (i, pixel) in input.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let (x, y) = (i as u32 % width, i as u32 / width);
        let inside = (left..left + w).contains(&x) && (top..top + h).contains(&y);
        *pixel = if inside {
            sample(frame, mapping.point_to_frame((x as f32 + 0.5, y as f32 + 0.5)))
        } else {
            [PAD; 3]
        };
    }
}

fn sample(frame: &Frame<'_>, (x, y): (f32, f32)) -> [u8; 3] {
    let (x0, x1, fx) = taps(x, frame.width());
    let (y0, y1, fy) = taps(y, frame.height());
    let [a, b, c, d] =
        [(x0, y0), (x1, y0), (x0, y1), (x1, y1)].map(|(x, y)| frame.pixel(x, y).map(f32::from));
    std::array::from_fn(|i| {
        let above = a[i] + (b[i] - a[i]) * fx;
        let below = c[i] + (d[i] - c[i]) * fx;
        (above + (below - above) * fy + 0.5) as u8
    })
}

/// The two pixels around a continuous coordinate and the weight of the second; edges repeat.
fn taps(at: f32, side: u32) -> (u32, u32, f32) {
    let at = (at - 0.5).clamp(0.0, (side - 1) as f32);
    let first = (at as u32).min(side - 1);
    (first, (first + 1).min(side - 1), at - first as f32)
}
