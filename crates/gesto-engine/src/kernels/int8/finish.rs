//! The last part of a convolution of bytes, in AVX-512: from sums to stored cells.

use std::arch::x86_64::*;

use super::lists;
use super::silu::Parabolas;
use crate::kernels::memory::SharedArena;
use crate::model::Activation;
use crate::plan::layout::LINE;
use crate::plan::{Chunk, ConvStep};

/// Bytes of a chunk's channels in a cell.
const CHUNK_BYTES: usize = 16;

/// What a step does after its sums, as bits of a constant, so that each kind of step has code of its own.
pub(super) mod kind {
    pub(in super::super) const SILU: u8 = 1;
    pub(in super::super) const RESIDUAL: u8 = 2;
    pub(in super::super) const PARTIAL: u8 = 4;
    pub(in super::super) const FULL: u8 = 8;
    /// Looks at the step for each cell.
    pub(in super::super) const ANY: u8 = 16;
}

/// Runs `$run` with the constant `KIND` of a step.
macro_rules! for_kind {
    ($step:expr, $kind:ident => $run:expr) => {{
        use crate::kernels::int8::finish::{kind, kind_of};
        match kind_of($step) {
            kind::SILU => {
                const $kind: u8 = kind::SILU;
                $run
            }
            3 => {
                const $kind: u8 = kind::SILU | kind::RESIDUAL;
                $run
            }
            5 => {
                const $kind: u8 = kind::SILU | kind::PARTIAL;
                $run
            }
            kind::FULL => {
                const $kind: u8 = kind::FULL;
                $run
            }
            _ => {
                const $kind: u8 = kind::ANY;
                $run
            }
        }
    }};
}
pub(super) use for_kind;

/// The kind of a step.
pub(super) fn kind_of(step: &ConvStep) -> u8 {
    let any = |has: fn(&Chunk) -> bool| step.chunks.iter().any(has);
    let bits = [
        (step.activation == Activation::Silu, kind::SILU),
        (any(|chunk| chunk.residual.is_some()), kind::RESIDUAL),
        (any(|chunk| chunk.partial.is_some()), kind::PARTIAL),
        (step.full_precision, kind::FULL),
    ];
    bits.into_iter().fold(0, |all, (has, bit)| if has { all | bit } else { all })
}

/// Scale, bias, activation, residual, rounding to bytes and the borders, for the cells of one block of `C` chunks.
#[derive(Clone, Copy)]
pub(super) struct Finish<'a, const C: usize> {
    step: &'a ConvStep,
    arena: SharedArena<'a>,
    chunks: [Chunk; C],
    bias: [__m512; C],
    scale: [__m512; C],
    offset: [__m512i; C],
    /// SiLU, and SiLU in steps of the output's bytes.
    silu: Parabolas,
    silu_in_steps: [Parabolas; C],
    /// For each chunk: steps a unit, and the byte of 0.
    per_unit: [f32; C],
    zero: [f32; C],
    /// Both chunks stand side by side in the output.
    side_by_side: bool,
}

impl<'a, const C: usize> Finish<'a, C> {
    /// # Safety
    /// `step` belongs to the plan of `arena` and `weights`; `first..first + C` are chunks of the step; the processor has
    /// AVX-512 (F, BW, VL, DQ).
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    pub(super) unsafe fn new(
        step: &'a ConvStep,
        arena: SharedArena<'a>,
        weights: &[u8],
        first: usize,
    ) -> Self {
        let chunks: [Chunk; C] = step.chunks[first..first + C].try_into().expect("C chunks");
        let mut numbers = [[_mm512_setzero_ps(); C]; 3];
        for (list, numbers) in numbers.iter_mut().enumerate() {
            for (c, numbers) in numbers.iter_mut().enumerate() {
                let at = lists(step, first + c)[list];
                // SAFETY: the plan checked one line of each list for each chunk.
                *numbers = unsafe { _mm512_loadu_ps(weights[at..at + LINE].as_ptr().cast()) };
            }
        }
        let silu = Parabolas::new(1.0, 0.0);
        let (mut per_unit, mut zero) = ([0.0; C], [0.0; C]);
        let (mut silu_in_steps, mut offset) = ([silu; C], [_mm512_setzero_si512(); C]);
        for c in 0..C {
            per_unit[c] = 1.0 / chunks[c].quantization.scale;
            zero[c] = f32::from(chunks[c].quantization.zero);
            silu_in_steps[c] = Parabolas::new(per_unit[c], zero[c]);
            offset[c] = _mm512_castps_si512(numbers[2][c]);
        }
        Self {
            step,
            arena,
            chunks,
            bias: numbers[0],
            scale: numbers[1],
            offset,
            silu,
            silu_in_steps,
            per_unit,
            zero,
            side_by_side: C == 2
                && !step.full_precision
                && chunks[C - 1].output == chunks[0].output + CHUNK_BYTES
                && chunks[C - 1].cell == chunks[0].cell,
        }
    }

    /// Stores output cell `cell`, whose sums stand at `sums[c]`.
    ///
    /// # Safety
    /// `cell` lies in the step's run; each of `sums` points to 16 numbers; nobody else touches the cell's output; `KIND` is
    /// the step's, or [`kind::ANY`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    pub(super) unsafe fn cell<const KIND: u8>(&self, cell: usize, inside: bool, sums: [*const i32; C]) {
        let full = if KIND == kind::ANY { self.step.full_precision } else { KIND & kind::FULL != 0 };
        if !inside {
            // SAFETY: passed on from the caller.
            return unsafe { self.border(cell) };
        }
        let mut numbers = [_mm512_setzero_ps(); C];
        for c in 0..C {
            // SAFETY: passed on from the caller.
            numbers[c] = unsafe { self.number::<KIND>(cell, c, sums[c]) };
        }
        // SAFETY: the plan checked outputs for every cell of the run.
        unsafe {
            if full {
                for c in 0..C {
                    let chunk = &self.chunks[c];
                    _mm512_storeu_ps(self.arena.at(chunk.output + cell * chunk.cell).cast(), numbers[c]);
                }
                return;
            }
            let most = _mm512_set1_ps(255.0);
            if self.side_by_side {
                // Packing takes care of what is below 0, and leaves the dwords of both chunks mixed.
                let first = _mm512_cvtps_epi32(_mm512_min_ps(numbers[0], most));
                let second = _mm512_cvtps_epi32(_mm512_min_ps(numbers[C - 1], most));
                let words = _mm512_packs_epi32(first, second);
                let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 0, 0, 0, 0, 0, 0, 0, 0);
                let bytes = _mm512_permutexvar_epi32(order, _mm512_packus_epi16(words, words));
                let to = self.arena.at(self.chunks[0].output + cell * self.chunks[0].cell);
                _mm256_storeu_si256(to.cast(), _mm512_castsi512_si256(bytes));
                return;
            }
            for c in 0..C {
                let chunk = &self.chunks[c];
                let x = _mm512_min_ps(_mm512_max_ps(numbers[c], _mm512_setzero_ps()), most);
                let to = self.arena.at(chunk.output + cell * chunk.cell);
                _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x)));
            }
        }
    }

    /// The numbers of chunk `c`, in steps of the output's bytes where it has bytes.
    ///
    /// # Safety
    /// As [`cell`](Self::cell).
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    unsafe fn number<const KIND: u8>(&self, cell: usize, c: usize, sums: *const i32) -> __m512 {
        let any = KIND == kind::ANY;
        let chunk = &self.chunks[c];
        let silu = if any { self.step.activation == Activation::Silu } else { KIND & kind::SILU != 0 };
        let has_partial = if any { chunk.partial.is_some() } else { KIND & kind::PARTIAL != 0 };
        let has_residual = if any { chunk.residual.is_some() } else { KIND & kind::RESIDUAL != 0 };
        let full = if any { self.step.full_precision } else { KIND & kind::FULL != 0 };
        // SAFETY: the caller gives 16 sums; the plan checked partial sums and residuals for every cell of the run.
        unsafe {
            let sum = _mm512_add_epi32(_mm512_loadu_si512(sums.cast()), self.offset[c]);
            let mut x = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), self.scale[c], self.bias[c]);
            if has_partial {
                let low = self.step.cells.halved[cell] as usize;
                let partial = chunk.partial.expect("all chunks of such a step have one");
                x = _mm512_add_ps(x, _mm512_loadu_ps(self.arena.at(partial + low * LINE).cast()));
            }
            if silu && !has_residual && !full {
                return self.silu_in_steps[c].at(x);
            }
            if silu {
                x = self.silu.at(x);
            }
            if has_residual {
                let residual = chunk.residual.expect("all chunks of such a step have one");
                let bytes = _mm_loadu_si128(self.arena.at(residual + cell * chunk.cell).cast());
                let q = chunk.residual_quantization;
                let zero = _mm512_set1_epi32(i32::from(q.zero));
                let steps = _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_cvtepu8_epi32(bytes), zero));
                x = _mm512_fmadd_ps(steps, _mm512_set1_ps(q.scale), x);
            }
            if full {
                return x;
            }
            _mm512_fmadd_ps(x, _mm512_set1_ps(self.per_unit[c]), _mm512_set1_ps(self.zero[c]))
        }
    }

    /// A cell beside a row keeps its zeros.
    ///
    /// # Safety
    /// As [`cell`](Self::cell).
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    unsafe fn border(&self, cell: usize) {
        for chunk in &self.chunks {
            let to = self.arena.at(chunk.output + cell * chunk.cell);
            // SAFETY: the plan checked outputs for every cell of the run.
            unsafe {
                if self.step.full_precision {
                    _mm512_storeu_ps(to.cast(), _mm512_setzero_ps());
                } else {
                    _mm_storeu_si128(to.cast(), _mm_set1_epi8(chunk.quantization.zero as i8));
                }
            }
        }
    }
}
