//! The reference: one output number at a time, in f64, from numbers and weights rounded as the tier rounds them.

use super::case::{Case, Kind, Step};
use super::filtered::Filtered;
use super::stored;
use crate::isa::Isa;
use crate::model::Activation;
use crate::plan::layout::Format;

/// An output number, and how far off a kernel may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    pub(super) value: f64,
    pub(super) tolerance: f64,
}

/// Rounding of one f32 operation.
const EPSILON: f64 = 1.0 / (1u64 << 24) as f64;
/// The same for bf16, which has 8 bits.
const EPSILON_BF16: f64 = 1.0 / (1u64 << 8) as f64;
/// How steep SiLU is at most.
const STEEP: f64 = 1.1;

/// Relative error of a tier's SiLU of a number, and its absolute one.
fn silu_error(isa: Isa, of: f64) -> (f64, f64) {
    match isa {
        // Before rounding to bf16. Far below zero it ends early.
        Isa::AmxBf16 | Isa::Avx512Bf16 => (1.0 / 800.0, if of < -8.24 { 0.0022 } else { 1e-7 }),
        _ => (4.0 * EPSILON, 1e-7),
    }
}

/// The convolutions of a step as plain numbers.
pub(super) struct Reference<'a> {
    case: &'a Case,
    step: &'a Step,
    isa: Isa,
    format: Format,
    /// `[convolution][out][in][ky][kx]`, rounded as the tier stores them.
    weights: Vec<Vec<f32>>,
    biases: Vec<Vec<f32>>,
    /// Largest number read, when minimal filtering mixes neighbours before it multiplies.
    filtered: Option<f64>,
    /// Then with bf16: what it multiplies.
    mixed: Option<Filtered>,
}

impl<'a> Reference<'a> {
    pub(super) fn new(case: &'a Case, step: &'a Step, isa: Isa, format: Format, filtered: bool) -> Self {
        let scale = if case.kind == Kind::Picture { 1.0 / 255.0 } else { 1.0 };
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        for &id in &step.task.convs {
            let numbers = step.model.weights(id);
            weights.push(numbers.weight.iter().map(|w| stored(format, w * scale)).collect());
            biases.push(numbers.bias);
        }
        let largest = step.input.data.iter().fold(0.0f64, |most, &a| most.max(f64::from(a).abs()));
        let mixed = (filtered && format == Format::Bf16).then(|| Filtered::new(case, step));
        Self { case, step, isa, format, weights, biases, filtered: filtered.then_some(largest), mixed }
    }

    /// Output channel `channel` of convolution `conv` at a cell.
    pub(super) fn at(&self, conv: usize, channel: usize, y: usize, x: usize) -> Expected {
        let (case, input) = (self.case, &self.step.input);
        let k = case.kernel;
        let (mut sum, mut absolute, mut weight_sum) = (0.0f64, 0.0f64, 0.0f64);
        if let Some(mixed) = &self.mixed {
            (sum, absolute) = mixed.sum(conv, channel, y, x);
        }
        let channels = if self.mixed.is_some() { 0 } else { input.channels };
        for i in 0..channels {
            for ky in 0..k {
                for kx in 0..k {
                    let w = self.weights[conv][((channel * input.channels + i) * k + ky) * k + kx];
                    weight_sum += f64::from(w).abs();
                    let (v, u) = (case.stride * y + ky, case.stride * x + kx);
                    let (Some(v), Some(u)) = (v.checked_sub(k / 2), u.checked_sub(k / 2)) else { continue };
                    if v < input.grid.height && u < input.grid.width {
                        let product = f64::from(w) * f64::from(input.at(v, u, i));
                        sum += product;
                        absolute += product.abs();
                    }
                }
            }
        }
        let terms = (input.channels * k * k + 4) as f64;
        // A sum of n products has at most n roundings, whatever the order. The transforms of minimal filtering add up to
        // 16 numbers before and after.
        let mut tolerance = match self.filtered {
            // The mixed inputs are exact, and the sum that comes of them is one of sixteen times as many products.
            Some(_) if self.mixed.is_some() => 16.0 * terms * EPSILON * absolute,
            None => terms * EPSILON * absolute,
            Some(largest) => 4.0 * terms * EPSILON * largest * weight_sum,
        };
        if case.kind != Kind::Sums {
            sum += f64::from(self.biases[conv][channel]);
        }
        if let Some((partial, _)) = self.step.partial.get(conv) {
            sum += f64::from(partial.at(y / 2, x / 2, channel));
        }
        tolerance += 4.0 * EPSILON * (sum.abs() + absolute);
        let mut value = sum;
        if self.step.task.activation == Activation::Silu {
            let (relative, least) = silu_error(self.isa, sum);
            value = sum / (1.0 + (-sum).exp());
            tolerance = STEEP * tolerance + relative * value.abs() + least;
        }
        if let Some((residual, _)) = self.step.residual.get(conv) {
            value += f64::from(residual.at(y, x, channel));
            tolerance += EPSILON * value.abs();
        }
        if self.format == Format::Bf16 && !self.step.task.full_precision {
            tolerance += EPSILON_BF16 * (value.abs() + tolerance);
        }
        Expected { value, tolerance: tolerance + 1e-30 }
    }
}
