//! SiLU from numbers of 16 bits to bytes of one map.
//!
//! Whole numbers of 16 bits are twice as many in a register as f32. For results of 8 bits they are fine enough: the curve is a
//! quadratic for each of 32 pieces, already in steps of the map, of which it keeps five or six bits below the
//! point.

use crate::kernels::sigmoid::MAGIC;
use crate::model::Quantization;

/// Pieces between the ends of what 16 bits hold.
const PIECES: usize = 32;
/// Parts of a step, as powers of two: with the most, twice 255 steps still fit 16 bits; with fewer than the least, rounding
/// to parts shows in the bytes.
const PARTS: std::ops::RangeInclusive<f64> = 5.0..=6.0;
/// Smallest argument with a piece: below, SiLU is 0 to a quarter of the smallest step.
const LOWEST: f64 = -10.0;
/// From the largest number of a map to the largest argument, whose SiLU has to be above it.
const BEYOND: f64 = 0.3;
/// Smallest and largest step of a map: 16-bit arguments are fine enough, and pieces short enough.
const STEPS: std::ops::RangeInclusive<f64> = 0.002..=0.25;
/// The cube of half a piece, in steps of the map: at most an eightieth of it is what a quadratic is off by. All maps of
/// [`STEPS`] keep to it, unless a residual's range makes pieces longer.
const LONGEST: f64 = 6.2;

/// SiLU in steps of a map: `c0 + c1 f + c2 f^2` in each piece, `f` from -1 to 1.
#[derive(Debug, Clone, PartialEq)]
#[repr(align(64))]
pub(crate) struct Curve {
    /// `c0`, `c1` and `c2` of each piece, by the lowest five bits of its number.
    pub(super) coefficients: [[i16; PIECES]; 3],
    /// The argument in the middle of the pieces, and 16-bit steps of the argument for one.
    pub(super) middle: f32,
    pub(in crate::kernels) per_unit: f32,
    /// What a residual's byte, times 256, adds: a fraction, 1 being 65,536.
    pub(super) residual: u16,
    /// What [`times`] makes whole steps of the result with.
    pub(super) whole: i16,
}

impl Curve {
    /// The curve of a map, to which another may be added after the activation; `None` if steps or ranges are such that bytes
    /// would be off by more than the rounding and a tenth of a step.
    pub(crate) fn new(map: Quantization, residual: Option<Quantization>) -> Option<Self> {
        let (step, mut zero) = (f64::from(map.scale), f64::from(map.zero));
        if !STEPS.contains(&step) {
            return None;
        }
        let mut highest = (255.0 - zero) * step + BEYOND;
        let mut per_residual = 0.0;
        if let Some(residual) = residual {
            let least = f64::from(residual.zero) * f64::from(residual.scale);
            per_residual = f64::from(residual.scale) / step;
            highest += least;
            zero -= least / step;
        }
        let middle = (highest + LOWEST) / 2.0;
        let half = (highest - LOWEST) / 2.0 / PIECES as f64;
        if half.powi(3) > LONGEST * step {
            return None;
        }
        let pieces: [[f64; 3]; PIECES] = std::array::from_fn(|number| {
            let centre = LOWEST + (2 * number + 1) as f64 * half;
            let at = |f: f64| {
                let x = centre + f * half;
                x / (1.0 + (-x).exp()) / step
            };
            // Through the three Chebyshev nodes.
            let node = (std::f64::consts::PI / 6.0).cos();
            let (low, mid, high) = (at(-node), at(0.0), at(node));
            [mid + zero, (high - low) / (2.0 * node), ((high + low) / 2.0 - mid) / (node * node)]
        });
        // In 16 bits must fit: two slopes, as steep as the small steps of narrow maps make them; what residuals add; and what
        // stands below 0 until they do. Above, 255 is reached long before.
        let largest = pieces.iter().flat_map(|&[c0, c1, c2]| [-c0, 2.0 * c1.abs(), 2.0 * c2.abs()]);
        let most = largest.fold(255.0 * per_residual, f64::max);
        let below = (f64::from(i16::MAX) / most).log2().floor().min(*PARTS.end());
        if below < *PARTS.start() {
            return None;
        }
        let scale = below.exp2();
        // 255 of 256 of it are under 2^15.
        let factor = (per_residual * scale * 256.0).round();
        // Products with residuals are rounded down, by half a part on average.
        let down = if residual.is_some() { 0.5 } else { 0.0 };
        let mut coefficients = [[0; PIECES]; 3];
        for (number, piece) in pieces.iter().enumerate() {
            let place = (number + PIECES / 2) % PIECES;
            for (to, (c, down)) in coefficients.iter_mut().zip(piece.iter().zip([down, 0.0, 0.0])) {
                to[place] = (c * scale + down).round().clamp(-32767.0, 32767.0) as i16;
            }
        }
        let per_unit = (65536.0 / (highest - LOWEST)) as f32;
        let whole = 1 << (15 - below as i32);
        Some(Self { coefficients, middle: middle as f32, per_unit, residual: factor as u16, whole })
    }

    /// The byte for an argument in 16-bit steps, and the residual's byte.
    pub(super) fn at(&self, x: i16, residual: Option<u8>) -> u8 {
        let place = (x >> 11) as usize % PIECES;
        let f = (x << 5) ^ i16::MIN;
        let [c0, c1, c2] = self.coefficients.each_ref().map(|list| list[place]);
        let slope = times(c2, f) + c1;
        let added = residual.map_or(0, |byte| (u32::from(byte) * 256 * u32::from(self.residual)) >> 16);
        let parts = times(slope, f).saturating_add(c0).saturating_add(added as i16);
        times(parts, self.whole).clamp(0, 255) as u8
    }
}

/// The 16-bit step of a number that has [`MAGIC`] added. From 12 million steps below 0 on, thousands in what is activated, it is
/// no longer the lowest: no sensible network comes near.
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
    use proptest::prelude::*;

    use super::*;

    /// SiLU of an argument in 16-bit steps, in steps of the map.
    fn exact(curve: &Curve, map: Quantization, x: i16) -> f64 {
        let number = f64::from(x) / f64::from(curve.per_unit) + f64::from(curve.middle);
        number / (1.0 + (-number).exp()) / f64::from(map.scale) + f64::from(map.zero)
    }

    /// Miri takes a second for a few hundred.
    fn arguments() -> impl Iterator<Item = i16> {
        (i16::MIN..=i16::MAX).step_by(if cfg!(miri) { 999 } else { 1 })
    }

    #[test]
    fn curves_give_nearly_the_nearest_byte() {
        for (low, high) in [
            (-0.278, 0.3),
            (-0.278, 1.0),
            (-0.278, 5.0),
            (-0.2, 7.9),
            (0.0, 8.1),
            (-0.278, 15.5),
            (-0.3, 60.0),
        ] {
            let map = Quantization::of_range(low, high);
            let curve = Curve::new(map, None).expect("a range for a curve");
            for x in arguments() {
                let exact = exact(&curve, map, x);
                let off = f64::from(curve.at(x, None)) - exact.clamp(0.0, 255.0);
                // Half a step is what rounding takes.
                assert!(off.abs() < 0.6, "{low} to {high}: {x} is off by {off} steps");
            }
            // What is beyond either end has the byte that the end has.
            assert_eq!(curve.at(i16::MAX, None), 255);
            assert!(exact(&curve, map, i16::MIN) - f64::from(map.zero) > -0.25);
        }
    }

    #[test]
    fn residuals_are_added_nearly_to_the_nearest_byte() {
        for (range, residual) in [
            ((-0.5, 7.2), (-0.278, 4.0)),
            ((-0.8, 17.7), (-0.5, 17.0)),
            ((-0.5, 1.0), (-0.278, 0.9)),
            ((-0.278, 6.0), (0.0, 9.0)),
        ] {
            let (map, of) =
                (Quantization::of_range(range.0, range.1), Quantization::of_range(residual.0, residual.1));
            let curve = Curve::new(map, Some(of)).expect("ranges for a curve");
            for x in arguments().step_by(7) {
                for byte in [0, 1, of.zero, 77, 200, 255] {
                    let added = (f64::from(byte) - f64::from(of.zero)) * f64::from(of.scale);
                    let exact = exact(&curve, map, x) + added / f64::from(map.scale);
                    let off = f64::from(curve.at(x, Some(byte))) - exact.clamp(0.0, 255.0);
                    assert!(
                        off.abs() < 0.6,
                        "{range:?} and {residual:?}: {x}, {byte} are off by {off} steps"
                    );
                }
            }
        }
    }

    #[test]
    fn maps_that_are_too_wide_or_too_narrow_have_none() {
        for (low, high) in [(-0.278, 65.0), (0.0, 0.4), (-0.278, 0.2)] {
            assert_eq!(Curve::new(Quantization::of_range(low, high), None), None, "{low} to {high}");
        }
        // Residuals whose bytes are worth more than 16 bits hold, or hold finely enough; the last makes pieces too long.
        let map = Quantization::of_range(-0.278, 0.5);
        for (low, high) in [(0.0, 2000.0), (0.0, 80.0), (0.0, 3.2), (-9.0, 0.1)] {
            let residual = Quantization::of_range(low, high);
            assert_eq!(Curve::new(map, Some(residual)), None, "{low} to {high} added");
        }
    }

    /// Any step and zero that a file may give, most of them around those that have curves.
    fn quantizations() -> impl Strategy<Value = Quantization> {
        let steps = prop_oneof![3 => -3.0f32..0.0, 1 => -6.0f32..6.0].prop_map(|power| 10.0f32.powf(power));
        let zeros = prop_oneof![Just(0), Just(255), any::<u8>(), 0u8..40];
        (steps, zeros).prop_map(Quantization::from)
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 4 } else { 4000 },
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn curves_of_any_maps_give_nearly_the_nearest_byte(
            map in quantizations(),
            residual in prop::option::of(quantizations()),
            bytes in prop::collection::vec(any::<u8>(), 4),
        ) {
            let Some(curve) = Curve::new(map, residual) else { return Ok(()) };
            let per_byte = residual.map_or(0.0, |q| f64::from(q.scale) / f64::from(map.scale));
            let zero = f64::from(residual.map_or(0, |q| q.zero));
            for x in arguments().step_by(61).chain([i16::MAX]) {
                let of_silu = exact(&curve, map, x);
                for &byte in bytes.iter().chain(&[0, 255]) {
                    let exact = of_silu + (f64::from(byte) - zero) * per_byte;
                    let off = f64::from(curve.at(x, residual.map(|_| byte))) - exact.clamp(0.0, 255.0);
                    prop_assert!(off.abs() < 0.6, "{x}, {byte} are off by {off} steps");
                }
            }
        }
    }
}
