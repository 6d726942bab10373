//! The sigmoid of 16 numbers at once.
//!
//! Two registers hold one coefficient of all pieces, so that looking it up is one permutation; with the clamp, that is 7
//! instructions for 16 numbers, where `e^x` and a reciprocal take 12 or more.

use std::arch::x86_64::*;

use crate::kernels::sigmoid::{MAGIC, Pieces};

/// The pieces in registers.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Sigmoid {
    coefficients: [[__m512; 2]; 3],
    per_unit: __m512,
    reach: __m512,
}

impl Sigmoid {
    /// The sigmoid times `factor`.
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub(in crate::kernels) fn load(pieces: &Pieces, factor: f32) -> Self {
        let mut coefficients = [[_mm512_setzero_ps(); 2]; 3];
        for (registers, list) in coefficients.iter_mut().zip(&pieces.coefficients) {
            for (register, half) in registers.iter_mut().zip(list.as_chunks::<16>().0) {
                // SAFETY: 16 numbers.
                *register = unsafe { _mm512_mul_ps(_mm512_loadu_ps(half.as_ptr()), _mm512_set1_ps(factor)) };
            }
        }
        let (per_unit, reach) = (_mm512_set1_ps(pieces.per_unit), _mm512_set1_ps(pieces.reach));
        Self { coefficients, per_unit, reach }
    }

    /// For numbers with the pieces' shift added: the bits of [`Pieces::at`].
    #[target_feature(enable = "avx512f,avx512dq")]
    #[inline]
    pub(in crate::kernels) fn at(&self, u: __m512) -> __m512 {
        // The nearer to zero of both, with the sign of the first.
        let near = _mm512_range_ps::<0b0010>(u, self.reach);
        let number = _mm512_castps_si512(_mm512_fmadd_ps(near, self.per_unit, _mm512_set1_ps(MAGIC)));
        // No closures here: they are not inlined through functions that lack these instructions.
        let [c0, c1, c2] = &self.coefficients;
        let c0 = _mm512_permutex2var_ps(c0[0], number, c0[1]);
        let c1 = _mm512_permutex2var_ps(c1[0], number, c1[1]);
        let c2 = _mm512_permutex2var_ps(c2[0], number, c2[1]);
        _mm512_fmadd_ps(_mm512_fmadd_ps(c2, near, c1), near, c0)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::kernels::sigmoid::{FOR_BF16, FOR_BYTES};

    #[test]
    fn vectors_give_the_bits_of_plain_code() {
        if !std::arch::is_x86_feature_detected!("avx512dq") {
            // Unlike `println!`, this shows for tests that pass.
            _ = writeln!(std::io::stderr(), "skipped: avx512-bf16, avx512-vnni (no AVX-512)");
            return;
        }
        for pieces in [&*FOR_BF16, &*FOR_BYTES] {
            for i in -40_000..40_000 {
                let u = i as f32 * 0.000_97;
                for factor in [1.0, 31.7] {
                    let mut got = [0.0f32; 16];
                    // SAFETY: AVX-512 F and DQ were detected; 16 numbers are stored.
                    unsafe {
                        let at = Sigmoid::load(pieces, factor).at(_mm512_set1_ps(u));
                        _mm512_storeu_ps(got.as_mut_ptr(), at);
                    }
                    assert_eq!(got[7].to_bits(), pieces.at(u, factor).to_bits(), "{u}, {factor}");
                }
            }
        }
    }
}
