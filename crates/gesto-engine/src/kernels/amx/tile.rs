//! The unit's configuration, and its instructions.

use std::arch::asm;

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
    /// Eight tiles of `rows` rows of 64 bytes.
    pub(crate) fn uniform(rows: u8) -> Self {
        let mut config =
            Self { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
        config.row_bytes[..8].fill(64);
        config.rows[..8].fill(rows);
        config
    }

    /// # Safety
    /// Tile instructions are legal on this processor and granted to this process.
    pub(super) unsafe fn load_and_read_back(&self) -> Self {
        let mut back = Self { palette: 0, ..*self };
        // SAFETY: the caller vouches for the instructions; both point to 64 bytes. The tiles are released again.
        unsafe {
            asm!("ldtilecfg [{0}]", "sttilecfg [{1}]", "tilerelease", in(reg) self, in(reg) &raw mut back, options(nostack));
        }
        back
    }
}
