//! `x * sigmoid(x)` without a division: the same bits from the plain version and the one in vectors.
//!
//! It is half of `x` plus an even function, `|x| (sigmoid(|x|) - 1/2)`, which parabolas follow within 0.0008: a twentieth
//! of what bytes tell apart in a map that reaches 4.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Parabolas for each unit of `|x|`; the last one holds for everything beyond.
const PER_UNIT: f32 = 1.6;

const C0: [f32; 16] = [
    -0.000_142_579_03,
    -0.033_098_333,
    -0.172_428_13,
    -0.372_927_04,
    -0.523_376_6,
    -0.573_301_85,
    -0.538_828_13,
    -0.458_126_84,
    -0.363_486_86,
    -0.274_308_06,
    -0.199_311_6,
    -0.140_574_89,
    -0.096_789_06,
    -0.065_323_67,
    -0.043_348_778,
    0.0,
];

const C1: [f32; 16] = [
    0.003_957_410_3,
    0.103_330_67,
    0.326_614_56,
    0.543_224_93,
    0.665_712_7,
    0.698_693_16,
    0.680_647_1,
    0.643_791_9,
    0.605_874_3,
    0.574_090_66,
    0.550_029_3,
    0.532_897_3,
    0.521_191_06,
    0.513_426_54,
    0.508_391_74,
    0.5,
];

const C2: [f32; 16] = [
    0.236_781_46,
    0.160_606_52,
    0.070_688_8,
    0.012_058_245,
    -0.012_898_02,
    -0.018_344_233,
    -0.015_982_127,
    -0.011_772_543,
    -0.007_973_396,
    -0.005_140_733,
    -0.003_210_414_2,
    -0.001_960_97,
    -0.001_178_438,
    -0.000_699_376_86,
    -0.000_410_960_06,
    0.0,
];

/// One number.
pub(super) fn scalar(x: f32) -> f32 {
    let a = x.abs();
    let i = (a * PER_UNIT).min(15.0) as usize;
    x.mul_add(0.5, C2[i].mul_add(a, C1[i]).mul_add(a, C0[i]))
}

/// `silu(x) * factor + summand`, the two folded into the parabolas.
pub(super) fn scalar_with(x: f32, factor: f32, summand: f32) -> f32 {
    let a = x.abs();
    let i = (a * PER_UNIT).min(15.0) as usize;
    let (c0, c1, c2) = (C0[i].mul_add(factor, summand), C1[i] * factor, C2[i] * factor);
    x.mul_add(0.5 * factor, c2.mul_add(a, c1).mul_add(a, c0))
}

/// The same for 16 numbers, with the parabolas in registers.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy)]
pub(super) struct Parabolas {
    c0: __m512,
    c1: __m512,
    c2: __m512,
    half: __m512,
}

#[cfg(target_arch = "x86_64")]
impl Parabolas {
    /// Those of `silu(x) * factor + summand`; 1 and 0 give the bits of [`scalar`].
    #[target_feature(enable = "avx512f,avx512dq")]
    #[inline]
    pub(super) fn new(factor: f32, summand: f32) -> Self {
        // SAFETY: each table has 16 numbers.
        let [c0, c1, c2] = [&C0, &C1, &C2].map(|table| unsafe { _mm512_loadu_ps(table.as_ptr()) });
        let factor = _mm512_set1_ps(factor);
        Self {
            c0: _mm512_fmadd_ps(c0, factor, _mm512_set1_ps(summand)),
            c1: _mm512_mul_ps(c1, factor),
            c2: _mm512_mul_ps(c2, factor),
            half: _mm512_mul_ps(_mm512_set1_ps(0.5), factor),
        }
    }

    #[target_feature(enable = "avx512f,avx512dq")]
    #[inline]
    pub(super) fn at(&self, x: __m512) -> __m512 {
        let a = _mm512_abs_ps(x);
        let last = _mm512_set1_ps(15.0);
        let i = _mm512_cvttps_epi32(_mm512_min_ps(_mm512_mul_ps(a, _mm512_set1_ps(PER_UNIT)), last));
        let c0 = _mm512_permutexvar_ps(i, self.c0);
        let c1 = _mm512_permutexvar_ps(i, self.c1);
        let c2 = _mm512_permutexvar_ps(i, self.c2);
        _mm512_fmadd_ps(x, self.half, _mm512_fmadd_ps(_mm512_fmadd_ps(c2, a, c1), a, c0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parabolas_follow_silu() {
        for i in (-40_000..40_000).step_by(if cfg!(miri) { 1_000 } else { 1 }) {
            let x = i as f32 * 0.001;
            let want = crate::reference::silu(x);
            assert!((scalar(x) - want).abs() < 0.000_81, "silu({x}) = {want}, not {}", scalar(x));
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn vectors_give_the_scalar_bits() {
        use std::io::Write as _;

        if !std::arch::is_x86_feature_detected!("avx512f") || !std::arch::is_x86_feature_detected!("avx512dq")
        {
            // Unlike `println!`, this shows for tests that pass.
            _ = writeln!(std::io::stderr(), "skipped: avx512-vnni (no AVX-512)");
            return;
        }
        for i in -40_000..40_000 {
            let x = i as f32 * 0.000_97;
            for (factor, summand) in [(1.0, 0.0), (31.7, 9.0)] {
                let mut got = [0.0f32; 16];
                // SAFETY: AVX-512 F and DQ were detected; 16 numbers are stored.
                unsafe {
                    let at = Parabolas::new(factor, summand).at(_mm512_set1_ps(x));
                    _mm512_storeu_ps(got.as_mut_ptr(), at);
                }
                let want = scalar_with(x, factor, summand);
                assert_eq!(got[7].to_bits(), want.to_bits(), "silu({x})");
                assert!(factor != 1.0 || want.to_bits() == scalar(x).to_bits(), "silu({x})");
            }
        }
    }
}
