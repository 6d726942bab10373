//! `x * sigmoid(x)` for results that are rounded to bf16.
//!
//! A quadratic for each of 31 pieces of the sigmoid, half a unit wide. Two registers hold one coefficient of all pieces, so
//! that looking it up is one permutation; with the clamp and the products, that is 8 instructions for 16 numbers, where
//! `e^x` and a reciprocal take 12 or more.

use std::arch::x86_64::*;
use std::sync::LazyLock;

/// Pieces of half a unit, by the lowest five bits of their number.
const PIECES: usize = 32;
/// The pieces lie around -1 rather than 0: for negative numbers the sigmoid goes on falling by a factor of e for every unit
/// when it has long come close to one for positive ones.
pub(super) const SHIFT: f32 = 1.0;
/// Farthest from the centre. Just under 15.5 pieces, so that both ends round to pieces of their own.
const REACH: f32 = 7.749_999;
/// Adding it rounds to whole numbers, which then stand in the lowest bits.
const MAGIC: f32 = 12_582_912.0;

/// Coefficients of each piece: `c0 + c1 u + c2 u^2` with `u = x + SHIFT`.
#[repr(align(64))]
struct Pieces([[f32; PIECES]; 3]);

static SIGMOID: LazyLock<Pieces> = LazyLock::new(|| {
    let mut pieces = [[0.0; PIECES]; 3];
    for number in -15i32..=15 {
        let quadratic = match number {
            // Below -8.25 the product is under bf16's steps around any number that it could be added to.
            -15 => [0.0; 3],
            _ => fit(f64::from(number) / 2.0, number == 15),
        };
        for (coefficients, c) in pieces.iter_mut().zip(quadratic) {
            coefficients[number as usize % PIECES] = c as f32;
        }
    }
    Pieces(pieces)
});

/// The quadratic through the sigmoid at three Chebyshev nodes around `centre`; the `last` piece ends at 1 instead.
fn fit(centre: f64, last: bool) -> [f64; 3] {
    let reach = 0.25 * (std::f64::consts::PI / 6.0).cos();
    let sigmoid = |u: f64| 1.0 / (1.0 + (f64::from(SHIFT) - u).exp());
    let nodes = [centre - reach, centre, centre + reach];
    let mut values = nodes.map(sigmoid);
    let nodes = if last { [nodes[0], nodes[1], f64::from(REACH)] } else { nodes };
    if last {
        values[2] = 1.0;
    }
    // Newton's divided differences, multiplied out.
    let first = (values[1] - values[0]) / (nodes[1] - nodes[0]);
    let second = ((values[2] - values[1]) / (nodes[2] - nodes[1]) - first) / (nodes[2] - nodes[0]);
    [
        values[0] - first * nodes[0] + second * nodes[0] * nodes[1],
        first - second * (nodes[0] + nodes[1]),
        second,
    ]
}

/// The pieces in registers.
#[derive(Clone, Copy)]
pub(super) struct Silu([[__m512; 2]; 3]);

impl Silu {
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub(super) fn load() -> Self {
        let pieces = &*SIGMOID;
        let mut registers = [[_mm512_setzero_ps(); 2]; 3];
        for (registers, coefficients) in registers.iter_mut().zip(&pieces.0) {
            for (register, half) in registers.iter_mut().zip(coefficients.as_chunks::<16>().0) {
                // SAFETY: 16 numbers.
                *register = unsafe { _mm512_loadu_ps(half.as_ptr()) };
            }
        }
        Self(registers)
    }

    /// `x * sigmoid(x)` for `u = x + SHIFT`, off by less than half a step of bf16, or by 0.0022 where `x` is below -8.25.
    #[target_feature(enable = "avx512f,avx512dq")]
    #[inline]
    pub(super) fn of(&self, u: __m512) -> __m512 {
        // The nearer to zero of both, with the sign of the first.
        let near = _mm512_range_ps::<0b0010>(u, _mm512_set1_ps(REACH));
        let number = _mm512_castps_si512(_mm512_fmadd_ps(near, _mm512_set1_ps(2.0), _mm512_set1_ps(MAGIC)));
        // No closures here: they are not inlined through functions that lack these instructions.
        let [c0, c1, c2] = &self.0;
        let c0 = _mm512_permutex2var_ps(c0[0], number, c0[1]);
        let c1 = _mm512_permutex2var_ps(c1[0], number, c1[1]);
        let c2 = _mm512_permutex2var_ps(c2[0], number, c2[1]);
        let sigmoid = _mm512_fmadd_ps(_mm512_fmadd_ps(c2, near, c1), near, c0);
        _mm512_fmsub_ps(u, sigmoid, sigmoid)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn silu_is_good_to_half_a_step_of_bf16() {
        if !std::arch::is_x86_feature_detected!("avx512dq") {
            // Unlike `println!`, this shows for tests that pass.
            _ = writeln!(std::io::stderr(), "skipped: avx512-bf16 (no AVX-512)");
            return;
        }
        for i in -400_000..400_000 {
            let x = i as f32 * 0.000_1;
            let mut got = [0.0; 16];
            // SAFETY: AVX-512F and DQ were detected; 16 numbers are stored.
            unsafe { _mm512_storeu_ps(got.as_mut_ptr(), Silu::load().of(_mm512_set1_ps(x + SHIFT))) };
            let want = crate::reference::silu(x);
            // A step of bf16 is 1/256 to 1/128 of the number.
            let tolerance = want.abs() / 800.0 + if x < -8.24 { 0.0022 } else { 1e-7 };
            assert!((got[0] - want).abs() <= tolerance, "silu({x}) = {want}, not {}", got[0]);
        }
        for (x, want) in [(1e4, 1e4), (-1e4, 0.0), (-1e30, 0.0)] {
            let mut got = [1.0; 16];
            // SAFETY: as above.
            unsafe { _mm512_storeu_ps(got.as_mut_ptr(), Silu::load().of(_mm512_set1_ps(x + SHIFT))) };
            assert_eq!(got[0], want, "silu({x})");
        }
    }
}
