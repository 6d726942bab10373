//! Convolutions of bytes: unsigned activations times signed weights, summed in 32-bit integers.
//!
//! Sums are exact, and what follows them (scale, activation, residual, rounding to a byte) uses nothing but whole numbers
//! and operations that IEEE 754 defines to the bit: all tiers here give the same bytes. So do all machines, unless the `exp`
//! of f64 that the tables of SiLU are made with differs in a last place that rounding happens to keep.

mod curve;
#[cfg(target_arch = "x86_64")]
mod finish;
#[cfg(target_arch = "x86_64")]
mod lookup;
pub(super) mod portable;
mod scalar;
#[cfg(target_arch = "x86_64")]
pub(super) mod vnni;

#[cfg(target_arch = "x86_64")]
pub(super) use finish::Bytes;
#[cfg(target_arch = "x86_64")]
pub(super) use lookup::ByBytes;

pub(crate) use self::curve::Curve;
use crate::plan::ConvStep;
use crate::plan::layout::LINE;

/// Bytes of the weight tile of one chunk and tap: 16 quadruples of channels by 16 output channels.
const WEIGHT_TILE: usize = 16 * LINE;

/// Byte offsets of a chunk's biases and scales, 16 numbers each.
fn lists(step: &ConvStep, chunk: usize) -> [usize; 2] {
    std::array::from_fn(|list| step.bias + (list * step.chunks.len() + chunk) * LINE)
}
