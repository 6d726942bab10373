//! What a core can do at most: the multiply instruction of a tier, on registers only.

use std::time::Instant;

use super::vector::Vector;
use super::{Kernels, portable};
#[cfg(target_arch = "x86_64")]
use super::{amx, avx2, avx512, int8};
use crate::isa::Isa;

/// Independent sums: more than latency times instructions a cycle anywhere.
pub(super) const SUMS: usize = 10;

/// Floating point operations a second of one core, the best of a few runs of about a millisecond.
pub(crate) fn flops(kernels: Kernels) -> f64 {
    let turns = if matches!(kernels.isa(), Isa::AmxBf16 | Isa::AmxInt8) { 20_000 } else { 100_000 };
    let mut best = 0.0f64;
    for _ in 0..12 {
        let start = Instant::now();
        // SAFETY: the token inside `kernels` proves that the tier's instructions run here.
        let done = unsafe {
            match kernels.isa() {
                #[cfg(target_arch = "x86_64")]
                Isa::AmxBf16 => amx::multiply_registers::<amx::ProductsBf16>(turns),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512F32 => avx512::multiply_registers(turns),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512Bf16 => avx512::multiply_registers_bf16(turns),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2F32 => avx2::multiply_registers(turns),
                #[cfg(target_arch = "x86_64")]
                Isa::AmxInt8 => amx::multiply_registers::<amx::ProductsBytes>(turns),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512Vnni => int8::vnni::multiply_registers(turns),
                _ => portable::multiply_registers(turns),
            }
        };
        best = best.max(done as f64 / start.elapsed().as_secs_f64());
    }
    best
}

/// `turns` times `N` independent multiply-adds of 16 numbers; gives the operations done.
///
/// # Safety
/// The processor has `V`'s instructions.
#[inline(always)]
pub(super) unsafe fn multiply_adds<V: Vector, const N: usize>(turns: usize) -> usize {
    // SAFETY: passed on from the caller.
    let a = unsafe { V::splat(std::hint::black_box(1.000_01)) };
    let b = a.filled(std::hint::black_box(1e-9));
    let mut sums = [a.filled(1.0); N];
    for _ in 0..turns {
        for sum in &mut sums {
            *sum = V::mul_add(*sum, a, b);
        }
    }
    let mut out = [0.0f32; 16];
    for sum in sums {
        // SAFETY: 16 numbers.
        unsafe { sum.store(out.as_mut_ptr()) };
        std::hint::black_box(&out);
    }
    turns * N * 16 * 2
}
