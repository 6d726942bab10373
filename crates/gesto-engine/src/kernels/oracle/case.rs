//! A convolution step drawn at random, and everything it reads.

use proptest::prelude::*;

use super::{Numbers, stored};
use crate::model::{Activation, Conv, ConvId, ConvWeights, Model, Quantization};
use crate::plan::layout::{Format, Grid, Plane, PlaneId};
use crate::plan::single;
use crate::plan::task::{ConvTask, Piece, Source};

/// What is special about a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    /// Another map is added after the activation.
    Residual,
    /// Sums at half the resolution are added before the activation.
    Partial,
    /// Gives such sums: f32, neither bias nor activation.
    Sums,
    /// Written as f32, as the last convolution of a head's branch is.
    Logits,
    /// Reads the picture's bytes.
    Picture,
}

#[derive(Debug, Clone)]
pub(super) struct Case {
    /// Of the output.
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    /// With a stride: the input ends in the middle of a window.
    pub(super) odd: bool,
    /// Input cells of 16 numbers instead of a full line.
    pub(super) narrow: bool,
    /// Channels used of each plane read.
    pub(super) sources: Vec<usize>,
    /// Channels of each convolution, and whether its cells are narrow.
    pub(super) outputs: Vec<(usize, bool)>,
    pub(super) kind: Kind,
    pub(super) silu: bool,
    pub(super) threads: usize,
    /// Tiles that begin anywhere, as those of lazy heads do, instead of the whole map.
    pub(super) anywhere: bool,
    pub(super) seed: u64,
}

pub(super) fn cases() -> impl Strategy<Value = Case> {
    let kind = prop_oneof![
        3 => Just(Kind::Plain),
        2 => Just(Kind::Residual),
        2 => Just(Kind::Partial),
        1 => Just(Kind::Sums),
        1 => Just(Kind::Logits),
        1 => Just(Kind::Picture),
    ];
    let shape = (1usize..=9, 1usize..=40, prop_oneof![Just(1usize), Just(3)], 1usize..=2, any::<bool>());
    let planes = (
        any::<bool>(),
        prop::collection::vec(1usize..=64, 1..=3),
        prop::collection::vec((1usize..=70, any::<bool>()), 1..=3),
    );
    let rest = (kind, any::<bool>(), 1usize..=3, prop::bool::weighted(0.3), any::<u64>());
    (shape, planes, rest).prop_map(|(shape, planes, rest)| {
        let (height, width, kernel, stride, odd) = shape;
        let (narrow, sources, outputs) = planes;
        let (kind, silu, threads, anywhere, seed) = rest;
        Case {
            height,
            width,
            kernel,
            stride,
            odd,
            narrow,
            sources,
            outputs,
            kind,
            silu,
            threads,
            anywhere,
            seed,
        }
        .possible()
    })
}

/// Large enough for minimal filtering to pay; `least` cells along each side; with `lists`, some of some squares.
pub(super) fn filtered_cases(least: usize, lists: bool) -> impl Strategy<Value = Case> {
    let planes = prop::collection::vec(16usize..=32, 2..=4);
    let outputs = prop::collection::vec((17usize..=48, any::<bool>()), 1..=2);
    let rest =
        (any::<bool>(), any::<bool>(), 1usize..=3, prop::bool::weighted(if lists { 0.4 } else { 0.0 }));
    (least..=17, least..=23, planes, outputs, rest, any::<u64>()).prop_map(
        |(height, width, sources, outputs, (residual, silu, threads, anywhere), seed)| Case {
            height,
            width,
            kernel: 3,
            stride: 1,
            odd: false,
            narrow: false,
            sources,
            outputs,
            kind: if residual { Kind::Residual } else { Kind::Plain },
            silu,
            threads,
            anywhere,
            seed,
        },
    )
}

impl Case {
    /// The nearest case that a plan can contain.
    fn possible(mut self) -> Self {
        if self.kind == Kind::Picture {
            (self.sources, self.anywhere) = (vec![3], false);
        }
        if matches!(self.kind, Kind::Sums | Kind::Logits) {
            self.silu = false;
        }
        if self.kind == Kind::Partial {
            // Each cell of the sums belongs to four.
            (self.height, self.width) = (self.height.next_multiple_of(2), self.width.next_multiple_of(2));
            self.stride = 1;
        }
        if self.stride > 1 {
            self.anywhere = false;
        }
        if cfg!(miri) {
            // An interpreter takes a thousand times as long; bad accesses show in small cases as well.
            (self.height, self.width) = (self.height.min(4), self.width.min(6));
            self.sources.truncate(2);
            self.sources.iter_mut().for_each(|used| *used = (*used).min(3));
            self.outputs.truncate(1);
            self.outputs[0].0 = self.outputs[0].0.min(18);
        }
        self
    }
}

/// A map of plain numbers, `[y][x][channel]`.
#[derive(Debug, Clone)]
pub(super) struct Map {
    pub(super) grid: Grid,
    pub(super) channels: usize,
    pub(super) data: Vec<f32>,
}

impl Map {
    pub(super) fn at(&self, y: usize, x: usize, channel: usize) -> f32 {
        self.data[(y * self.grid.width + x) * self.channels + channel]
    }

    fn random(grid: Grid, channels: usize, mut number: impl FnMut() -> f32) -> Self {
        let data = (0..grid.height * grid.width * channels).map(|_| number()).collect();
        Self { grid, channels, data }
    }
}

/// A case as a task over planes, with all numbers.
pub(super) struct Step {
    pub(super) model: Model,
    pub(super) task: ConvTask,
    pub(super) planes: Vec<Plane>,
    /// Of each plane.
    pub(super) quantizations: Vec<Quantization>,
    /// The concatenated input.
    pub(super) input: Map,
    /// What is added to each convolution, and the planes that hold it.
    pub(super) residual: Vec<(Map, Vec<PlaneId>)>,
    pub(super) partial: Vec<(Map, Vec<PlaneId>)>,
    /// The picture; of one pixel when the step reads something else.
    pub(super) rgb: Vec<u8>,
}

impl Case {
    pub(super) fn grid(&self) -> Grid {
        Grid { height: self.height, width: self.width }
    }

    pub(super) fn step(&self, format: Format) -> Step {
        let mut numbers = Numbers::new(self.seed);
        let grid = self.grid();
        let odd = usize::from(self.odd && self.stride > 1);
        let from = Grid { height: self.stride * grid.height - odd, width: self.stride * grid.width - odd };
        let is_picture = self.kind == Kind::Picture;

        let first = if is_picture { from } else { Grid { height: 1, width: 1 } };
        let mut planes = vec![Plane { grid: first, cell: 4 * format.bytes(), zero: 0 }];
        let mut quantizations = vec![Quantization::IDENTITY];
        // A plane of `lanes` numbers a cell.
        let mut plane = |grid, lanes: usize, format: Format, quantization: Quantization| {
            quantizations.push(quantization);
            single::add(&mut planes, Plane { grid, cell: lanes * format.bytes(), zero: quantization.zero })
        };
        let quantization = |numbers: &mut Numbers| match format {
            Format::U8 => Quantization {
                scale: 0.02 + 0.01 * numbers.number(),
                zero: if numbers.below(3) == 0 { 0 } else { numbers.below(120) as u8 },
            },
            _ => Quantization::IDENTITY,
        };
        // Of what is written and added, some are far from sensible: such maps end in other ways.
        let of_written = |numbers: &mut Numbers| match (format, numbers.below(4)) {
            (Format::U8, 0) => Quantization {
                scale: 10.0f32.powf(2.0 * numbers.number() - 1.0),
                zero: [0, 255, numbers.below(256) as u8][numbers.below(3)],
            },
            _ => quantization(numbers),
        };
        let lanes = |narrow: bool| if narrow { 16 } else { format.lanes() };
        let mut sources = Vec::new();
        let mut channels = 0;
        for &used in &self.sources {
            let lanes = lanes(self.narrow);
            let quantization = quantization(&mut numbers);
            let id = if is_picture { PlaneId(0) } else { plane(from, lanes, format, quantization) };
            let used = used.min(lanes);
            sources.push(Source { plane: id, first: channels, channels: used });
            channels += used;
        }

        let logits = matches!(self.kind, Kind::Logits | Kind::Sums);
        let mut pieces = |grid, channels: usize, lanes: usize, format: Format, q| {
            let piece = |i: usize| Piece {
                plane: plane(grid, lanes, format, q),
                channels: lanes.min(channels - i * lanes),
                lanes,
                upsampled: false,
            };
            (0..channels.div_ceil(lanes)).map(piece).collect::<Vec<_>>()
        };
        let ids = |pieces: Vec<Piece>| pieces.iter().map(|piece| piece.plane).collect::<Vec<_>>();
        let (mut outputs, mut residual, mut partial) = (Vec::new(), Vec::new(), Vec::new());
        for &(out, narrow) in &self.outputs {
            let (lanes, format, q) = match logits {
                true => (16, Format::F32, Quantization::IDENTITY),
                false => (lanes(narrow), format, of_written(&mut numbers)),
            };
            outputs.push(pieces(grid, out, lanes, format, q));
            if self.kind == Kind::Residual {
                residual.push(ids(pieces(grid, out, lanes, format, of_written(&mut numbers))));
            }
            if self.kind == Kind::Partial {
                let half = Grid { height: grid.height / 2, width: grid.width / 2 };
                // One plane a chunk: as many as the output has, those that only fill a plane included.
                let chunks = 16 * out.div_ceil(lanes) * lanes / 16;
                partial.push(ids(pieces(half, chunks, 16, Format::F32, Quantization::IDENTITY)));
            }
        }

        let convs = self.outputs.iter().enumerate().map(|(i, &(out_channels, _))| {
            let conv = Conv {
                name: format!("conv{i}"),
                in_channels: channels,
                out_channels,
                kernel: self.kernel,
                stride: self.stride,
                activation: if self.silu { Activation::Silu } else { Activation::Identity },
            };
            let count = channels * self.kernel * self.kernel;
            let scale = if is_picture { 4.0 } else { 2.0 / (count as f32).sqrt() };
            let weight = (0..out_channels * count).map(|_| scale * numbers.number()).collect();
            let bias = (0..out_channels).map(|_| numbers.number()).collect();
            (conv, ConvWeights { weight, bias })
        });
        let model = Model::of_convolutions(convs.collect());

        let rgb: Vec<u8> = (0..3 * first.height * first.width).map(|_| numbers.below(256) as u8).collect();
        let input = if is_picture {
            Map { grid: from, channels: 3, data: rgb.iter().map(|&byte| f32::from(byte)).collect() }
        } else {
            Map::random(from, channels, || stored(format, 2.0 * numbers.number()))
        };
        let maps = |yes: bool, grid: Grid, numbers: &mut Numbers, format| {
            let map =
                |&(out, _): &(usize, bool)| Map::random(grid, out, || stored(format, 2.0 * numbers.number()));
            self.outputs.iter().filter(|_| yes).map(map).collect::<Vec<_>>()
        };
        let added = maps(self.kind == Kind::Residual, grid, &mut numbers, format);
        let half = Grid { height: grid.height / 2, width: grid.width / 2 };
        let sums = maps(self.kind == Kind::Partial, half, &mut numbers, Format::F32);
        let task = ConvTask {
            convs: (0..self.outputs.len()).map(|i| ConvId(i as u32)).collect(),
            sources,
            outputs,
            residual: residual.concat(),
            partial: partial.concat(),
            activation: if self.silu { Activation::Silu } else { Activation::Identity },
            is_partial: self.kind == Kind::Sums,
            full_precision: logits,
            reads_bytes: is_picture,
        };
        let residual = added.into_iter().zip(residual).collect();
        let partial = sums.into_iter().zip(partial).collect();
        Step { model, task, planes, quantizations, input, residual, partial, rgb }
    }
}
