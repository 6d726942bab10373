//! AVX-512, f32: 16 numbers in one register.

use std::arch::x86_64::*;

use crate::kernels::memory::SharedArena;
use crate::kernels::vector::Vector;
use crate::kernels::{ceiling, conv_f32, winograd};
use crate::plan::layout::Grid;
use crate::plan::winograd::Winograd;
use crate::plan::{ConvStep, Share, Tile, Tiling};

/// Cells of a tile for an output grid: 14 by two chunks take 28 of the 32 registers; 8 where rows are not to be mixed
/// (stride 2) and 14 would leave more of the last tile unused.
pub(in crate::kernels) fn cells(grid: Grid, stride: usize) -> usize {
    let waste = |len: usize| grid.width.div_ceil(len) * len;
    if stride == 1 || waste(14) <= waste(8) { 14 } else { 8 }
}

/// How the bf16 kernel cuts an output grid into tiles of 14 or 8 cells: along rows, or two rows at a time, where less is then
/// wasted on borders and the end of the last tile.
pub(in crate::kernels) fn tiling(grid: Grid, stride: usize) -> Tiling {
    let Grid { height, width } = grid;
    let rows = |cells: usize| width.div_ceil(cells) * cells * height;
    let run = (height * (width + 1)).div_ceil(14) * 14;
    let folded = |cells: usize| if 2 * width == cells { height.div_ceil(2) * cells } else { usize::MAX };
    let tiling = |cells, by_rows, folded| Tiling { cells, by_rows, folded };
    // In order of preference, with the cells that each computes; tiles of 8 take a little longer for a cell.
    let choices = [
        (if stride == 1 { run } else { usize::MAX }, tiling(14, false, false)),
        (rows(14), tiling(14, true, false)),
        (folded(14), tiling(14, true, true)),
        (rows(8) + rows(8) / 16, tiling(8, true, false)),
        (folded(8).saturating_add(rows(4) / 16), tiling(8, true, true)),
    ];
    choices.into_iter().min_by_key(|choice| choice.0).expect("there are some").1
}

#[derive(Clone, Copy)]
pub(super) struct Zmm(__m512);

// SAFETY (of every block below): the processor has AVX-512F, which `splat` and `load` require, and of which a value is proof.
impl Vector for Zmm {
    /// # Safety
    /// As [`Vector::splat`].
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: see the impl.
        unsafe { Self(_mm512_set1_ps(x)) }
    }

    /// # Safety
    /// As [`Vector::load`].
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: see the impl; the caller gives 16 readable numbers.
        unsafe { Self(_mm512_loadu_ps(from)) }
    }

    /// # Safety
    /// As [`Vector::store`].
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: see the impl; the caller gives room for 16 numbers.
        unsafe { _mm512_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    fn add(a: Self, b: Self) -> Self {
        // SAFETY: see the impl.
        unsafe { Self(_mm512_add_ps(a.0, b.0)) }
    }

    #[inline(always)]
    fn sub(a: Self, b: Self) -> Self {
        // SAFETY: see the impl.
        unsafe { Self(_mm512_sub_ps(a.0, b.0)) }
    }

    #[inline(always)]
    fn mul(a: Self, b: Self) -> Self {
        // SAFETY: see the impl.
        unsafe { Self(_mm512_mul_ps(a.0, b.0)) }
    }

    #[inline(always)]
    fn div(a: Self, b: Self) -> Self {
        // A 14-bit reciprocal and one Newton step are as good as the division here, and four times as fast.
        // SAFETY: see the impl.
        unsafe {
            let r = _mm512_rcp14_ps(b.0);
            let r = _mm512_fmadd_ps(r, _mm512_fnmadd_ps(b.0, r, _mm512_set1_ps(1.0)), r);
            Self(_mm512_mul_ps(a.0, r))
        }
    }

    #[inline(always)]
    fn min(a: Self, b: Self) -> Self {
        // SAFETY: see the impl.
        unsafe { Self(_mm512_min_ps(a.0, b.0)) }
    }

    #[inline(always)]
    fn max(a: Self, b: Self) -> Self {
        // SAFETY: see the impl.
        unsafe { Self(_mm512_max_ps(a.0, b.0)) }
    }

    #[inline(always)]
    fn mul_add(a: Self, b: Self, c: Self) -> Self {
        // SAFETY: see the impl.
        unsafe { Self(_mm512_fmadd_ps(a.0, b.0, c.0)) }
    }

    #[inline(always)]
    fn scale(x: Self, n: Self) -> Self {
        // SAFETY: see the impl.
        unsafe { Self(_mm512_scalef_ps(x.0, n.0)) }
    }
}

/// One thread's share of a convolution.
///
/// # Safety
/// As [`conv_f32::run`]; the processor has AVX-512F.
#[target_feature(enable = "avx512f")]
pub(in crate::kernels) unsafe fn conv(
    step: &ConvStep,
    arena: SharedArena<'_>,
    weights: &[u8],
    tiles: &[Tile],
    share: Share,
) {
    let stride = step.row / step.input_cell;
    // SAFETY: passed on from the caller.
    unsafe {
        match cells(step.cells.grid, stride) {
            8 => conv_f32::run::<Zmm, 8>(step, arena, weights, tiles, share),
            _ => conv_f32::run::<Zmm, 14>(step, arena, weights, tiles, share),
        }
    }
}

/// The ceiling's loop for this tier.
///
/// # Safety
/// The processor has AVX-512F.
#[target_feature(enable = "avx512f")]
pub(in crate::kernels) unsafe fn multiply_registers(turns: usize) -> usize {
    // SAFETY: passed on from the caller.
    unsafe { ceiling::multiply_adds::<Zmm, { ceiling::SUMS }>(turns) }
}

/// One thread's share of a convolution by minimal filtering.
///
/// # Safety
/// As [`winograd::run`]; the processor has AVX-512F.
#[target_feature(enable = "avx512f")]
pub(in crate::kernels) unsafe fn winograd(
    step: &ConvStep,
    filter: &Winograd,
    arena: SharedArena<'_>,
    weights: &[u8],
    scratch: usize,
    share: Share,
) {
    // SAFETY: passed on from the caller.
    unsafe {
        match winograd::best_count(share.tiles.len(), &[14, 12, 10]) {
            10 => winograd::run::<Zmm, 10>(step, filter, arena, weights, scratch, share),
            12 => winograd::run::<Zmm, 12>(step, filter, arena, weights, scratch, share),
            _ => winograd::run::<Zmm, 14>(step, filter, arena, weights, scratch, share),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_tiles_waste_little_on_the_maps_of_common_inputs() {
        // 320 x 224 and 256 x 128 at strides 8, 16 and 32.
        for (height, width) in [(40, 28), (20, 14), (10, 7), (32, 16), (16, 8), (8, 4)] {
            for stride in [1, 2] {
                let tiling = tiling(Grid { height, width }, stride);
                let cells = usize::from(tiling.cells);
                let computed = match tiling {
                    Tiling { folded: true, .. } => height.div_ceil(2) * cells,
                    Tiling { by_rows: true, .. } => height * width.next_multiple_of(cells),
                    _ => (height * (width + 1)).next_multiple_of(cells),
                };
                assert_eq!(computed, height * width, "{height} x {width}, stride {stride}: {tiling:?}");
            }
        }
    }
}
