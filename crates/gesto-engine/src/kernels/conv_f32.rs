//! Convolution in f32, written once for every vector width.
//!
//! A tile is `P` output cells by `C` chunks of 16 channels, held in registers while all taps of the window go by. For
//! each number of a tap's cache line: load the `16 C` weights that it meets, multiply them with that number of
//! each of the `P` cells. Nothing is copied or rearranged at run time: an unpadded window, a stride and
//! a concatenation are only other tap offsets (see [`plan`](crate::plan)).

use super::memory::SharedArena;
use super::vector::{Vector, silu};
use crate::model::Activation;
use crate::plan::layout::LINE;
use crate::plan::{ConvStep, Share, Tile};

/// Runs one thread's share of a convolution with tiles of `P` cells by up to two chunks.
///
/// `tiles[share.tiles]` are tiles of the step or, without stride, begin at any cell of its run.
///
/// # Safety
/// The processor executes `V`'s instructions; `step`, its `tiles`, `arena` and `weights` are of one plan; no other thread
/// writes what these tiles read or touches what they write.
#[inline(always)]
pub(super) unsafe fn run<V: Vector, const P: usize>(
    step: &ConvStep,
    arena: SharedArena<'_>,
    weights: &[u8],
    tiles: &[Tile],
    share: Share,
) {
    for block in &step.blocks[share.blocks] {
        let work = Work {
            step,
            arena,
            weights: weights[block.weights..].as_ptr().cast(),
            bias: weights[step.bias..].as_ptr().cast(),
            first: block.chunks.start,
        };
        for tile in &tiles[share.tiles.clone()] {
            // SAFETY: passed on from the caller; a block has one or two chunks.
            unsafe {
                match (block.chunks.len(), step.row) {
                    (1, 32) => work.tile::<V, P, 1, 32>(tile),
                    (1, 64) => work.tile::<V, P, 1, 64>(tile),
                    (1, row) => work.tile_any_row::<V, P, 1>(tile, row),
                    (2, 64) => work.tile::<V, P, 2, 64>(tile),
                    (_, 128) => work.tile::<V, P, 2, 128>(tile),
                    (_, row) => work.tile_any_row::<V, P, 2>(tile, row),
                }
            }
        }
    }
}

/// What all tiles of one block share.
struct Work<'a> {
    step: &'a ConvStep,
    arena: SharedArena<'a>,
    weights: *const f32,
    bias: *const f32,
    /// First chunk.
    first: usize,
}

impl Work<'_> {
    /// `ROW` is the distance in bytes between the inputs of neighbouring output cells, so that the compiler can put
    /// it into addresses.
    ///
    /// # Safety
    /// As [`run`].
    #[inline(always)]
    unsafe fn tile<V: Vector, const P: usize, const C: usize, const ROW: usize>(&self, tile: &Tile) {
        // SAFETY: passed on from the caller.
        unsafe { self.tile_any_row::<V, P, C>(tile, ROW) }
    }

    /// # Safety
    /// As [`run`].
    #[inline(always)]
    unsafe fn tile_any_row<V: Vector, const P: usize, const C: usize>(&self, tile: &Tile, row: usize) {
        // SAFETY: passed on from the caller.
        let mut sums = unsafe { [[V::zero(); C]; P] };
        let mut weights = self.weights;
        let from = (tile.input as usize * self.step.input_cell) as isize;
        for tap in &self.step.taps {
            let line: *const u8 = self.arena.at_signed(tap.bytes + from);
            // SAFETY: the plan checked that all lines of the tile lie in the arena, and packed 16 C weights for each lane.
            unsafe { accumulate::<V, P, C>(&mut sums, line, row, tap.lanes as usize, &mut weights) };
        }
        // The sums leave the registers here, by constant indices only: were they indexed by a variable further down, the
        // compiler would keep them in memory all along.
        let mut stored = [[[0.0f32; 16]; C]; P];
        for p in 0..P {
            for c in 0..C {
                // SAFETY: 16 numbers.
                unsafe { sums[p][c].store(stored[p][c].as_mut_ptr()) };
            }
        }
        // SAFETY: passed on from the caller.
        unsafe { self.finish::<V, P, C>(tile, &stored) }
    }

    /// Bias, activation, residual, and zeros on the borders.
    ///
    /// # Safety
    /// As [`run`].
    #[inline(always)]
    unsafe fn finish<V: Vector, const P: usize, const C: usize>(
        &self,
        tile: &Tile,
        sums: &[[[f32; 16]; C]; P],
    ) {
        let first = tile.output as usize;
        let inside = self.step.cells.inside(first);
        for c in 0..C {
            let chunk = self.step.chunks[self.first + c];
            // SAFETY: a bias of 16 numbers for each chunk.
            let bias = unsafe { V::load(self.bias.add(16 * (self.first + c))) };
            for (p, sums) in sums.iter().enumerate().take(tile.count as usize) {
                // SAFETY: 16 numbers.
                let mut x = V::add(unsafe { V::load(sums[c].as_ptr()) }, bias);
                // SAFETY: the plan checked output, residual and partial sums for all cells of the run, and the
                // tile's cells are among them.
                unsafe {
                    if let Some(partial) = chunk.partial {
                        let cell = self.step.cells.halved[first + p] as usize;
                        x = V::add(x, V::load(self.arena.at(partial + cell * LINE).cast()));
                    }
                    if self.step.activation == Activation::Silu {
                        x = silu(x);
                    }
                    if let Some(residual) = chunk.residual {
                        x = V::add(x, V::load(self.arena.at(residual + (first + p) * LINE).cast()));
                    }
                    if inside >> p & 1 == 0 {
                        x = x.filled(0.0);
                    }
                    x.store(self.arena.at(chunk.output + (first + p) * LINE).cast());
                }
            }
        }
    }
}

/// Adds one line of each of `P` cells times its weights to the sums; `weights` moves on behind them.
///
/// # Safety
/// The processor executes `V`'s instructions; `P` lines are readable `row` bytes apart from `line` on, and
/// `16 C lanes` weights at `weights`.
#[inline(always)]
pub(super) unsafe fn accumulate<V: Vector, const P: usize, const C: usize>(
    sums: &mut [[V; C]; P],
    line: *const u8,
    row: usize,
    lanes: usize,
    weights: &mut *const f32,
) {
    for lane in 0..lanes {
        // SAFETY: passed on from the caller.
        unsafe {
            let mut w = [V::zero(); C];
            for (c, w) in w.iter_mut().enumerate() {
                *w = V::load(weights.add(16 * c));
            }
            *weights = weights.add(16 * C);
            for (p, sums) in sums.iter_mut().enumerate() {
                let number = V::splat(*line.add(p * row + 4 * lane).cast::<f32>());
                for c in 0..C {
                    sums[c] = V::mul_add(number, w[c], sums[c]);
                }
            }
        }
    }
}
