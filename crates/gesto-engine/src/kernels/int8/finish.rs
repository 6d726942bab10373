//! The last part of a convolution of bytes, in AVX-512: what [`scalar`] spells out, for 16 numbers at
//! once, or for 32 of 16 bits by a [`Curve`].

use std::arch::x86_64::*;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::curve::Curve;
use super::lookup::{ByWords, Lookup};
use super::{lists, scalar};
use crate::kernels::avx512::flags::{OTHER, PAIR, WIDE};
use crate::kernels::avx512::{Numbers, Sigmoid, Sources, activated, wide};
use crate::kernels::sigmoid::{FOR_BYTES, MAGIC};
use crate::plan::layout::LINE;
use crate::plan::{Chunk, ConvStep};

/// Scale, bias, activation, residual and rounding to bytes.
pub(in crate::kernels) struct Bytes<const C: usize, L = ByWords> {
    bias: [__m512; C],
    scale: [__m512; C],
    /// In steps of the output.
    sigmoid: [Sigmoid; C],
    steps: [Steps; C],
    /// Where the step has them; scale and bias then give their arguments.
    curves: [Pieces<L>; C],
}

/// A [`Curve`] in registers.
#[derive(Debug)]
struct Pieces<L> {
    coefficients: [__m512i; 3],
    residual: __m512i,
    whole: __m512i,
    per_unit: __m512,
    lookup: PhantomData<L>,
}

impl<L: Lookup> Pieces<L> {
    /// # Safety
    /// The processor has AVX-512 (F, BW, VL) and what the lookup needs. So for all functions here.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    #[inline]
    unsafe fn load(curve: &Curve) -> Self {
        let mut coefficients = [_mm512_setzero_si512(); 3];
        for (to, list) in coefficients.iter_mut().zip(&curve.coefficients) {
            // SAFETY: passed on from the caller.
            *to = unsafe { L::list(list) };
        }
        Self {
            coefficients,
            residual: _mm512_set1_epi16(curve.residual as i16),
            whole: _mm512_set1_epi16(curve.whole),
            per_unit: _mm512_set1_ps(curve.per_unit),
            lookup: PhantomData,
        }
    }

    /// For steps without curves.
    // SAFETY: all fields but the marker, which is empty, are vectors of numbers, and those may be zeros.
    const NONE: Self = unsafe { MaybeUninit::zeroed().assume_init() };

    /// What [`Curve::at`] clamps, for the arguments of two chunks; `residual` has their bytes in order, the first chunk's first.
    ///
    /// # Safety
    /// As [`load`](Self::load).
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    #[inline]
    unsafe fn at(&self, first: __m512i, second: __m512i, residual: Option<__m256i>) -> __m512i {
        // Packing clamps, and leaves the dwords of both mixed.
        let x = _mm512_packs_epi32(first, second);
        let f = _mm512_xor_si512(_mm512_slli_epi16::<5>(x), _mm512_set1_epi16(i16::MIN));
        // SAFETY: passed on from the caller.
        unsafe {
            let places = L::places(x);
            let [c0, c1, c2] = self.coefficients;
            let (c0, c1, c2) = (L::find(places, c0), L::find(places, c1), L::find(places, c2));
            let slope = _mm512_add_epi16(_mm512_mulhrs_epi16(c2, f), c1);
            let mut parts = _mm512_adds_epi16(_mm512_mulhrs_epi16(slope, f), c0);
            if let Some(residual) = residual {
                let mixed = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
                let bytes = _mm256_permutevar8x32_epi32(residual, mixed);
                let words = _mm512_slli_epi16::<8>(_mm512_cvtepu8_epi16(bytes));
                parts = _mm512_adds_epi16(parts, _mm512_mulhi_epu16(words, self.residual));
            }
            _mm512_mulhrs_epi16(parts, self.whole)
        }
    }
}

/// Words to bytes, clamped, and the dwords that packing had mixed in order again: the first register's 32, then the second's.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn packed(first: __m512i, second: __m512i) -> __m512i {
    let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    _mm512_permutexvar_epi32(order, _mm512_packus_epi16(first, second))
}

impl<const C: usize, L: Lookup> Bytes<C, L> {
    /// Rounds and stores one chunk.
    ///
    /// # Safety
    /// There is room at `to`; the processor has AVX-512 (F, BW, VL, DQ).
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    unsafe fn store_one(to: *mut u8, numbers: __m512) {
        let positive = _mm512_max_epi32(whole(numbers), _mm512_setzero_si512());
        // SAFETY: passed on from the caller.
        unsafe { _mm_storeu_si128(to.cast(), _mm512_cvtusepi32_epi8(positive)) };
    }

    /// Rounded words of two neighbouring chunks, mixed as packing leaves them.
    ///
    /// # Safety
    /// As [`Numbers::two`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    unsafe fn words<const E: u8>(&self, chunks: [usize; 2], from: [Sources; 2]) -> __m512i {
        debug_assert!(curved::<E>());
        // SAFETY: passed on from the caller. Both chunks are of one map.
        unsafe {
            let first = self.argument::<E>(chunks[0], from[0]);
            let second = self.argument::<E>(chunks[1], from[1]);
            let residual =
                if let [Sources { residual: Some(first), .. }, Sources { residual: Some(second), .. }] = from
                {
                    let first = _mm256_castsi128_si256(_mm_loadu_si128(first.cast()));
                    Some(_mm256_inserti128_si256::<1>(first, _mm_loadu_si128(second.cast())))
                } else {
                    None
                };
            self.curves[chunks[0]].at(first, second, residual)
        }
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
                // Both chunks of a pair are of one map: no register for the second one's copy.
                let of = if E & PAIR != 0 { 0 } else { c };
                x = _mm512_fmadd_ps(_mm512_load_ps(partial.cast()), self.curves[of].per_unit, x);
            }
            whole(x)
        }
    }
}

/// Whether the step has curves: pairs of chunks and narrow ones always do.
const fn curved<const E: u8>() -> bool {
    !matches!(E, WIDE | OTHER)
}

/// How numbers become steps of a chunk's bytes, in every lane.
#[derive(Debug, Clone, Copy)]
struct Steps {
    per_unit: __m512,
    zero: __m512,
    per_residual: __m512,
}

impl<const C: usize, L: Lookup> Numbers<C> for Bytes<C, L> {
    const BYTES: usize = LINE / 4;
    const CURVES: bool = true;
    const BY_FOUR: bool = true;

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
        let mut curves = [Pieces::NONE; C];
        if curved::<E>() {
            for c in 0..C {
                let curve = &step.curves[first + c];
                // SAFETY: passed on from the caller.
                curves[c] = unsafe { Pieces::load(curve) };
                let above = _mm512_sub_ps(bias[c], _mm512_set1_ps(curve.middle));
                bias[c] = _mm512_fmadd_ps(above, curves[c].per_unit, _mm512_set1_ps(MAGIC));
                scale[c] = _mm512_mul_ps(scale[c], curves[c].per_unit);
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
        // Everything else ends with curves.
        debug_assert!(!curved::<E>());
        let Sources { sums, partial, residual } = from;
        let Steps { per_unit, zero, per_residual } = self.steps[c];
        // SAFETY: the caller gives 16 numbers at each pointer.
        unsafe {
            let sums = _mm512_cvtepi32_ps(_mm512_load_si512(sums.cast()));
            let mut x = _mm512_fmadd_ps(sums, self.scale[c], self.bias[c]);
            if let Some(partial) = partial {
                x = _mm512_add_ps(x, _mm512_load_ps(partial.cast()));
            }
            if activated::<E>(step) {
                x = _mm512_fmadd_ps(x, self.sigmoid[c].at(x), zero);
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
    unsafe fn two<const E: u8>(
        &self,
        _: &ConvStep,
        chunks: [usize; 2],
        from: [Sources; 2],
        to: *mut u8,
        alone: bool,
    ) {
        // SAFETY: passed on from the caller.
        unsafe {
            let words = self.words::<E>(chunks, from);
            let bytes = _mm512_castsi512_si256(packed(words, words));
            if alone {
                _mm_storeu_si128(to.cast(), _mm256_castsi256_si128(bytes));
            } else {
                _mm256_storeu_si256(to.cast(), bytes);
            }
        }
    }

    /// # Safety
    /// As [`Numbers::twice`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    unsafe fn twice<const E: u8>(
        &self,
        _: &ConvStep,
        chunks: [usize; 2],
        from: [[Sources; 2]; 2],
        to: [*mut u8; 2],
    ) {
        // SAFETY: passed on from the caller.
        unsafe {
            let (first, second) = (self.words::<E>(chunks, from[0]), self.words::<E>(chunks, from[1]));
            let bytes = packed(first, second);
            _mm256_storeu_si256(to[0].cast(), _mm512_castsi512_si256(bytes));
            _mm256_storeu_si256(to[1].cast(), _mm512_extracti64x4_epi64::<1>(bytes));
        }
    }

    /// # Safety
    /// As [`Numbers::one`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    unsafe fn one<const E: u8>(&self, step: &ConvStep, chunk: usize, from: Sources, to: *mut u8) {
        // SAFETY: passed on from the caller.
        unsafe {
            if curved::<E>() {
                // Both halves come out the same.
                let words = self.words::<E>([chunk; 2], [from; 2]);
                return _mm_storeu_si128(to.cast(), _mm512_castsi512_si128(packed(words, words)));
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::lookup::ByBytes;
    use super::*;
    use crate::model::Quantization;

    /// Maps at the ends of what has curves, and what is added to them.
    fn curves() -> Vec<Curve> {
        let mut curves = Vec::new();
        for (scale, zero) in [(0.002, 0), (0.002, 255), (0.02, 14), (0.06, 3), (0.25, 0), (0.25, 255)] {
            curves.extend(Curve::new(Quantization { scale, zero }, None));
            for (times, zero) in
                [(1e-6, 255), (0.03, 0), (0.7, 9), (1.0, 255), (3.98, 0), (4.0, 40), (4.0, 255)]
            {
                let residual = Quantization { scale: scale * times, zero };
                curves.extend(Curve::new(Quantization { scale, zero: 14 }, Some(residual)));
            }
        }
        assert!(curves.len() > 30, "{} curves", curves.len());
        curves
    }

    /// [`Pieces::at`] against [`Curve::at`], for each argument and many residuals.
    ///
    /// # Safety
    /// As [`Pieces::load`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn compare<L: Lookup>() {
        for curve in curves() {
            // SAFETY: passed on from the caller.
            let pieces = unsafe { Pieces::<L>::load(&curve) };
            for start in (i32::from(i16::MIN) - 32..=i32::from(i16::MAX)).step_by(32) {
                // The first are beyond 16 bits.
                let numbers: [i32; 32] = std::array::from_fn(|i| start + i as i32);
                let residual: [u8; 32] = std::array::from_fn(|i| (start / 32 + 37 * i as i32) as u8);
                for with in [false, true] {
                    let mut got = [0u8; 64];
                    // SAFETY: passed on from the caller; 16 numbers each, 32 bytes and room for 64.
                    unsafe {
                        let first = _mm512_loadu_si512(numbers.as_ptr().cast());
                        let second = _mm512_loadu_si512(numbers[16..].as_ptr().cast());
                        let bytes = with.then(|| _mm256_loadu_si256(residual.as_ptr().cast()));
                        let words = pieces.at(first, second, bytes);
                        _mm512_storeu_si512(got.as_mut_ptr().cast(), packed(words, words));
                    }
                    for i in 0..32 {
                        let x = numbers[i].max(i16::MIN.into()) as i16;
                        let want = curve.at(x, with.then_some(residual[i]));
                        assert_eq!((got[i], got[i + 32]), (want, want), "{curve:?}: {x}, {}", residual[i]);
                    }
                }
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "inline assembly")]
    fn vectors_of_curves_are_as_the_numbers_one_by_one() {
        if !(is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vl")) {
            _ = writeln!(std::io::stderr(), "skipped: curves in vectors: the processor lacks AVX-512");
            return;
        }
        // SAFETY: just detected.
        unsafe { compare::<ByWords>() };
        if !is_x86_feature_detected!("avx512vbmi") {
            _ = writeln!(
                std::io::stderr(),
                "skipped: curves by lookups of bytes: the processor lacks AVX-512 VBMI"
            );
            return;
        }
        // SAFETY: just detected.
        unsafe { compare::<ByBytes>() };
    }
}
