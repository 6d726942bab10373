//! The reference of the 8-bit tiers: exact sums of products of bytes, zeros taken away and borders left out one by one.

use super::case::{Case, Kind, Step};
use super::scalar::Expected;
use crate::kernels::int8::scalar::{self, Added, Channel};
use crate::model::{Activation, Quantization};

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

    /// Output channel `channel` of convolution `conv` at a cell: exactly this.
    pub(super) fn at(&self, conv: usize, channel: usize, y: usize, x: usize) -> Expected {
        let (case, input) = (self.case, &self.step.input);
        let k = case.kernel;
        let mut sum = 0i64;
        for i in 0..input.channels {
            for (ky, kx) in (0..k).flat_map(|ky| (0..k).map(move |kx| (ky, kx))) {
                let (v, u) = (case.stride * y + ky, case.stride * x + kx);
                let (Some(v), Some(u)) = (v.checked_sub(k / 2), u.checked_sub(k / 2)) else { continue };
                if v < input.grid.height && u < input.grid.width {
                    let w = self.weights[conv][((channel * input.channels + i) * k + ky) * k + kx];
                    sum += i64::from(w) * (input.at(v, u, i) as i64 - i64::from(self.inputs[i].zero));
                }
            }
        }
        let bias = if case.kind == Kind::Sums { 0.0 } else { self.biases[conv][channel] };
        let channel_numbers = Channel { bias, scale: self.scales[conv][channel] };
        let added = Added {
            partial: self.step.partial.get(conv).map(|(map, _)| map.at(y / 2, x / 2, channel)),
            residual: self
                .step
                .residual
                .get(conv)
                .map(|(map, planes)| (map.at(y, x, channel) as u8, self.step.quantizations[planes[0].0])),
        };
        let silu = self.step.task.activation == Activation::Silu;
        let sum = i32::try_from(sum).expect("a sum of a few thousand products of bytes");
        let value = if self.step.task.full_precision {
            f64::from(scalar::number(sum, channel_numbers, added, silu))
        } else {
            let plane = self.step.task.outputs[conv][0].plane;
            let q = self.step.quantizations[plane.0];
            f64::from(scalar::byte(sum, channel_numbers, added, silu, q))
        };
        Expected { value, tolerance: 0.0 }
    }
}
