//! AVX2: two pixels at a time.

use std::arch::x86_64::*;

use super::bilinear::{BITS, Pairs, ROUND, Weights};
use super::emit::{self, Cells};
use super::lanes::{self, Lanes};
use crate::picture::format::bt601;
use crate::plan::layout::Format;

/// Two samples.
#[derive(Clone, Copy)]
struct Ymm(__m256i);

// SAFETY (of every block below): the trait's functions require AVX2.
impl Lanes for Ymm {
    const COUNT: usize = 2;

    /// # Safety
    /// As [`Lanes::splat`].
    #[inline(always)]
    unsafe fn splat(lane: &[u8; 16]) -> Self {
        // SAFETY: see the impl; an array of 16 bytes.
        unsafe { Self(_mm256_broadcastsi128_si256(_mm_loadu_si128(lane.as_ptr().cast()))) }
    }

    /// # Safety
    /// As [`Lanes::load`].
    #[inline(always)]
    unsafe fn load(from: *const [u8; 16]) -> Self {
        // SAFETY: see the impl; the caller gives two readable lanes.
        unsafe { Self(_mm256_loadu_si256(from.cast())) }
    }

    /// # Safety
    /// As [`Lanes::from_fn`].
    #[inline(always)]
    unsafe fn from_fn(lane: impl Fn(usize) -> __m128i) -> Self {
        // SAFETY: see the impl.
        unsafe { Self(_mm256_set_m128i(lane(1), lane(0))) }
    }

    /// # Safety
    /// As [`Lanes::shuffle`].
    #[inline(always)]
    unsafe fn shuffle(self, numbers: Self) -> Self {
        // SAFETY: see the impl.
        unsafe { Self(_mm256_shuffle_epi8(self.0, numbers.0)) }
    }

    /// # Safety
    /// As [`Lanes::blend`].
    #[inline(always)]
    unsafe fn blend(self, along: Self, down: Self, to: *mut [u8; 4]) {
        // SAFETY: see the impl; the caller gives room for two samples.
        unsafe {
            let rows = _mm256_maddubs_epi16(along.0, _mm256_xor_si256(self.0, _mm256_set1_epi8(-128)));
            let sum = _mm256_add_epi32(_mm256_madd_epi16(rows, down.0), _mm256_set1_epi32(ROUND));
            let level = _mm256_srli_epi32::<BITS>(sum);
            let words = _mm256_packus_epi32(level, level);
            let bytes = _mm256_packus_epi16(words, words);
            let (low, high) = (_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes));
            _mm_storel_epi64(to.cast(), _mm_unpacklo_epi32(low, high));
        }
    }
}

/// Bilinear samples of one row.
///
/// # Safety
/// As [`lanes::bilinear`], with two samples at least; the processor has AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn bilinear(
    weights: &Weights,
    pairs: &Pairs,
    data: &[u8],
    y: usize,
    first: usize,
    line: &mut [[u8; 4]],
) {
    // SAFETY: passed on from the caller.
    unsafe { lanes::bilinear::<Ymm>(weights, pairs, data, y, first, line) }
}

/// Bilinear samples of pixels that have been collected.
///
/// # Safety
/// As [`lanes::blend`], with two samples at least; the processor has AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn blend(
    weights: &Weights,
    lanes: &[[u8; 16]],
    y: usize,
    first: usize,
    line: &mut [[u8; 4]],
) {
    // SAFETY: passed on from the caller.
    unsafe { lanes::blend::<Ymm>(weights, lanes, y, first, line) }
}

/// Puts red, green and blue in order, and zero behind them.
///
/// # Safety
/// The processor has AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn order(line: &mut [[u8; 4]], colours: [u8; 3]) {
    let lane: [u8; 16] =
        std::array::from_fn(|i| if i % 4 == 3 { 0x80 } else { 4 * (i as u8 / 4) + colours[i % 4] });
    // SAFETY: an array of 16 bytes.
    let shuffle = unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(lane.as_ptr().cast())) };
    let (eights, rest) = line.as_chunks_mut::<8>();
    for eight in eights {
        // SAFETY: 32 bytes.
        unsafe {
            let at = eight.as_mut_ptr().cast();
            _mm256_storeu_si256(at, _mm256_shuffle_epi8(_mm256_loadu_si256(at), shuffle));
        }
    }
    for pixel in rest {
        let [r, g, b] = colours.map(|c| pixel[usize::from(c)]);
        *pixel = [r, g, b, 0];
    }
}

/// Samples to cells.
///
/// # Safety
/// The processor has AVX2; as many cells as samples may be written at `to`.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn emit(cells: Cells, line: &[[u8; 4]], to: *mut u8) {
    let done = match cells {
        // SAFETY: passed on from the caller.
        Cells::Rgb8 => unsafe { rgb8(line, to) },
        // Samples are such cells.
        Cells::Numbers(Format::U8) => 0,
        Cells::Numbers(Format::F32) => {
            let (pairs, _) = line.as_chunks::<2>();
            for (i, pair) in pairs.iter().enumerate() {
                // SAFETY: eight bytes are read and two cells written.
                unsafe {
                    let bytes = _mm256_cvtepu8_epi32(_mm_loadl_epi64(pair.as_ptr().cast()));
                    _mm256_storeu_ps(to.add(32 * i).cast(), _mm256_cvtepi32_ps(bytes));
                }
            }
            2 * pairs.len()
        }
        Cells::Numbers(Format::Bf16) => {
            let (fours, _) = line.as_chunks::<4>();
            for (i, four) in fours.iter().enumerate() {
                // SAFETY: 16 bytes are read and four cells written.
                unsafe {
                    let half = |k: usize| {
                        let bytes = _mm256_cvtepu8_epi32(_mm_loadl_epi64(four.as_ptr().add(2 * k).cast()));
                        _mm256_srli_epi32::<16>(_mm256_castps_si256(_mm256_cvtepi32_ps(bytes)))
                    };
                    let words = _mm256_packus_epi32(half(0), half(1));
                    let cells = _mm256_permute4x64_epi64::<0b11_01_10_00>(words);
                    _mm256_storeu_si256(to.add(32 * i).cast(), cells);
                }
            }
            4 * fours.len()
        }
    };
    // SAFETY: passed on from the caller.
    unsafe { emit::plain(cells, &line[done..], to.add(done * cells.bytes())) };
}

/// Four pixels a turn, as long as the four bytes written too many lie in the next pixels; gives how many it did.
///
/// # Safety
/// As [`emit`].
#[target_feature(enable = "avx2")]
pub(super) unsafe fn rgb8(line: &[[u8; 4]], to: *mut u8) -> usize {
    let gather = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    let mut i = 0;
    while i + 6 <= line.len() {
        // SAFETY: 16 bytes are read; 16 written from pixel `i` on end before pixel `i + 6`.
        unsafe {
            let pixels = _mm_loadu_si128(line.as_ptr().add(i).cast());
            _mm_storeu_si128(to.add(3 * i).cast(), _mm_shuffle_epi8(pixels, gather));
        }
        i += 4;
    }
    i
}

/// Adds a weighted row of bytes to sums.
///
/// # Safety
/// The processor has AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn accumulate(sums: &mut [u32], row: &[u8], weight: u16) {
    super::area::accumulate_plain(sums, row, weight);
}

/// Luma and chroma to red, green, blue and zero.
///
/// # Safety
/// The processor has AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn yuv(line: &mut [[u8; 4]]) {
    let (eights, rest) = line.as_chunks_mut::<8>();
    let byte = _mm256_set1_epi32(255);
    let times = |x: __m256i, by: i32| _mm256_mullo_epi32(x, _mm256_set1_epi32(by));
    let level = |x: __m256i| {
        let whole = _mm256_srai_epi32::<16>(x);
        _mm256_max_epi32(_mm256_min_epi32(whole, byte), _mm256_setzero_si256())
    };
    for eight in eights {
        // SAFETY: 32 bytes.
        let pixels = unsafe { _mm256_loadu_si256(eight.as_ptr().cast()) };
        let y = _mm256_sub_epi32(_mm256_and_si256(pixels, byte), _mm256_set1_epi32(16));
        let middle = _mm256_set1_epi32(128);
        let u = _mm256_sub_epi32(_mm256_and_si256(_mm256_srli_epi32::<8>(pixels), byte), middle);
        let v = _mm256_sub_epi32(_mm256_and_si256(_mm256_srli_epi32::<16>(pixels), byte), middle);
        let luma = _mm256_add_epi32(times(y, bt601::Y), _mm256_set1_epi32(1 << 15));
        let r = level(_mm256_add_epi32(luma, times(v, bt601::RV)));
        let g = level(_mm256_sub_epi32(_mm256_sub_epi32(luma, times(u, bt601::GU)), times(v, bt601::GV)));
        let b = level(_mm256_add_epi32(luma, times(u, bt601::BU)));
        let rg = _mm256_or_si256(r, _mm256_slli_epi32::<8>(g));
        let rgb = _mm256_or_si256(rg, _mm256_slli_epi32::<16>(b));
        // SAFETY: as above.
        unsafe { _mm256_storeu_si256(eight.as_mut_ptr().cast(), rgb) };
    }
    super::read::yuv_plain(rest);
}
