//! AVX-512: four pixels at a time.

use std::arch::x86_64::*;

use super::bilinear::{AHEAD, BITS, Pairs, ROUND, Weights};
use super::emit::{self, Cells};
use crate::kernels::avx512;
use crate::plan::layout::Format;

/// Where the lanes of four pixels come from. Inlined into a function that enables the instructions.
trait Load {
    /// # Safety
    /// The processor has the instructions of this module; `i + 3` is a pixel.
    unsafe fn load(&self, i: usize) -> __m512i;
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
    shuffle: __m512i,
}

impl Load for Gather<'_> {
    /// # Safety
    /// As [`Load::load`].
    #[inline(always)]
    unsafe fn load(&self, i: usize) -> __m512i {
        if self.ahead {
            for k in [0, 2] {
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
        unsafe {
            let low = _mm256_set_m128i(lane(1), lane(0));
            let high = _mm256_set_m128i(lane(3), lane(2));
            let all = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
            _mm512_shuffle_epi8(all, self.shuffle)
        }
    }
}

/// Pixels that have been collected.
struct Lanes<'a>(&'a [[u8; 16]]);

impl Load for Lanes<'_> {
    /// # Safety
    /// As [`Load::load`].
    #[inline(always)]
    unsafe fn load(&self, i: usize) -> __m512i {
        // SAFETY: four lanes.
        unsafe { _mm512_loadu_si512(self.0[i..i + 4].as_ptr().cast()) }
    }
}

/// Bilinear samples of one row.
///
/// # Safety
/// The processor has AVX-512 F, BW, VL and DQ; eight bytes can be read in `data` at every pair of row `y`; `line` has at
/// least four pixels, which are columns of the tables from `first` on.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
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
        shuffle: unsafe { _mm512_broadcast_i32x4(_mm_loadu_si128(pairs.shuffle.as_ptr().cast())) },
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
/// The processor has AVX-512 F, BW, VL and DQ; `line` has at least four pixels, which are columns of the tables from
/// `first` on, and as many `lanes`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
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
/// As [`blend`]; `from.load(i)` gives the lanes of pixels `i..i + 4`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
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
    let row = unsafe { _mm512_broadcast_i32x4(_mm_loadu_si128(weights.rows[y].as_ptr().cast())) };
    let (middle, round) = (_mm512_set1_epi8(-128), _mm512_set1_epi32(ROUND));
    let mut i = 0;
    while i < count {
        // The last pixels are computed twice rather than one by one.
        let at = i.min(count - 4);
        // SAFETY: `at + 3 < count`.
        let own = unsafe { _mm512_loadu_si512(columns.as_ptr().add(at).cast()) };
        let (along, down) = if SWAPPED { (row, own) } else { (own, row) };
        // SAFETY: as above.
        let pixels = unsafe { from.load(at) };
        let rows = _mm512_maddubs_epi16(along, _mm512_xor_si512(pixels, middle));
        let sum = _mm512_add_epi32(_mm512_madd_epi16(rows, down), round);
        let level = _mm512_srli_epi32::<{ BITS as u32 }>(sum);
        // SAFETY: four pixels from `at` on.
        unsafe { _mm_storeu_si128(line.as_mut_ptr().add(at).cast(), _mm512_cvtepi32_epi8(level)) };
        i += 4;
    }
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

/// Samples to cells.
///
/// # Safety
/// The processor has AVX-512 F, BW, VL and DQ; as many cells as samples may be written at `to`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
pub(super) unsafe fn emit(cells: Cells, line: &[[u8; 4]], to: *mut u8) {
    let done = match cells {
        // SAFETY: passed on from the caller; processors with AVX-512 have AVX2.
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
