//! Samples to the output's number format.

use super::{CHUNK, GREY, Tier};
use crate::plan::layout::Format;

/// What a pixel becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cells {
    /// Three bytes.
    Rgb8,
    /// Red, green, blue and zero as numbers 0 to 255.
    Numbers(Format),
}

impl Cells {
    /// Bytes of a pixel.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Rgb8 => 3,
            Self::Numbers(format) => 4 * format.bytes(),
        }
    }
}

/// Writes samples (red, green, blue, zero) as cells, one after the other.
///
/// # Safety
/// As many cells as samples may be written at `to`.
pub(in crate::kernels) unsafe fn emit(tier: Tier, cells: Cells, line: &[[u8; 4]], to: *mut u8) {
    // SAFETY: the tier proves the instructions; the rest is passed on from the caller.
    unsafe {
        match tier {
            #[cfg(target_arch = "x86_64")]
            Tier::Avx512(_) => super::avx512::emit(cells, line, to),
            #[cfg(target_arch = "x86_64")]
            Tier::Avx2(_) => super::avx2::emit(cells, line, to),
            Tier::Plain => plain(cells, line, to),
        }
    }
}

/// Spreads pixels of three bytes to samples of four.
///
/// # Panics
/// When there are fewer samples than pixels.
pub(in crate::kernels) fn spread(tier: Tier, pixels: &[[u8; 3]], samples: &mut [[u8; 4]]) {
    match tier {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the tier proves the instructions.
        Tier::Avx512(_) => unsafe { super::avx512::spread(pixels, samples) },
        _ => {
            for (sample, &[r, g, b]) in samples[..pixels.len()].iter_mut().zip(pixels) {
                *sample = [r, g, b, 0];
            }
        }
    }
}

/// Writes the first of `count` pixels of three bytes as cells, as many as the tier has a shorter way for than by
/// [`spread`] and [`emit`]; gives how many.
///
/// # Safety
/// As many cells as `count` may be written at `to`, and `bytes` hold as many pixels.
pub(in crate::kernels) unsafe fn emit_pixels(
    tier: Tier,
    cells: Cells,
    bytes: &[u8],
    count: usize,
    to: *mut u8,
) -> usize {
    match tier {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the tier proves the instructions; the rest is passed on from the caller.
        Tier::Avx512(_) => unsafe { super::avx512::emit_pixels(cells, bytes, count, to) },
        _ => 0,
    }
}

/// Writes grey cells.
///
/// # Safety
/// `count` cells may be written at `to`.
pub(super) unsafe fn grey(cells: Cells, count: usize, to: *mut u8) {
    const LINE: [[u8; 4]; CHUNK] = [GREY; CHUNK];
    for first in (0..count).step_by(CHUNK) {
        let line = &LINE[..CHUNK.min(count - first)];
        // SAFETY: passed on from the caller.
        unsafe { plain(cells, line, to.add(first * cells.bytes())) };
    }
}

/// The definition.
///
/// # Safety
/// As [`emit`].
pub(super) unsafe fn plain(cells: Cells, line: &[[u8; 4]], to: *mut u8) {
    for (i, &[r, g, b, _]) in line.iter().enumerate() {
        // SAFETY: cell `i` is one of as many as there are samples.
        unsafe {
            match cells {
                Cells::Rgb8 => to.cast::<[u8; 3]>().add(i).write([r, g, b]),
                Cells::Numbers(Format::U8) => to.cast::<[u8; 4]>().add(i).write([r, g, b, 0]),
                Cells::Numbers(Format::F32) => {
                    let numbers = [f32::from(r), f32::from(g), f32::from(b), 0.0];
                    to.cast::<[f32; 4]>().add(i).write_unaligned(numbers);
                }
                Cells::Numbers(Format::Bf16) => {
                    to.cast::<[u16; 4]>().add(i).write_unaligned([bf16(r), bf16(g), bf16(b), 0]);
                }
            }
        }
    }
}

/// Writes numbers as cells, rounded to the cells' format.
///
/// # Safety
/// As many cells as numbers may be written at `to`.
pub(super) unsafe fn numbers(cells: Cells, line: &[[f32; 4]], to: *mut u8) {
    let byte = |x: f32| (x + 0.5) as u8;
    for (i, &cell) in line.iter().enumerate() {
        // SAFETY: cell `i` is one of as many as there are numbers.
        unsafe {
            match cells {
                Cells::Rgb8 => to.cast::<[u8; 3]>().add(i).write([cell[0], cell[1], cell[2]].map(byte)),
                Cells::Numbers(Format::U8) => to.cast::<[u8; 4]>().add(i).write(cell.map(byte)),
                Cells::Numbers(Format::F32) => to.cast::<[f32; 4]>().add(i).write_unaligned(cell),
                Cells::Numbers(Format::Bf16) => {
                    let rounded = cell.map(|x| half::bf16::from_f32(x).to_bits());
                    to.cast::<[u16; 4]>().add(i).write_unaligned(rounded);
                }
            }
        }
    }
}

/// The upper half of the f32: exact for whole numbers of 8 bits.
fn bf16(byte: u8) -> u16 {
    (f32::from(byte).to_bits() >> 16) as u16
}
