//! What kernels run: steps with offsets into the arena and the packed weights.

use std::ops::Range;
use std::sync::Arc;

use super::MANY_SQUARES;
use super::layout::{Grid, RUN_SLACK};
use super::winograd::Winograd;
use crate::kernels::Curve;
use crate::model::{Activation, Quantization};

#[derive(Debug)]
pub(crate) enum Step {
    Conv(ConvStep),
    Pool(PoolStep),
}

#[derive(Debug)]
pub(crate) struct LazyStep {
    pub(crate) head: usize,
    pub(crate) level: usize,
    pub(crate) reach: usize,
    pub(crate) step: ConvStep,
}

/// A run of output cells and the input cell that the first one's window is centred on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tile {
    pub(crate) input: u32,
    pub(crate) output: u32,
    /// Cells to write; a kernel may compute more.
    pub(crate) count: u32,
}

/// How a grid is cut into tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tiling {
    /// Cells of a tile, at most.
    pub(crate) cells: u16,
    /// Tiles begin anew in every row, and hold no border.
    pub(crate) by_rows: bool,
    /// A row is half a tile: its second half lies in the row below.
    pub(crate) folded: bool,
}

/// A cache line of input for every output cell, and how many of its numbers count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TapOffset {
    /// Bytes from the start of the arena to the line for input cell 0.
    pub(crate) bytes: isize,
    /// Numbers up to the last that meets a weight.
    pub(crate) lanes: u32,
}

/// 16 output channels: where they go, and what is added.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunk {
    /// Byte offsets in the arena of cell 0's numbers.
    pub(crate) output: usize,
    pub(crate) residual: Option<usize>,
    pub(crate) partial: Option<usize>,
    /// Bytes of an output cell (and of a residual's).
    pub(crate) cell: usize,
    /// What bytes of output and residual mean.
    pub(crate) quantization: Quantization,
    pub(crate) residual_quantization: Quantization,
}

/// Chunks computed together, and their packed weights.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    pub(crate) chunks: Range<usize>,
    /// Byte offset in [`Plan::weights`](super::Plan::weights), of the transformed ones where the step filters.
    pub(crate) weights: usize,
}

/// A convolution ready to run. All offsets have been checked against the arena and the weights.
#[derive(Debug)]
pub(crate) struct ConvStep {
    pub(crate) name: String,
    /// Side of the window.
    pub(crate) window: usize,
    pub(crate) taps: Vec<TapOffset>,
    /// Bytes of an input cell, and from the input of one output cell to that of the next.
    pub(crate) input_cell: usize,
    pub(crate) row: usize,
    pub(crate) blocks: Vec<Block>,
    pub(crate) chunks: Vec<Chunk>,
    /// Byte offset in [`Plan::weights`](super::Plan::weights) of one f32 for each output channel, chunk by chunk. In plans
    /// of bytes another such list follows: what a sum is worth.
    pub(crate) bias: usize,
    pub(crate) activation: Activation,
    /// One a chunk, where SiLU to bytes follows the sums, perhaps with a residual, and the maps' ranges allow it.
    pub(crate) curves: Vec<Curve>,
    /// Written as f32 in a plan of another format.
    pub(crate) full_precision: bool,
    pub(crate) tiling: Tiling,
    pub(crate) tiles: Vec<Tile>,
    /// In a folded tiling, bytes from where a half's inputs would go on to where those of the next row begin; else 0.
    pub(crate) jump: u32,
    /// How to run it with fewer multiplications, where that pays. Its weights are then packed for this way alone.
    pub(crate) winograd: Option<Winograd>,
    pub(crate) cells: Arc<Cells>,
    /// Every output cell, borders excluded, times this is the work of the dense step.
    pub(crate) macs_per_cell: usize,
    /// Threads share blocks (and so the weights) rather than tiles.
    pub(crate) share_blocks: bool,
}

/// Facts about the cells of a grid that every kernel's last part asks for.
#[derive(Debug)]
pub(crate) struct Cells {
    pub(crate) grid: Grid,
    /// One bit a cell: set inside, clear on the borders.
    inside: Vec<u64>,
    /// For each cell the one above it in a grid of half the size.
    pub(crate) halved: Vec<u32>,
}

impl Cells {
    pub(super) fn new(grid: Grid) -> Self {
        let cells = grid.run() + RUN_SLACK;
        let mut inside = vec![0u64; cells.div_ceil(64) + 2];
        let mut halved = vec![0; cells];
        let half = Grid { height: grid.height / 2, width: grid.width / 2 };
        for y in 0..grid.height {
            for x in 0..grid.width {
                let p = y * grid.pitch() + x;
                inside[p / 64] |= 1 << (p % 64);
                halved[p] = (y / 2 * half.pitch() + x / 2) as u32;
            }
        }
        // A border's is its neighbour's: kernels read it and drop what comes of it, and it shall lie where the others do.
        for y in 0..grid.height {
            let border = y * grid.pitch() + grid.width;
            halved[border] = halved[border - 1];
        }
        Self { grid, inside, halved }
    }

    /// The inside bits of 32 cells from `first` on.
    #[inline(always)]
    pub(crate) fn inside(&self, first: usize) -> u32 {
        let (word, bit) = (first / 64, first % 64);
        let both = u128::from(self.inside[word + 1]) << 64 | u128::from(self.inside[word]);
        (both >> bit) as u32
    }
}

/// Max pools in a row over one plane each.
#[derive(Debug)]
pub(crate) struct PoolStep {
    pub(crate) size: usize,
    pub(crate) grid: Grid,
    pub(crate) cell: usize,
    /// For each plane: input, then one output a pool.
    pub(crate) planes: Vec<Vec<usize>>,
}

/// The part of a step that one thread does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) blocks: Range<usize>,
    pub(crate) tiles: Range<usize>,
}

impl ConvStep {
    /// The window and the step between windows, such as `3x3s2`.
    pub(crate) fn kernel_name(&self) -> String {
        match self.winograd {
            Some(_) => "winograd3x3".to_owned(),
            None => format!("conv{0}x{0}s{1}", self.window, self.row / self.input_cell),
        }
    }

    /// What member `index` of `team` does of `tiles` tiles.
    pub(crate) fn share(&self, index: usize, team: usize, tiles: usize) -> Share {
        let blocks = self.blocks.len();
        if team == 1 {
            return Share { blocks: 0..blocks, tiles: 0..tiles };
        }
        // Uneven tiles cost more than weights read twice.
        let few_tiles = tiles < 4 * team && !tiles.is_multiple_of(team);
        if (self.share_blocks || few_tiles) && blocks.is_multiple_of(team) {
            Share { blocks: part(blocks, index, team), tiles: 0..tiles }
        } else {
            Share { blocks: 0..blocks, tiles: part(tiles, index, team) }
        }
    }

    /// What member `index` of `team` does of so many squares (in place of tiles) of minimal filtering.
    pub(crate) fn share_squares(&self, squares: usize, index: usize, team: usize) -> Share {
        let blocks = self.blocks.len();
        // On small maps reading the weights takes longer than transforming all inputs.
        if team > 1 && squares < MANY_SQUARES && blocks.is_multiple_of(team) {
            return Share { blocks: part(blocks, index, team), tiles: 0..squares };
        }
        Share { blocks: 0..blocks, tiles: part(squares, index, team) }
    }
}

pub(crate) fn part(of: usize, index: usize, parts: usize) -> Range<usize> {
    of * index / parts..of * (index + 1) / parts
}
