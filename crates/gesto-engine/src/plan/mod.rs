//! From a model, an input size and an instruction set to steps with buffers laid out once.

pub(crate) mod ahead;
mod build;
mod check;
pub(crate) mod layout;
mod lower;
mod pack;
pub(crate) mod pieces;
mod place;
#[cfg(test)]
pub(crate) mod single;
mod step;
pub(crate) mod task;
pub(crate) mod touched;
pub(crate) mod winograd;

use std::ops::Range;

use self::build::Builder;
use self::layout::{Format, Grid};
use self::lower::Lowered;
use self::place::Placed;
pub(crate) use self::step::{
    Block, Cells, Chunk, ConvStep, LazyStep, PoolStep, Share, Step, TapOffset, Tile, Tiling, part,
};
use crate::error::{Error, ErrorKind, Result};
use crate::isa::Token;
use crate::kernels::Kernels;
use crate::kernels::memory::{Arena, Lines};
use crate::model::Model;

/// Squares of minimal filtering that make weights read for all of them a smaller matter than the inputs.
const MANY_SQUARES: usize = 48;

/// A network planned for one input size and one tier: immutable, shared by everyone who runs it.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) kernels: Kernels,
    pub(crate) input: InputPlane,
    /// Steps of one stage do not depend on each other.
    pub(crate) dense: Vec<Vec<Step>>,
    pub(crate) lazy: Vec<Vec<LazyStep>>,
    /// `[head][level]`
    pub(crate) levels: Vec<Vec<Level>>,
    pub(crate) weights: Lines,
    /// Borders that are not zero: bytes of whole planes, and what they hold before the first frame.
    pub(crate) borders: Vec<(Range<usize>, u8)>,
    /// Bytes of all planes, and of what follows the last one.
    pub(crate) arena_size: usize,
    /// Bytes that each thread needs for itself, behind the planes.
    pub(crate) scratch_size: usize,
}

/// Where the picture goes: cells of red, green, blue and one unused number, each 0 to 255.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InputPlane {
    pub(crate) grid: Grid,
    pub(crate) place: usize,
}

/// One level of one head: 16 channels of f32 a plane.
#[derive(Debug, Clone)]
pub(crate) struct Level {
    pub(crate) grid: Grid,
    pub(crate) classes: Vec<usize>,
    pub(crate) boxes: Vec<usize>,
    pub(crate) keypoints: Vec<usize>,
}

impl Plan {
    /// Plans `model` for inputs of `grid` on the tier of `token`.
    pub(crate) fn new(model: &Model, grid: Grid, token: Token) -> Result<Self> {
        let kernels = Kernels::new(token);
        let scales = match (kernels.format(), model.activation_scales()) {
            (Format::U8, None) => {
                let message = format!(
                    "{} needs a quantised model, and this one has no activation scales: `gesto model quantize` adds them",
                    kernels.isa()
                );
                return Err(Error::new(ErrorKind::Config, message));
            }
            (Format::U8, scales) => scales,
            _ => None,
        };
        let Lowered { planes, quantizations, input, dense, lazy, levels } =
            lower::lower(model.graph(), grid, kernels.format(), scales)?;
        let placed = Placed::new(&planes, input, &dense, &lazy, &levels);
        let mut builder = Builder::new(model, kernels, &planes, &quantizations, &placed);
        let dense = dense.iter().map(|stage| stage.iter().map(|task| builder.step(task)).collect()).collect();
        let lazy = lazy.iter().map(|stage| stage.iter().map(|task| builder.lazy(task)).collect()).collect();
        let levels =
            levels.iter().map(|head| head.iter().map(|level| builder.level(level)).collect()).collect();
        Ok(builder.finish(input, dense, lazy, levels))
    }

    /// The arena of a team, with all borders in place.
    pub(crate) fn arena(&self, threads: usize) -> Arena {
        let mut arena = Arena::new(self.arena_size_for(threads));
        for (bytes, zero) in &self.borders {
            arena.fill(bytes.clone(), *zero);
        }
        arena
    }

    /// Bytes of the arena of a team.
    pub(crate) fn arena_size_for(&self, threads: usize) -> usize {
        self.arena_size + threads * self.scratch_size
    }

    /// Every convolution, dense ones first.
    pub(crate) fn convs(&self) -> impl Iterator<Item = &ConvStep> {
        let dense = self.dense.iter().flatten().filter_map(|step| match step {
            Step::Conv(conv) => Some(conv),
            Step::Pool(_) => None,
        });
        dense.chain(self.lazy.iter().flatten().map(|lazy| &lazy.step))
    }
}
