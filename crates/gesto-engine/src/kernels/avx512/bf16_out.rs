//! The last part of bf16 convolutions.

use std::arch::x86_64::*;

use super::ending::{Numbers, Sources, activated};
use super::sigmoid::Sigmoid;
use crate::kernels::sigmoid::FOR_BF16;
use crate::plan::layout::LINE;
use crate::plan::{Chunk, ConvStep};

/// Bias, activation, residual and rounding to bf16.
#[derive(Debug)]
pub(in crate::kernels) struct Bf16<const C: usize> {
    /// With the sigmoid's shift where one follows.
    bias: [__m512; C],
    sigmoid: Sigmoid,
}

impl<const C: usize> Bf16<C> {
    /// Rounds and stores two chunks side by side, or the first alone.
    ///
    /// # Safety
    /// There is room at `to`; the processor has AVX-512 (F, BW, VL, DQ).
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    unsafe fn store_two(to: *mut u8, first: __m512, second: __m512, alone: bool) {
        let words = upper_words(rounded(first), rounded(second));
        // SAFETY: passed on from the caller.
        unsafe {
            if alone {
                _mm256_storeu_si256(to.cast(), _mm512_castsi512_si256(words));
            } else {
                _mm512_storeu_si512(to.cast(), words);
            }
        }
    }

    /// Rounds and stores one chunk.
    ///
    /// # Safety
    /// As [`store_two`](Self::store_two).
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    unsafe fn store_one(to: *mut u8, numbers: __m512) {
        let words = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(rounded(numbers)));
        // SAFETY: passed on from the caller.
        unsafe { _mm256_storeu_si256(to.cast(), words) };
    }
}

impl<const C: usize> Numbers<C> for Bf16<C> {
    const BYTES: usize = LINE / 2;
    const CURVES: bool = false;
    const BY_FOUR: bool = false;

    /// # Safety
    /// As [`Numbers::new`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    unsafe fn new<const E: u8>(step: &ConvStep, weights: &[u8], first: usize) -> Self {
        let mut bias = [_mm512_setzero_ps(); C];
        for (c, bias) in bias.iter_mut().enumerate() {
            let at = step.bias + (first + c) * LINE;
            // SAFETY: the plan checked one line of bias for each chunk.
            *bias = unsafe { _mm512_loadu_ps(weights[at..at + LINE].as_ptr().cast()) };
            if activated::<E>(step) {
                *bias = _mm512_add_ps(*bias, _mm512_set1_ps(FOR_BF16.shift));
            }
        }
        Self { bias, sigmoid: Sigmoid::load(&FOR_BF16, 1.0) }
    }

    /// # Safety
    /// As [`Numbers::numbers`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    unsafe fn numbers<const E: u8>(&self, step: &ConvStep, c: usize, from: Sources) -> __m512 {
        let Sources { sums, partial, residual } = from;
        // SAFETY: the caller gives 16 numbers at each pointer.
        unsafe {
            let mut x = _mm512_add_ps(self.bias[c], _mm512_load_ps(sums.cast()));
            if let Some(partial) = partial {
                x = _mm512_add_ps(x, _mm512_load_ps(partial.cast()));
            }
            if activated::<E>(step) {
                let sigmoid = self.sigmoid.at(x);
                // The shift is 1.
                x = _mm512_fmsub_ps(x, sigmoid, sigmoid);
            }
            if let Some(residual) = residual {
                let bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256(residual.cast()));
                x = _mm512_add_ps(x, _mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits)));
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
        step: &ConvStep,
        chunks: [usize; 2],
        from: [Sources; 2],
        to: *mut u8,
        alone: bool,
    ) {
        // SAFETY: passed on from the caller.
        unsafe {
            let first = self.numbers::<E>(step, chunks[0], from[0]);
            let second = self.numbers::<E>(step, chunks[1], from[1]);
            Self::store_two(to, first, second, alone);
        }
    }

    /// # Safety
    /// As [`Numbers::one`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    unsafe fn one<const E: u8>(&self, step: &ConvStep, chunk: usize, from: Sources, to: *mut u8) {
        // SAFETY: passed on from the caller.
        unsafe {
            Self::store_one(to, self.numbers::<E>(step, chunk, from));
        }
    }

    /// # Safety
    /// As [`Numbers::store_zero`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    unsafe fn store_zero(to: *mut u8, _: &Chunk) {
        // SAFETY: passed on from the caller.
        unsafe { _mm256_storeu_si256(to.cast(), _mm256_setzero_si256()) };
    }
}

/// The upper halves of the dwords of two registers.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
pub(in crate::kernels) fn upper_words(first: __m512i, second: __m512i) -> __m512i {
    // SAFETY: 32 words are read.
    let upper = unsafe { _mm512_loadu_si512(UPPER_WORDS.as_ptr().cast()) };
    _mm512_permutex2var_epi16(first, upper, second)
}

/// Their numbers, the first register's first.
const UPPER_WORDS: [u16; 32] = {
    let mut words = [0; 32];
    let mut i = 0;
    while i < 32 {
        words[i] = 2 * i as u16 + 1;
        i += 1;
    }
    words
};

/// Numbers whose upper halves are the nearest bf16; half-way cases go away from zero. Half the work of `vcvtneps2bf16`.
#[target_feature(enable = "avx512f")]
#[inline]
fn rounded(numbers: __m512) -> __m512i {
    _mm512_add_epi32(_mm512_castps_si512(numbers), _mm512_set1_epi32(0x8000))
}
