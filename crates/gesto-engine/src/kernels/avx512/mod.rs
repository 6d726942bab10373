//! AVX-512.

mod bf16;
mod bf16_out;
mod ending;
mod f32;
mod pool;
mod sigmoid;
mod winograd_bf16;

pub(super) use bf16::{conv as conv_bf16, multiply_registers as multiply_registers_bf16};
pub(super) use bf16_out::{Bf16, upper_words};
pub(super) use ending::*;
pub(super) use f32::{cells, conv, multiply_registers, tiling, winograd};
pub(super) use pool::pool;
pub(super) use sigmoid::Sigmoid;
pub(super) use winograd_bf16::winograd as winograd_bf16;
