//! 3x3 convolution by minimal filtering (see [`plan::winograd`](crate::plan::winograd)), for every vector width.

use super::conv_f32::accumulate;
use super::memory::SharedArena;
use super::vector::{Vector, silu};
use crate::model::Activation;
use crate::plan::layout::LINE;
use crate::plan::winograd::{POSITIONS, Winograd};
use crate::plan::{ConvStep, Share};

/// Runs the squares `share.tiles` of a convolution, `P` at a time.
///
/// `scratch` is the byte offset of `filter.scratch(chunks, P)` bytes of the arena.
///
/// # Safety
/// The processor executes `V`'s instructions; `step` with its `filter`, `arena` and `weights` are of one plan; no other
/// thread touches the scratch bytes or the outputs of these squares, or writes the step's input.
#[inline(always)]
pub(super) unsafe fn run<V: Vector, const P: usize>(
    step: &ConvStep,
    filter: &Winograd,
    arena: SharedArena<'_>,
    weights: &[u8],
    scratch: usize,
    share: Share,
) {
    let work = Squares {
        step,
        filter,
        arena,
        weights,
        inputs: scratch,
        sums: scratch + POSITIONS * filter.planes.len() * P * LINE,
    };
    for first in share.tiles.clone().step_by(P) {
        let count = P.min(share.tiles.end - first);
        // SAFETY: passed on from the caller.
        unsafe {
            work.transform_inputs::<V, P>(first, count);
            let blocks = &step.blocks[share.blocks.clone()];
            for block in blocks {
                let packed = weights[block.weights..].as_ptr().cast();
                match block.chunks.len() {
                    1 => work.multiply::<V, P, 1>(packed, block.chunks.start),
                    _ => work.multiply::<V, P, 2>(packed, block.chunks.start),
                }
            }
            let chunks = blocks.iter().flat_map(|block| block.chunks.clone());
            work.transform_sums::<V, P>(first, count, chunks);
        }
    }
}

struct Squares<'a> {
    step: &'a ConvStep,
    filter: &'a Winograd,
    arena: SharedArena<'a>,
    weights: &'a [u8],
    /// `[position][plane][square]`, a line of 16 channels each.
    inputs: usize,
    /// `[position][chunk][square]`, likewise.
    sums: usize,
}

impl Squares<'_> {
    /// `B' d B` of each square's 4x4 inputs.
    ///
    /// # Safety
    /// As [`run`].
    #[inline(always)]
    unsafe fn transform_inputs<V: Vector, const P: usize>(&self, first: usize, count: usize) {
        let pitch = self.step.cells.grid.pitch();
        let planes = self.filter.planes.len();
        // SAFETY: passed on from the caller.
        let zero = unsafe { V::zero() };
        for square in 0..count {
            let (row, column) =
                ((first + square) / self.filter.columns, (first + square) % self.filter.columns);
            // The cell above and before the square's first.
            let corner = (2 * row * pitch + 2 * column) as isize - pitch as isize - 1;
            for (plane, &place) in self.filter.planes.iter().enumerate() {
                let from = self.arena.at_signed(place as isize + corner * LINE as isize);
                let mut d = [[zero; 4]; 4];
                for (y, d) in d.iter_mut().enumerate() {
                    for (x, d) in d.iter_mut().enumerate() {
                        // SAFETY: the plan checked the squares' inputs, overhang included.
                        *d = unsafe { V::load(from.add((y * pitch + x) * LINE).cast()) };
                    }
                }
                let mut columns = [[zero; 4]; 4];
                for x in 0..4 {
                    let t = half_transform([d[0][x], d[1][x], d[2][x], d[3][x]]);
                    for y in 0..4 {
                        columns[y][x] = t[y];
                    }
                }
                for y in 0..4 {
                    let t = half_transform(columns[y]);
                    for x in 0..4 {
                        let line = ((4 * y + x) * planes + plane) * P + square;
                        // SAFETY: the scratch has room for P squares of every plane and position.
                        unsafe { t[x].store(self.arena.at(self.inputs + line * LINE).cast()) };
                    }
                }
            }
        }
    }

    /// The products of one block of `C` chunks at every position: plain matrix products.
    ///
    /// # Safety
    /// As [`run`]; `weights` are the block's.
    #[inline(always)]
    unsafe fn multiply<V: Vector, const P: usize, const C: usize>(
        &self,
        mut weights: *const f32,
        first: usize,
    ) {
        let (planes, chunks) = (self.filter.planes.len(), self.step.chunks.len());
        for position in 0..POSITIONS {
            // SAFETY: passed on from the caller.
            let mut sums = unsafe { [[V::zero(); C]; P] };
            for plane in 0..planes {
                let line = self.arena.at(self.inputs + (position * planes + plane) * P * LINE);
                // SAFETY: P lines of scratch (those past the last square hold older finite numbers), and 16 C
                // weights for each of 16 numbers.
                unsafe { accumulate::<V, P, C>(&mut sums, line, LINE, 16, &mut weights) };
            }
            for p in 0..P {
                for c in 0..C {
                    let line = (position * chunks + first + c) * P + p;
                    // SAFETY: the scratch has room for P squares of every chunk and position.
                    unsafe { sums[p][c].store(self.arena.at(self.sums + line * LINE).cast()) };
                }
            }
        }
    }

    /// `A' m A` of each square's sums in some chunks, then bias, activation and residual.
    ///
    /// # Safety
    /// As [`run`].
    #[inline(always)]
    unsafe fn transform_sums<V: Vector, const P: usize>(
        &self,
        first: usize,
        count: usize,
        of: impl Iterator<Item = usize>,
    ) {
        let grid = self.step.cells.grid;
        let chunks = self.step.chunks.len();
        for c in of {
            let chunk = &self.step.chunks[c];
            // SAFETY: a bias of 16 numbers for each chunk.
            let bias = unsafe { V::load(self.weights[self.step.bias + c * LINE..].as_ptr().cast()) };
            for square in 0..count {
                let mut m = [[bias.filled(0.0); 4]; 4];
                for (y, m) in m.iter_mut().enumerate() {
                    for (x, m) in m.iter_mut().enumerate() {
                        let line = ((4 * y + x) * chunks + c) * P + square;
                        // SAFETY: written by `multiply`.
                        *m = unsafe { V::load(self.arena.at(self.sums + line * LINE).cast()) };
                    }
                }
                let mut columns = [[bias.filled(0.0); 4]; 2];
                for x in 0..4 {
                    let [a, b] = sum_transform([m[0][x], m[1][x], m[2][x], m[3][x]]);
                    columns[0][x] = a;
                    columns[1][x] = b;
                }
                let (row, column) =
                    ((first + square) / self.filter.columns, (first + square) % self.filter.columns);
                for (dy, m) in columns.iter().enumerate() {
                    for (dx, sum) in sum_transform(*m).into_iter().enumerate() {
                        let (y, x) = (2 * row + dy, 2 * column + dx);
                        if y >= grid.height || x >= grid.width {
                            continue;
                        }
                        let cell = y * grid.pitch() + x;
                        let mut out = V::add(sum, bias);
                        if self.step.activation == Activation::Silu {
                            out = silu(out);
                        }
                        // SAFETY: the plan checked residual and output for every cell of the run.
                        unsafe {
                            if let Some(residual) = chunk.residual {
                                out = V::add(out, V::load(self.arena.at(residual + cell * LINE).cast()));
                            }
                            out.store(self.arena.at(chunk.output + cell * LINE).cast());
                        }
                    }
                }
            }
        }
    }
}

/// One axis of the inputs' transform.
#[inline(always)]
fn half_transform<V: Vector>([a, b, c, d]: [V; 4]) -> [V; 4] {
    [V::sub(a, c), V::add(b, c), V::sub(c, b), V::sub(b, d)]
}

/// One axis of the sums' transform.
#[inline(always)]
fn sum_transform<V: Vector>([a, b, c, d]: [V; 4]) -> [V; 2] {
    [V::add(V::add(a, b), c), V::sub(V::sub(b, c), d)]
}

/// How many squares at a time, of the counts that a tier has kernels for, leave the least idle.
pub(super) fn best_count(squares: usize, counts: &[usize]) -> usize {
    *counts.iter().min_by_key(|&&count| squares.div_ceil(count) * count).expect("a tier has a kernel")
}
