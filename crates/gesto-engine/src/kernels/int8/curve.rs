//! SiLU from numbers of 16 bits to bytes of one map.
//!
//! Whole numbers of 16 bits are twice as many in a register as f32. For results of 8 bits they are fine enough: the curve is a
//! quadratic for each of 32 pieces, already in steps of the map, of which it keeps six bits below the point.

use crate::kernels::sigmoid::MAGIC;
use crate::model::Quantization;

/// Pieces between the ends of what 16 bits hold.
const PIECES: usize = 32;
/// Parts of a step, as a power of two: twice 255 steps still fit 16 bits.
const FINEST: i32 = 6;
/// Largest result whose pieces are short enough, and smallest step that 16-bit arguments tell apart.
const HIGHEST: f64 = 16.0;
const NARROWEST: f64 = 0.002;

/// SiLU in steps of a map: `c0 + c1 f + c2 f^2` in each piece, `f` from -1 to 1.
#[derive(Debug, Clone, PartialEq)]
#[repr(align(64))]
pub(crate) struct Curve {
    /// `c0`, `c1` and `c2` of each piece, by the lowest five bits of its number.
    pub(super) coefficients: [[i16; PIECES]; 3],
    /// 16-bit steps of the argument for one.
    pub(super) per_unit: f32,
    /// What [`times`] makes whole steps of the result with.
    pub(super) whole: i16,
}

impl Curve {
    /// The curve of a map, unless the map's range is too wide or too narrow for one.
    pub(crate) fn new(map: Quantization) -> Option<Self> {
        let (step, zero) = (f64::from(map.scale), f64::from(map.zero));
        let highest = (255.0 - zero) * step;
        if highest > HIGHEST || step < NARROWEST {
            return None;
        }
        // Beyond, SiLU is above all bytes, or close to 0.
        let reach = if highest <= HIGHEST / 2.0 { HIGHEST / 2.0 } else { HIGHEST };
        let half = reach / PIECES as f64;
        let pieces: [[f64; 3]; PIECES] = std::array::from_fn(|number| {
            let middle = (2 * number as i32 + 1 - PIECES as i32) as f64 * half;
            let at = |f: f64| {
                let x = middle + f * half;
                x / (1.0 + (-x).exp()) / step
            };
            // Through the three Chebyshev nodes.
            let node = (std::f64::consts::PI / 6.0).cos();
            let (low, mid, high) = (at(-node), at(0.0), at(node));
            [mid + zero, (high - low) / (2.0 * node), ((high + low) / 2.0 - mid) / (node * node)]
        });
        // Steps of narrow maps are so small that pieces are steep.
        let steepest = pieces.iter().flat_map(|piece| &piece[1..]).fold(0.0f64, |most, c| most.max(c.abs()));
        let below =
            (f64::from(i16::MAX) / 2.0 / steepest).log2().floor().clamp(0.0, f64::from(FINEST)) as i32;
        let mut coefficients = [[0; PIECES]; 3];
        for (number, piece) in pieces.iter().enumerate() {
            let place = (number + PIECES / 2) % PIECES;
            for (to, c) in coefficients.iter_mut().zip(piece) {
                to[place] = (c * f64::from(1 << below)).round().clamp(-32767.0, 32767.0) as i16;
            }
        }
        let per_unit = (32768.0 / reach) as f32;
        Some(Self { coefficients, per_unit, whole: 1 << (15 - below) })
    }

    /// The byte for an argument in 16-bit steps.
    pub(super) fn at(&self, x: i16) -> u8 {
        let place = (x >> 11) as usize % PIECES;
        let f = (x << 5) ^ i16::MIN;
        let [c0, c1, c2] = self.coefficients.each_ref().map(|list| list[place]);
        let slope = times(c2, f).saturating_add(c1);
        times(times(slope, f).saturating_add(c0), self.whole).clamp(0, 255) as u8
    }
}

/// The 16-bit step of a number that has [`MAGIC`] added.
pub(super) fn argument(shifted: f32) -> i16 {
    let whole = (shifted.to_bits() as i32).wrapping_sub(MAGIC.to_bits() as i32);
    whole.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

/// The product of fractions, 1 being 32,768: half-way cases go up.
fn times(a: i16, b: i16) -> i16 {
    ((((i32::from(a) * i32::from(b)) >> 14) + 1) >> 1) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_give_nearly_the_nearest_byte() {
        for (low, high) in
            [(-0.278, 0.3), (-0.278, 1.0), (-0.278, 5.0), (-0.2, 7.9), (0.0, 8.1), (-0.278, 15.5)]
        {
            let map = Quantization::of_range(low, high);
            let curve = Curve::new(map).expect("a range for a curve");
            for x in (i16::MIN..=i16::MAX).step_by(if cfg!(miri) { 999 } else { 1 }) {
                let number = f64::from(x) / f64::from(curve.per_unit);
                let exact = number / (1.0 + (-number).exp()) / f64::from(map.scale) + f64::from(map.zero);
                let off = f64::from(curve.at(x)) - exact.clamp(0.0, 255.0);
                // Half a step is what rounding takes.
                assert!(off.abs() < 0.6, "{low} to {high}: {number} is off by {off} steps");
            }
        }
    }

    #[test]
    fn maps_that_are_too_wide_or_too_narrow_have_none() {
        for (low, high) in [(-0.278, 17.0), (-0.278, 60.0), (0.0, 0.4), (-0.278, 0.2)] {
            assert_eq!(Curve::new(Quantization::of_range(low, high)), None, "{low} to {high}");
        }
    }
}
