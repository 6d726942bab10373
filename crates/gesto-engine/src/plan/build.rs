//! From tasks whose planes have places to steps with packed weights.

use std::collections::HashMap;
use std::sync::Arc;

use super::layout::{Format, Grid, LINE, Plane, PlaneId};
use super::pack::{self, Packer};
use super::place::{Placed, borders};
use super::task::{self, ConvTask, LazyTask, LevelPlanes, PoolTask, Tap, Task};
use super::winograd::Winograd;
use super::{
    Cells, Chunk, ConvStep, InputPlane, LazyStep, Level, MANY_SQUARES, Plan, PoolStep, Step, TapOffset, Tile,
    Tiling,
};
use crate::kernels::{Curve, Kernels};
use crate::model::{Activation, Model, Quantization};

/// Makes the steps of a plan one after the other.
pub(super) struct Builder<'a> {
    model: &'a Model,
    kernels: Kernels,
    planes: &'a [Plane],
    quantizations: &'a [Quantization],
    placed: &'a Placed,
    cells: HashMap<Grid, Arc<Cells>>,
    packer: Packer,
}

impl<'a> Builder<'a> {
    pub(super) fn new(
        model: &'a Model,
        kernels: Kernels,
        planes: &'a [Plane],
        quantizations: &'a [Quantization],
        placed: &'a Placed,
    ) -> Self {
        let packer = Packer::new(model, kernels.format());
        Self { model, kernels, planes, quantizations, placed, cells: HashMap::new(), packer }
    }

    /// The plan of the steps that were made, all offsets checked.
    pub(super) fn finish(
        self,
        input: PlaneId,
        dense: Vec<Vec<Step>>,
        lazy: Vec<Vec<LazyStep>>,
        levels: Vec<Vec<Level>>,
    ) -> Plan {
        // A square or a tile at the edge of the last plane may read two rows past its end.
        let past = self.planes.iter().map(|plane| (2 * plane.grid.pitch() + 64) * LINE).max().unwrap_or(0);
        let mut plan = Plan {
            kernels: self.kernels,
            input: InputPlane { grid: self.planes[input.0].grid, place: self.place(input) },
            dense,
            lazy,
            levels,
            weights: self.packer.finish(),
            borders: borders(self.planes, self.placed),
            arena_size: self.placed.size + past,
            scratch_size: 0,
        };
        let squares = self.kernels.winograd_squares();
        let scratch =
            |step: &ConvStep| step.winograd.as_ref().map(|filter| filter.scratch(step.chunks.len(), squares));
        plan.scratch_size = plan.convs().filter_map(scratch).max().unwrap_or(0);
        plan.check();
        plan
    }

    pub(super) fn step(&mut self, task: &Task) -> Step {
        match task {
            Task::Conv(task) => Step::Conv(self.conv(task, true)),
            Task::Pool(task) => Step::Pool(self.pool(task)),
        }
    }

    pub(super) fn lazy(&mut self, task: &LazyTask) -> LazyStep {
        let step = self.conv(&task.task, false);
        LazyStep { head: task.head, level: task.level, reach: task.reach, step }
    }

    pub(super) fn level(&self, planes: &LevelPlanes) -> Level {
        let at = |ids: &[PlaneId]| ids.iter().map(|&id| self.place(id)).collect();
        Level {
            grid: planes.grid,
            classes: at(&planes.classes),
            boxes: at(&planes.boxes),
            keypoints: at(&planes.keypoints),
        }
    }

    fn place(&self, id: PlaneId) -> usize {
        self.placed.places[id.0]
    }

    fn pool(&self, task: &PoolTask) -> PoolStep {
        let Plane { grid, cell, .. } = self.planes[task.input[0].0];
        let planes = (0..task.input.len())
            .map(|i| {
                let chain = std::iter::once(&task.input).chain(&task.outputs);
                chain.map(|planes| self.place(planes[i])).collect()
            })
            .collect();
        PoolStep { size: task.size, grid, cell, planes }
    }

    /// `everywhere`: the step always runs on the whole map.
    pub(super) fn conv(&mut self, task: &ConvTask, everywhere: bool) -> ConvStep {
        let graph = self.model.graph();
        let first = graph.conv(task.convs[0]);
        let (window, stride) = (first.kernel, first.stride);
        let input = self.planes[task.sources[0].plane.0];
        let grid = self.planes[task.outputs[0][0].plane.0].grid;
        let format = self.kernels.format();
        let taps = task::taps(task, window, self.planes, format);
        let offsets: Vec<TapOffset> = taps.iter().map(|tap| self.offset(tap, input.cell)).collect();
        let chunks = self.chunks(task);
        let tiling = self.kernels.tiling(grid, stride, everywhere);
        let jump =
            if tiling.folded { (stride * (input.grid.pitch() - grid.width) * input.cell) as u32 } else { 0 };
        let filters = window == 3
            && stride == 1
            && self.filtering_pays(task, grid, chunks.len(), everywhere)
            && input.cell == LINE
            && task.partial.is_empty();
        let winograd = filters.then(|| {
            let planes = task.sources.iter().map(|source| self.place(source.plane)).collect();
            Winograd::new(planes, grid)
        });
        let layout = pack::Layout {
            model: self.model,
            task,
            taps: &taps,
            offsets: &offsets,
            chunks: &chunks,
            quantizations: self.quantizations,
            per_block: self.kernels.chunks_per_block(chunks.len()),
            filtered: winograd.is_some(),
        };
        let packed = self.packer.pack(&layout, format);
        let curved = format == Format::U8
            && task.activation == Activation::Silu
            && !task.full_precision
            && (task.residual.is_empty() || task.partial.is_empty());
        // For all of the step's maps or for none, so that it has one kind of ending.
        let curve = |chunk: &Chunk| {
            Curve::new(chunk.quantization, chunk.residual.map(|_| chunk.residual_quantization))
        };
        let curves: Option<Vec<_>> = if curved { chunks.iter().map(curve).collect() } else { None };
        let curves = curves.unwrap_or_default();
        let weight_bytes = chunks.len() * 16 * taps.len() * LINE;
        let input_bytes = task.sources.len() * input.grid.run() * input.cell;
        let channels_read: usize = task.sources.iter().map(|source| source.channels).sum();
        let channels_written: usize = task.convs.iter().map(|&id| graph.conv(id).out_channels).sum();
        ConvStep {
            name: task.convs.iter().map(|&id| graph.conv(id).name.as_str()).collect::<Vec<_>>().join(" + "),
            window,
            taps: offsets,
            input_cell: input.cell,
            row: input.cell * stride,
            blocks: packed.blocks,
            chunks,
            bias: packed.bias,
            activation: task.activation,
            curves,
            full_precision: task.full_precision,
            tiling,
            tiles: tiles(grid, input.grid, stride, tiling),
            jump,
            winograd,
            cells: Arc::clone(self.cells.entry(grid).or_insert_with(|| Arc::new(Cells::new(grid)))),
            macs_per_cell: channels_written * channels_read * window * window,
            share_blocks: weight_bytes > 2 * input_bytes,
        }
    }

    /// Where a tap lies in the arena, its plane's cells being of `cell` bytes.
    fn offset(&self, tap: &Tap, cell: usize) -> TapOffset {
        TapOffset {
            bytes: self.place(tap.plane) as isize + tap.cells * cell as isize + tap.bytes,
            lanes: tap.lanes.iter().rposition(Option::is_some).map_or(0, |last| last as u32 + 1),
        }
    }

    /// The chunks of the planes that a task writes.
    fn chunks(&self, task: &ConvTask) -> Vec<Chunk> {
        let format = if task.full_precision { Format::F32 } else { self.kernels.format() };
        let mut chunks = Vec::new();
        for (i, piece) in task.outputs.iter().flatten().enumerate() {
            let residual = task.residual.get(i);
            let cell = self.planes[piece.plane.0].cell;
            for offset in (0..cell).step_by(16 * format.bytes()) {
                chunks.push(Chunk {
                    output: self.place(piece.plane) + offset,
                    residual: residual.map(|&id| self.place(id) + offset),
                    partial: None,
                    cell,
                    quantization: self.quantizations[piece.plane.0],
                    residual_quantization: residual
                        .map_or(Quantization::IDENTITY, |id| self.quantizations[id.0]),
                });
            }
        }
        // Planes of sums are planes of f32, one a chunk.
        for (chunk, &plane) in chunks.iter_mut().zip(&task.partial) {
            chunk.partial = Some(self.place(plane));
        }
        chunks
    }

    /// Whether minimal filtering is faster for a 3x3 window. With few channels the transforms cost more than the
    /// multiplications saved; with few squares, the larger weights take longer to arrive, those of f32 at least.
    fn filtering_pays(&self, task: &ConvTask, grid: Grid, chunks: usize, everywhere: bool) -> bool {
        let has_kernel = self.kernels.winograd_squares() > 0 && (everywhere || self.kernels.filters_lists());
        let squares = grid.height.div_ceil(2) * grid.width.div_ceil(2);
        let least = if self.kernels.format() == Format::F32 { MANY_SQUARES } else { 8 };
        let channels: usize = task.sources.iter().map(|source| source.channels).sum();
        has_kernel && squares >= least && channels >= 32 && chunks >= 2
    }
}

/// Covers a grid with tiles. Without stride, input and output share their numbering, and tiles may run on over the ends of
/// rows; with stride, only cells of one row have evenly spaced inputs.
fn tiles(grid: Grid, input: Grid, stride: usize, tiling: Tiling) -> Vec<Tile> {
    let len = usize::from(tiling.cells);
    let tile = |input: usize, output: usize, count: usize| Tile {
        input: input as u32,
        output: output as u32,
        count: count as u32,
    };
    if tiling.folded {
        let rows = |y: usize| (grid.height - y).min(2);
        let tile = |y: usize| tile(stride * y * input.pitch(), y * grid.pitch(), rows(y) * grid.width);
        return (0..grid.height).step_by(2).map(tile).collect();
    }
    if !tiling.by_rows {
        let run = grid.run();
        return (0..run).step_by(len).map(|p| tile(p, p, len.min(run - p))).collect();
    }
    let row = |y: usize| {
        (0..grid.width).step_by(len).map(move |x| {
            let from = stride * (y * input.pitch() + x);
            tile(from, y * grid.pitch() + x, len.min(grid.width - x))
        })
    };
    (0..grid.height).flat_map(row).collect()
}
