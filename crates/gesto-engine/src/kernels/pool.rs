//! Max pooling with step 1, several pools in one pass over each plane.
//!
//! A plane of the deepest maps is a few kilobytes: the pools of a pyramid run over it one after the other while it
//! stays in the first-level cache. Window rows are combined first, then a ring of the last `size` columns.

use super::memory::SharedArena;
use crate::plan::PoolStep;
use crate::plan::layout::{Format, Grid, LINE};

/// The largest window side.
const MAX_SIZE: usize = 15;

/// A cell's numbers as they lie in memory, compared one by one.
trait Cell: Copy {
    const LOWEST: Self;
    fn max(self, other: Self) -> Self;
}

#[derive(Clone, Copy)]
#[repr(C, align(4))]
struct F32<const N: usize>([f32; N]);

#[derive(Clone, Copy)]
#[repr(C, align(2))]
struct Bf16<const N: usize>([i16; N]);

/// Bytes of one map have one scale: the larger byte is the larger number.
#[derive(Clone, Copy)]
#[repr(C)]
struct U8<const N: usize>([u8; N]);

impl<const N: usize> Cell for U8<N> {
    const LOWEST: Self = Self([0; N]);

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i].max(other.0[i])))
    }
}

impl<const N: usize> Cell for F32<N> {
    const LOWEST: Self = Self([f32::NEG_INFINITY; N]);

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| if self.0[i] > other.0[i] { self.0[i] } else { other.0[i] }))
    }
}

impl<const N: usize> Cell for Bf16<N> {
    /// Minus infinity.
    const LOWEST: Self = Self([0xff80_u16 as i16; N]);

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // Flipping the lower bits of negative numbers orders bf16 like integers.
        let order = |x: i16| x ^ ((x >> 15) & 0x7fff);
        Self(std::array::from_fn(
            |i| {
                if order(self.0[i]) > order(other.0[i]) { self.0[i] } else { other.0[i] }
            },
        ))
    }
}

/// Pools one plane: input first, then one output a pool.
///
/// # Safety
/// The planes belong to `arena`'s plan and hold `step.cell` bytes a cell; no other thread touches them.
#[inline(always)]
pub(super) unsafe fn run(step: &PoolStep, arena: SharedArena<'_>, planes: &[usize], format: Format) {
    for pair in planes.windows(2) {
        // SAFETY: passed on from the caller; the cell's size picks the type.
        unsafe {
            match (format, step.cell) {
                (Format::F32, LINE) => plane::<F32<16>>(arena, pair[0], pair[1], step.grid, step.size),
                (Format::Bf16, LINE) => plane::<Bf16<32>>(arena, pair[0], pair[1], step.grid, step.size),
                (Format::Bf16, 32) => plane::<Bf16<16>>(arena, pair[0], pair[1], step.grid, step.size),
                (Format::U8, LINE) => plane::<U8<64>>(arena, pair[0], pair[1], step.grid, step.size),
                (Format::U8, 32) => plane::<U8<32>>(arena, pair[0], pair[1], step.grid, step.size),
                (Format::U8, 16) => plane::<U8<16>>(arena, pair[0], pair[1], step.grid, step.size),
                (format, cell) => unreachable!("no plane of {format:?} has cells of {cell} bytes"),
            }
        }
    }
}

/// # Safety
/// `from` and `to` are different planes of cells `T` in the arena.
#[inline(always)]
unsafe fn plane<T: Cell>(arena: SharedArena<'_>, from: usize, to: usize, grid: Grid, size: usize) {
    assert!(size % 2 == 1 && size <= MAX_SIZE);
    let reach = size / 2;
    let (from, to) = (arena.at(from).cast::<T>(), arena.at(to).cast::<T>());
    for y in 0..grid.height {
        let rows = y.saturating_sub(reach)..(y + reach + 1).min(grid.height);
        let mut ring = [T::LOWEST; MAX_SIZE];
        for x in 0..grid.width + reach {
            let mut column = T::LOWEST;
            if x < grid.width {
                for row in rows.clone() {
                    // SAFETY: row and column lie inside the grid.
                    column = column.max(unsafe { from.add(row * grid.pitch() + x).read() });
                }
            }
            ring[x % size] = column;
            if x >= reach {
                let best = ring[1..size].iter().fold(ring[0], |best, &column| best.max(column));
                // SAFETY: x - reach < width.
                unsafe { to.add(y * grid.pitch() + x - reach).write(best) };
            }
        }
    }
}
