//! `x * sigmoid(x)` without a division: the same bits from the plain version and the one in vectors.
//!
//! It is half of `x` plus an even function, `|x| (sigmoid(|x|) - 1/2)`, which parabolas follow within 0.0008: a twentieth
//! of what bytes tell apart in a map that reaches 4.

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

/// 16 numbers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq")]
#[inline]
pub(super) fn vector(x: std::arch::x86_64::__m512) -> std::arch::x86_64::__m512 {
    use std::arch::x86_64::*;
    let table = |numbers: &[f32; 16], i| {
        // SAFETY: 16 numbers.
        _mm512_permutexvar_ps(i, unsafe { _mm512_loadu_ps(numbers.as_ptr()) })
    };
    let a = _mm512_abs_ps(x);
    let i =
        _mm512_cvttps_epi32(_mm512_min_ps(_mm512_mul_ps(a, _mm512_set1_ps(PER_UNIT)), _mm512_set1_ps(15.0)));
    let even = _mm512_fmadd_ps(_mm512_fmadd_ps(table(&C2, i), a, table(&C1, i)), a, table(&C0, i));
    _mm512_fmadd_ps(x, _mm512_set1_ps(0.5), even)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parabolas_follow_silu() {
        for i in -40_000..40_000 {
            let x = i as f32 * 0.001;
            let want = crate::reference::silu(x);
            assert!((scalar(x) - want).abs() < 0.000_81, "silu({x}) = {want}, not {}", scalar(x));
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn vectors_give_the_scalar_bits() {
        if !std::arch::is_x86_feature_detected!("avx512dq") {
            println!("skipped: avx512-vnni (no AVX-512)");
            return;
        }
        for i in -40_000..40_000 {
            let x = i as f32 * 0.000_97;
            let mut got = [0.0f32; 16];
            // SAFETY: AVX-512 F and DQ were detected; 16 numbers are stored.
            unsafe {
                use std::arch::x86_64::*;
                _mm512_storeu_ps(got.as_mut_ptr(), vector(_mm512_set1_ps(x)));
            }
            assert_eq!(got[7].to_bits(), scalar(x).to_bits(), "silu({x})");
        }
    }
}
