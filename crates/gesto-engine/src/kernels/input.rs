//! The picture into the first layer's plane.

use std::ops::Range;

use super::memory::SharedArena;
use crate::plan::InputPlane;
use crate::plan::layout::Format;

/// Writes rows of 8-bit RGB as cells of four numbers, the fourth left zero. Every byte is a whole number up to 255, which
/// bf16 holds exactly; the first layer's weights carry the factor 1/255.
///
/// # Safety
/// `plane` belongs to `arena`'s plan; no other thread touches these rows.
///
/// # Panics
/// When `rgb` is not a whole picture of the plane's size.
pub(super) unsafe fn fill(
    plane: InputPlane,
    format: Format,
    arena: SharedArena<'_>,
    rgb: &[u8],
    rows: Range<usize>,
) {
    let grid = plane.grid;
    assert!(rgb.len() == 3 * grid.height * grid.width && rows.end <= grid.height);
    for y in rows {
        let row = &rgb[3 * y * grid.width..3 * (y + 1) * grid.width];
        let to = arena.at(plane.place + y * grid.pitch() * 4 * format.bytes());
        for (x, &[r, g, b]) in row.as_chunks().0.iter().enumerate() {
            // SAFETY: the row lies inside the plane.
            unsafe {
                match format {
                    Format::F32 => {
                        to.cast::<[f32; 4]>().add(x).write([f32::from(r), f32::from(g), f32::from(b), 0.0])
                    }
                    Format::U8 => to.cast::<[u8; 4]>().add(x).write([r, g, b, 0]),
                    Format::Bf16 => to.cast::<[u16; 4]>().add(x).write([bf16(r), bf16(g), bf16(b), 0]),
                }
            }
        }
    }
}

/// The upper half of the f32: exact for whole numbers of 8 bits.
fn bf16(byte: u8) -> u16 {
    (f32::from(byte).to_bits() >> 16) as u16
}
