//! From a sum to a stored number, one at a time: what the vector code does, spelled out.

use super::curve::{Curve, argument};
use crate::kernels::sigmoid::{FOR_BYTES, MAGIC};
use crate::model::Activation;
use crate::plan::{Chunk, ConvStep};

/// How the numbers of a chunk become steps of what is stored: bytes, or f32 itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steps {
    pub(super) per_unit: f32,
    /// Where 0 stands, as far as the residual does not say. For bytes without a residual it has [`MAGIC`] added, so that
    /// the last addition rounds to whole steps; a residual has that addition to itself.
    pub(super) zero: f32,
    /// Steps for each step of the residual.
    pub(super) per_residual: f32,
}

impl Steps {
    pub(super) fn of(step: &ConvStep, chunk: &Chunk) -> Self {
        let (per_unit, zero) = match step.full_precision {
            true => (1.0, 0.0),
            false => (1.0 / chunk.quantization.scale, f32::from(chunk.quantization.zero)),
        };
        let residual = chunk.residual_quantization;
        let per_residual = residual.scale * per_unit;
        let zero = match chunk.residual {
            Some(_) => (-f32::from(residual.zero)).mul_add(per_residual, zero),
            None if step.full_precision => zero,
            None => zero + MAGIC,
        };
        Self { per_unit, zero, per_residual }
    }
}

/// What an output channel's sums are worth.
#[derive(Debug, Clone, Copy)]
pub(super) struct Channel {
    pub(super) bias: f32,
    pub(super) scale: f32,
}

/// What is added to a number besides the bias.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Added {
    /// Before the activation.
    pub(super) partial: Option<f32>,
    /// After it.
    pub(super) residual: Option<u8>,
}

/// The number behind an exact sum of products, in steps; `zero` of them without a residual.
pub(super) fn number(sum: i32, channel: Channel, added: Added, activation: Activation, steps: Steps) -> f32 {
    let x = (sum as f32).mul_add(channel.scale, channel.bias);
    let x = added.partial.map_or(x, |partial| x + partial);
    let factor = match activation {
        Activation::Silu => FOR_BYTES.at(x, steps.per_unit),
        Activation::Identity => steps.per_unit,
    };
    let number = x.mul_add(factor, steps.zero);
    added.residual.map_or(number, |byte| f32::from(byte).mul_add(steps.per_residual, number))
}

/// The byte behind an exact sum of products, by a curve.
pub(super) fn curved(sum: i32, channel: Channel, added: Added, curve: &Curve) -> u8 {
    let bias = (channel.bias - curve.middle).mul_add(curve.per_unit, MAGIC);
    let x = (sum as f32).mul_add(channel.scale * curve.per_unit, bias);
    let x = added.partial.map_or(x, |partial| partial.mul_add(curve.per_unit, x));
    curve.at(argument(x), added.residual)
}

/// The byte nearest to so many steps.
pub(super) fn byte(steps: f32, added: Added) -> u8 {
    let shifted = if added.residual.is_some() { steps + MAGIC } else { steps };
    (shifted.to_bits() as i32).wrapping_sub(MAGIC.to_bits() as i32).clamp(0, 255) as u8
}
