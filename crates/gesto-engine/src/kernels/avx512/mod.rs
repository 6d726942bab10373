//! AVX-512.

mod bf16;
mod bf16_out;
mod f32;

use super::memory::SharedArena;
use super::pool;
use crate::plan::PoolStep;
use crate::plan::layout::Format;

pub(super) use bf16::{conv as conv_bf16, multiply_registers as multiply_registers_bf16};
pub(super) use bf16_out::Finish;
pub(super) use f32::{cells, conv, multiply_registers, winograd};

/// Max pools, compiled for this tier.
///
/// # Safety
/// As [`pool::run`]; the processor has AVX-512 (F, BW, VL, DQ).
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
pub(super) unsafe fn pool(step: &PoolStep, arena: SharedArena<'_>, planes: &[usize], format: Format) {
    // SAFETY: passed on from the caller.
    unsafe { pool::run(step, arena, planes, format) }
}
