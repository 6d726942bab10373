//! Bilinear samples by vector instructions of any width: the four pixels of a sample are a lane of 16 bytes.

use std::arch::x86_64::*;

use super::bilinear::{AHEAD, Pairs, Weights};

/// A register of as many samples as it has lanes.
///
/// Its functions are inlined into some that enable the instructions.
pub(super) trait Lanes: Copy {
    /// Samples in a register.
    const COUNT: usize;

    /// The same bytes in every lane.
    ///
    /// # Safety
    /// The processor has the type's instructions. So for all functions here.
    unsafe fn splat(lane: &[u8; 16]) -> Self;

    /// # Safety
    /// As [`splat`](Self::splat); a register can be read at `from`.
    unsafe fn load(from: *const [u8; 16]) -> Self;

    /// `lane` gives lane by lane.
    ///
    /// # Safety
    /// As [`splat`](Self::splat).
    unsafe fn from_fn(lane: impl Fn(usize) -> __m128i) -> Self;

    /// Bytes of each lane by their numbers in it; zero where a number has its highest bit set.
    ///
    /// # Safety
    /// As [`splat`](Self::splat).
    unsafe fn shuffle(self, numbers: Self) -> Self;

    /// The samples of pixels weighted along stored rows and from row to row, as [`bilinear`](super::bilinear) defines them,
    /// in four bytes each.
    ///
    /// # Safety
    /// As [`splat`](Self::splat); there is room for `COUNT` samples at `to`.
    unsafe fn blend(self, along: Self, down: Self, to: *mut [u8; 4]);
}

/// Where the pixels of samples come from.
trait Source<L> {
    /// # Safety
    /// As [`Lanes::splat`]; samples `i..i + L::COUNT` are the row's.
    unsafe fn lanes(&self, i: usize) -> L;
}

/// From the picture itself, pair by pair.
struct Gather<'a, L> {
    near: &'a [usize],
    far: &'a [usize],
    /// The rows above and below.
    rows: [*const u8; 2],
    /// Those of a later row of the output, whose pixels come while this row's are computed: rows lie pages apart, where the
    /// processor does not look ahead by itself.
    next: [*const u8; 2],
    ahead: bool,
    shuffle: L,
}

impl<L: Lanes> Source<L> for Gather<'_, L> {
    /// # Safety
    /// As [`Source::lanes`].
    #[inline(always)]
    unsafe fn lanes(&self, i: usize) -> L {
        if self.ahead {
            // Of two samples the second most often lies in the first one's cache line.
            for k in (0..L::COUNT).step_by(2) {
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
        unsafe { L::from_fn(lane).shuffle(self.shuffle) }
    }
}

/// Pixels that have been collected.
struct Collected<'a>(&'a [[u8; 16]]);

impl<L: Lanes> Source<L> for Collected<'_> {
    /// # Safety
    /// As [`Source::lanes`].
    #[inline(always)]
    unsafe fn lanes(&self, i: usize) -> L {
        // SAFETY: the slice has `COUNT` lanes; the rest is passed on from the caller.
        unsafe { L::load(self.0[i..i + L::COUNT].as_ptr()) }
    }
}

/// Samples of one row.
///
/// # Safety
/// The processor has `L`'s instructions; eight bytes can be read in `data` at every pair of row `y`; `line` has at least
/// `L::COUNT` samples, which are columns of the tables from `first` on.
#[inline(always)]
pub(super) unsafe fn bilinear<L: Lanes>(
    weights: &Weights,
    pairs: &Pairs,
    data: &[u8],
    y: usize,
    first: usize,
    line: &mut [[u8; 4]],
) {
    let columns = first..first + line.len();
    let at = |offsets: [usize; 2]| offsets.map(|offset| data.as_ptr().wrapping_add(offset));
    // SAFETY: passed on from the caller.
    unsafe {
        let from = Gather {
            near: &pairs.near[columns.clone()],
            far: &pairs.far[columns],
            rows: at(pairs.rows[y]),
            next: at(*pairs.rows.get(y + AHEAD).unwrap_or(&pairs.rows[y])),
            ahead: !weights.swapped,
            shuffle: L::splat(&pairs.shuffle),
        };
        run(weights, y, first, line, &from);
    }
}

/// Samples of pixels that have been collected.
///
/// # Safety
/// The processor has `L`'s instructions; `line` has at least `L::COUNT` samples, which are columns of the tables from
/// `first` on, and as many `lanes`.
#[inline(always)]
pub(super) unsafe fn blend<L: Lanes>(
    weights: &Weights,
    lanes: &[[u8; 16]],
    y: usize,
    first: usize,
    line: &mut [[u8; 4]],
) {
    // SAFETY: passed on from the caller.
    unsafe { run::<L>(weights, y, first, line, &Collected(lanes)) };
}

/// # Safety
/// As [`blend`]; `from` has pixels for each sample.
#[inline(always)]
unsafe fn run<L: Lanes>(
    weights: &Weights,
    y: usize,
    first: usize,
    line: &mut [[u8; 4]],
    from: &impl Source<L>,
) {
    // SAFETY: passed on from the caller.
    unsafe {
        if weights.swapped {
            run_one_way::<L, true>(weights, y, first, line, from);
        } else {
            run_one_way::<L, false>(weights, y, first, line, from);
        }
    }
}

/// # Safety
/// As [`run`].
#[inline(always)]
unsafe fn run_one_way<L: Lanes, const SWAPPED: bool>(
    weights: &Weights,
    y: usize,
    first: usize,
    line: &mut [[u8; 4]],
    from: &impl Source<L>,
) {
    let count = line.len();
    assert!(count >= L::COUNT, "a row of a register at least");
    let columns = &weights.columns[first..first + count];
    // SAFETY: passed on from the caller.
    let row = unsafe { L::splat(&weights.rows[y]) };
    let mut i = 0;
    while i < count {
        // The last samples are computed twice rather than one by one.
        let at = i.min(count - L::COUNT);
        // SAFETY: there are `COUNT` columns and samples from `at` on; the rest is passed on from the caller.
        unsafe {
            let own = L::load(columns.as_ptr().add(at));
            let (along, down) = if SWAPPED { (row, own) } else { (own, row) };
            from.lanes(at).blend(along, down, line.as_mut_ptr().add(at));
        }
        i += L::COUNT;
    }
}
