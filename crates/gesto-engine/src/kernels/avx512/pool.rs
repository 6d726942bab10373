//! Max pools.

use std::arch::x86_64::*;

use super::f32::Zmm;
use crate::kernels::memory::SharedArena;
use crate::kernels::pool::{self, Cell};
use crate::plan::PoolStep;
use crate::plan::layout::{Format, LINE};

/// Max pools of one plane.
///
/// # Safety
/// As [`pool::run`]; the planes are of `format`; the processor has AVX-512 (F, BW, VL, DQ).
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
pub(in crate::kernels) unsafe fn pool(
    step: &PoolStep,
    arena: SharedArena<'_>,
    planes: &[usize],
    format: Format,
) {
    // SAFETY: passed on from the caller; format and size of a cell pick the type.
    unsafe {
        match (format, step.cell) {
            (Format::F32, LINE) => pool::run::<pool::F32<Zmm>>(step, arena, planes),
            (Format::Bf16, LINE) => pool::run::<Bf16x32>(step, arena, planes),
            (Format::Bf16, 32) => pool::run::<Bf16x16>(step, arena, planes),
            (Format::U8, LINE) => pool::run::<U8x64>(step, arena, planes),
            (Format::U8, 32) => pool::run::<U8x32>(step, arena, planes),
            (Format::U8, 16) => pool::run::<U8x16>(step, arena, planes),
            (format, cell) => unreachable!("no plane of {format:?} has cells of {cell} bytes"),
        }
    }
}

/// A cell in one register, as integers of the order of its numbers: `$order` makes them from what lies in memory, and
/// also undoes that.
macro_rules! cell {
    ($(#[$doc:meta])* $name:ident($register:ty), $load:ident, $store:ident, $max:ident, $lowest:expr, $order:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        struct $name($register);

        // SAFETY (of every block below): the processor has the instructions, which `lowest` and `load` require, and of
        // which a value is proof.
        impl Cell for $name {
            /// # Safety
            /// As [`Cell::lowest`].
            #[inline(always)]
            unsafe fn lowest() -> Self {
                // SAFETY: see the impl.
                #[allow(unused_unsafe)]
                unsafe { Self($lowest) }
            }

            /// # Safety
            /// As [`Cell::load`].
            #[inline(always)]
            unsafe fn load(from: *const u8) -> Self {
                // SAFETY: see the impl; the caller gives a readable cell.
                unsafe { Self($order($load(from.cast()))) }
            }

            /// # Safety
            /// As [`Cell::store`].
            #[inline(always)]
            unsafe fn store(self, to: *mut u8) {
                // SAFETY: see the impl; the caller gives room for a cell.
                unsafe { $store(to.cast(), $order(self.0)) }
            }

            #[inline(always)]
            fn max(self, other: Self) -> Self {
                // SAFETY: see the impl.
                unsafe { Self($max(self.0, other.0)) }
            }
        }
    };
}

cell!(
    /// 32 numbers of bf16.
    Bf16x32(__m512i), _mm512_loadu_si512, _mm512_storeu_si512, _mm512_max_epi16, _mm512_set1_epi16(i16::MIN), order
);
cell!(
    /// 16 numbers of bf16.
    Bf16x16(__m256i), _mm256_loadu_si256, _mm256_storeu_si256, _mm256_max_epi16, _mm256_set1_epi16(i16::MIN), order_half
);
cell!(
    /// 64 bytes.
    U8x64(__m512i), _mm512_loadu_si512, _mm512_storeu_si512, _mm512_max_epu8, _mm512_setzero_si512(), std::convert::identity
);
cell!(
    /// 32 bytes.
    U8x32(__m256i), _mm256_loadu_si256, _mm256_storeu_si256, _mm256_max_epu8, _mm256_setzero_si256(), std::convert::identity
);
cell!(
    /// 16 bytes.
    U8x16(__m128i), _mm_loadu_si128, _mm_storeu_si128, _mm_max_epu8, _mm_setzero_si128(), std::convert::identity
);

/// Flips the lower bits of negative numbers: bf16 is then ordered like integers.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn order(x: __m512i) -> __m512i {
    let sign = _mm512_srai_epi16::<15>(x);
    _mm512_xor_si512(x, _mm512_and_si512(sign, _mm512_set1_epi16(0x7fff)))
}

/// The same for 16 numbers.
#[target_feature(enable = "avx2")]
#[inline]
fn order_half(x: __m256i) -> __m256i {
    let sign = _mm256_srai_epi16::<15>(x);
    _mm256_xor_si256(x, _mm256_and_si256(sign, _mm256_set1_epi16(0x7fff)))
}
