//! AVX2: two pixels at a time.

use std::arch::x86_64::*;

use super::bilinear::{AHEAD, BITS, Pairs, ROUND, Weights};
use super::emit::{self, Cells};
use crate::picture::format::bt601;
use crate::plan::layout::Format;

/// Where the lanes of two pixels come from. Inlined into a function that enables the instructions.
trait Load {
    /// # Safety
    /// The processor has the instructions of this module; `i + 1` is a pixel.
    unsafe fn load(&self, i: usize) -> __m256i;
}

/// From the picture itself, pair by pair.
struct Gather<'a> {
    near: &'a [usize],
    far: &'a [usize],
    /// The rows above and below.
    rows: [*const u8; 2],
    /// Those of a later row of the output, whose pixels come while this row's are computed: rows lie pages apart, where the
    /// processor does not look ahead by itself.
    next: [*const u8; 2],
    ahead: bool,
    shuffle: __m256i,
}

impl Load for Gather<'_> {
    /// # Safety
    /// As [`Load::load`].
    #[inline(always)]
    unsafe fn load(&self, i: usize) -> __m256i {
        if self.ahead {
            for k in [0] {
                // SAFETY: a hint, whatever the address.
                unsafe {
                    _mm_prefetch::<_MM_HINT_T0>(self.next[0].wrapping_add(self.near[i + k]).cast());
                    _mm_prefetch::<_MM_HINT_T0>(self.next[1].wrapping_add(self.far[i + k]).cast());
                }
            }
        }
        let lane = |k: usize| {
            // SAFETY: every pair of the row lies in the picture.
            unsafe {
                let upper = _mm_loadl_epi64(self.rows[0].wrapping_add(self.near[i + k]).cast());
                let lower = _mm_loadl_epi64(self.rows[1].wrapping_add(self.far[i + k]).cast());
                _mm_unpacklo_epi64(upper, lower)
            }
        };
        // SAFETY: passed on from the caller.
        unsafe { _mm256_shuffle_epi8(_mm256_set_m128i(lane(1), lane(0)), self.shuffle) }
    }
}

/// Pixels that have been collected.
struct Lanes<'a>(&'a [[u8; 16]]);

impl Load for Lanes<'_> {
    /// # Safety
    /// As [`Load::load`].
    #[inline(always)]
    unsafe fn load(&self, i: usize) -> __m256i {
        // SAFETY: two lanes.
        unsafe { _mm256_loadu_si256(self.0[i..i + 2].as_ptr().cast()) }
    }
}

/// Bilinear samples of one row.
///
/// # Safety
/// The processor has AVX2; eight bytes can be read in `data` at every pair of row `y`; `line` has at least two pixels,
/// which are columns of the tables from `first` on.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn bilinear(
    weights: &Weights,
    pairs: &Pairs,
    data: &[u8],
    y: usize,
    first: usize,
    line: &mut [[u8; 4]],
) {
    let columns = first..first + line.len();
    let at = |offsets: [usize; 2]| offsets.map(|offset| data.as_ptr().wrapping_add(offset));
    let load = Gather {
        near: &pairs.near[columns.clone()],
        far: &pairs.far[columns],
        rows: at(pairs.rows[y]),
        next: at(*pairs.rows.get(y + AHEAD).unwrap_or(&pairs.rows[y])),
        ahead: !weights.swapped,
        // SAFETY: an array of 16 bytes.
        shuffle: unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(pairs.shuffle.as_ptr().cast())) },
    };
    // SAFETY: passed on from the caller.
    unsafe {
        if weights.swapped {
            run::<true>(weights, y, first, line, &load);
        } else {
            run::<false>(weights, y, first, line, &load);
        }
    }
}

/// Bilinear samples of pixels that have been collected.
///
/// # Safety
/// The processor has AVX2; `line` has at least two pixels, which are columns of the tables from `first` on, and as many
/// `lanes`.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn blend(
    weights: &Weights,
    lanes: &[[u8; 16]],
    y: usize,
    first: usize,
    line: &mut [[u8; 4]],
) {
    let load = Lanes(lanes);
    // SAFETY: passed on from the caller.
    unsafe {
        if weights.swapped {
            run::<true>(weights, y, first, line, &load);
        } else {
            run::<false>(weights, y, first, line, &load);
        }
    }
}

/// # Safety
/// As [`blend`]; `from.load(i)` gives the lanes of pixels `i` and `i + 1`.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn run<const SWAPPED: bool>(
    weights: &Weights,
    y: usize,
    first: usize,
    line: &mut [[u8; 4]],
    from: &impl Load,
) {
    let count = line.len();
    let columns = &weights.columns[first..first + count];
    // SAFETY: an array of 16 bytes.
    let row = unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(weights.rows[y].as_ptr().cast())) };
    let (middle, round) = (_mm256_set1_epi8(-128), _mm256_set1_epi32(ROUND));
    let mut i = 0;
    while i < count {
        // The last pixels are computed twice rather than one by one.
        let at = i.min(count - 2);
        // SAFETY: `at + 1 < count`.
        let own = unsafe { _mm256_loadu_si256(columns.as_ptr().add(at).cast()) };
        let (along, down) = if SWAPPED { (row, own) } else { (own, row) };
        // SAFETY: as above.
        let pixels = unsafe { from.load(at) };
        let rows = _mm256_maddubs_epi16(along, _mm256_xor_si256(pixels, middle));
        let sum = _mm256_add_epi32(_mm256_madd_epi16(rows, down), round);
        let level = _mm256_srli_epi32::<BITS>(sum);
        let words = _mm256_packus_epi32(level, level);
        let bytes = _mm256_packus_epi16(words, words);
        let two = _mm_unpacklo_epi32(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes));
        // SAFETY: two pixels from `at` on.
        unsafe { _mm_storel_epi64(line.as_mut_ptr().add(at).cast(), two) };
        i += 2;
    }
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
