//! Max pooling with step 1, several pools in one pass over each plane.
//!
//! A plane of the deepest maps is a few kilobytes: the pools of a pyramid run over it one after the other while it
//! stays in the first-level cache. Window rows are combined first, then a ring of the last `size` columns.

use super::memory::SharedArena;
use super::vector::Vector;
use crate::plan::PoolStep;
use crate::plan::layout::Grid;

/// The largest window side.
const MAX_SIZE: usize = 15;

/// A cell's numbers, compared one by one. A value is proof that the processor has the instructions that the type uses;
/// functions over it are inlined into one that enables them.
pub(super) trait Cell: Copy {
    /// No number is less.
    ///
    /// # Safety
    /// The processor has the type's instructions.
    unsafe fn lowest() -> Self;
    /// # Safety
    /// As [`lowest`](Self::lowest); a cell can be read at `from`.
    unsafe fn load(from: *const u8) -> Self;
    /// # Safety
    /// A cell can be written at `to`.
    unsafe fn store(self, to: *mut u8);
    fn max(self, other: Self) -> Self;
}

/// 16 numbers of f32.
#[derive(Clone, Copy)]
pub(super) struct F32<V>(V);

impl<V: Vector> Cell for F32<V> {
    /// # Safety
    /// As [`Cell::lowest`].
    #[inline(always)]
    unsafe fn lowest() -> Self {
        // SAFETY: passed on from the caller.
        unsafe { Self(V::splat(f32::NEG_INFINITY)) }
    }

    /// # Safety
    /// As [`Cell::load`].
    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: passed on from the caller.
        unsafe { Self(V::load(from.cast())) }
    }

    /// # Safety
    /// As [`Cell::store`].
    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: passed on from the caller.
        unsafe { self.0.store(to.cast()) }
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self(V::max(self.0, other.0))
    }
}

/// Bytes of one map have one scale: the larger byte is the larger number.
#[derive(Clone, Copy)]
pub(super) struct U8<const N: usize>([u8; N]);

impl<const N: usize> Cell for U8<N> {
    /// # Safety
    /// None: every processor has these instructions.
    #[inline(always)]
    unsafe fn lowest() -> Self {
        Self([0; N])
    }

    /// # Safety
    /// As [`Cell::load`].
    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: the caller gives N readable bytes.
        unsafe { Self(from.cast::<[u8; N]>().read()) }
    }

    /// # Safety
    /// As [`Cell::store`].
    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: the caller gives room for N bytes.
        unsafe { to.cast::<[u8; N]>().write(self.0) }
    }

    #[inline(always)]
    fn max(mut self, other: Self) -> Self {
        for (a, b) in self.0.iter_mut().zip(&other.0) {
            *a = (*a).max(*b);
        }
        self
    }
}

/// Pools one plane: input first, then one output a pool.
///
/// # Safety
/// The planes belong to `arena`'s plan and hold cells of `T`, whose instructions the processor has; no other thread
/// touches them.
#[inline(always)]
pub(super) unsafe fn run<T: Cell>(step: &PoolStep, arena: SharedArena<'_>, planes: &[usize]) {
    for pair in planes.windows(2) {
        // SAFETY: passed on from the caller.
        unsafe { plane::<T>(arena.at(pair[0]), arena.at(pair[1]), step.cell, step.grid, step.size) }
    }
}

/// # Safety
/// `from` and `to` are different planes of cells `T`, `cell` bytes each; the processor has `T`'s instructions.
#[inline(always)]
unsafe fn plane<T: Cell>(from: *const u8, to: *mut u8, cell: usize, grid: Grid, size: usize) {
    assert!(size % 2 == 1 && size <= MAX_SIZE);
    let reach = size / 2;
    // SAFETY: passed on from the caller.
    let lowest = unsafe { T::lowest() };
    for y in 0..grid.height {
        let rows = y.saturating_sub(reach)..(y + reach + 1).min(grid.height);
        let mut ring = [lowest; MAX_SIZE];
        let mut next = 0;
        for x in 0..grid.width + reach {
            let mut column = lowest;
            if x < grid.width {
                for row in rows.clone() {
                    // SAFETY: row and column lie inside the grid.
                    column = column.max(unsafe { T::load(from.add((row * grid.pitch() + x) * cell)) });
                }
            }
            ring[next] = column;
            next = if next + 1 == size { 0 } else { next + 1 };
            if x >= reach {
                let mut best = ring[0];
                for column in &ring[1..size] {
                    best = best.max(*column);
                }
                // SAFETY: x - reach < width.
                unsafe { best.store(to.add((y * grid.pitch() + x - reach) * cell)) };
            }
        }
    }
}
