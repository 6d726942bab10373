//! AVX-512, bf16 dot products: each of 16 lanes multiplies two pairs and adds both products to an f32.
//!
//! Reads the matrix unit's packed weights: a row of a weight tile is one register.

use std::arch::x86_64::*;

use super::bf16_out::Bf16;
use super::ending::{Finish, Sums, ending_of, with_ending};
use crate::kernels::ceiling;
use crate::kernels::memory::SharedArena;
use crate::plan::layout::LINE;
use crate::plan::{ConvStep, Share, Tile};

/// Bytes of the weight tile of one chunk and tap: 16 pairs of channels by 16 output channels.
const WEIGHT_TILE: usize = 16 * LINE;

/// One thread's share of a convolution.
///
/// # Safety
/// As [`Kernels::conv`](crate::kernels::Kernels); the processor has AVX-512 (F, BW, VL, DQ, BF16).
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
pub(in crate::kernels) unsafe fn conv(
    step: &ConvStep,
    arena: SharedArena<'_>,
    weights: &[u8],
    tiles: &[Tile],
    share: Share,
) {
    for block in &step.blocks[share.blocks] {
        let tiles = &tiles[share.tiles.clone()];
        let packed = weights[block.weights..].as_ptr();
        let (first, count) = (block.chunks.start, block.chunks.len());
        let ending = ending_of::<Bf16<1>>(step, first, count);
        // SAFETY: passed on from the caller; a block has one or two chunks.
        unsafe {
            match (step.tiling.cells, count) {
                (8, 1) => {
                    with_ending!(ending, E => block_of::<8, 1, E>(step, arena, weights, packed, tiles, first))
                }
                (8, _) => {
                    with_ending!(ending, E => block_of::<8, 2, E>(step, arena, weights, packed, tiles, first))
                }
                (_, 1) => {
                    with_ending!(ending, E => block_of::<14, 1, E>(step, arena, weights, packed, tiles, first))
                }
                (_, _) => {
                    with_ending!(ending, E => block_of::<14, 2, E>(step, arena, weights, packed, tiles, first))
                }
            }
        }
    }
}

/// # Safety
/// As [`conv`]; `packed` are the weights of the block whose first chunk is `first` and which has `C`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
unsafe fn block_of<const P: usize, const C: usize, const E: u8>(
    step: &ConvStep,
    arena: SharedArena<'_>,
    weights: &[u8],
    packed: *const u8,
    tiles: &[Tile],
    first: usize,
) {
    // SAFETY: passed on from the caller.
    let finish = unsafe { Finish::<Bf16<C>, C, E>::new(step, arena, weights, first) };
    let mut stored = Sums::<C>::ZERO;
    let half = P / 2 * step.row + step.jump as usize;
    for tile in tiles {
        let mut sums = [[_mm512_setzero_ps(); C]; P];
        let mut packed = packed;
        let from = (tile.input as usize * step.input_cell) as isize;
        for tap in &step.taps {
            let line: *const u8 = arena.at_signed(tap.bytes + from);
            let halves = [line, line.wrapping_add(half)];
            for pair in 0..tap.lanes.div_ceil(2) as usize {
                // SAFETY: the plan checked that the tile's lines lie in the arena, and C weight tiles for each tap.
                unsafe {
                    let mut w = [_mm512_setzero_si512(); C];
                    for (c, w) in w.iter_mut().enumerate() {
                        *w = _mm512_loadu_si512(packed.add(c * WEIGHT_TILE + pair * LINE).cast());
                    }
                    for (p, sums) in sums.iter_mut().enumerate() {
                        let numbers = _mm512_set1_epi32(
                            halves[p / (P / 2)]
                                .add(p % (P / 2) * step.row + 4 * pair)
                                .cast::<i32>()
                                .read_unaligned(),
                        );
                        for c in 0..C {
                            sums[c] = _mm512_dpbf16_ps(
                                sums[c],
                                std::mem::transmute::<__m512i, __m512bh>(numbers),
                                std::mem::transmute::<__m512i, __m512bh>(w[c]),
                            );
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
                unsafe { _mm512_store_ps(stored.at_mut(c, p).cast(), sums[p][c]) };
            }
        }
        let (output, count) = (tile.output as usize, tile.count as usize);
        // SAFETY: the tile's cells lie in the run and are this thread's.
        unsafe {
            if step.tiling.folded {
                let below = output + step.cells.grid.pitch() - P / 2;
                for (first, cells) in [(output, 0..P / 2), (below, P / 2..count.max(P / 2))] {
                    finish.rows(first, cells, &stored);
                }
                continue;
            }
            finish.rows(output, 0..count, &stored);
            finish.borders(output, count);
        }
    }
}

/// The ceiling's loop for this tier.
///
/// # Safety
/// The processor has AVX-512 with bf16.
#[target_feature(enable = "avx512f,avx512bf16")]
pub(in crate::kernels) unsafe fn multiply_registers(turns: usize) -> usize {
    // SAFETY: both types are 512 bits.
    let one = unsafe {
        std::mem::transmute::<__m512i, __m512bh>(_mm512_set1_epi32(std::hint::black_box(0x3f80_0000)))
    };
    let mut sums = [_mm512_setzero_ps(); ceiling::SUMS];
    for _ in 0..turns {
        for sum in &mut sums {
            *sum = _mm512_dpbf16_ps(*sum, one, one);
        }
    }
    for sum in sums {
        std::hint::black_box(_mm512_reduce_add_ps(sum));
    }
    turns * ceiling::SUMS * 16 * 4
}
