//! Convolution on the matrix unit.
//!
//! A tile row is a cache line of the input: 32 channels of bf16, or 64 bytes, of one cell. A window's tap is the same tile
//! load at a shifted address, so nothing is gathered or copied. Two tiles of cells by two of output channels are summed at
//! a time: each loaded tile is used twice, and the unit's eight registers are full.
//!
//! The vector units would idle while the matrix unit multiplies, and the other way round: so the bias, activation and
//! rounding of one pair of tiles are spread over the taps of the next.

use super::TileConfig;
use super::tile;
use crate::kernels::Along;
use crate::kernels::ahead::Ahead;
use crate::kernels::avx512::{Bf16, CELLS as ROWS, Finish, Numbers, Sums, ending_of, with_ending};
use crate::kernels::int8::{ByBytes, Bytes};
use crate::kernels::memory::SharedArena;
use crate::plan;
use crate::plan::layout::{Grid, LINE};
use crate::plan::{ConvStep, Share, Tile, Tiling};
use std::mem::MaybeUninit;

/// Bytes of a weight tile: 16 pairs or quadruples of channels by 16 output channels.
const WEIGHT_TILE: usize = 16 * LINE;

/// How an output grid is cut into tiles of up to 16 cells, the unit's rows: along its rows, each divided evenly, or as one run
/// with a border cell after each row, whichever takes less time. A lazy step (not `everywhere`) has runs that begin anywhere.
pub(in crate::kernels) fn tiling(output: Grid, stride: usize, everywhere: bool) -> Tiling {
    /// What a pair of tiles costs beside its cells, as so many more: the weights' tiles are loaded for each.
    const PAIR: usize = 32;
    let Grid { height, width } = output;
    let even = width.div_ceil(width.div_ceil(ROWS));
    let cost = |tiles: usize, cells: usize| tiles.div_ceil(2) * (cells + PAIR);
    let by_rows = cost(height * width.div_ceil(ROWS), even) < cost(output.run().div_ceil(ROWS), ROWS);
    match stride {
        1 if !everywhere || !by_rows => Tiling { cells: ROWS as u16, by_rows: false, folded: false },
        _ => Tiling { cells: even as u16, by_rows: true, folded: false },
    }
}

/// Bytes of a tile's row that meet weights, in whole groups of 4. No others are loaded: the picture's cells are narrow, and
/// rows of a whole line would mostly lie in two lines.
fn bytes_read<P: Products>(step: &ConvStep) -> usize {
    let lanes = step.taps.iter().map(|tap| tap.lanes as usize).max().unwrap_or(0);
    (lanes * LINE / P::CHANNELS).next_multiple_of(4).clamp(4, LINE)
}

/// What the unit multiplies.
pub(in crate::kernels) trait Products {
    type Numbers<const C: usize>: Numbers<C>;
    /// Channels of a tile's row.
    const CHANNELS: usize;

    /// # Safety
    /// As [`tile::multiply_bf16`].
    unsafe fn multiply<const T: usize, const C: usize>(
        a: *const u8,
        b: *const u8,
        row: usize,
        weights: *const u8,
    );

    /// # Safety
    /// As [`tile::zero`].
    unsafe fn multiply_registers();
}

/// `C += A B` of bf16, in f32.
#[derive(Debug)]
pub(in crate::kernels) struct ProductsBf16;

impl Products for ProductsBf16 {
    type Numbers<const C: usize> = Bf16<C>;
    const CHANNELS: usize = LINE / 2;

    /// # Safety
    /// As [`Products::multiply`].
    #[inline(always)]
    unsafe fn multiply<const T: usize, const C: usize>(
        a: *const u8,
        b: *const u8,
        row: usize,
        weights: *const u8,
    ) {
        // SAFETY: passed on from the caller.
        unsafe { tile::multiply_bf16::<T, C>(a, b, row, weights) }
    }

    /// # Safety
    /// As [`Products::multiply_registers`].
    #[inline(always)]
    unsafe fn multiply_registers() {
        // SAFETY: passed on from the caller.
        unsafe { tile::multiply_registers_bf16() }
    }
}

/// `C += A B` of bytes, in 32-bit integers.
#[derive(Debug)]
pub(in crate::kernels) struct ProductsBytes;

impl Products for ProductsBytes {
    type Numbers<const C: usize> = Bytes<C, ByBytes>;
    const CHANNELS: usize = LINE;

    /// # Safety
    /// As [`Products::multiply`].
    #[inline(always)]
    unsafe fn multiply<const T: usize, const C: usize>(
        a: *const u8,
        b: *const u8,
        row: usize,
        weights: *const u8,
    ) {
        // SAFETY: passed on from the caller.
        unsafe { tile::multiply_bytes::<T, C>(a, b, row, weights) }
    }

    /// # Safety
    /// As [`Products::multiply_registers`].
    #[inline(always)]
    unsafe fn multiply_registers() {
        // SAFETY: passed on from the caller.
        unsafe { tile::multiply_registers_bytes() }
    }
}

/// One thread's share of a convolution.
///
/// # Safety
/// As [`Kernels::conv`](crate::kernels::Kernels); the processor has AMX with these products, AVX-512 (F, BW, VL, DQ) and, for
/// those of bytes, VBMI ([`ByBytes`]), and this process may use tiles.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
pub(in crate::kernels) unsafe fn conv<P: Products>(
    step: &ConvStep,
    arena: SharedArena<'_>,
    weights: &[u8],
    tiles: &[Tile],
    share: Share,
    along: &Along<'_>,
) {
    let pairs = share.blocks.len() * share.tiles.len().div_ceil(2);
    let mut ahead = Ahead::new(weights, along.ahead, pairs);
    let config = TileConfig::new(step.tiling.cells as u8, bytes_read::<P>(step) as u8);
    // SAFETY: passed on from the caller: tiles are legal here.
    unsafe { along.unit.configure(config) };
    let tiles = &tiles[share.tiles];
    let blocks = &step.blocks[share.blocks];
    for (left, block) in (0..blocks.len()).rev().zip(blocks) {
        // Tiles are complete when the last block is done. Then the early ones come by themselves: what is called after them
        // must not be part of a kernel's loop, which keeps its numbers in registers.
        let (early, late) = tiles.split_at(if left == 0 { along.early } else { 0 });
        for (tiles, are_early) in [(early, true), (late, false)] {
            if tiles.is_empty() {
                continue;
            }
            let (first, count) = (block.chunks.start, block.chunks.len());
            let ending = ending_of::<P::Numbers<1>>(step, first, count);
            // SAFETY: passed on from the caller; a block has one or two chunks.
            unsafe {
                match count {
                    1 => {
                        with_ending!(ending, E => Block::<P, 1, E>::new(step, arena, weights, block).run(tiles, &mut ahead))
                    }
                    _ => {
                        with_ending!(ending, E => Block::<P, 2, E>::new(step, arena, weights, block).run(tiles, &mut ahead))
                    }
                }
            }
            if are_early {
                (along.publish)();
            }
        }
    }
}

/// One block of `C` chunks.
struct Block<'a, P: Products, const C: usize, const E: u8> {
    step: &'a ConvStep,
    arena: SharedArena<'a>,
    packed: *const u8,
    finish: Finish<'a, P::Numbers<C>, C, E>,
}

/// Stored sums that wait for their last part.
struct Pending<'a> {
    tiles: &'a [Tile],
    /// Which of `tiles` is next, and how many of its rows are done.
    tile: usize,
    row: usize,
}

impl<'a, P: Products, const C: usize, const E: u8> Block<'a, P, C, E> {
    /// # Safety
    /// As [`conv`]; the block has `C` chunks, which end with `E`.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    unsafe fn new(step: &'a ConvStep, arena: SharedArena<'a>, weights: &[u8], block: &plan::Block) -> Self {
        // SAFETY: passed on from the caller.
        let finish = unsafe { Finish::new(step, arena, weights, block.chunks.start) };
        Self { step, arena, packed: weights[block.weights..].as_ptr(), finish }
    }

    /// # Safety
    /// As [`conv`], with the tile configuration loaded.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    unsafe fn run(&self, tiles: &[Tile], ahead: &mut Ahead<'_>) {
        let mut sums = [const { MaybeUninit::<[Sums<C>; 2]>::uninit() }; 2];
        let mut pending = Pending { tiles: &[], tile: 0, row: 0 };
        // One turn more: the last part of the last pair.
        for (turn, pair) in tiles.chunks(2).chain([&[][..]]).enumerate() {
            let into = sums[turn % 2].as_mut_ptr().cast();
            let from = sums[(turn + 1) % 2].as_ptr().cast();
            // SAFETY: passed on from the caller; `from` holds the sums of `pending`.
            unsafe {
                match pair {
                    [a, b] => self.multiply::<2>(a, b, into, &mut pending, from, ahead),
                    [a] => self.multiply::<1>(a, a, into, &mut pending, from, ahead),
                    _ => {}
                }
                while self.finish_rows(&mut pending, ROWS, from) {}
            }
            pending = Pending { tiles: pair, tile: 0, row: 0 };
        }
    }

    /// Sums all taps of `T` tiles, `a` and `b`, into `into`, and finishes rows of the tiles before meanwhile.
    ///
    /// # Safety
    /// As [`run`](Self::run); two sums can be written at `into`; at `from` lie those of `pending`.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    unsafe fn multiply<const T: usize>(
        &self,
        a: &Tile,
        b: &Tile,
        into: *mut Sums<C>,
        pending: &mut Pending<'_>,
        from: *const Sums<C>,
        ahead: &mut Ahead<'_>,
    ) {
        let row = self.step.row;
        let a = (a.input as usize * self.step.input_cell) as isize;
        let b = (b.input as usize * self.step.input_cell) as isize;
        let mut packed = self.packed;
        let taps = self.step.taps.len();
        // Even, because some endings take two rows at a time.
        let per_tap = (2 * ROWS).div_ceil(taps).next_multiple_of(2);
        let mut fetch = ahead.next();
        let fetch_per_tap = fetch.len().div_ceil(taps);
        // SAFETY: tiles are configured; the plan checked that every line of the tiles lies in the arena and that each tap
        // has C weight tiles; `into` has room for T times C tiles.
        unsafe {
            tile::zero::<T, C>();
            for tap in &self.step.taps {
                let (a, b) = (self.arena.at_signed(tap.bytes + a), self.arena.at_signed(tap.bytes + b));
                P::multiply::<T, C>(a, b, row, packed);
                packed = packed.wrapping_add(C * WEIGHT_TILE);
                self.finish_rows(pending, per_tap, from);
                for _ in 0..fetch_per_tap {
                    fetch.one();
                }
            }
            tile::store::<T, C>(into.cast());
        }
    }

    /// Finishes up to `count` rows of the next pending tile; false when none is left.
    ///
    /// # Safety
    /// As [`multiply`](Self::multiply).
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    unsafe fn finish_rows(&self, pending: &mut Pending<'_>, count: usize, from: *const Sums<C>) -> bool {
        let Some(tile) = pending.tiles.get(pending.tile) else { return false };
        let end = (pending.row + count).min(tile.count as usize);
        // SAFETY: the tile's cells lie in the run and are this thread's; its sums were stored.
        unsafe { self.finish.rows(tile.output as usize, pending.row..end, from.add(pending.tile)) };
        pending.row = end;
        if end == tile.count as usize {
            // SAFETY: as above.
            unsafe { self.finish.borders(tile.output as usize, end) };
            pending.tile += 1;
            pending.row = 0;
        }
        true
    }
}

/// The ceiling's loop for this tier.
///
/// # Safety
/// The processor has AMX with these products, and this process may use tiles.
pub(in crate::kernels) unsafe fn multiply_registers<P: Products>(turns: usize) -> usize {
    // SAFETY: passed on from the caller.
    unsafe {
        TileConfig::new(ROWS as u8, LINE as u8).load();
        tile::zero::<2, 2>();
        for _ in 0..turns {
            P::multiply_registers();
        }
        tile::release();
    }
    turns * 4 * 2 * 16 * 16 * P::CHANNELS
}
