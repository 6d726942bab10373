//! The unit's configuration and instructions.
//!
//! Registers 0 to 3 hold sums (tile of cells times 2 plus chunk), 4 and 5 cells, 6 and 7 weights. The compiler knows
//! nothing of tile registers and never touches them, so they carry values from one of these functions to the next.

use std::arch::asm;

use crate::plan::layout::LINE;

/// The 64 bytes of `ldtilecfg`: palette 1, eight tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
pub(crate) struct TileConfig {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    /// Bytes of a row, for each tile.
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

impl TileConfig {
    /// Sums and cells of `rows` rows, `bytes` of each cell: a multiple of 4, at most 64. The weights have a row for every 4.
    pub(crate) fn new(rows: u8, bytes: u8) -> Self {
        let mut config =
            Self { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
        config.row_bytes[..8].fill(64);
        config.row_bytes[4..6].fill(bytes.into());
        config.rows[..6].fill(rows);
        config.rows[6..8].fill(bytes / 4);
        config
    }

    /// # Safety
    /// Tile instructions are legal on this processor and granted to this process.
    #[inline]
    pub(super) unsafe fn load(&self) {
        // SAFETY: the caller vouches for the instruction; it reads 64 bytes.
        unsafe { asm!("ldtilecfg [{0}]", in(reg) self, options(nostack, preserves_flags)) }
    }

    /// # Safety
    /// As [`load`](Self::load).
    pub(super) unsafe fn load_and_read_back(&self) -> Self {
        let mut back = Self { palette: 0, ..*self };
        // SAFETY: the caller vouches for the instructions; both point to 64 bytes. The tiles are released again.
        unsafe {
            asm!("ldtilecfg [{0}]", "sttilecfg [{1}]", "tilerelease", in(reg) self, in(reg) &raw mut back,
                 options(nostack, preserves_flags));
        }
        back
    }
}

/// Sets the sums of `T` tiles by `C` chunks to zero.
///
/// # Safety
/// A configuration is loaded. So for all functions here.
#[inline(always)]
pub(super) unsafe fn zero<const T: usize, const C: usize>() {
    // SAFETY: the caller loaded a configuration.
    unsafe {
        asm!("tilezero tmm0", options(nomem, nostack, preserves_flags));
        if C == 2 {
            asm!("tilezero tmm1", options(nomem, nostack, preserves_flags));
        }
        if T == 2 {
            asm!("tilezero tmm2", options(nomem, nostack, preserves_flags));
            if C == 2 {
                asm!("tilezero tmm3", options(nomem, nostack, preserves_flags));
            }
        }
    }
}

/// Functions that multiply by one instruction.
macro_rules! products {
    ($multiply:ident, $multiply_registers:ident, $product:literal) => {
        /// One tap: `sums += cells * weights`. Cell tiles begin at `a` and `b`, their rows `row` bytes apart; the weight tiles of
        /// the chunks follow each other at `weights`.
        ///
        /// # Safety
        /// As [`zero`]; every row of the tiles is readable.
        #[inline(always)]
        pub(super) unsafe fn $multiply<const T: usize, const C: usize>(
            a: *const u8,
            b: *const u8,
            row: usize,
            weights: *const u8,
        ) {
            // SAFETY: the caller loaded a configuration and vouches for the addresses.
            unsafe {
                match (T, C) {
                    (2, 2) => asm!(
                        "tileloadd tmm6, [{w} + {line}]",
                        "tileloadd tmm4, [{a} + {row}]",
                        "tileloadd tmm7, [{w} + {line} + 1024]",
                        "tileloadd tmm5, [{b} + {row}]",
                        concat!($product, " tmm0, tmm4, tmm6"),
                        concat!($product, " tmm1, tmm4, tmm7"),
                        concat!($product, " tmm2, tmm5, tmm6"),
                        concat!($product, " tmm3, tmm5, tmm7"),
                        a = in(reg) a, b = in(reg) b, row = in(reg) row, w = in(reg) weights, line = in(reg) LINE,
                        options(readonly, nostack, preserves_flags)
                    ),
                    (2, _) => asm!(
                        "tileloadd tmm6, [{w} + {line}]",
                        "tileloadd tmm4, [{a} + {row}]",
                        "tileloadd tmm5, [{b} + {row}]",
                        concat!($product, " tmm0, tmm4, tmm6"),
                        concat!($product, " tmm2, tmm5, tmm6"),
                        a = in(reg) a, b = in(reg) b, row = in(reg) row, w = in(reg) weights, line = in(reg) LINE,
                        options(readonly, nostack, preserves_flags)
                    ),
                    (_, 2) => asm!(
                        "tileloadd tmm6, [{w} + {line}]",
                        "tileloadd tmm4, [{a} + {row}]",
                        "tileloadd tmm7, [{w} + {line} + 1024]",
                        concat!($product, " tmm0, tmm4, tmm6"),
                        concat!($product, " tmm1, tmm4, tmm7"),
                        a = in(reg) a, row = in(reg) row, w = in(reg) weights, line = in(reg) LINE,
                        options(readonly, nostack, preserves_flags)
                    ),
                    (_, _) => asm!(
                        "tileloadd tmm6, [{w} + {line}]",
                        "tileloadd tmm4, [{a} + {row}]",
                        concat!($product, " tmm0, tmm4, tmm6"),
                        a = in(reg) a, row = in(reg) row, w = in(reg) weights, line = in(reg) LINE,
                        options(readonly, nostack, preserves_flags)
                    ),
                }
            }
        }

        /// The four products of a tap without its loads.
        ///
        /// # Safety
        /// As [`zero`].
        #[inline(always)]
        pub(super) unsafe fn $multiply_registers() {
            // SAFETY: the caller loaded a configuration.
            unsafe {
                asm!(
                    concat!($product, " tmm0, tmm4, tmm6"),
                    concat!($product, " tmm1, tmm4, tmm7"),
                    concat!($product, " tmm2, tmm5, tmm6"),
                    concat!($product, " tmm3, tmm5, tmm7"),
                    options(nomem, nostack, preserves_flags)
                );
            }
        }
    };
}

products!(multiply_bf16, multiply_registers_bf16, "tdpbf16ps");
products!(multiply_bytes, multiply_registers_bytes, "tdpbusd");

/// Stores the sums of `T` tiles by `C` chunks as `[tile][chunk][row of 64 bytes]`, 16 rows each.
///
/// # Safety
/// As [`zero`]; `T * C` tiles of 1024 bytes are writable at `to`.
#[inline(always)]
pub(super) unsafe fn store<const T: usize, const C: usize>(to: *mut u8) {
    // SAFETY: the caller loaded a configuration and gives the room.
    unsafe {
        asm!("tilestored [{to} + {line}], tmm0", to = in(reg) to, line = in(reg) LINE, options(nostack, preserves_flags));
        if C == 2 {
            asm!("tilestored [{to} + {line} + 1024], tmm1", to = in(reg) to, line = in(reg) LINE, options(nostack, preserves_flags));
        }
        if T == 2 {
            let to = to.add(C * 1024);
            asm!("tilestored [{to} + {line}], tmm2", to = in(reg) to, line = in(reg) LINE, options(nostack, preserves_flags));
            if C == 2 {
                asm!("tilestored [{to} + {line} + 1024], tmm3", to = in(reg) to, line = in(reg) LINE, options(nostack, preserves_flags));
            }
        }
    }
}

/// Gives the tiles back.
///
/// # Safety
/// As [`zero`].
#[inline]
pub(super) unsafe fn release() {
    // SAFETY: the caller vouches for the instruction.
    unsafe { asm!("tilerelease", options(nomem, nostack, preserves_flags)) }
}
