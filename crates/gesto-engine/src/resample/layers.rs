//! Resizes as layers in front of a network: tensors of floats and operators over them, as a general runtime has them.
//!
//! The frame enters as the 8-bit picture that it is. [`Layers`] says which operators follow; a [`ResizeModel`] is their
//! plan for one kind of picture, with every tensor in memory of its own. A network runs it as the first steps of its
//! plan ([`Network::run_layers`](crate::Network::run_layers)) or takes its output as a model of its own would hand it
//! over ([`Network::run_tensor`](crate::Network::run_tensor)).

use super::axis::{Axis, Tap};
use super::{Kind, Method, Resampler};
use crate::isa::Token;
use crate::kernels::layers::{self, Step, Tensor};
use crate::picture::Picture;

/// Operators that resize.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layers {
    /// `Cast` of the whole frame to floats, `Resize` (linear, half-pixel).
    Bilinear,
    /// `Cast`, `Gather` of rows, `Gather` of columns: the pixel under each output pixel's centre.
    Gather,
    /// `Cast`, `Conv` with a stride as large as its window, whose weights average: see [`Blocks`].
    Conv,
    /// One operator of our own: bilinear samples of the 8-bit frame, written in the network's number format.
    Custom,
    /// `Resize` with the `Cast` folded into it when the plan was made: only rows that are read become floats.
    Folded,
}

impl Layers {
    /// Names of the operators, in order.
    #[must_use]
    pub fn operators(self) -> &'static [&'static str] {
        match self {
            Self::Bilinear => &["Cast", "Resize"],
            Self::Gather => &["Cast", "Gather", "Gather"],
            Self::Conv => &["Cast", "Conv"],
            Self::Custom => &["Resample"],
            Self::Folded => &["CastResize"],
        }
    }
}

/// How blocks of a whole number of pixels cover a picture, for a strided convolution.
///
/// The block is the smallest that makes the picture fit. Where the picture is no multiple of it, the missing rows and
/// columns count as black, half of them before the picture and half after it, as a convolution pads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocks {
    /// Width and height of a block in pixels: the stride and the window.
    pub size: [usize; 2],
    /// Missing columns and rows before the picture.
    pub before: [usize; 2],
    /// Part of the network's input that the blocks fill: x, y, width, height.
    pub target: [u32; 4],
}

impl Blocks {
    /// For an upright picture of `picture` (width, height) and an input of `network` (width, height). `square`: blocks have
    /// one side for both axes, so that the picture keeps its proportions.
    #[must_use]
    pub fn new(picture: [usize; 2], network: [usize; 2], square: bool) -> Self {
        let mut size = [0, 1].map(|i| picture[i].div_ceil(network[i]).max(1));
        if square {
            size = [size[0].max(size[1]); 2];
        }
        let cells = [0, 1].map(|i| picture[i].div_ceil(size[i]));
        let place = [0, 1].map(|i| (network[i] - cells[i]) / 2);
        Self {
            size,
            before: [0, 1].map(|i| (cells[i] * size[i] - picture[i]) / 2),
            target: [place[0], place[1], cells[0], cells[1]].map(|side| side as u32),
        }
    }
}

/// The plan of a resize's layers.
#[derive(Debug, Clone)]
pub struct ResizeModel {
    layers: Layers,
    /// The network's input.
    height: usize,
    width: usize,
    token: Token,
    /// What the plan was made for.
    kind: Option<(Kind, Option<Blocks>)>,
    plan: Option<Plan>,
}

/// Steps and tensors for one kind of picture.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) tensors: Vec<Tensor>,
    /// For each member of a team, a row of the output and two of the picture.
    pub(crate) scratch: Tensor,
    pub(crate) target: [usize; 4],
    pub(crate) size: [usize; 2],
}

impl ResizeModel {
    /// For network inputs of `height` x `width`, with the kernels that a resampler would take.
    #[must_use]
    pub fn new(layers: Layers, height: usize, width: usize) -> Self {
        let token = super::best();
        Self { layers, height, width, token, kind: None, plan: None }
    }

    /// Which operators it has.
    #[must_use]
    pub fn layers(&self) -> Layers {
        self.layers
    }

    /// Height and width of the network's input.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    /// Plans for this kind of picture unless that was done.
    pub(crate) fn prepare(&mut self, picture: &Picture<'_>, target: [u32; 4], blocks: Option<Blocks>) {
        let kind = (Kind::of(picture, target), blocks);
        if self.kind == Some(kind) {
            return;
        }
        assert!(self.layers != Layers::Conv || blocks.is_some(), "a convolution has blocks");
        assert!(blocks.is_none_or(|blocks| blocks.target == target), "the blocks fill the target");
        let [left, top, width, height] = target.map(|side| side as usize);
        assert!(
            width > 0 && height > 0 && left + width <= self.width && top + height <= self.height,
            "the target lies in the network's input"
        );
        let (w, h) = picture.upright_size();
        let whole = Tensor::new(w, h);
        let columns = Axis { from: w, to: width, flip: false };
        let rows = Axis { from: h, to: height, flip: false };
        let taps = |axis: Axis| (0..axis.to).map(|i| layers::Lerp::from(axis.tap(i))).collect::<Vec<_>>();
        let index = |axis: Axis| (0..axis.to).map(|i| axis.nearest(i)).collect::<Vec<_>>();
        let (steps, tensors) = match self.layers {
            Layers::Bilinear => {
                let resize = Step::Resize { columns: taps(columns), rows: taps(rows) };
                (vec![Step::Cast(super::whole(picture)), resize], vec![whole])
            }
            Layers::Gather => {
                let (rows, columns) = (index(rows), index(columns));
                let gather = [Step::GatherRows(rows), Step::GatherColumns(columns)];
                let steps = std::iter::once(Step::Cast(super::whole(picture))).chain(gather);
                (steps.collect(), vec![whole, Tensor::new(w, height)])
            }
            Layers::Conv => {
                let blocks = blocks.unwrap_or_else(|| Blocks::new([w, h], [self.width, self.height], false));
                let taps = blocks.size[0] * blocks.size[1];
                let conv = layers::Conv {
                    size: blocks.size,
                    before: blocks.before,
                    weights: vec![1.0 / taps as f32; taps],
                };
                (vec![Step::Cast(super::whole(picture)), Step::Conv(conv)], vec![whole])
            }
            Layers::Custom => {
                let mut resampler =
                    Resampler::with_token(Method::Bilinear, self.height, self.width, self.token);
                resampler.prepare(picture, target, 1);
                (resampler.tables.map(Step::Resample).into_iter().collect(), Vec::new())
            }
            Layers::Folded => {
                let fold = Step::CastResize {
                    cast: super::whole(picture),
                    columns: taps(columns),
                    rows: taps(rows),
                };
                (vec![fold], Vec::new())
            }
        };
        self.plan = Some(Plan {
            steps,
            tensors,
            scratch: Tensor::new(self.width + 2 * w, 0),
            target: [left, top, width, height],
            size: [self.width, self.height],
        });
        self.kind = Some(kind);
    }

    /// The plan and what runs it, on a team of so many members.
    pub(crate) fn job<'a>(&'a mut self, picture: &'a Picture<'a>, members: usize) -> layers::Job<'a> {
        let plan = self.plan.as_mut().expect("a plan is made first");
        plan.scratch.grow(members);
        layers::Job::new(plan, self.token, picture)
    }
}

impl From<Tap> for layers::Lerp {
    fn from(tap: Tap) -> Self {
        Self { first: tap.first, second: tap.second, share: tap.share as f32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_the_smallest_that_fit() {
        let blocks = Blocks::new([1080, 1920], [224, 320], false);
        assert_eq!((blocks.size, blocks.before, blocks.target), ([5, 6], [0, 0], [4, 0, 216, 320]));
        let blocks = Blocks::new([1080, 1921], [224, 320], true);
        assert_eq!((blocks.size, blocks.before, blocks.target), ([7, 7], [2, 2], [34, 22, 155, 275]));
        // A picture smaller than the input keeps its pixels.
        let blocks = Blocks::new([10, 20], [224, 320], false);
        assert_eq!((blocks.size, blocks.target), ([1, 1], [107, 150, 10, 20]));
    }
}
