//! Bytes on the matrix unit: `C += A B` with A 16 cells by 64 channels, B 64 by 16 channels, C in 32-bit integers.
//!
//! Registers are used as by the bf16 kernels: 0 to 3 hold sums (tile of cells times 2 plus chunk), 4 and 5 cells, 6 and 7
//! weights. The last part of one pair of tiles is spread over the taps of the next, so that both units work.

use std::arch::asm;

use super::WEIGHT_TILE;
use super::finish::{Finish, for_kind};
use crate::kernels::amx::{TileConfig, cells, release};
use crate::kernels::memory::SharedArena;
use crate::plan::layout::LINE;
use crate::plan::{ConvStep, Share, Tile};

/// Rows of a tile at most.
const ROWS: usize = 16;

/// One thread's share of a convolution.
///
/// # Safety
/// As [`Kernels::conv`](crate::kernels::Kernels); the processor has AMX with int8 and AVX-512 (F, BW, VL, DQ), and this
/// process may use tiles.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
pub(in crate::kernels) unsafe fn conv(
    step: &ConvStep,
    arena: SharedArena<'_>,
    weights: &[u8],
    tiles: &[Tile],
    share: Share,
) {
    let config = TileConfig::for_rows(cells(step.cells.grid, step.row / step.input_cell) as u8);
    // SAFETY: passed on from the caller: tiles are legal here.
    unsafe { config.load() };
    for block in &step.blocks[share.blocks] {
        let tiles = &tiles[share.tiles.clone()];
        let packed = weights[block.weights..].as_ptr();
        let first = block.chunks.start;
        // SAFETY: passed on from the caller; a block has one or two chunks.
        unsafe {
            for_kind!(step, KIND => if block.chunks.len() == 1 {
                Block::<1> { step, arena, packed, finish: Finish::new(step, arena, weights, first) }.run::<KIND>(tiles)
            } else {
                Block::<2> { step, arena, packed, finish: Finish::new(step, arena, weights, first) }.run::<KIND>(tiles)
            })
        }
    }
    // SAFETY: as above. Released tiles make context switches cheap again.
    unsafe { release() };
}

/// One block of `C` chunks.
struct Block<'a, const C: usize> {
    step: &'a ConvStep,
    arena: SharedArena<'a>,
    packed: *const u8,
    finish: Finish<'a, C>,
}

/// Sums of two tiles as the unit stores them: `[tile][chunk][cell][channel]`.
#[repr(C, align(64))]
struct Sums<const C: usize>([[[[i32; 16]; ROWS]; C]; 2]);

/// Stored sums that wait for their last part, cell by cell.
struct Pending<'a> {
    tiles: &'a [Tile],
    inside: [u32; 2],
    /// Which of `tiles`, and which of its cells, is next.
    tile: usize,
    cell: usize,
}

impl<const C: usize> Block<'_, C> {
    /// # Safety
    /// As [`conv`], with the tile configuration loaded.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    unsafe fn run<const KIND: u8>(&self, tiles: &[Tile]) {
        let mut sums = [const { Sums::<C>([[[[0; 16]; ROWS]; C]; 2]) }; 2];
        let mut pending = Pending { tiles: &[], inside: [0; 2], tile: 0, cell: 0 };
        for (turn, pair) in tiles.chunks(2).enumerate() {
            let [even, odd] = &mut sums;
            let (into, from) = if turn % 2 == 0 { (even, &*odd) } else { (odd, &*even) };
            // SAFETY: passed on from the caller; `from` holds the sums of `pending`.
            unsafe {
                match pair {
                    [a, b] => self.multiply::<2, KIND>([a, b], into, &mut pending, from),
                    [a] => self.multiply::<1, KIND>([a], into, &mut pending, from),
                    _ => unreachable!("chunks of two"),
                }
                self.finish_some::<KIND>(&mut pending, from, 2 * ROWS);
            }
            let inside = std::array::from_fn(|i| {
                pair.get(i).map_or(0, |tile| self.step.cells.inside(tile.output as usize))
            });
            pending = Pending { tiles: pair, inside, tile: 0, cell: 0 };
        }
        let last = &sums[(tiles.len().div_ceil(2) + 1) % 2];
        // SAFETY: as above.
        unsafe { self.finish_some::<KIND>(&mut pending, last, 2 * ROWS) };
    }

    /// Sums all taps of `T` tiles into `into`, and finishes cells of the tiles before meanwhile.
    ///
    /// # Safety
    /// As [`run`](Self::run); `from` holds the sums of `pending`.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    unsafe fn multiply<const T: usize, const KIND: u8>(
        &self,
        tiles: [&Tile; T],
        into: &mut Sums<C>,
        pending: &mut Pending<'_>,
        from: &Sums<C>,
    ) {
        let row = self.step.row;
        let inputs = tiles.map(|tile| (tile.input as usize * self.step.input_cell) as isize);
        let mut packed = self.packed;
        let per_tap = (2 * ROWS).div_ceil(self.step.taps.len());
        // SAFETY: tiles are configured; the plan checked that every line of the tiles lies in the arena and that each tap
        // has C weight tiles; `into` has room for T times C tiles.
        unsafe {
            zero::<T, C>();
            for tap in &self.step.taps {
                let lines: [*const u8; T] =
                    inputs.map(|input| self.arena.at_signed(tap.bytes + input).cast_const());
                multiply_tap::<T, C>(lines, row, packed);
                packed = packed.wrapping_add(C * WEIGHT_TILE);
                self.finish_some::<KIND>(pending, from, per_tap);
            }
            store::<T, C>(&raw mut into.0);
        }
    }

    /// Finishes the next `count` pending cells, if as many are left.
    ///
    /// # Safety
    /// As [`multiply`](Self::multiply).
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    unsafe fn finish_some<const KIND: u8>(&self, pending: &mut Pending<'_>, from: &Sums<C>, count: usize) {
        for _ in 0..count {
            let Some(tile) = pending.tiles.get(pending.tile) else { return };
            let p = pending.cell;
            let sums = &from.0[pending.tile & 1];
            let inside = pending.inside[pending.tile & 1] >> p & 1 == 1;
            let sums = std::array::from_fn(|c| sums[c][p & (ROWS - 1)].as_ptr());
            // SAFETY: the tile's cells lie in the run and are this thread's.
            unsafe { self.finish.cell::<KIND>(tile.output as usize + p, inside, sums) };
            pending.cell += 1;
            if pending.cell == tile.count as usize {
                pending.cell = 0;
                pending.tile += 1;
            }
        }
    }
}

/// Sets the sums of `T` tiles by `C` chunks to zero.
///
/// # Safety
/// A configuration is loaded. So for all functions below.
#[inline(always)]
unsafe fn zero<const T: usize, const C: usize>() {
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

/// One tap: `sums += cells * weights`. Cell tiles begin at `lines`, their rows `row` bytes apart; the weight tiles of the
/// chunks follow each other at `weights`.
///
/// # Safety
/// As [`zero`]; every row of the tiles is readable.
#[inline(always)]
unsafe fn multiply_tap<const T: usize, const C: usize>(
    lines: [*const u8; T],
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
                "tdpbusd tmm0, tmm4, tmm6",
                "tdpbusd tmm1, tmm4, tmm7",
                "tdpbusd tmm2, tmm5, tmm6",
                "tdpbusd tmm3, tmm5, tmm7",
                a = in(reg) lines[0], b = in(reg) lines[T - 1], row = in(reg) row, w = in(reg) weights, line = in(reg) LINE,
                options(readonly, nostack, preserves_flags)
            ),
            (2, _) => asm!(
                "tileloadd tmm6, [{w} + {line}]",
                "tileloadd tmm4, [{a} + {row}]",
                "tileloadd tmm5, [{b} + {row}]",
                "tdpbusd tmm0, tmm4, tmm6",
                "tdpbusd tmm2, tmm5, tmm6",
                a = in(reg) lines[0], b = in(reg) lines[T - 1], row = in(reg) row, w = in(reg) weights, line = in(reg) LINE,
                options(readonly, nostack, preserves_flags)
            ),
            (_, 2) => asm!(
                "tileloadd tmm6, [{w} + {line}]",
                "tileloadd tmm4, [{a} + {row}]",
                "tileloadd tmm7, [{w} + {line} + 1024]",
                "tdpbusd tmm0, tmm4, tmm6",
                "tdpbusd tmm1, tmm4, tmm7",
                a = in(reg) lines[0], row = in(reg) row, w = in(reg) weights, line = in(reg) LINE,
                options(readonly, nostack, preserves_flags)
            ),
            (_, _) => asm!(
                "tileloadd tmm6, [{w} + {line}]",
                "tileloadd tmm4, [{a} + {row}]",
                "tdpbusd tmm0, tmm4, tmm6",
                a = in(reg) lines[0], row = in(reg) row, w = in(reg) weights, line = in(reg) LINE,
                options(readonly, nostack, preserves_flags)
            ),
        }
    }
}

/// Stores the sums of `T` tiles by `C` chunks as `[tile][chunk][row of 64 bytes]`, 16 rows each.
///
/// # Safety
/// As [`zero`]; `T * C` tiles of 1024 bytes are writable at `to`.
#[inline(always)]
unsafe fn store<const T: usize, const C: usize>(to: *mut [[[[i32; 16]; ROWS]; C]; 2]) {
    let to = to.cast::<u8>();
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

/// The ceiling's loop for this tier.
///
/// # Safety
/// The processor has AMX with int8, and this process may use tiles.
pub(in crate::kernels) unsafe fn multiply_registers(turns: usize) -> usize {
    // SAFETY: passed on from the caller.
    unsafe {
        TileConfig::for_rows(ROWS as u8).load();
        zero::<2, 2>();
        for _ in 0..turns {
            asm!(
                "tdpbusd tmm0, tmm4, tmm6",
                "tdpbusd tmm1, tmm4, tmm7",
                "tdpbusd tmm2, tmm5, tmm6",
                "tdpbusd tmm3, tmm5, tmm7",
                options(nomem, nostack, preserves_flags)
            );
        }
        release();
    }
    turns * 4 * 2 * 16 * 16 * 64
}
