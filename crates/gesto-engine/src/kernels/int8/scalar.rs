//! From a sum to a stored number, one at a time: what the vector code does, spelled out.

use super::silu;
use crate::model::Quantization;

/// What an output channel's sums are worth.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Channel {
    pub(in crate::kernels) bias: f32,
    pub(in crate::kernels) scale: f32,
}

/// What is added to a number besides the bias.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::kernels) struct Added {
    /// Before the activation.
    pub(in crate::kernels) partial: Option<f32>,
    /// After it: a byte and what it means.
    pub(in crate::kernels) residual: Option<(u8, Quantization)>,
}

/// The number behind an exact sum of products.
pub(in crate::kernels) fn number(sum: i32, channel: Channel, added: Added, silu: bool) -> f32 {
    let x = linear(sum, channel, added);
    plus_residual(if silu { silu::scalar(x) } else { x }, added)
}

/// The byte that stands for this number in a map of `q`, the nearest there is.
pub(in crate::kernels) fn byte(sum: i32, channel: Channel, added: Added, silu: bool, q: Quantization) -> u8 {
    let (per_unit, zero) = (1.0 / q.scale, f32::from(q.zero));
    let steps = if silu && added.residual.is_none() {
        silu::scalar_with(linear(sum, channel, added), per_unit, zero)
    } else {
        number(sum, channel, added, silu).mul_add(per_unit, zero)
    };
    steps.clamp(0.0, 255.0).round_ties_even() as u8
}

fn linear(sum: i32, channel: Channel, added: Added) -> f32 {
    let x = (sum as f32).mul_add(channel.scale, channel.bias);
    added.partial.map_or(x, |partial| x + partial)
}

fn plus_residual(x: f32, added: Added) -> f32 {
    let Some((byte, q)) = added.residual else { return x };
    ((i32::from(byte) - i32::from(q.zero)) as f32).mul_add(q.scale, x)
}
