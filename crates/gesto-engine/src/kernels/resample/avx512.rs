//! AVX-512: four pixels at a time.

use std::arch::x86_64::*;

use super::bilinear::{BITS, Pairs, ROUND, Weights};
use super::emit::{self, Cells};
use super::lanes::{self, Lanes};
use crate::kernels::avx512;
use crate::plan::layout::Format;

/// Four samples.
#[derive(Clone, Copy)]
struct Zmm(__m512i);

// SAFETY (of every block below): the trait's functions require AVX-512 F, BW, VL and DQ.
impl Lanes for Zmm {
    const COUNT: usize = 4;

    /// # Safety
    /// As [`Lanes::splat`].
    #[inline(always)]
    unsafe fn splat(lane: &[u8; 16]) -> Self {
        // SAFETY: see the impl; an array of 16 bytes.
        unsafe { Self(_mm512_broadcast_i32x4(_mm_loadu_si128(lane.as_ptr().cast()))) }
    }

    /// # Safety
    /// As [`Lanes::load`].
    #[inline(always)]
    unsafe fn load(from: *const [u8; 16]) -> Self {
        // SAFETY: see the impl; the caller gives four readable lanes.
        unsafe { Self(_mm512_loadu_si512(from.cast())) }
    }

    /// # Safety
    /// As [`Lanes::from_fn`].
    #[inline(always)]
    unsafe fn from_fn(lane: impl Fn(usize) -> __m128i) -> Self {
        // SAFETY: see the impl.
        unsafe {
            let low = _mm256_set_m128i(lane(1), lane(0));
            let high = _mm256_set_m128i(lane(3), lane(2));
            Self(_mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high))
        }
    }

    /// # Safety
    /// As [`Lanes::shuffle`].
    #[inline(always)]
    unsafe fn shuffle(self, numbers: Self) -> Self {
        // SAFETY: see the impl.
        unsafe { Self(_mm512_shuffle_epi8(self.0, numbers.0)) }
    }

    /// # Safety
    /// As [`Lanes::blend`].
    #[inline(always)]
    unsafe fn blend(self, along: Self, down: Self, to: *mut [u8; 4]) {
        // SAFETY: see the impl; the caller gives room for four samples.
        unsafe {
            let rows = _mm512_maddubs_epi16(along.0, _mm512_xor_si512(self.0, _mm512_set1_epi8(-128)));
            let sum = _mm512_add_epi32(_mm512_madd_epi16(rows, down.0), _mm512_set1_epi32(ROUND));
            let level = _mm512_srli_epi32::<{ BITS as u32 }>(sum);
            _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(level));
        }
    }
}

/// Bilinear samples of one row.
///
/// # Safety
/// As [`lanes::bilinear`], with four samples at least; the processor has AVX-512 F, BW, VL and DQ.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
pub(super) unsafe fn bilinear(
    weights: &Weights,
    pairs: &Pairs,
    data: &[u8],
    y: usize,
    first: usize,
    line: &mut [[u8; 4]],
) {
    // SAFETY: passed on from the caller.
    unsafe { lanes::bilinear::<Zmm>(weights, pairs, data, y, first, line) }
}

/// Bilinear samples of pixels that have been collected.
///
/// # Safety
/// As [`lanes::blend`], with four samples at least; the processor has AVX-512 F, BW, VL and DQ.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
pub(super) unsafe fn blend(
    weights: &Weights,
    lanes: &[[u8; 16]],
    y: usize,
    first: usize,
    line: &mut [[u8; 4]],
) {
    // SAFETY: passed on from the caller.
    unsafe { lanes::blend::<Zmm>(weights, lanes, y, first, line) }
}

/// Pixels of three bytes to samples of four, 16 at a time.
///
/// # Safety
/// The processor has AVX-512 (F, BW).
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn spread(pixels: &[[u8; 3]], samples: &mut [[u8; 4]]) {
    let samples = &mut samples[..pixels.len()];
    // The 12 bytes of four pixels to each lane of 16, and three of them to each dword.
    let lanes = _mm512_setr_epi32(0, 1, 2, 2, 3, 4, 5, 5, 6, 7, 8, 8, 9, 10, 11, 11);
    let dwords = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1));
    for (pixels, samples) in pixels.chunks(16).zip(samples.chunks_mut(16)) {
        let bytes = (1u64 << (3 * pixels.len())) - 1;
        let written = ((1u32 << samples.len()) - 1) as u16;
        // SAFETY: the masks keep to the pixels and the samples.
        unsafe {
            let packed = _mm512_maskz_loadu_epi8(bytes, pixels.as_ptr().cast());
            let spread = _mm512_shuffle_epi8(_mm512_permutexvar_epi32(lanes, packed), dwords);
            _mm512_mask_storeu_epi32(samples.as_mut_ptr().cast(), written, spread);
        }
    }
}

/// Pixels of three bytes to cells, 16 at a time, without samples in between: a masked store and loads of parts of it would
/// take most of the time. Gives how many are done: of `count`, whole sixteens that are followed by 16 more bytes. Cells of
/// f32 and of three bytes are left.
///
/// # Safety
/// The processor has AVX-512 F, BW, VL and DQ; `bytes` hold `count` pixels; `count` cells may be written at `to`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
pub(super) unsafe fn emit_pixels(cells: Cells, bytes: &[u8], count: usize, to: *mut u8) -> usize {
    let Cells::Numbers(format @ (Format::Bf16 | Format::U8)) = cells else { return 0 };
    let sixteens = (count / 16).min((bytes.len() + 48).saturating_sub(64) / 48);
    // To each lane of 16 bytes those of four pixels: of bytes, four in a row; of bf16, two and the two that come eight later.
    let (lanes, places) = match format {
        Format::U8 => (
            _mm512_setr_epi32(0, 1, 2, 2, 3, 4, 5, 5, 6, 7, 8, 8, 9, 10, 11, 11),
            _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1)),
        ),
        _ => (_mm512_setr_epi32(0, 1, 6, 7, 1, 2, 7, 8, 3, 4, 9, 10, 4, 5, 10, 11), {
            let even = _mm_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 8, 9, 10, -1, 11, 12, 13, -1);
            let odd = _mm_setr_epi8(2, 3, 4, -1, 5, 6, 7, -1, 10, 11, 12, -1, 13, 14, 15, -1);
            _mm512_inserti32x4::<3>(_mm512_inserti32x4::<1>(_mm512_broadcast_i32x4(even), odd), odd)
        }),
    };
    let zero = _mm512_setzero_si512();
    for i in 0..sixteens {
        // SAFETY: 64 bytes are there to be read, and 16 cells to be written.
        unsafe {
            let packed = _mm512_loadu_si512(bytes.as_ptr().add(48 * i).cast());
            let samples = _mm512_shuffle_epi8(_mm512_permutexvar_epi32(lanes, packed), places);
            if format == Format::U8 {
                _mm512_storeu_si512(to.add(64 * i).cast(), samples);
                continue;
            }
            let (first, second) = (_mm512_unpacklo_epi8(samples, zero), _mm512_unpackhi_epi8(samples, zero));
            for (half, words) in [first, second].into_iter().enumerate() {
                // Bytes are exact in bf16, the upper half of the f32.
                let bf16 = |bytes| _mm512_srli_epi32::<16>(_mm512_castps_si512(_mm512_cvtepi32_ps(bytes)));
                let (even, odd) = (_mm512_unpacklo_epi16(words, zero), _mm512_unpackhi_epi16(words, zero));
                let cells = _mm512_packus_epi32(bf16(even), bf16(odd));
                _mm512_storeu_si512(to.add(128 * i + 64 * half).cast(), cells);
            }
        }
    }
    16 * sixteens
}

/// Samples to cells.
///
/// # Safety
/// The processor has AVX-512 F, BW, VL and DQ; as many cells as samples may be written at `to`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
pub(super) unsafe fn emit(cells: Cells, line: &[[u8; 4]], to: *mut u8) {
    let done = match cells {
        // SAFETY: passed on from the caller; a tier of AVX-512 has AVX2 too.
        Cells::Rgb8 => unsafe { super::avx2::rgb8(line, to) },
        Cells::Numbers(Format::U8) => {
            let (sixteens, _) = line.as_chunks::<16>();
            for (i, sixteen) in sixteens.iter().enumerate() {
                // SAFETY: 64 bytes are read and written.
                unsafe {
                    let cells = _mm512_loadu_si512(sixteen.as_ptr().cast());
                    let cells = _mm512_and_si512(cells, _mm512_set1_epi32(0x00ff_ffff));
                    _mm512_storeu_si512(to.add(64 * i).cast(), cells);
                }
            }
            16 * sixteens.len()
        }
        Cells::Numbers(Format::F32) => {
            let (fours, _) = line.as_chunks::<4>();
            for (i, four) in fours.iter().enumerate() {
                // SAFETY: 16 bytes are read and four cells written.
                unsafe {
                    let bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128(four.as_ptr().cast()));
                    _mm512_storeu_ps(to.add(64 * i).cast(), _mm512_cvtepi32_ps(bytes));
                }
            }
            4 * fours.len()
        }
        Cells::Numbers(Format::Bf16) => {
            let (eights, _) = line.as_chunks::<8>();
            for (i, eight) in eights.iter().enumerate() {
                // SAFETY: 32 bytes are read and eight cells written.
                unsafe {
                    let half = |at: usize| _mm_loadu_si128(eight[at..].as_ptr().cast());
                    let first = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(half(0)));
                    let second = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(half(4)));
                    let (first, second) = (_mm512_castps_si512(first), _mm512_castps_si512(second));
                    // Bytes are exact in bf16.
                    _mm512_storeu_si512(to.add(64 * i).cast(), avx512::upper_words(first, second));
                }
            }
            8 * eights.len()
        }
    };
    // SAFETY: passed on from the caller.
    unsafe { emit::plain(cells, &line[done..], to.add(done * cells.bytes())) };
}

/// Adds a weighted row of bytes to sums.
///
/// # Safety
/// The processor has AVX-512 F, BW, VL and DQ.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
pub(super) unsafe fn accumulate(sums: &mut [u32], row: &[u8], weight: u16) {
    super::area::accumulate_plain(sums, row, weight);
}
