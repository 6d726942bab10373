//! Looking up 32 numbers of 16 bits in lists of 32.
//!
//! On Intel's processors a permutation of words (`vpermw`) is two operations of the port that tile loads keep busy, one of
//! bytes (AVX-512 VBMI) is one.

use std::arch::asm;
use std::arch::x86_64::*;

/// A way to look up.
pub(in crate::kernels) trait Lookup {
    /// A list in a register.
    ///
    /// # Safety
    /// The processor has AVX-512 (F, BW) and, for [`ByBytes`], VBMI. So for all functions here.
    unsafe fn list(numbers: &[i16; 32]) -> __m512i;

    /// Where the numbers stand that the upper five bits of each word ask for.
    ///
    /// # Safety
    /// As [`list`](Self::list).
    unsafe fn places(words: __m512i) -> __m512i;

    /// The numbers.
    ///
    /// # Safety
    /// As [`list`](Self::list).
    unsafe fn find(places: __m512i, list: __m512i) -> __m512i;
}

/// By words, for every processor with AVX-512 BW.
#[derive(Debug)]
pub(in crate::kernels) struct ByWords;

impl Lookup for ByWords {
    /// # Safety
    /// As [`Lookup::list`].
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    unsafe fn list(numbers: &[i16; 32]) -> __m512i {
        // SAFETY: 32 numbers of 16 bits.
        unsafe { _mm512_loadu_si512(numbers.as_ptr().cast()) }
    }

    /// # Safety
    /// As [`Lookup::list`].
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    unsafe fn places(words: __m512i) -> __m512i {
        _mm512_srai_epi16::<11>(words)
    }

    /// # Safety
    /// As [`Lookup::list`].
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    unsafe fn find(places: __m512i, list: __m512i) -> __m512i {
        _mm512_permutexvar_epi16(places, list)
    }
}

/// By bytes, with AVX-512 VBMI: the lower bytes of a list stand in the first half of the register, the upper ones in the other.
///
/// Written in assembly, since intrinsics would only be inlined into functions that say that they need VBMI, and these are
/// shared with tiers that do without.
#[derive(Debug)]
pub(in crate::kernels) struct ByBytes;

impl Lookup for ByBytes {
    /// # Safety
    /// As [`Lookup::list`].
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    unsafe fn list(numbers: &[i16; 32]) -> __m512i {
        // SAFETY: 32 numbers of 16 bits.
        let words = unsafe { _mm512_loadu_si512(numbers.as_ptr().cast()) };
        let (lower, upper) =
            (_mm512_cvtepi16_epi8(words), _mm512_cvtepi16_epi8(_mm512_srli_epi16::<8>(words)));
        _mm512_inserti64x4::<1>(_mm512_castsi256_si512(lower), upper)
    }

    /// # Safety
    /// As [`Lookup::list`].
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    unsafe fn places(words: __m512i) -> __m512i {
        // Into both bytes of each word eight bits of the quadword, from the eleventh of that word on.
        let first = _mm512_set1_epi64(0x3b3b_2b2b_1b1b_0b0b);
        let found: __m512i;
        // SAFETY: the caller vouches for the instruction, which works on registers.
        unsafe {
            asm!("vpmultishiftqb {found}, {first}, {words}", found = lateout(zmm_reg) found, first = in(zmm_reg) first,
                 words = in(zmm_reg) words, options(pure, nomem, nostack, preserves_flags));
        }
        // Of which five count, and then which half of the register: `found & mask | half`.
        let (mask, half) = (_mm512_set1_epi16(0x1f1f), _mm512_set1_epi16(0x2000));
        _mm512_ternarylogic_epi32::<0b1111_1000>(half, found, mask)
    }

    /// # Safety
    /// As [`Lookup::list`].
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    unsafe fn find(places: __m512i, list: __m512i) -> __m512i {
        let found: __m512i;
        // SAFETY: the caller vouches for the instruction, which works on registers.
        unsafe {
            asm!("vpermb {found}, {places}, {list}", found = lateout(zmm_reg) found, places = in(zmm_reg) places,
                 list = in(zmm_reg) list, options(pure, nomem, nostack, preserves_flags));
        }
        found
    }
}
