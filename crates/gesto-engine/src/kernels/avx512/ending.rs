//! The last part of bf16 and 8-bit convolutions: from stored sums to stored cells.
//!
//! While the matrix unit works, additions and multiplications of floats go to one port of the vector units instead of two,
//! shuffles and additions of integers to the other: so rounding and packing are made of the latter.

use std::arch::x86_64::*;
use std::ops::Range;

use crate::kernels::memory::SharedArena;
use crate::model::Activation;
use crate::plan::layout::LINE;
use crate::plan::{Chunk, ConvStep};

/// Cells whose sums are stored together.
pub(in crate::kernels) const CELLS: usize = 16;

/// Sums of a run of cells, `[chunk][cell][channel]`: f32, or i32 of products of bytes.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(in crate::kernels) struct Sums<const C: usize>([[[u32; 16]; CELLS]; C]);

impl<const C: usize> Sums<C> {
    pub(in crate::kernels) const ZERO: Self = Self([[[0; 16]; CELLS]; C]);

    /// Where the 16 sums of a cell stand.
    #[inline(always)]
    fn at(sums: *const Self, chunk: usize, cell: usize) -> *const u8 {
        sums.cast::<u8>().wrapping_add((chunk * CELLS + cell) * LINE)
    }

    #[inline(always)]
    pub(in crate::kernels) fn at_mut(&mut self, chunk: usize, cell: usize) -> *mut u8 {
        (&raw mut self.0[chunk][cell]).cast()
    }
}

/// How a step ends, as flags: part of a kernel's type, so that nothing is decided cell by cell.
pub(in crate::kernels) mod flags {
    /// Sums of a map of half the size are added before the activation.
    pub(in crate::kernels) const PARTIAL: u8 = 1;
    /// A map is added after the activation.
    pub(in crate::kernels) const RESIDUAL: u8 = 2;
    /// Two chunks stand side by side in the output's cells.
    pub(in crate::kernels) const PAIR: u8 = 4;
    /// A chunk fills the cells of its plane: cells stand side by side.
    pub(in crate::kernels) const NARROW: u8 = 8;
    /// No activation, and stored as f32.
    pub(in crate::kernels) const WIDE: u8 = 16;
    /// No activation, sums and a map at once, or maps without curves: rare or never met, so the rest is looked up cell by cell.
    pub(in crate::kernels) const OTHER: u8 = 32;
}
use flags::*;

/// Evaluates `$body` with the constant `$E` set to `$ending`.
macro_rules! with_ending {
    ($ending:expr, $E:ident => $body:expr) => {{
        use $crate::kernels::avx512::flags::*;
        with_ending!(@ $ending, $E => $body,
            [0, RESIDUAL, PARTIAL, PAIR, PAIR | RESIDUAL, PAIR | PARTIAL, NARROW, NARROW | RESIDUAL, NARROW | PARTIAL,
             WIDE, OTHER])
    }};
    (@ $ending:expr, $E:ident => $body:expr, [$($flags:expr),*]) => {
        match $ending {
            $(ending if ending == $flags => {
                const $E: u8 = $flags;
                $body
            })*
            ending => unreachable!("no step has the ending {ending}"),
        }
    };
}
pub(in crate::kernels) use with_ending;

/// The flags of a block's ending.
pub(in crate::kernels) fn ending_of<N: Numbers<1>>(step: &ConvStep, first: usize, count: usize) -> u8 {
    let chunks = &step.chunks[first..first + count];
    let (partial, residual) = (chunks[0].partial.is_some(), chunks[0].residual.is_some());
    if step.activation == Activation::Identity || step.full_precision || (partial && residual) {
        let plain = step.activation == Activation::Identity && !partial && !residual;
        return if step.full_precision && plain { WIDE } else { OTHER };
    }
    if N::CURVES && step.curves.is_empty() {
        return OTHER;
    }
    let flag = |on: bool, flag: u8| if on { flag } else { 0 };
    let pair = matches!(chunks, [a, b] if b.output == a.output + N::BYTES && b.cell == a.cell);
    let narrow = chunks.iter().all(|chunk| chunk.cell == N::BYTES);
    flag(partial, PARTIAL) | flag(residual, RESIDUAL) | flag(pair, PAIR) | flag(narrow && !pair, NARROW)
}

#[inline(always)]
pub(in crate::kernels) fn activated<const E: u8>(step: &ConvStep) -> bool {
    match E {
        WIDE => false,
        OTHER => step.activation == Activation::Silu,
        _ => true,
    }
}

#[inline(always)]
pub(in crate::kernels) fn wide<const E: u8>(step: &ConvStep) -> bool {
    E == WIDE || E == OTHER && step.full_precision
}

/// Where the 16 sums of a chunk are, and what is added to them.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Sources {
    pub(in crate::kernels) sums: *const u8,
    pub(in crate::kernels) partial: Option<*const u8>,
    pub(in crate::kernels) residual: Option<*const u8>,
}

/// A number format's part: from sums to numbers, and from registers of 16 numbers to memory.
pub(in crate::kernels) trait Numbers<const C: usize>: Sized {
    /// Bytes of a chunk in a cell.
    const BYTES: usize;
    /// Activations are the step's [`Curve`](crate::kernels::Curve)s; a step without them has the ending [`OTHER`].
    const CURVES: bool;
    /// Pairs and narrow chunks go through [`Finish::rows_by_four`]: four chunks at a time take less work than two.
    const BY_FOUR: bool;

    /// # Safety
    /// `step` belongs to the plan of `weights`; `first..first + C` are chunks of the step and end with `E`; the processor
    /// has AVX-512 (F, BW, VL, DQ) and what the format needs besides. So for all functions here.
    unsafe fn new<const E: u8>(step: &ConvStep, weights: &[u8], first: usize) -> Self;

    /// The numbers behind the 16 sums of chunk `c` at `sums`. Where the ending has them, 16 sums of f32 to add lie at
    /// `partial`, and a chunk of the map to add at `residual`.
    ///
    /// # Safety
    /// As [`new`](Self::new); the pointers hold what is said of them.
    unsafe fn numbers<const E: u8>(&self, step: &ConvStep, c: usize, from: Sources) -> __m512;

    /// From the sums of two chunks that are neighbours in memory, `chunks` of the block: of one cell, or the same of two cells.
    /// `alone`: only the first is stored.
    ///
    /// # Safety
    /// As [`numbers`](Self::numbers), twice; there is room at `to`.
    unsafe fn two<const E: u8>(
        &self,
        step: &ConvStep,
        chunks: [usize; 2],
        from: [Sources; 2],
        to: *mut u8,
        alone: bool,
    );

    /// Both chunks of each of two cells, for formats [`BY_FOUR`](Self::BY_FOUR).
    ///
    /// # Safety
    /// As [`two`](Self::two), twice.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    unsafe fn twice<const E: u8>(
        &self,
        step: &ConvStep,
        chunks: [usize; 2],
        from: [[Sources; 2]; 2],
        to: [*mut u8; 2],
    ) {
        // SAFETY: passed on from the caller.
        unsafe {
            self.two::<E>(step, chunks, from[0], to[0], false);
            self.two::<E>(step, chunks, from[1], to[1], false);
        }
    }

    /// From the sums of one chunk to memory, unless it is of f32.
    ///
    /// # Safety
    /// As [`two`](Self::two).
    unsafe fn one<const E: u8>(&self, step: &ConvStep, chunk: usize, from: Sources, to: *mut u8);

    /// Stores what stands for zero.
    ///
    /// # Safety
    /// As [`new`](Self::new); there is room at `to`.
    unsafe fn store_zero(to: *mut u8, chunk: &Chunk);
}

/// The last part for the cells of one block of `C` chunks, which end with `E`.
pub(in crate::kernels) struct Finish<'a, N, const C: usize, const E: u8> {
    step: &'a ConvStep,
    arena: SharedArena<'a>,
    chunks: [Chunk; C],
    numbers: N,
}

impl<'a, N: Numbers<C>, const C: usize, const E: u8> Finish<'a, N, C, E> {
    /// # Safety
    /// As [`Numbers::new`]; `arena` is the plan's.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    pub(in crate::kernels) unsafe fn new(
        step: &'a ConvStep,
        arena: SharedArena<'a>,
        weights: &[u8],
        first: usize,
    ) -> Self {
        let chunks = step.chunks[first..first + C].try_into().expect("C chunks");
        // SAFETY: passed on from the caller.
        Self { step, arena, chunks, numbers: unsafe { N::new::<E>(step, weights, first) } }
    }

    /// Stores the cells `rows` of the run that begins at output cell `first`.
    ///
    /// # Safety
    /// The cells lie in the step's run, and their sums at `sums`; nobody else touches their outputs.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    pub(in crate::kernels) unsafe fn rows(&self, first: usize, mut rows: Range<usize>, sums: *const Sums<C>) {
        // SAFETY: passed on from the caller.
        unsafe {
            if N::BY_FOUR && E & (PAIR | NARROW) != 0 {
                return self.rows_by_four(first, rows, sums);
            }
            if E & NARROW != 0 {
                // Two cells from an even one on fill a line or half of one.
                if !(first + rows.start).is_multiple_of(2) && !rows.is_empty() {
                    self.row(first, rows.start, sums);
                    rows.start += 1;
                }
                while rows.len() >= 2 {
                    let row = rows.start;
                    for c in 0..C {
                        let from = [self.at(first, row, c, sums), self.at(first, row + 1, c, sums)];
                        self.numbers.two::<E>(self.step, [c; 2], from, self.output(first + row, c), false);
                    }
                    rows.start += 2;
                }
            }
            for row in rows {
                self.row(first, row, sums);
            }
        }
    }

    /// [`rows`](Self::rows) in loops that stand once, with no other code for what is left over: then they are inlined.
    ///
    /// # Safety
    /// As [`rows`](Self::rows).
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    unsafe fn rows_by_four(&self, first: usize, mut rows: Range<usize>, sums: *const Sums<C>) {
        while !rows.is_empty() {
            let row = rows.start;
            // SAFETY: passed on from the caller.
            unsafe {
                if E & PAIR != 0 {
                    // The last one twice, if their number is odd.
                    let next = (row + 1).min(rows.end - 1);
                    let from = [self.pair(first, row, sums), self.pair(first, next, sums)];
                    let to = [self.output(first + row, 0), self.output(first + next, 0)];
                    self.numbers.twice::<E>(self.step, [0, C - 1], from, to);
                    rows.start = next + 1;
                } else {
                    // Two cells from an even one on fill a line or half of one.
                    let alone = rows.len() == 1 || !(first + row).is_multiple_of(2);
                    let next = if alone { row } else { row + 1 };
                    for c in 0..C {
                        let from = [self.at(first, row, c, sums), self.at(first, next, c, sums)];
                        self.numbers.two::<E>(self.step, [c; 2], from, self.output(first + row, c), alone);
                    }
                    rows.start = next + 1;
                }
            }
        }
    }

    /// # Safety
    /// As [`rows`](Self::rows).
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    unsafe fn row(&self, first: usize, row: usize, sums: *const Sums<C>) {
        let cell = first + row;
        // SAFETY: passed on from the caller.
        unsafe {
            if E & PAIR != 0 {
                let from = self.pair(first, row, sums);
                return self.numbers.two::<E>(self.step, [0, C - 1], from, self.output(cell, 0), false);
            }
            for c in 0..C {
                let (from, to) = (self.at(first, row, c, sums), self.output(cell, c));
                if wide::<E>(self.step) {
                    _mm512_storeu_ps(to.cast(), self.numbers.numbers::<E>(self.step, c, from));
                } else {
                    self.numbers.one::<E>(self.step, c, from, to);
                }
            }
        }
    }

    /// Both chunks of one cell.
    ///
    /// # Safety
    /// As [`rows`](Self::rows).
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    unsafe fn pair(&self, first: usize, row: usize, sums: *const Sums<C>) -> [Sources; 2] {
        // SAFETY: passed on from the caller.
        unsafe { [self.at(first, row, 0, sums), self.at(first, row, C - 1, sums)] }
    }

    /// # Safety
    /// As [`rows`](Self::rows).
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    unsafe fn at(&self, first: usize, row: usize, c: usize, sums: *const Sums<C>) -> Sources {
        let Self { step, arena, chunks, .. } = self;
        let (cell, chunk) = (first + row, &chunks[c]);
        // SAFETY: the plan checked partial sums and residuals for every cell of the run; rows are under CELLS; all chunks
        // have what the flags say.
        unsafe {
            let partial = (E & PARTIAL != 0 || E == OTHER && chunk.partial.is_some()).then(|| {
                let low = *step.cells.halved.get_unchecked(cell) as usize;
                arena.at(chunk.partial.unwrap_unchecked() + low * LINE).cast_const()
            });
            let residual = (E & RESIDUAL != 0 || E == OTHER && chunk.residual.is_some())
                .then(|| arena.at(chunk.residual.unwrap_unchecked() + cell * chunk.cell).cast_const());
            Sources { sums: Sums::at(sums, c, row), partial, residual }
        }
    }

    #[inline(always)]
    fn output(&self, cell: usize, c: usize) -> *mut u8 {
        self.arena.at(self.chunks[c].output + cell * self.chunks[c].cell)
    }

    /// Sets those of `count` cells from `first` on that are borders to zero again.
    ///
    /// # Safety
    /// As [`rows`](Self::rows).
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    pub(in crate::kernels) unsafe fn borders(&self, first: usize, count: usize) {
        let mut outside = !self.step.cells.inside(first) & ((1u64 << count) - 1) as u32;
        while outside != 0 {
            let cell = first + outside.trailing_zeros() as usize;
            for (c, chunk) in self.chunks.iter().enumerate() {
                let to = self.output(cell, c);
                // SAFETY: passed on from the caller.
                unsafe {
                    if wide::<E>(self.step) {
                        _mm512_storeu_ps(to.cast(), _mm512_setzero_ps());
                    } else {
                        N::store_zero(to, chunk);
                    }
                }
            }
            outside &= outside - 1;
        }
    }
}
