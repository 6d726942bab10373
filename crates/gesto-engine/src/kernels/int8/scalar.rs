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
    let mut x = (sum as f32).mul_add(channel.scale, channel.bias);
    if let Some(partial) = added.partial {
        x += partial;
    }
    if silu {
        x = silu::scalar(x);
    }
    if let Some((byte, q)) = added.residual {
        x = ((i32::from(byte) - i32::from(q.zero)) as f32).mul_add(q.scale, x);
    }
    x
}

/// The byte that stands for a number, the nearest there is.
pub(in crate::kernels) fn byte(number: f32, q: Quantization) -> u8 {
    number.mul_add(1.0 / q.scale, f32::from(q.zero)).clamp(0.0, 255.0).round_ties_even() as u8
}
