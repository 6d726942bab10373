//! AVX2 with FMA: 16 numbers in two registers.

use std::arch::x86_64::*;

use super::memory::SharedArena;
use super::vector::Vector;
use super::{ceiling, conv_f32, pool, winograd};
use crate::plan::winograd::Winograd;
use crate::plan::{ConvStep, PoolStep, Share, Tile};

/// Cells of a tile: 6 by 16 numbers take 12 of the 16 registers.
pub(super) const CELLS: usize = 6;

#[derive(Clone, Copy)]
struct Ymm2(__m256, __m256);

// SAFETY (of every block below): the processor has AVX2 and FMA, which `splat` and `load` require, and of which a value is
// proof.
impl Vector for Ymm2 {
    /// # Safety
    /// As [`Vector::splat`].
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: see the impl.
        unsafe { Self(_mm256_set1_ps(x), _mm256_set1_ps(x)) }
    }

    /// # Safety
    /// As [`Vector::load`].
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: see the impl; the caller gives 16 readable numbers.
        unsafe { Self(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
    }

    /// # Safety
    /// As [`Vector::store`].
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: see the impl; the caller gives room for 16 numbers.
        unsafe {
            _mm256_storeu_ps(to, self.0);
            _mm256_storeu_ps(to.add(8), self.1);
        }
    }

    #[inline(always)]
    fn add(a: Self, b: Self) -> Self {
        // SAFETY: see the impl.
        unsafe { Self(_mm256_add_ps(a.0, b.0), _mm256_add_ps(a.1, b.1)) }
    }

    #[inline(always)]
    fn sub(a: Self, b: Self) -> Self {
        // SAFETY: see the impl.
        unsafe { Self(_mm256_sub_ps(a.0, b.0), _mm256_sub_ps(a.1, b.1)) }
    }

    #[inline(always)]
    fn mul(a: Self, b: Self) -> Self {
        // SAFETY: see the impl.
        unsafe { Self(_mm256_mul_ps(a.0, b.0), _mm256_mul_ps(a.1, b.1)) }
    }

    #[inline(always)]
    fn div(a: Self, b: Self) -> Self {
        // SAFETY: see the impl.
        unsafe { Self(_mm256_div_ps(a.0, b.0), _mm256_div_ps(a.1, b.1)) }
    }

    #[inline(always)]
    fn min(a: Self, b: Self) -> Self {
        // SAFETY: see the impl.
        unsafe { Self(_mm256_min_ps(a.0, b.0), _mm256_min_ps(a.1, b.1)) }
    }

    #[inline(always)]
    fn max(a: Self, b: Self) -> Self {
        // SAFETY: see the impl.
        unsafe { Self(_mm256_max_ps(a.0, b.0), _mm256_max_ps(a.1, b.1)) }
    }

    #[inline(always)]
    fn mul_add(a: Self, b: Self, c: Self) -> Self {
        // SAFETY: see the impl.
        unsafe { Self(_mm256_fmadd_ps(a.0, b.0, c.0), _mm256_fmadd_ps(a.1, b.1, c.1)) }
    }

    #[inline(always)]
    fn scale(x: Self, n: Self) -> Self {
        // SAFETY: see the impl.
        unsafe {
            let power = |n: __m256| {
                let biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
            };
            Self::mul(x, Self(power(n.0), power(n.1)))
        }
    }
}

/// One thread's share of a convolution.
///
/// # Safety
/// As [`conv_f32::run`]; the processor has AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn conv(
    step: &ConvStep,
    arena: SharedArena<'_>,
    weights: &[u8],
    tiles: &[Tile],
    share: Share,
) {
    // SAFETY: passed on from the caller.
    unsafe { conv_f32::run::<Ymm2, CELLS>(step, arena, weights, tiles, share) }
}

/// The ceiling's loop for this tier.
///
/// # Safety
/// The processor has AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn multiply_registers(turns: usize) -> usize {
    // SAFETY: passed on from the caller.
    unsafe { ceiling::multiply_adds::<Ymm2, 5>(turns) }
}

/// One thread's share of a convolution by minimal filtering.
///
/// # Safety
/// As [`winograd::run`]; the processor has AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn winograd(
    step: &ConvStep,
    filter: &Winograd,
    arena: SharedArena<'_>,
    weights: &[u8],
    scratch: usize,
    share: Share,
) {
    // SAFETY: passed on from the caller.
    unsafe { winograd::run::<Ymm2, CELLS>(step, filter, arena, weights, scratch, share) }
}

/// Max pools of one plane.
///
/// # Safety
/// As [`pool::run`]; the processor has AVX2.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn pool(step: &PoolStep, arena: SharedArena<'_>, planes: &[usize]) {
    // SAFETY: passed on from the caller.
    unsafe { pool::run::<pool::F32<Ymm2>>(step, arena, planes) }
}
