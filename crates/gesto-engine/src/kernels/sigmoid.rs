//! The sigmoid as quadratics, for results that are rounded to 8 bits anyway.
//!
//! A quadratic for each of 31 pieces around a centre; beyond them the sigmoid is 0 or 1. The tables are the same for every
//! tier, and so are the operations on them: an 8-bit tier gives the same bytes in plain Rust and in vectors.

use std::sync::LazyLock;

/// Places for pieces, by the lowest five bits of their number.
pub(super) const PLACES: usize = 32;
/// Adding it rounds to whole numbers, which then stand in the lowest bits.
pub(super) const MAGIC: f32 = 12_582_912.0;
/// Numbers of the outermost pieces.
const LAST: i32 = 15;
const FIRST: i32 = -LAST;

/// Coefficients of each piece: `c0 + c1 u + c2 u^2` with `u = x + shift`.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Pieces {
    pub(super) coefficients: [[f32; PLACES]; 3],
    pub(super) shift: f32,
    pub(super) per_unit: f32,
    /// Farthest from the centre, just under half a piece from the last piece's middle: both ends round to their own piece.
    pub(super) reach: f32,
}

/// For bf16: pieces of half a unit around -1 rather than 0. For negative numbers the sigmoid goes on falling by a factor of e
/// for every unit when it has long come close to one for positive ones. Below -8.25, `x * sigmoid(x)` is under bf16's steps
/// around any number that it could be added to.
pub(super) static FOR_BF16: LazyLock<Pieces> = LazyLock::new(|| Pieces::new(1.0, 2.0, 7.749_999));
/// For bytes, whose steps are even: `x * sigmoid(x)` is off by less than 0.000,35 everywhere.
pub(super) static FOR_BYTES: LazyLock<Pieces> = LazyLock::new(|| Pieces::new(0.0, 1.5, 10.333_333));

impl Pieces {
    fn new(shift: f32, per_unit: f32, reach: f32) -> Self {
        let mut coefficients = [[0.0; PLACES]; 3];
        for number in FIRST..=LAST {
            let quadratic = quadratic(number, f64::from(shift), f64::from(per_unit), f64::from(reach));
            for (coefficients, c) in coefficients.iter_mut().zip(quadratic) {
                coefficients[number as usize % PLACES] = c as f32;
            }
        }
        Self { coefficients, shift, per_unit, reach }
    }

    /// `factor * sigmoid(x)` for `u = x + shift`, with the coefficients already multiplied.
    pub(super) fn at(&self, u: f32, factor: f32) -> f32 {
        let near = if u.abs() < self.reach { u } else { self.reach.copysign(u) };
        let place = near.mul_add(self.per_unit, MAGIC).to_bits() as usize % PLACES;
        let [c0, c1, c2] = self.coefficients.each_ref().map(|list| list[place] * factor);
        c2.mul_add(near, c1).mul_add(near, c0)
    }
}

/// The quadratic through the sigmoid at three Chebyshev nodes of a piece; the first and the last piece end at 0 and 1 instead.
fn quadratic(number: i32, shift: f64, per_unit: f64, reach: f64) -> [f64; 3] {
    let centre = f64::from(number) / per_unit;
    let to_node = 0.5 / per_unit * (std::f64::consts::PI / 6.0).cos();
    let mut nodes = [centre - to_node, centre, centre + to_node];
    let mut values = nodes.map(|u| 1.0 / (1.0 + (shift - u).exp()));
    match number {
        // Around another centre than 0 the sigmoid is far from even there.
        FIRST if shift > 0.0 => return [0.0; 3],
        FIRST => (nodes[0], values[0]) = (-reach, 0.0),
        LAST => (nodes[2], values[2]) = (reach, 1.0),
        _ => {}
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silu_is_good_enough_for_its_tier() {
        for i in (-400_000..400_000).step_by(if cfg!(miri) { 9_000 } else { 1 }) {
            let x = i as f32 * 0.000_1;
            let want = crate::reference::silu(x);
            let got = x * FOR_BYTES.at(x, 1.0);
            assert!((got - want).abs() < 0.000_35, "silu({x}) = {want}, not {got}");
            let got = x * FOR_BF16.at(x + FOR_BF16.shift, 1.0);
            // A step of bf16 is 1/256 to 1/128 of the number.
            let tolerance = want.abs() / 800.0 + if x < -8.24 { 0.0022 } else { 1e-7 };
            assert!((got - want).abs() <= tolerance, "silu({x}) = {want}, not {got}");
        }
        for pieces in [&FOR_BYTES, &FOR_BF16] {
            for (x, want) in [(1e4, 1.0), (-1e4, 0.0), (-1e30, 0.0)] {
                assert!((pieces.at(x, 1.0) - want).abs() < 1e-6, "sigmoid({x})");
            }
        }
    }
}
