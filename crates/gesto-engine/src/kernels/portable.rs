//! Plain Rust: the compiler vectorises it for the target it builds for (SSE2, NEON, ...).

use super::memory::SharedArena;
use super::vector::Vector;
use super::{ceiling, conv_f32, pool, winograd};
use crate::plan::layout::{Format, LINE};
use crate::plan::winograd::Winograd;
use crate::plan::{ConvStep, PoolStep, Share, Tile};

/// Cells of a tile: 4 by 16 numbers fill SSE2's and NEON's registers.
pub(super) const CELLS: usize = 4;

#[derive(Clone, Copy)]
struct Plain([f32; 16]);

impl Plain {
    // A loop, not `array::from_fn`: that one's closures are calls of their own in some builds, a hundred times slower.
    #[inline(always)]
    fn zip(mut self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        for (a, b) in self.0.iter_mut().zip(&other.0) {
            *a = f(*a, *b);
        }
        self
    }
}

impl Vector for Plain {
    /// # Safety
    /// None: every processor has these instructions.
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Self([x; 16])
    }

    /// # Safety
    /// As [`Vector::load`].
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller gives 16 readable numbers.
        Self(unsafe { from.cast::<[f32; 16]>().read() })
    }

    /// # Safety
    /// As [`Vector::store`].
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller gives room for 16 numbers.
        unsafe { to.cast::<[f32; 16]>().write(self.0) }
    }

    #[inline(always)]
    fn add(a: Self, b: Self) -> Self {
        a.zip(b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(a: Self, b: Self) -> Self {
        a.zip(b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(a: Self, b: Self) -> Self {
        a.zip(b, |a, b| a * b)
    }

    #[inline(always)]
    fn div(a: Self, b: Self) -> Self {
        a.zip(b, |a, b| a / b)
    }

    #[inline(always)]
    fn min(a: Self, b: Self) -> Self {
        a.zip(b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn max(a: Self, b: Self) -> Self {
        a.zip(b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn mul_add(a: Self, b: Self, c: Self) -> Self {
        // Not `f32::mul_add`: without a fused instruction that is a slow library call.
        Self::add(Self::mul(a, b), c)
    }

    #[inline(always)]
    fn scale(x: Self, n: Self) -> Self {
        x.zip(n, |x, n| x * f32::from_bits(((n as i32 + 127) << 23) as u32))
    }
}

/// One thread's share of a convolution.
///
/// # Safety
/// As [`conv_f32::run`]; every processor executes these instructions.
pub(super) unsafe fn conv(
    step: &ConvStep,
    arena: SharedArena<'_>,
    weights: &[u8],
    tiles: &[Tile],
    share: Share,
) {
    // SAFETY: passed on from the caller.
    unsafe { conv_f32::run::<Plain, CELLS>(step, arena, weights, tiles, share) }
}

/// The ceiling's loop for this tier.
pub(super) fn multiply_registers(turns: usize) -> usize {
    // SAFETY: every processor has these instructions.
    unsafe { ceiling::multiply_adds::<Plain, 3>(turns) }
}

/// One thread's share of a convolution by minimal filtering.
///
/// # Safety
/// As [`winograd::run`]; every processor executes these instructions.
pub(super) unsafe fn winograd(
    step: &ConvStep,
    filter: &Winograd,
    arena: SharedArena<'_>,
    weights: &[u8],
    scratch: usize,
    share: Share,
) {
    // SAFETY: passed on from the caller.
    unsafe { winograd::run::<Plain, CELLS>(step, filter, arena, weights, scratch, share) }
}

/// Max pools of one plane.
///
/// # Safety
/// As [`pool::run`]; the planes are of `format`; every processor executes these instructions.
pub(super) unsafe fn pool(step: &PoolStep, arena: SharedArena<'_>, planes: &[usize], format: Format) {
    // SAFETY: passed on from the caller; format and size of a cell pick the type.
    unsafe {
        match (format, step.cell) {
            (Format::F32, LINE) => pool::run::<pool::F32<Plain>>(step, arena, planes),
            (Format::U8, LINE) => pool::run::<pool::U8<64>>(step, arena, planes),
            (Format::U8, 32) => pool::run::<pool::U8<32>>(step, arena, planes),
            (Format::U8, 16) => pool::run::<pool::U8<16>>(step, arena, planes),
            (format, cell) => unreachable!("no plane of {format:?} has cells of {cell} bytes"),
        }
    }
}
