//! The picture into the first layer's plane.

use std::ops::Range;

use super::memory::SharedArena;
use super::resample::{CHUNK, Cells, Tier, emit, spread};
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
        let row = &rgb[3 * y * grid.width..3 * (y + 1) * grid.width];
        for (chunk, pixels) in row.as_chunks::<3>().0.chunks(CHUNK).enumerate() {
            spread(tier, pixels, &mut samples);
            let to = arena.at(plane.place + (y * grid.pitch() + chunk * CHUNK) * cell);
            // SAFETY: the row lies inside the plane.
            unsafe { emit(tier, Cells::Numbers(format), &samples[..pixels.len()], to) };
        }
    }
}
