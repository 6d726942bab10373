//! The last part of every bf16 convolution: from f32 sums to stored cells.

use std::arch::x86_64::*;
use std::ops::Range;

use super::silu::{self, Silu};
use crate::kernels::memory::SharedArena;
use crate::model::Activation;
use crate::plan::layout::LINE;
use crate::plan::{Chunk, ConvStep};

/// Cells whose sums are stored together.
pub(in crate::kernels) const CELLS: usize = 16;

/// Sums of a run of cells: `[chunk][cell][channel]`.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(in crate::kernels) struct Sums<const C: usize>(pub(in crate::kernels) [[[f32; 16]; CELLS]; C]);

impl<const C: usize> Sums<C> {
    pub(in crate::kernels) const ZERO: Self = Self([[[0.0; 16]; CELLS]; C]);
}

/// How a step ends, as flags: part of a kernel's type, so that nothing is decided cell by cell.
pub(in crate::kernels) mod ending {
    /// Sums of a map of half the size are added before the activation.
    pub(in crate::kernels) const PARTIAL: u8 = 1;
    /// A map is added after the activation.
    pub(in crate::kernels) const RESIDUAL: u8 = 2;
    /// Two chunks fill one cache line.
    pub(in crate::kernels) const ONE_LINE: u8 = 4;
    /// No activation, and stored as f32.
    pub(in crate::kernels) const WIDE: u8 = 8;
    /// No activation: no network of the family has that, so the rest is looked up cell by cell.
    pub(in crate::kernels) const OTHER: u8 = 16;
}
use ending::*;

/// Evaluates `$body` with the constant `$E` set to `$ending`.
macro_rules! with_ending {
    ($ending:expr, $E:ident => $body:expr) => {{
        use $crate::kernels::avx512::ending::*;
        with_ending!(@ $ending, $E => $body,
            [0, ONE_LINE, RESIDUAL, RESIDUAL | ONE_LINE, PARTIAL, PARTIAL | ONE_LINE, WIDE, OTHER])
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

/// Bias, activation, residual and rounding to bf16 for the cells of one block of `C` chunks.
pub(in crate::kernels) struct Finish<'a, const C: usize, const E: u8> {
    step: &'a ConvStep,
    arena: SharedArena<'a>,
    chunks: [Chunk; C],
    /// With the activation's shift.
    bias: [__m512; C],
    silu: Silu,
}

/// The flags of a block's ending.
pub(in crate::kernels) fn ending_of(step: &ConvStep, first: usize, count: usize) -> u8 {
    let chunks = &step.chunks[first..first + count];
    let (partial, residual) = (chunks[0].partial.is_some(), chunks[0].residual.is_some());
    if step.activation == Activation::Identity || (partial && residual) {
        return if step.full_precision && !partial && !residual { WIDE } else { OTHER };
    }
    let neighbours = |a: Option<usize>, b: Option<usize>| match (a, b) {
        (Some(a), Some(b)) => a.is_multiple_of(LINE) && b == a + LINE / 2,
        _ => a == b,
    };
    let one_line = matches!(chunks, [a, b]
        if neighbours(Some(a.output), Some(b.output)) && neighbours(a.residual, b.residual));
    let flag = |on: bool, flag: u8| if on { flag } else { 0 };
    flag(partial, PARTIAL) | flag(residual, RESIDUAL) | flag(one_line, ONE_LINE)
}

impl<'a, const C: usize, const E: u8> Finish<'a, C, E> {
    /// # Safety
    /// `step` belongs to the plan of `arena` and `weights`; `first..first + C` are chunks of the step and end with `E`; the
    /// processor has AVX-512 (F, BW, VL, DQ, BF16).
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
    pub(in crate::kernels) unsafe fn new(
        step: &'a ConvStep,
        arena: SharedArena<'a>,
        weights: &[u8],
        first: usize,
    ) -> Self {
        let chunks: [Chunk; C] = step.chunks[first..first + C].try_into().expect("C chunks");
        let mut bias = [_mm512_setzero_ps(); C];
        for (c, bias) in bias.iter_mut().enumerate() {
            let at = step.bias + (first + c) * LINE;
            // SAFETY: the plan checked one line of bias for each chunk.
            *bias = unsafe { _mm512_loadu_ps(weights[at..at + LINE].as_ptr().cast()) };
            if activated::<E>(step) {
                *bias = _mm512_add_ps(*bias, _mm512_set1_ps(silu::SHIFT));
            }
        }
        Self { step, arena, chunks, bias, silu: Silu::load() }
    }

    /// Stores the cells `rows` of the run that begins at output cell `first`.
    ///
    /// # Safety
    /// The cells lie in the step's run, and their sums at `sums`; nobody else touches their outputs.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
    #[inline]
    pub(in crate::kernels) unsafe fn rows(&self, first: usize, rows: Range<usize>, sums: *const Sums<C>) {
        let Self { arena, chunks, bias, silu, .. } = self;
        for row in rows {
            let cell = first + row;
            let mut x = *bias;
            // SAFETY: the plan checked partial sums, residuals and outputs for every cell of the run; rows are under CELLS.
            unsafe {
                for c in 0..C {
                    x[c] = _mm512_add_ps(
                        x[c],
                        _mm512_load_ps((&raw const (*sums).0[c]).cast::<f32>().add(16 * row)),
                    );
                    if E & PARTIAL != 0 || E == OTHER && chunks[c].partial.is_some() {
                        let low = *self.step.cells.halved.get_unchecked(cell) as usize;
                        let partial = chunks[c].partial.unwrap_unchecked() + low * LINE;
                        x[c] = _mm512_add_ps(x[c], _mm512_load_ps(arena.at(partial).cast()));
                    }
                    if activated::<E>(self.step) {
                        x[c] = silu.of(x[c]);
                    }
                    if E & RESIDUAL != 0 || E == OTHER && chunks[c].residual.is_some() {
                        let residual = chunks[c].residual.unwrap_unchecked() + cell * chunks[c].cell;
                        let bits = _mm256_loadu_si256(arena.at(residual).cast());
                        let wide = _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(bits));
                        x[c] = _mm512_add_ps(x[c], _mm512_castsi512_ps(wide));
                    }
                }
                if E & ONE_LINE != 0 {
                    let both = _mm512_cvtne2ps_pbh(x[C - 1], x[0]);
                    let to = arena.at(chunks[0].output + cell * LINE);
                    _mm512_store_si512(to.cast(), std::mem::transmute::<__m512bh, __m512i>(both));
                    continue;
                }
                for c in 0..C {
                    let to = arena.at(chunks[c].output + cell * chunks[c].cell);
                    if wide::<E>(self.step) {
                        _mm512_storeu_ps(to.cast(), x[c]);
                    } else {
                        let half = _mm512_cvtneps_pbh(x[c]);
                        _mm256_storeu_si256(to.cast(), std::mem::transmute::<__m256bh, __m256i>(half));
                    }
                }
            }
        }
    }

    /// Sets those of `count` cells from `first` on that are borders to zero again.
    ///
    /// # Safety
    /// As [`rows`](Self::rows).
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
    #[inline]
    pub(in crate::kernels) unsafe fn borders(&self, first: usize, count: usize) {
        let mut outside = !self.step.cells.inside(first) & ((1u64 << count) - 1) as u32;
        while outside != 0 {
            let cell = first + outside.trailing_zeros() as usize;
            for chunk in &self.chunks {
                let to = self.arena.at(chunk.output + cell * chunk.cell);
                // SAFETY: passed on from the caller.
                unsafe {
                    _mm256_storeu_si256(to.cast(), _mm256_setzero_si256());
                    if wide::<E>(self.step) {
                        _mm256_storeu_si256(to.add(LINE / 2).cast(), _mm256_setzero_si256());
                    }
                }
            }
            outside &= outside - 1;
        }
    }
}

#[inline(always)]
fn activated<const E: u8>(step: &ConvStep) -> bool {
    match E {
        WIDE => false,
        OTHER => step.activation == Activation::Silu,
        _ => true,
    }
}

#[inline(always)]
fn wide<const E: u8>(step: &ConvStep) -> bool {
    E == WIDE || E == OTHER && step.full_precision
}
