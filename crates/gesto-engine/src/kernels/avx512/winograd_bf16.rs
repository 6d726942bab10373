//! 3x3 convolution by minimal filtering (see [`plan::winograd`](crate::plan::winograd)) with bf16 dot products.
//!
//! Inputs are transformed in f32 and rounded to bf16 once more; weights were transformed in f32 before they were rounded.
//! Squares of one row share columns of their inputs, so a row is transformed from left to right.

use std::arch::x86_64::*;
use std::ops::Range;

use super::bf16_out::Bf16;
use super::ending::{CELLS, Finish, Sums, ending_of, with_ending};
use crate::kernels::memory::SharedArena;
use crate::kernels::winograd::best_count;
use crate::plan::layout::LINE;
use crate::plan::winograd::{POSITIONS, Winograd};
use crate::plan::{ConvStep, Share};

/// Squares transformed back together: two cells each in a row of output.
const TOGETHER: usize = CELLS / 2;

/// One thread's share of a convolution by minimal filtering: of all squares, or of those that are listed in ascending order.
///
/// `scratch` is the byte offset of `filter.scratch(chunks, 14)` bytes of the arena.
///
/// # Safety
/// `step` with its `filter`, `arena` and `weights` are of one plan; no other thread touches the scratch bytes or the
/// outputs of these squares and chunks, or writes its input; the processor has AVX-512 (F, BW, VL, DQ, BF16).
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
pub(in crate::kernels) unsafe fn winograd(
    step: &ConvStep,
    filter: &Winograd,
    arena: SharedArena<'_>,
    weights: &[u8],
    scratch: usize,
    share: Share,
    list: Option<&[u32]>,
) {
    // SAFETY: passed on from the caller.
    unsafe {
        match best_count(share.tiles.len(), &[14, 12, 10, 8]) {
            8 => run::<8>(step, filter, arena, weights, scratch, share, list),
            10 => run::<10>(step, filter, arena, weights, scratch, share, list),
            12 => run::<12>(step, filter, arena, weights, scratch, share, list),
            _ => run::<14>(step, filter, arena, weights, scratch, share, list),
        }
    }
}

/// `P` squares at a time.
///
/// # Safety
/// As [`winograd`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
unsafe fn run<const P: usize>(
    step: &ConvStep,
    filter: &Winograd,
    arena: SharedArena<'_>,
    weights: &[u8],
    scratch: usize,
    share: Share,
    list: Option<&[u32]>,
) {
    let sums = scratch + POSITIONS * filter.planes.len() * P * LINE;
    let work = Squares { step, filter, arena, weights, list, inputs: scratch, sums };
    for first in share.tiles.clone().step_by(P) {
        let squares = first..share.tiles.end.min(first + P);
        // SAFETY: passed on from the caller; a block has one or two chunks.
        unsafe {
            work.transform_inputs::<P>(squares.clone());
            for block in &step.blocks[share.blocks.clone()] {
                let (packed, first) = (weights[block.weights..].as_ptr(), block.chunks.start);
                let ending = ending_of::<Bf16<1>>(step, first, block.chunks.len());
                match block.chunks.len() {
                    1 => {
                        work.multiply::<P, 1>(packed);
                        with_ending!(ending, E => work.finish::<P, 1, E>(first, squares.clone()))
                    }
                    _ => {
                        work.multiply::<P, 2>(packed);
                        with_ending!(ending, E => work.finish::<P, 2, E>(first, squares.clone()))
                    }
                }
            }
        }
    }
}

struct Squares<'a> {
    step: &'a ConvStep,
    filter: &'a Winograd,
    arena: SharedArena<'a>,
    weights: &'a [u8],
    /// The squares' numbers, unless it is all of them.
    list: Option<&'a [u32]>,
    /// `[position][plane][square]`, a line of 32 channels each, even ones first.
    inputs: usize,
    /// Of one block: `[position][chunk][square]`, a line of 16 channels each.
    sums: usize,
}

/// Squares side by side: the number of the first within the run, its row and column, and how many.
struct Row {
    begin: usize,
    row: usize,
    column: usize,
    count: usize,
}

impl<'a> Squares<'a> {
    /// Cuts a run of squares into parts side by side, of at most `most`.
    fn rows(&self, squares: Range<usize>, most: usize) -> impl Iterator<Item = Row> + use<'a> {
        let (columns, list) = (self.filter.columns, self.list);
        let number = move |at: usize| list.map_or(at, |list| list[at] as usize);
        let mut next = squares.start;
        std::iter::from_fn(move || {
            let begin = next - squares.start;
            let first = (next < squares.end).then(|| number(next))?;
            let (row, column) = (first / columns, first % columns);
            let room = (columns - column).min(squares.end - next).min(most);
            let count = (1..room).find(|&more| number(next + more) != first + more).unwrap_or(room);
            next += count;
            Some(Row { begin, row, column, count })
        })
    }

    /// `B' d B` of each square's 4x4 inputs.
    ///
    /// # Safety
    /// As [`winograd`]; `squares` are at most `P`.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
    unsafe fn transform_inputs<const P: usize>(&self, squares: Range<usize>) {
        let pitch = self.step.cells.grid.pitch();
        let planes = self.filter.planes.len();
        for part in self.rows(squares, P) {
            // The cell above and before the first square's first.
            let corner = (2 * part.row * pitch + 2 * part.column) as isize - pitch as isize - 1;
            for (plane, &place) in self.filter.planes.iter().enumerate() {
                let from = self.arena.at_signed(place as isize + corner * LINE as isize);
                let to = self.arena.at(self.inputs + (plane * P + part.begin) * LINE);
                let (pitch, stride) = (pitch * LINE, planes * P * LINE);
                // SAFETY: the plan checked the squares' inputs, overhang included; the scratch has room for P squares of every
                // plane and position.
                unsafe {
                    transform_row::<false>(from, pitch, to, stride, part.count);
                    transform_row::<true>(from, pitch, to.add(LINE / 2), stride, part.count);
                }
            }
        }
    }

    /// The products of one block of `C` chunks at every position: plain matrix products.
    ///
    /// # Safety
    /// As [`winograd`]; `weights` are the block's.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
    unsafe fn multiply<const P: usize, const C: usize>(&self, mut weights: *const u8) {
        let mut line: *const u8 = self.arena.at(self.inputs);
        let mut to = self.arena.at(self.sums);
        for _ in 0..POSITIONS {
            let mut sums = [[_mm512_setzero_ps(); C]; P];
            for _ in 0..self.filter.planes.len() {
                for pair in 0..16 {
                    // SAFETY: P lines of scratch (those past the last square hold older finite numbers), and C lines of weights
                    // for each pair of numbers.
                    unsafe {
                        let mut w = [_mm512_setzero_si512(); C];
                        for (c, w) in w.iter_mut().enumerate() {
                            *w = _mm512_loadu_si512(weights.add(c * LINE).cast());
                        }
                        for (p, sums) in sums.iter_mut().enumerate() {
                            let numbers = line.add(p * LINE + 4 * pair).cast::<i32>().read_unaligned();
                            let numbers =
                                std::mem::transmute::<__m512i, __m512bh>(_mm512_set1_epi32(numbers));
                            for c in 0..C {
                                let w = std::mem::transmute::<__m512i, __m512bh>(w[c]);
                                sums[c] = _mm512_dpbf16_ps(sums[c], numbers, w);
                            }
                        }
                    }
                    weights = weights.wrapping_add(C * LINE);
                }
                line = line.wrapping_add(P * LINE);
            }
            for c in 0..C {
                for p in 0..P {
                    // SAFETY: the scratch has room for P squares of every chunk of a block and position.
                    unsafe { _mm512_storeu_ps(to.add((c * P + p) * LINE).cast(), sums[p][c]) };
                }
            }
            to = to.wrapping_add(C * P * LINE);
        }
    }

    /// `A' m A` of each square's sums, and the rest of the convolution.
    ///
    /// # Safety
    /// As [`winograd`]; the `C` chunks from `first` on end with `E`, and their sums were made by `multiply`.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
    unsafe fn finish<const P: usize, const C: usize, const E: u8>(
        &self,
        first: usize,
        squares: Range<usize>,
    ) {
        let grid = self.step.cells.grid;
        // SAFETY: passed on from the caller.
        let finish = unsafe { Finish::<Bf16<C>, C, E>::new(self.step, self.arena, self.weights, first) };
        // Of both rows of output.
        let mut stored = [Sums::<C>::ZERO; 2];
        for part in self.rows(squares, TOGETHER) {
            for c in 0..C {
                for square in 0..part.count {
                    let from = self.arena.at(self.sums + (c * P + part.begin + square) * LINE);
                    let mut columns = [[_mm512_setzero_ps(); 4]; 2];
                    for x in 0..4 {
                        let mut m = [_mm512_setzero_ps(); 4];
                        for (y, m) in m.iter_mut().enumerate() {
                            // SAFETY: written by `multiply`.
                            *m = unsafe { _mm512_loadu_ps(from.add((4 * y + x) * C * P * LINE).cast()) };
                        }
                        [columns[0][x], columns[1][x]] = sum_transform(m);
                    }
                    for (stored, m) in stored.iter_mut().zip(columns) {
                        for (x, sum) in sum_transform(m).into_iter().enumerate() {
                            // SAFETY: 16 numbers.
                            unsafe { _mm512_store_ps(stored.at_mut(c, 2 * square + x).cast(), sum) };
                        }
                    }
                }
            }
            let (top, left) = (2 * part.row, 2 * part.column);
            // Squares may hang over the last row and column.
            let cells = (2 * part.count).min(grid.width - left);
            for (y, stored) in (top..grid.height).zip(&stored) {
                // SAFETY: cells of the run that are this thread's.
                unsafe { finish.rows(y * grid.pitch() + left, 0..cells, stored) };
            }
        }
    }
}

/// Transforms the inputs of `count` squares side by side, the odd or the even channels of one plane. `from` is the cell above
/// and before the first; the rows of a plane are `pitch` bytes apart, the positions of a square `stride`.
///
/// # Safety
/// There are four rows of `2 count + 2` cells at `from`, and room for half a line of each square and position at `to`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
unsafe fn transform_row<const ODD: bool>(
    from: *const u8,
    pitch: usize,
    to: *mut u8,
    stride: usize,
    count: usize,
) {
    // SAFETY: passed on from the caller, here and below.
    let mut columns = unsafe { [column::<ODD>(from, pitch), column::<ODD>(from.add(LINE), pitch)] };
    for square in 0..count {
        let [a, b] = columns;
        let next = from.wrapping_add((2 * square + 2) * LINE);
        // SAFETY: as above.
        columns = unsafe { [column::<ODD>(next, pitch), column::<ODD>(next.wrapping_add(LINE), pitch)] };
        let [c, d] = columns;
        let to = to.wrapping_add(square * LINE);
        for y in 0..4 {
            for (x, number) in half_transform([a[y], b[y], c[y], d[y]]).into_iter().enumerate() {
                let half = std::mem::transmute::<__m256bh, __m256i>;
                // SAFETY: both types are 256 bits; as above.
                unsafe {
                    let number = half(_mm512_cvtneps_pbh(number));
                    _mm256_storeu_si256(to.wrapping_add((4 * y + x) * stride).cast(), number);
                }
            }
        }
    }
}

/// One column of a square, odd or even channels, transformed.
///
/// # Safety
/// There are four cells at `from`, `pitch` bytes apart.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn column<const ODD: bool>(from: *const u8, pitch: usize) -> [__m512; 4] {
    let mut column = [_mm512_setzero_ps(); 4];
    for (y, number) in column.iter_mut().enumerate() {
        // SAFETY: passed on from the caller.
        let pairs = unsafe { _mm512_loadu_si512(from.add(y * pitch).cast()) };
        // A bf16 is the upper half of an f32.
        let wide = match ODD {
            true => _mm512_and_si512(pairs, _mm512_set1_epi32(!0xffff)),
            false => _mm512_slli_epi32::<16>(pairs),
        };
        *number = _mm512_castsi512_ps(wide);
    }
    half_transform(column)
}

/// One axis of the inputs' transform.
#[target_feature(enable = "avx512f")]
#[inline]
fn half_transform([a, b, c, d]: [__m512; 4]) -> [__m512; 4] {
    [_mm512_sub_ps(a, c), _mm512_add_ps(b, c), _mm512_sub_ps(c, b), _mm512_sub_ps(b, d)]
}

/// One axis of the sums' transform.
#[target_feature(enable = "avx512f")]
#[inline]
fn sum_transform([a, b, c, d]: [__m512; 4]) -> [__m512; 2] {
    [_mm512_add_ps(_mm512_add_ps(a, b), c), _mm512_sub_ps(_mm512_sub_ps(b, c), d)]
}
