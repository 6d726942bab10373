//! AVX-512 VNNI: each of 16 lanes multiplies four pairs of bytes and adds the products to an i32.

use std::arch::x86_64::*;

use super::WEIGHT_TILE;
use super::finish::Bytes;
use crate::kernels::avx512::{Finish, Sums, ending_of, with_ending};
use crate::kernels::memory::SharedArena;
use crate::kernels::{avx512, ceiling};
use crate::plan::layout::LINE;
use crate::plan::{ConvStep, Share, Tile};

/// One thread's share of a convolution.
///
/// # Safety
/// As [`Kernels::conv`](crate::kernels::Kernels); the processor has AVX-512 (F, BW, VL, DQ, VNNI).
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
pub(in crate::kernels) unsafe fn conv(
    step: &ConvStep,
    arena: SharedArena<'_>,
    weights: &[u8],
    tiles: &[Tile],
    share: Share,
) {
    let stride = step.row / step.input_cell;
    for block in &step.blocks[share.blocks] {
        let tiles = &tiles[share.tiles.clone()];
        let packed = weights[block.weights..].as_ptr();
        let first = block.chunks.start;
        let count = block.chunks.len();
        let ending = ending_of::<Bytes<1>>(step, first, count);
        // SAFETY: passed on from the caller; a block has one or two chunks.
        unsafe {
            with_ending!(ending, E => match (avx512::cells(step.cells.grid, stride), count) {
                (8, 1) => block_of::<8, 1, E>(step, arena, weights, packed, tiles, first),
                (8, _) => block_of::<8, 2, E>(step, arena, weights, packed, tiles, first),
                (_, 1) => block_of::<14, 1, E>(step, arena, weights, packed, tiles, first),
                (_, _) => block_of::<14, 2, E>(step, arena, weights, packed, tiles, first),
            })
        }
    }
}

/// # Safety
/// As [`conv`]; `packed` are the weights of the block whose first chunk is `first` and which has `C`, and which ends with `E`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn block_of<const P: usize, const C: usize, const E: u8>(
    step: &ConvStep,
    arena: SharedArena<'_>,
    weights: &[u8],
    packed: *const u8,
    tiles: &[Tile],
    first: usize,
) {
    // SAFETY: passed on from the caller.
    let finish = unsafe { Finish::<Bytes<C>, C, E>::new(step, arena, weights, first) };
    let mut stored = Sums::<C>::ZERO;
    for tile in tiles {
        let mut sums = [[_mm512_setzero_si512(); C]; P];
        let mut packed = packed;
        let from = (tile.input as usize * step.input_cell) as isize;
        for tap in &step.taps {
            let line: *const u8 = arena.at_signed(tap.bytes + from);
            for quad in 0..tap.lanes.div_ceil(4) as usize {
                // SAFETY: the plan checked that the tile's lines lie in the arena, and C weight tiles for each tap.
                unsafe {
                    let mut w = [_mm512_setzero_si512(); C];
                    for (c, w) in w.iter_mut().enumerate() {
                        *w = _mm512_loadu_si512(packed.add(c * WEIGHT_TILE + quad * LINE).cast());
                    }
                    for (p, sums) in sums.iter_mut().enumerate() {
                        let numbers = _mm512_set1_epi32(
                            line.add(p * step.row + 4 * quad).cast::<i32>().read_unaligned(),
                        );
                        for c in 0..C {
                            sums[c] = _mm512_dpbusd_epi32(sums[c], numbers, w[c]);
                        }
                    }
                }
            }
            packed = packed.wrapping_add(C * WEIGHT_TILE);
        }
        // Constant indices only, so that the sums stay in registers until here.
        for p in 0..P {
            for c in 0..C {
                // SAFETY: 16 numbers.
                unsafe { _mm512_store_si512(stored.at_mut(c, p).cast(), sums[p][c]) };
            }
        }
        let (output, count) = (tile.output as usize, tile.count as usize);
        // SAFETY: the tile's cells lie in the run and are this thread's.
        unsafe {
            finish.rows(output, 0..count, &stored);
            finish.borders(output, count);
        }
    }
}

/// The ceiling's loop for this tier.
///
/// # Safety
/// The processor has AVX-512 with VNNI.
#[target_feature(enable = "avx512f,avx512vnni")]
pub(in crate::kernels) unsafe fn multiply_registers(turns: usize) -> usize {
    let one = _mm512_set1_epi8(std::hint::black_box(1));
    let mut sums = [_mm512_setzero_si512(); ceiling::SUMS];
    for _ in 0..turns {
        for sum in &mut sums {
            *sum = _mm512_dpbusd_epi32(*sum, one, one);
        }
    }
    for sum in sums {
        std::hint::black_box(_mm512_reduce_add_epi32(sum));
    }
    turns * ceiling::SUMS * 16 * 8
}
