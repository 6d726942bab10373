//! The last part of a convolution of bytes, in AVX-512: from sums to stored cells.

use std::arch::x86_64::*;

use super::{lists, silu};
use crate::kernels::memory::SharedArena;
use crate::model::Activation;
use crate::plan::layout::LINE;
use crate::plan::{Chunk, ConvStep};

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
    u8::from(step.activation == Activation::Silu) * kind::SILU
        | u8::from(any(|chunk| chunk.residual.is_some())) * kind::RESIDUAL
        | u8::from(any(|chunk| chunk.partial.is_some())) * kind::PARTIAL
        | u8::from(step.full_precision) * kind::FULL
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
    /// For each chunk: bytes a unit, and the byte of 0.
    per_unit: [f32; C],
    zero: [f32; C],
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
        let list = |list: usize| {
            std::array::from_fn(|c| {
                let at = lists(step, first + c)[list];
                // SAFETY: the plan checked one line of each list for each chunk.
                unsafe { _mm512_loadu_ps(weights[at..at + LINE].as_ptr().cast()) }
            })
        };
        Self {
            step,
            arena,
            chunks,
            bias: list(0),
            scale: list(1),
            offset: list(2).map(|offset: __m512| _mm512_castps_si512(offset)),
            per_unit: chunks.map(|chunk| 1.0 / chunk.quantization.scale),
            zero: chunks.map(|chunk| f32::from(chunk.quantization.zero)),
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
        let has = |bit: u8, step: bool| if KIND == kind::ANY { step } else { KIND & bit != 0 };
        let full = has(kind::FULL, self.step.full_precision);
        for c in 0..C {
            let chunk = &self.chunks[c];
            // SAFETY: the caller gives 16 sums; the plan checked outputs, partial sums and residuals for every cell of the run.
            unsafe {
                let to = self.arena.at(chunk.output + cell * chunk.cell);
                if !inside {
                    if full {
                        _mm512_storeu_ps(to.cast(), _mm512_setzero_ps());
                    } else {
                        _mm_storeu_si128(to.cast(), _mm_set1_epi8(chunk.quantization.zero as i8));
                    }
                    continue;
                }
                let sum = _mm512_add_epi32(_mm512_loadu_si512(sums[c].cast()), self.offset[c]);
                let mut x = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), self.scale[c], self.bias[c]);
                if has(kind::PARTIAL, chunk.partial.is_some()) {
                    let low = self.step.cells.halved[cell] as usize;
                    let partial = chunk.partial.expect("all chunks of such a step have one");
                    x = _mm512_add_ps(x, _mm512_loadu_ps(self.arena.at(partial + low * LINE).cast()));
                }
                if has(kind::SILU, self.step.activation == Activation::Silu) {
                    x = silu::vector(x);
                }
                if has(kind::RESIDUAL, chunk.residual.is_some()) {
                    let residual = chunk.residual.expect("all chunks of such a step have one");
                    let bytes = _mm_loadu_si128(self.arena.at(residual + cell * chunk.cell).cast());
                    let q = chunk.residual_quantization;
                    let number =
                        _mm512_sub_epi32(_mm512_cvtepu8_epi32(bytes), _mm512_set1_epi32(i32::from(q.zero)));
                    x = _mm512_fmadd_ps(_mm512_cvtepi32_ps(number), _mm512_set1_ps(q.scale), x);
                }
                if full {
                    _mm512_storeu_ps(to.cast(), x);
                    continue;
                }
                let x = _mm512_fmadd_ps(x, _mm512_set1_ps(self.per_unit[c]), _mm512_set1_ps(self.zero[c]));
                let x = _mm512_min_ps(_mm512_max_ps(x, _mm512_setzero_ps()), _mm512_set1_ps(255.0));
                _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x)));
            }
        }
    }
}
