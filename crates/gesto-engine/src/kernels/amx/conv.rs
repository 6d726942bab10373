//! Convolution on the matrix unit.
//!
//! A tile row is a cache line of the input: 32 channels of one cell. A window's tap is the same tile load at a shifted
//! address, so nothing is gathered or copied. Two tiles of cells by two of output channels are summed at a time: each
//! loaded tile is used twice, and the unit's eight registers are full.
//!
//! The vector units would idle while the matrix unit multiplies, and the other way round: so the bias, activation and
//! rounding of one pair of tiles are spread over the taps of the next.

use super::TileConfig;
use super::tile;
use crate::kernels::avx512::Finish;
use crate::kernels::memory::SharedArena;
use crate::plan::layout::{Grid, LINE};
use crate::plan::{ConvStep, Share, Tile};

/// Bytes of a weight tile: 16 pairs of channels by 16 output channels.
const WEIGHT_TILE: usize = 16 * LINE;
/// Rows of a tile at most.
const ROWS: usize = 16;

/// Output cells of a tile: the unit's 16 rows, or as many as divide a row of a strided convolution evenly.
pub(in crate::kernels) fn cells(output: Grid, stride: usize) -> usize {
    if stride == 1 { ROWS } else { output.width.div_ceil(output.width.div_ceil(ROWS)) }
}

/// One thread's share of a convolution.
///
/// # Safety
/// As [`Kernels::conv`](crate::kernels::Kernels); the processor has AMX with bf16 and AVX-512 (F, BW, VL, DQ, BF16), and
/// this process may use tiles.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
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
        // SAFETY: passed on from the caller; a block has one or two chunks.
        unsafe {
            match block.chunks.len() {
                1 => Block::<1> {
                    step,
                    arena,
                    packed,
                    finish: Finish::new(step, arena, weights, block.chunks.start),
                }
                .run(tiles),
                _ => Block::<2> {
                    step,
                    arena,
                    packed,
                    finish: Finish::new(step, arena, weights, block.chunks.start),
                }
                .run(tiles),
            }
        }
    }
    // SAFETY: as above. Released tiles make context switches cheap again.
    unsafe { tile::release() };
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
struct Sums<const C: usize>([[[[f32; 16]; ROWS]; C]; 2]);

/// Stored sums that wait for their last part, cell by cell.
struct Pending<'a, const C: usize> {
    tiles: &'a [Tile],
    inside: [u32; 2],
    /// Which of `tiles`, and which of its cells, is next.
    tile: usize,
    cell: usize,
}

impl<const C: usize> Block<'_, C> {
    /// # Safety
    /// As [`conv`], with the tile configuration loaded.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
    unsafe fn run(&self, tiles: &[Tile]) {
        let mut sums = [const { Sums::<C>([[[[0.0; 16]; ROWS]; C]; 2]) }; 2];
        let mut pending = Pending { tiles: &[], inside: [0; 2], tile: 0, cell: 0 };
        for (turn, pair) in tiles.chunks(2).enumerate() {
            let [even, odd] = &mut sums;
            let (into, from) = if turn % 2 == 0 { (even, &*odd) } else { (odd, &*even) };
            // SAFETY: passed on from the caller; `from` holds the sums of `pending`.
            unsafe {
                match pair {
                    [a, b] => self.multiply::<2>([a, b], into, &mut pending, from),
                    [a] => self.multiply::<1>([a], into, &mut pending, from),
                    _ => unreachable!("chunks of two"),
                }
                while self.finish_one(&mut pending, from) {}
            }
            let inside = std::array::from_fn(|i| {
                pair.get(i).map_or(0, |tile| self.step.cells.inside(tile.output as usize))
            });
            pending = Pending { tiles: pair, inside, tile: 0, cell: 0 };
        }
        let last = &sums[(tiles.len().div_ceil(2) + 1) % 2];
        // SAFETY: as above.
        while unsafe { self.finish_one(&mut pending, last) } {}
    }

    /// Sums all taps of `T` tiles into `into`, and finishes cells of the tiles before meanwhile.
    ///
    /// # Safety
    /// As [`run`](Self::run); `from` holds the sums of `pending`.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
    #[inline]
    unsafe fn multiply<const T: usize>(
        &self,
        tiles: [&Tile; T],
        into: &mut Sums<C>,
        pending: &mut Pending<'_, C>,
        from: &Sums<C>,
    ) {
        let row = self.step.row;
        let inputs = tiles.map(|tile| (tile.input as usize * self.step.input_cell) as isize);
        let mut packed = self.packed;
        let per_tap = (2 * ROWS).div_ceil(self.step.taps.len());
        // SAFETY: tiles are configured; the plan checked that every line of the tiles lies in the arena and that each tap
        // has C weight tiles; `into` has room for T times C tiles.
        unsafe {
            tile::zero::<T, C>();
            for tap in &self.step.taps {
                let lines: [*const u8; T] =
                    inputs.map(|input| self.arena.at_signed(tap.bytes + input).cast_const());
                tile::multiply::<T, C>(lines, row, packed);
                packed = packed.wrapping_add(C * WEIGHT_TILE);
                for _ in 0..per_tap {
                    self.finish_one(pending, from);
                }
            }
            tile::store::<T, C>(&raw mut into.0);
        }
    }

    /// Finishes the next pending cell; false when none is left.
    ///
    /// # Safety
    /// As [`multiply`](Self::multiply).
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
    #[inline]
    unsafe fn finish_one(&self, pending: &mut Pending<'_, C>, from: &Sums<C>) -> bool {
        let Some(tile) = pending.tiles.get(pending.tile) else { return false };
        let p = pending.cell;
        let sums = &from.0[pending.tile & 1];
        let inside = pending.inside[pending.tile & 1] >> p & 1 == 1;
        // SAFETY: the tile's cells lie in the run and are this thread's.
        unsafe {
            self.finish.cell(
                tile.output as usize + p,
                inside,
                std::array::from_fn(|c| sums[c][p & (ROWS - 1)].as_ptr()),
            )
        };
        pending.cell += 1;
        if pending.cell == tile.count as usize {
            pending.cell = 0;
            pending.tile += 1;
        }
        true
    }
}

/// The ceiling's loop for this tier.
///
/// # Safety
/// The processor has AMX with bf16, and this process may use tiles.
pub(in crate::kernels) unsafe fn multiply_registers(turns: usize) -> usize {
    // SAFETY: passed on from the caller.
    unsafe {
        TileConfig::for_rows(ROWS as u8).load();
        tile::zero::<2, 2>();
        for _ in 0..turns {
            tile::multiply_registers();
        }
        tile::release();
    }
    turns * 4 * 2 * 16 * 16 * 32
}
