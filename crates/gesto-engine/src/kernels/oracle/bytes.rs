//! The reference of the 8-bit tiers: exact sums of products of bytes, zeros taken away and borders left out one by one, and
//! what follows in f64, with the true sigmoid. That all tiers give the same bytes is another test's matter.

use super::case::{Case, Kind, Step};
use super::scalar::Expected;
use crate::kernels::Curve;
use crate::model::{Activation, Quantization};

/// How far a tier's SiLU may be off.
const SILU_ERROR: f64 = 0.000_35;
/// How far a curve's SiLU may be off, in steps, and how often its argument is rounded to 16 bits of the curve's reach.
const CURVE_ERROR: f64 = 0.1;
const ROUNDINGS: f64 = 1.5;
/// Rounding of a few f32 operations, relative to the largest number that they meet.
const EPSILON: f64 = 4.0 / (1u64 << 24) as f64;

/// The convolutions of a step in whole numbers.
pub(super) struct Reference<'a> {
    case: &'a Case,
    step: &'a Step,
    /// `[convolution][out][in][ky][kx]`
    weights: Vec<Vec<i8>>,
    /// What a sum is worth, for each output channel.
    scales: Vec<Vec<f32>>,
    biases: Vec<Vec<f32>>,
    /// Of each input channel.
    inputs: Vec<Quantization>,
}

impl<'a> Reference<'a> {
    pub(super) fn new(case: &'a Case, step: &'a Step) -> Self {
        let factor = if case.kind == Kind::Picture { 1.0 / 255.0 } else { 1.0 };
        let inputs: Vec<Quantization> = step
            .task
            .sources
            .iter()
            .flat_map(|source| vec![step.quantizations[source.plane.0]; source.channels])
            .collect();
        let taps = case.kernel * case.kernel;
        let (mut weights, mut scales, mut biases) = (Vec::new(), Vec::new(), Vec::new());
        for &id in &step.task.convs {
            let numbers = step.model.weights(id);
            let (mut bytes, mut worth) = (Vec::new(), Vec::new());
            for of_channel in numbers.weight.chunks_exact(inputs.len() * taps) {
                // The scale of what a weight meets is part of it.
                let scaled: Vec<f32> =
                    of_channel.iter().enumerate().map(|(i, w)| w * factor * inputs[i / taps].scale).collect();
                let scale = scaled.iter().fold(0.0f32, |most, w| most.max(w.abs())) / 127.0;
                bytes.extend(
                    scaled.iter().map(|w| if scale > 0.0 { (w / scale).round_ties_even() as i8 } else { 0 }),
                );
                worth.push(scale);
            }
            weights.push(bytes);
            scales.push(worth);
            biases.push(numbers.bias);
        }
        Self { case, step, weights, scales, biases, inputs }
    }

    /// Output channel `channel` of convolution `conv` at a cell: the nearest byte, or an f32.
    pub(super) fn at(&self, conv: usize, channel: usize, y: usize, x: usize) -> Expected {
        let (case, input) = (self.case, &self.step.input);
        let k = case.kernel;
        // The kernels sum all products of bytes, and take away the zeros' part later.
        let (mut sum, mut zeros) = (0i64, 0i64);
        for i in 0..input.channels {
            let zero = i64::from(self.inputs[i].zero);
            for (ky, kx) in (0..k).flat_map(|ky| (0..k).map(move |kx| (ky, kx))) {
                let w = i64::from(self.weights[conv][((channel * input.channels + i) * k + ky) * k + kx]);
                zeros += w * zero;
                let (v, u) = (case.stride * y + ky, case.stride * x + kx);
                let (Some(v), Some(u)) = (v.checked_sub(k / 2), u.checked_sub(k / 2)) else { continue };
                if v < input.grid.height && u < input.grid.width {
                    sum += w * (input.at(v, u, i) as i64 - zero);
                }
            }
        }
        let scale = f64::from(self.scales[conv][channel]);
        let bias = if case.kind == Kind::Sums { 0.0 } else { f64::from(self.biases[conv][channel]) };
        let partial =
            self.step.partial.get(conv).map_or(0.0, |(map, _)| f64::from(map.at(y / 2, x / 2, channel)));
        let mut value = sum as f64 * scale + bias + partial;
        let mut error =
            EPSILON * (sum.abs().max(zeros.abs()) as f64 * scale + bias.abs() + partial.abs() + value.abs());
        if self.step.task.activation == Activation::Silu {
            value /= 1.0 + (-value).exp();
            // SiLU is at most a tenth steeper than 1.
            error = 1.1 * error + SILU_ERROR;
        }
        if let Some((map, planes)) = self.step.residual.get(conv) {
            let q = self.step.quantizations[planes[0].0];
            let residual = f64::from(q.scale) * (f64::from(map.at(y, x, channel)) - f64::from(q.zero));
            value += residual;
            error += EPSILON * (value.abs() + 255.0 * f64::from(q.scale));
        }
        if self.step.task.full_precision {
            return Expected { value, tolerance: error };
        }
        let q = self.step.quantizations[self.step.task.outputs[conv][0].plane.0];
        let steps = value / f64::from(q.scale) + f64::from(q.zero);
        let mut error = error / f64::from(q.scale) + EPSILON * (steps.abs() + 255.0);
        let residual = self.step.residual.get(conv).map(|(_, planes)| self.step.quantizations[planes[0].0]);
        let curve =
            (self.step.task.activation == Activation::Silu).then(|| Curve::new(q, residual)).flatten();
        if let Some(curve) = curve {
            let rounding = 1.0 / f64::from(curve.per_unit);
            error += CURVE_ERROR + 1.1 * ROUNDINGS * rounding / f64::from(q.scale);
        }
        Expected { value: steps.clamp(0.0, 255.0), tolerance: 0.5 + error }
    }
}
