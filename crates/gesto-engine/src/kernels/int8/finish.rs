//! The last part of a convolution of bytes, in AVX-512: what [`scalar`] spells out, for 16 numbers at
//! once, or for 32 of 16 bits by a [`Curve`].

use std::arch::x86_64::*;

use super::curve::Curve;
use super::{lists, scalar};
use crate::kernels::avx512::flags::{OTHER, PAIR};
use crate::kernels::avx512::{Numbers, Sigmoid, Sources, activated, wide};
use crate::kernels::sigmoid::{FOR_BYTES, MAGIC};
use crate::plan::layout::LINE;
use crate::plan::{Chunk, ConvStep};

/// Scale, bias, activation, residual and rounding to bytes.
pub(in crate::kernels) struct Bytes<const C: usize> {
    bias: [__m512; C],
    scale: [__m512; C],
    /// In steps of the output.
    sigmoid: [Sigmoid; C],
    steps: [Steps; C],
    /// Where the step has them; scale and bias then give their arguments.
    curves: [Pieces; C],
}

/// A [`Curve`] in registers.
#[derive(Debug, Clone, Copy)]
struct Pieces {
    coefficients: [__m512i; 3],
    whole: __m512i,
    per_unit: __m512,
}

impl Pieces {
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn load(curve: &Curve) -> Self {
        let mut coefficients = [_mm512_setzero_si512(); 3];
        for (to, list) in coefficients.iter_mut().zip(&curve.coefficients) {
            // SAFETY: 32 numbers of 16 bits.
            *to = unsafe { _mm512_loadu_si512(list.as_ptr().cast()) };
        }
        Self { coefficients, whole: _mm512_set1_epi16(curve.whole), per_unit: _mm512_set1_ps(curve.per_unit) }
    }

    /// [`Curve::at`] before the last clamp.
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn at(&self, x: __m512i) -> __m512i {
        let place = _mm512_srai_epi16::<11>(x);
        let f = _mm512_xor_si512(_mm512_slli_epi16::<5>(x), _mm512_set1_epi16(i16::MIN));
        let [c0, c1, c2] = self.coefficients;
        let c0 = _mm512_permutexvar_epi16(place, c0);
        let c1 = _mm512_permutexvar_epi16(place, c1);
        let c2 = _mm512_permutexvar_epi16(place, c2);
        let slope = _mm512_adds_epi16(_mm512_mulhrs_epi16(c2, f), c1);
        _mm512_mulhrs_epi16(_mm512_adds_epi16(_mm512_mulhrs_epi16(slope, f), c0), self.whole)
    }
}

/// Words to bytes, clamped, and the dwords that packing to words had mixed in order again: 32 bytes that count.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn packed(words: __m512i) -> __m512i {
    let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 0, 0, 0, 0, 0, 0, 0, 0);
    _mm512_permutexvar_epi32(order, _mm512_packus_epi16(words, words))
}

impl<const C: usize> Bytes<C> {
    /// Rounds and stores two chunks side by side.
    ///
    /// # Safety
    /// There is room at `to`; the processor has AVX-512 (F, BW, VL, DQ).
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    unsafe fn store_two(to: *mut u8, first: __m512, second: __m512) {
        // Packing clamps, and leaves the dwords of both mixed.
        let words = _mm512_packs_epi32(whole(first), whole(second));
        // SAFETY: passed on from the caller.
        unsafe { _mm256_storeu_si256(to.cast(), _mm512_castsi512_si256(packed(words))) };
    }

    /// Rounds and stores one chunk.
    ///
    /// # Safety
    /// As [`store_two`](Self::store_two).
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    unsafe fn store_one(to: *mut u8, numbers: __m512) {
        let positive = _mm512_max_epi32(whole(numbers), _mm512_setzero_si512());
        // SAFETY: passed on from the caller.
        unsafe { _mm_storeu_si128(to.cast(), _mm512_cvtusepi32_epi8(positive)) };
    }

    /// The arguments of the curve, in dwords.
    ///
    /// # Safety
    /// As [`Numbers::numbers`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    unsafe fn argument<const E: u8>(&self, c: usize, from: Sources) -> __m512i {
        // SAFETY: the caller gives 16 numbers at each pointer.
        unsafe {
            let sums = _mm512_cvtepi32_ps(_mm512_load_si512(from.sums.cast()));
            let mut x = _mm512_fmadd_ps(sums, self.scale[c], self.bias[c]);
            if let Some(partial) = from.partial {
                let of = if E & PAIR != 0 { 0 } else { c };
                x = _mm512_fmadd_ps(_mm512_load_ps(partial.cast()), self.curves[of].per_unit, x);
            }
            whole(x)
        }
    }
}

/// How numbers become steps of a chunk's bytes, in every lane.
#[derive(Debug, Clone, Copy)]
struct Steps {
    per_unit: __m512,
    zero: __m512,
    per_residual: __m512,
}

impl<const C: usize> Numbers<C> for Bytes<C> {
    const BYTES: usize = LINE / 4;

    /// # Safety
    /// As [`Numbers::new`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    unsafe fn new<const E: u8>(step: &ConvStep, weights: &[u8], first: usize) -> Self {
        let mut lines = [[_mm512_setzero_ps(); C]; 2];
        for (list, lines) in lines.iter_mut().enumerate() {
            for (c, line) in lines.iter_mut().enumerate() {
                let at = lists(step, first + c)[list];
                // SAFETY: the plan checked one line of each list for each chunk.
                *line = unsafe { _mm512_loadu_ps(weights[at..at + LINE].as_ptr().cast()) };
            }
        }
        let [mut bias, mut scale] = lines;
        let none = Pieces {
            coefficients: [_mm512_setzero_si512(); 3],
            whole: _mm512_setzero_si512(),
            per_unit: _mm512_setzero_ps(),
        };
        let mut curves = [none; C];
        if !step.curves.is_empty() {
            for c in 0..C {
                curves[c] = Pieces::load(&step.curves[first + c]);
                scale[c] = _mm512_mul_ps(scale[c], curves[c].per_unit);
                bias[c] = _mm512_fmadd_ps(bias[c], curves[c].per_unit, _mm512_set1_ps(MAGIC));
            }
        }
        let zero = _mm512_setzero_ps();
        let mut steps = [Steps { per_unit: zero, zero, per_residual: zero }; C];
        let mut sigmoid = [Sigmoid::load(&FOR_BYTES, 1.0); C];
        for c in 0..C {
            let scalar::Steps { per_unit, zero, per_residual } =
                scalar::Steps::of(step, &step.chunks[first + c]);
            steps[c] = Steps {
                per_unit: _mm512_set1_ps(per_unit),
                zero: _mm512_set1_ps(zero),
                per_residual: _mm512_set1_ps(per_residual),
            };
            sigmoid[c] = Sigmoid::load(&FOR_BYTES, per_unit);
        }
        Self { bias, scale, sigmoid, steps, curves }
    }

    /// # Safety
    /// As [`Numbers::numbers`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    unsafe fn numbers<const E: u8>(&self, step: &ConvStep, c: usize, from: Sources) -> __m512 {
        let Sources { sums, partial, residual } = from;
        // Both chunks of a pair are of one map: no registers for the second one's copies.
        let of = if E & PAIR != 0 { 0 } else { c };
        let Steps { per_unit, zero, per_residual } = self.steps[of];
        // SAFETY: the caller gives 16 numbers at each pointer.
        unsafe {
            let sums = _mm512_cvtepi32_ps(_mm512_load_si512(sums.cast()));
            let mut x = _mm512_fmadd_ps(sums, self.scale[c], self.bias[c]);
            if let Some(partial) = partial {
                x = _mm512_add_ps(x, _mm512_load_ps(partial.cast()));
            }
            if activated::<E>(step) {
                x = _mm512_fmadd_ps(x, self.sigmoid[of].at(x), zero);
            } else if E == OTHER {
                x = _mm512_fmadd_ps(x, per_unit, zero);
            }
            if let Some(residual) = residual {
                let bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128(residual.cast()));
                x = _mm512_fmadd_ps(_mm512_cvtepi32_ps(bytes), per_residual, x);
                if !wide::<E>(step) {
                    x = _mm512_add_ps(x, _mm512_set1_ps(MAGIC));
                }
            }
            x
        }
    }

    /// # Safety
    /// As [`Numbers::two`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    unsafe fn two<const E: u8>(&self, step: &ConvStep, chunks: [usize; 2], from: [Sources; 2], to: *mut u8) {
        // SAFETY: passed on from the caller.
        unsafe {
            if !step.curves.is_empty() {
                // Both chunks are of one map.
                let first = self.argument::<E>(chunks[0], from[0]);
                let second = self.argument::<E>(chunks[1], from[1]);
                let words = self.curves[chunks[0]].at(_mm512_packs_epi32(first, second));
                return _mm256_storeu_si256(to.cast(), _mm512_castsi512_si256(packed(words)));
            }
            let first = self.numbers::<E>(step, chunks[0], from[0]);
            let second = self.numbers::<E>(step, chunks[1], from[1]);
            Self::store_two(to, first, second);
        }
    }

    /// # Safety
    /// As [`Numbers::one`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    unsafe fn one<const E: u8>(&self, step: &ConvStep, chunk: usize, from: Sources, to: *mut u8) {
        // SAFETY: passed on from the caller.
        unsafe {
            if !step.curves.is_empty() {
                let x = self.argument::<E>(chunk, from);
                let words = self.curves[chunk].at(_mm512_packs_epi32(x, x));
                return _mm_storeu_si128(to.cast(), _mm512_castsi512_si128(packed(words)));
            }
            Self::store_one(to, self.numbers::<E>(step, chunk, from));
        }
    }

    /// # Safety
    /// As [`Numbers::store_zero`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    unsafe fn store_zero(to: *mut u8, chunk: &Chunk) {
        // SAFETY: passed on from the caller.
        unsafe { _mm_storeu_si128(to.cast(), _mm_set1_epi8(chunk.quantization.zero as i8)) };
    }
}

/// The whole numbers that adding [`MAGIC`] has left in the lowest bits.
#[target_feature(enable = "avx512f")]
#[inline]
fn whole(numbers: __m512) -> __m512i {
    _mm512_sub_epi32(_mm512_castps_si512(numbers), _mm512_set1_epi32(MAGIC.to_bits() as i32))
}
