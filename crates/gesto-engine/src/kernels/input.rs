//! The picture into the first layer's plane.

use std::ops::Range;

use super::memory::SharedArena;
use super::resample::{CHUNK, Cells, Tier, emit, emit_pixels, spread};
use crate::plan::InputPlane;
use crate::plan::layout::Format;

/// Writes rows of 8-bit RGB as cells of four numbers, the fourth left zero. Every byte is a whole number up to 255, which
/// bf16 holds exactly; the first layer's weights carry the factor 1/255.
///
/// # Panics
/// When `rgb` is not a whole picture of the plane's size.
///
/// # Safety
/// `plane` belongs to `arena`'s plan; no other thread touches these rows.
pub(super) unsafe fn fill(
    tier: Tier,
    plane: InputPlane,
    format: Format,
    arena: SharedArena<'_>,
    rgb: &[u8],
    rows: Range<usize>,
) {
    let grid = plane.grid;
    assert!(rgb.len() == 3 * grid.height * grid.width && rows.end <= grid.height);
    let cell = 4 * format.bytes();
    let mut samples = [[0; 4]; CHUNK];
    for y in rows {
        let cells = Cells::Numbers(format);
        let to = |x: usize| arena.at(plane.place + (y * grid.pitch() + x) * cell);
        // SAFETY: the row lies inside the plane, and `rgb` holds the row's pixels from here on.
        let done = unsafe { emit_pixels(tier, cells, &rgb[3 * y * grid.width..], grid.width, to(0)) };
        let rest = &rgb[3 * (y * grid.width + done)..3 * (y + 1) * grid.width];
        for (chunk, pixels) in rest.as_chunks::<3>().0.chunks(CHUNK).enumerate() {
            spread(tier, pixels, &mut samples);
            // SAFETY: as above.
            unsafe { emit(tier, cells, &samples[..pixels.len()], to(done + chunk * CHUNK)) };
        }
    }
}
