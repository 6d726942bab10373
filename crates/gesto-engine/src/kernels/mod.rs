//! Everything that touches raw memory or special instructions: the one place with `unsafe` code.
//!
//! Kernels trust the plan: every offset in a step was checked against the arena and the weights when the plan was made
//! (`Plan::check`), and what runs side by side neither writes the same bytes nor reads what others write.

#![allow(unsafe_code)]
// Loops over registers go by index on purpose: all their arrays have the same constant length.
#![allow(clippy::needless_range_loop)]

#[cfg(target_arch = "x86_64")]
mod ahead;
#[cfg(target_arch = "x86_64")]
pub(crate) mod amx;
mod apart;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub(crate) mod best;
pub(crate) mod ceiling;
mod conv_f32;
pub(crate) mod first;
mod flow;
pub(crate) mod frame;
mod input;
mod int8;
pub(crate) mod layers;
pub(crate) mod memory;
#[cfg(test)]
mod oracle;
mod pool;
mod portable;
pub(crate) mod resample;
pub(crate) mod select;
mod sigmoid;
pub(crate) mod team;
pub(crate) mod turns;
mod vector;
#[cfg(feature = "wgpu")]
pub(crate) mod wgpu;
mod winograd;

#[cfg(target_arch = "x86_64")]
pub(crate) use self::amx::Unit;
pub(crate) use self::int8::Curve;
use self::memory::SharedArena;
use crate::isa::{Isa, Token};
use crate::plan::layout::{Format, Grid, LINE};
use crate::plan::{Block, ConvStep, PoolStep, Share, Tile, Tiling};
use std::ops::Range;

/// No matrix unit is known on this architecture.
#[cfg(not(target_arch = "x86_64"))]
#[derive(Debug, Default)]
pub(crate) struct Unit;

/// What goes along with a convolution on a matrix unit; other kernels ask for none of it.
#[derive(Clone, Copy)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
pub(crate) struct Along<'a> {
    pub(crate) unit: &'a Unit,
    /// Parts of the weights of later steps, to fetch on the way.
    pub(crate) ahead: &'a [Range<usize>],
    /// How many of the tiles, from the first one on, others wait for.
    pub(crate) early: usize,
    /// Called as soon as these are written, if there are any: others may then touch what the rest of the tiles do not.
    pub(crate) publish: &'a dyn Fn(),
}

impl<'a> Along<'a> {
    /// Nothing but the unit.
    pub(crate) fn only(unit: &'a Unit) -> Self {
        Self { unit, ahead: &[], early: 0, publish: &|| {} }
    }
}

/// The kernels of one tier. Holding one is proof that the machine runs them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kernels {
    token: Token,
}

impl Kernels {
    pub(crate) fn new(token: Token) -> Self {
        Self { token }
    }

    pub(crate) fn isa(self) -> Isa {
        self.token.isa()
    }

    pub(crate) fn token(self) -> Token {
        self.token
    }

    /// Number format of the activations and weights that the tier works on.
    pub(crate) fn format(self) -> Format {
        match self.isa() {
            Isa::AmxBf16 | Isa::Avx512Bf16 => Format::Bf16,
            Isa::Avx512F32 | Isa::Avx2F32 | Isa::Portable => Format::F32,
            Isa::AmxInt8 | Isa::Avx512Vnni | Isa::PortableInt8 => Format::U8,
        }
    }

    /// How many chunks of 16 output channels a kernel computes together, of `chunks` in all.
    pub(crate) fn chunks_per_block(self, chunks: usize) -> usize {
        match self.isa() {
            Isa::AmxBf16 | Isa::Avx512Bf16 | Isa::Avx512F32 | Isa::AmxInt8 | Isa::Avx512Vnni => chunks.min(2),
            _ => 1,
        }
    }

    /// How a convolution is cut into tiles; a lazy one (not `everywhere`) into runs of cells that begin anywhere.
    pub(crate) fn tiling(self, output: Grid, stride: usize, everywhere: bool) -> Tiling {
        let tiling = |cells: usize| Tiling { cells: cells as u16, by_rows: stride > 1, folded: false };
        match self.isa() {
            #[cfg(target_arch = "x86_64")]
            Isa::AmxBf16 | Isa::AmxInt8 => amx::tiling(output, stride, everywhere),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Bf16 if everywhere => avx512::tiling(output, stride),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Bf16 | Isa::Avx512F32 | Isa::Avx512Vnni => tiling(avx512::cells(output, stride)),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2F32 => tiling(avx2::CELLS),
            _ => tiling(portable::CELLS),
        }
    }

    /// Output cells whose inputs a tile may read.
    pub(crate) fn reach(self, step: &ConvStep) -> usize {
        step.tiling.cells.into()
    }

    /// Bytes of packed weights that a block reads.
    pub(crate) fn block_bytes(self, step: &ConvStep, block: &Block) -> usize {
        let line = LINE * block.chunks.len();
        match self.format() {
            _ if let Some(filter) = &step.winograd => LINE * filter.lines(block.chunks.len()),
            Format::F32 => step.taps.iter().map(|tap| tap.lanes as usize * line).sum(),
            Format::Bf16 | Format::U8 => step.taps.len() * 16 * line,
        }
    }

    /// Whether the tier computes on a matrix unit.
    pub(crate) fn has_matrix_unit(self) -> bool {
        matches!(self.isa(), Isa::AmxBf16 | Isa::AmxInt8)
    }

    /// One thread's share of a convolution over `tiles`.
    ///
    /// # Safety
    /// `step` belongs to the plan of `arena` and `weights`; `tiles` are the step's, or, without stride, begin at any cell of
    /// its run and end within it; no other thread writes what they read or touches what they write, until `along` tells of
    /// early ones that these are written.
    unsafe fn conv(
        self,
        step: &ConvStep,
        arena: SharedArena<'_>,
        weights: &[u8],
        tiles: &[Tile],
        share: Share,
        along: &Along<'_>,
    ) {
        // SAFETY: the token proves the instructions; the rest is passed on from the caller.
        unsafe {
            match self.isa() {
                #[cfg(target_arch = "x86_64")]
                Isa::AmxBf16 => amx::conv::<amx::ProductsBf16>(step, arena, weights, tiles, share, along),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512Bf16 => avx512::conv_bf16(step, arena, weights, tiles, share),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512F32 => avx512::conv(step, arena, weights, tiles, share),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2F32 => avx2::conv(step, arena, weights, tiles, share),
                #[cfg(target_arch = "x86_64")]
                Isa::AmxInt8 => amx::conv::<amx::ProductsBytes>(step, arena, weights, tiles, share, along),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512Vnni => int8::vnni::conv(step, arena, weights, tiles, share),
                Isa::PortableInt8 => int8::portable::conv(step, arena, weights, tiles, share),
                _ => portable::conv(step, arena, weights, tiles, share),
            }
        }
    }

    /// Squares that a convolution by minimal filtering takes at a time, at most; 0 when the tier has no such kernel.
    pub(crate) fn winograd_squares(self) -> usize {
        match self.isa() {
            Isa::AmxBf16 | Isa::AmxInt8 | Isa::Avx512Vnni | Isa::PortableInt8 => 0,
            Isa::Avx512Bf16 | Isa::Avx512F32 => 14,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2F32 => avx2::CELLS,
            _ => portable::CELLS,
        }
    }

    /// Whether lazy convolutions go by minimal filtering as well, which takes a kernel for listed squares.
    pub(crate) fn filters_lists(self) -> bool {
        self.isa() == Isa::Avx512Bf16
    }

    /// One thread's share of a convolution by minimal filtering: all squares, or those that `list` numbers in ascending
    /// order where the tier [can do that](Self::filters_lists).
    ///
    /// # Safety
    /// As [`winograd::run`], but for the instructions, which the token proves; the scratch is made for
    /// [`winograd_squares`](Self::winograd_squares).
    unsafe fn winograd(
        self,
        step: &ConvStep,
        arena: SharedArena<'_>,
        weights: &[u8],
        scratch: usize,
        share: Share,
        list: Option<&[u32]>,
    ) {
        let filter = step.winograd.as_ref().expect("the plan gave the step squares");
        assert!(list.is_none() || self.filters_lists(), "only some tiers run some squares");
        // SAFETY: the token proves the instructions; the rest is passed on from the caller.
        unsafe {
            match self.isa() {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512Bf16 => avx512::winograd_bf16(step, filter, arena, weights, scratch, share, list),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512F32 => avx512::winograd(step, filter, arena, weights, scratch, share),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2F32 => avx2::winograd(step, filter, arena, weights, scratch, share),
                _ => portable::winograd(step, filter, arena, weights, scratch, share),
            }
        }
    }

    /// Max pools of one plane.
    ///
    /// # Safety
    /// As [`pool::run`].
    unsafe fn pool(self, step: &PoolStep, arena: SharedArena<'_>, planes: &[usize]) {
        // SAFETY: the token proves the instructions; the rest is passed on from the caller.
        unsafe {
            match self.isa() {
                #[cfg(target_arch = "x86_64")]
                Isa::AmxBf16 | Isa::Avx512Bf16 | Isa::Avx512F32 | Isa::AmxInt8 | Isa::Avx512Vnni => {
                    avx512::pool(step, arena, planes, self.format())
                }
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2F32 => avx2::pool(step, arena, planes),
                _ => portable::pool(step, arena, planes, self.format()),
            }
        }
    }
}
