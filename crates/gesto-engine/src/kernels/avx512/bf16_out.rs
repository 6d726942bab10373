//! The last part of every bf16 convolution: from f32 sums to stored cells.

use std::arch::x86_64::*;

use crate::kernels::memory::SharedArena;
use crate::model::Activation;
use crate::plan::layout::LINE;
use crate::plan::{Chunk, ConvStep};

/// Bias, activation, residual, rounding to bf16 and zeros on the borders, for the cells of one block of `C` chunks.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Finish<'a, const C: usize> {
    step: &'a ConvStep,
    arena: SharedArena<'a>,
    chunks: [Chunk; C],
    bias: [__m512; C],
    /// Two chunks fill one line of the output.
    one_line: bool,
}

impl<'a, const C: usize> Finish<'a, C> {
    /// # Safety
    /// `step` belongs to the plan of `arena` and `weights`; `first..first + C` are chunks of the step; the processor has
    /// AVX-512 (F, BW, VL, DQ, BF16).
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
    #[inline]
    pub(in crate::kernels) unsafe fn new(
        step: &'a ConvStep,
        arena: SharedArena<'a>,
        weights: &[u8],
        first: usize,
    ) -> Self {
        let chunks: [Chunk; C] = step.chunks[first..first + C].try_into().expect("C chunks");
        let bias = std::array::from_fn(|c| {
            let at = step.bias + (first + c) * LINE;
            // SAFETY: the plan checked one line of bias for each chunk.
            unsafe { _mm512_loadu_ps(weights[at..at + LINE].as_ptr().cast()) }
        });
        let one_line = C == 2
            && !step.full_precision
            && chunks[0].output.is_multiple_of(LINE)
            && chunks[C - 1].output == chunks[0].output + LINE / 2;
        Self { step, arena, chunks, bias, one_line }
    }

    /// Stores output cell `cell`, whose sums stand at `sums[c]`.
    ///
    /// # Safety
    /// `cell` lies in the step's run; each of `sums` points to 16 numbers; nobody else touches the cell's output.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
    #[inline]
    pub(in crate::kernels) unsafe fn cell(&self, cell: usize, inside: bool, sums: [*const f32; C]) {
        // A border keeps its zeros: all lanes off.
        let lanes: __mmask16 = if inside { 0xffff } else { 0 };
        let mut x = self.bias;
        for c in 0..C {
            // SAFETY: the caller gives 16 sums; the plan checked partial sums and residuals for every cell of the run.
            unsafe {
                x[c] = _mm512_add_ps(x[c], _mm512_loadu_ps(sums[c]));
                if let Some(partial) = self.chunks[c].partial {
                    let low = self.step.cells.halved[cell] as usize;
                    x[c] = _mm512_add_ps(x[c], _mm512_loadu_ps(self.arena.at(partial + low * LINE).cast()));
                }
                if self.step.activation == Activation::Silu {
                    x[c] = silu(x[c]);
                }
                if let Some(residual) = self.chunks[c].residual {
                    let bits =
                        _mm256_loadu_si256(self.arena.at(residual + cell * self.chunks[c].cell).cast());
                    let wide = _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(bits));
                    x[c] = _mm512_add_ps(x[c], _mm512_castsi512_ps(wide));
                }
                x[c] = _mm512_maskz_mov_ps(lanes, x[c]);
            }
        }
        // SAFETY: the plan checked the outputs for every cell of the run.
        unsafe {
            if self.one_line {
                let both = _mm512_cvtne2ps_pbh(x[C - 1], x[0]);
                let to = self.arena.at(self.chunks[0].output + cell * LINE);
                _mm512_store_si512(to.cast(), std::mem::transmute::<__m512bh, __m512i>(both));
                return;
            }
            for c in 0..C {
                let to = self.arena.at(self.chunks[c].output + cell * self.chunks[c].cell);
                if self.step.full_precision {
                    _mm512_storeu_ps(to.cast(), x[c]);
                } else {
                    let half = _mm512_cvtneps_pbh(x[c]);
                    _mm256_storeu_si256(to.cast(), std::mem::transmute::<__m256bh, __m256i>(half));
                }
            }
        }
    }
}

/// `x * sigmoid(x)` to about 12 bits, for results that are rounded to 8: `2^f` by a cubic for the fraction, the exponent
/// by `vscalefps`, and a 14-bit reciprocal.
#[target_feature(enable = "avx512f,avx512dq")]
#[inline]
fn silu(x: __m512) -> __m512 {
    // Below -80 the result is 0 anyway, and 1 + 2^t must stay finite.
    let t = _mm512_mul_ps(_mm512_max_ps(x, _mm512_set1_ps(-80.0)), _mm512_set1_ps(-std::f32::consts::LOG2_E));
    // t minus t rounded down: in [0, 1).
    let f = _mm512_reduce_ps::<0b0001>(t);
    let p = _mm512_set1_ps(0.079_440_23);
    let p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.224_494_1));
    let p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.696_065_7));
    let p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0));
    let e = _mm512_scalef_ps(p, t);
    _mm512_mul_ps(x, _mm512_rcp14_ps(_mm512_add_ps(e, _mm512_set1_ps(1.0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silu_is_good_to_eleven_bits() {
        if !std::arch::is_x86_feature_detected!("avx512dq") {
            println!("skipped: avx512-bf16 (no AVX-512)");
            return;
        }
        for i in -2000..2000 {
            let x = i as f32 * 0.06;
            let mut got = [0.0; 16];
            // SAFETY: AVX-512F and DQ were detected; 16 numbers are stored.
            unsafe { _mm512_storeu_ps(got.as_mut_ptr(), silu(_mm512_set1_ps(x))) };
            let want = crate::reference::silu(x);
            assert!(
                (got[0] - want).abs() <= want.abs() / 2048.0 + 1e-30,
                "silu({x}) = {want}, not {}",
                got[0]
            );
        }
    }
}
