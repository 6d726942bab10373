//! From a model, an input size and an instruction set to steps with buffers laid out once.

pub(crate) mod ahead;
pub(crate) mod layout;
pub(crate) mod lower;
mod pack;
#[cfg(test)]
pub(crate) mod single;
pub(crate) mod winograd;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use self::layout::{Format, Grid, LINE, Places, Plane, PlaneId, RUN_SLACK};
use self::lower::{ConvTask, LevelPlanes, Lowered, PoolTask, Task};
use crate::error::{Error, ErrorKind, Result};
use crate::isa::Token;
use crate::kernels::Kernels;
use crate::kernels::memory::{Arena, Lines};
use crate::model::{Activation, Model, Quantization};

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

/// Squares of minimal filtering that make weights read for all of them a smaller matter than the inputs.
const MANY_SQUARES: usize = 48;

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
    /// Byte offset in [`Plan::weights`].
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
    /// Byte offset in [`Plan::weights`] of one f32 for each output channel, chunk by chunk. In plans of bytes another such
    /// list follows: what a sum is worth.
    pub(crate) bias: usize,
    pub(crate) activation: Activation,
    /// Written as f32 in a plan of another format.
    pub(crate) full_precision: bool,
    pub(crate) tiling: Tiling,
    pub(crate) tiles: Vec<Tile>,
    /// In a folded tiling, bytes from where a half's inputs would go on to where those of the next row begin; else 0.
    pub(crate) jump: u32,
    /// How to run it with fewer multiplications, where that pays.
    pub(crate) winograd: Option<winograd::Winograd>,
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
    fn new(grid: Grid) -> Self {
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
}

impl ConvStep {
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

impl Plan {
    /// Plans `model` for inputs of `grid` on the tier of `token`.
    pub(crate) fn new(model: &Model, grid: Grid, token: Token) -> Result<Self> {
        let kernels = Kernels::new(token);
        let scales = match (kernels.format(), model.activation_scales()) {
            (layout::Format::U8, None) => {
                let message = format!(
                    "{} needs a quantised model, and this one has no activation scales: `gesto model quantize` adds them",
                    kernels.isa()
                );
                return Err(Error::new(ErrorKind::Config, message));
            }
            (layout::Format::U8, scales) => scales,
            _ => None,
        };
        let Lowered { planes, quantizations, input, dense, lazy, levels } =
            lower::lower(model.graph(), grid, kernels.format(), scales)?;
        let places = Placed::new(&planes, input, &dense, &lazy, &levels);
        let mut builder = Builder {
            model,
            kernels,
            planes: &planes,
            quantizations: &quantizations,
            places: &places.places,
            cells: HashMap::new(),
            packer: pack::Packer::new(model, kernels.format()),
        };
        let dense: Vec<Vec<Step>> =
            dense.iter().map(|stage| stage.iter().map(|task| builder.step(task)).collect()).collect();
        let lazy: Vec<Vec<LazyStep>> = lazy
            .iter()
            .map(|stage| {
                stage
                    .iter()
                    .map(|lazy| LazyStep {
                        head: lazy.head,
                        level: lazy.level,
                        reach: lazy.reach,
                        step: builder.conv(&lazy.task, false),
                    })
                    .collect()
            })
            .collect();
        let at = |ids: &[PlaneId]| ids.iter().map(|id| places.places[id.0]).collect();
        let levels = levels
            .iter()
            .map(|head| {
                let level = |l: &LevelPlanes| Level {
                    grid: l.grid,
                    classes: at(&l.classes),
                    boxes: at(&l.boxes),
                    keypoints: at(&l.keypoints),
                };
                head.iter().map(level).collect()
            })
            .collect();
        let plan = Self {
            kernels,
            input: InputPlane { grid, place: places.places[input.0] },
            dense,
            lazy,
            levels,
            weights: builder.packer.finish(),
            borders: borders(&planes, &places.places),
            // A square or a tile at the edge of the last plane may read two rows past its end.
            arena_size: places.size
                + planes.iter().map(|plane| (2 * plane.grid.pitch() + 64) * LINE).max().unwrap_or(0),
            scratch_size: 0,
        };
        let squares = kernels.winograd_squares();
        let scratch =
            |step: &ConvStep| step.winograd.as_ref().map(|filter| filter.scratch(step.chunks.len(), squares));
        let scratch_size = plan.convs().filter_map(scratch).max().unwrap_or(0);
        let plan = Self { scratch_size, ..plan };
        plan.check();
        Ok(plan)
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

    /// Holds every offset against the arena and the weights. The kernels' safety rests on this.
    fn check(&self) {
        let arena = self.arena_size as isize;
        for step in self.convs() {
            let reach = self.kernels.reach(step);
            let cells = step.cells.grid.run();
            let last_input = step.tiles.iter().map(|tile| tile.input as usize).max().unwrap_or(0);
            // Lazy tiles begin at any cell of the run, and then read the same cell of the same grid.
            let last_input = if step.row == step.input_cell { last_input.max(cells - 1) } else { last_input };
            for tap in &step.taps {
                let first = tap.bytes;
                let last = tap.bytes
                    + (last_input * step.input_cell + (reach - 1) * step.row + step.jump as usize + LINE)
                        as isize;
                assert!(first >= 0 && last <= arena, "{}: a tap leaves the arena", step.name);
            }
            for tile in &step.tiles {
                // The border between the halves of a folded tile.
                let more = usize::from(step.tiling.folded && tile.count as usize > reach / 2);
                let last = (tile.output + tile.count) as usize + more;
                assert!(last <= cells && tile.count as usize <= reach);
                assert!(!step.tiling.folded || 2 * step.cells.grid.width == reach);
            }
            let number = if step.full_precision { Format::F32 } else { self.kernels.format() }.bytes();
            for chunk in &step.chunks {
                assert!(chunk.cell >= 16 * number, "{}: a cell is too narrow for its numbers", step.name);
                for place in [Some(chunk.output), chunk.residual].into_iter().flatten() {
                    assert!(
                        place + cells * chunk.cell <= self.arena_size,
                        "{}: an output leaves the arena",
                        step.name
                    );
                }
                if let Some(place) = chunk.partial {
                    let last = step.cells.halved.iter().copied().max().unwrap_or(0) as usize;
                    assert!(
                        place + (last + 1) * LINE <= self.arena_size,
                        "{}: a sum leaves the arena",
                        step.name
                    );
                }
            }
            let weights = self.weights.bytes().len();
            if let Some(filter) = &step.winograd {
                // From the cell above and before the first square to two rows and cells past the last.
                let pitch = step.cells.grid.pitch();
                let last = (2 * filter.rows + 1) * pitch + 2 * filter.columns + 2;
                for &place in &filter.planes {
                    assert!(place >= (pitch + 1) * LINE && place + last * LINE <= self.arena_size);
                }
                for (block, weights) in step.blocks.iter().zip(&filter.weights) {
                    let lines = winograd::POSITIONS * filter.planes.len() * 16 * block.chunks.len();
                    assert!(
                        weights + lines * LINE <= self.weights.bytes().len(),
                        "{}: too few weights",
                        step.name
                    );
                }
                assert!(filter.weights.len() == step.blocks.len());
                let whole = |chunk: &Chunk| chunk.cell == LINE || self.kernels.format() != Format::F32;
                assert!(step.chunks.iter().all(|chunk| whole(chunk) && chunk.partial.is_none()));
            }
            let lists = if self.kernels.format() == layout::Format::U8 { 2 } else { 1 };
            assert!(step.bias + lists * step.chunks.len() * LINE <= weights, "{}: no bias", step.name);
            for block in &step.blocks {
                let size = self.kernels.block_bytes(step, block);
                assert!(block.weights + size <= weights, "{}: too few weights", step.name);
                assert!(block.chunks.end <= step.chunks.len());
            }
        }
        for step in self.dense.iter().flatten() {
            if let Step::Pool(pool) = step {
                for &place in pool.planes.iter().flatten() {
                    assert!(place + pool.grid.run() * pool.cell <= self.arena_size);
                }
            }
        }
        let cell = 4 * self.kernels.format().bytes();
        assert!(self.input.place + self.input.grid.run() * cell <= self.arena_size);
        for level in self.levels.iter().flatten() {
            for &place in level.classes.iter().chain(&level.boxes).chain(&level.keypoints) {
                assert!(place + level.grid.run() * LINE <= self.arena_size);
            }
        }
    }
}

/// Places for all planes: from the stage that writes a plane to the last that reads it, it has memory of its own.
struct Placed {
    places: Vec<usize>,
    size: usize,
}

impl Placed {
    fn new(
        planes: &[Plane],
        input: PlaneId,
        dense: &[Vec<Task>],
        lazy: &[Vec<lower::LazyTask>],
        levels: &[Vec<LevelPlanes>],
    ) -> Self {
        let stages: Vec<Vec<(Vec<PlaneId>, Vec<PlaneId>)>> = dense
            .iter()
            .map(|stage| stage.iter().map(task_planes).collect())
            .chain(lazy.iter().map(|stage| stage.iter().map(|lazy| conv_planes(&lazy.task)).collect()))
            .collect();
        let mut last_read = vec![0; planes.len()];
        for (at, stage) in stages.iter().enumerate() {
            for id in stage.iter().flat_map(|(reads, writes)| reads.iter().chain(writes)) {
                last_read[id.0] = at;
            }
        }
        for level in levels.iter().flatten() {
            for id in level.classes.iter().chain(&level.boxes).chain(&level.keypoints) {
                last_read[id.0] = usize::MAX; // read after the last stage
            }
        }
        last_read[input.0] = usize::MAX; // written before the first stage of the next frame
        let mut pool = Places::default();
        let mut places = vec![usize::MAX; planes.len()];
        places[input.0] = pool.take(planes[input.0]);
        for (at, stage) in stages.iter().enumerate() {
            let written = || stage.iter().flat_map(|(_, writes)| writes);
            for id in written() {
                places[id.0] = pool.take(planes[id.0]);
            }
            // Only now: within a stage tasks run side by side.
            for (id, plane) in planes.iter().enumerate() {
                if last_read[id] == at && places[id] != usize::MAX {
                    pool.give_back(*plane, places[id]);
                }
            }
        }
        Self { places, size: pool.size() }
    }
}

fn conv_planes(task: &ConvTask) -> (Vec<PlaneId>, Vec<PlaneId>) {
    let mut reads: Vec<PlaneId> = task.sources.iter().map(|source| source.plane).collect();
    reads.extend(&task.residual);
    reads.extend(&task.partial);
    (reads, task.outputs.iter().flatten().map(|piece| piece.plane).collect())
}

fn task_planes(task: &Task) -> (Vec<PlaneId>, Vec<PlaneId>) {
    match task {
        Task::Conv(task) => conv_planes(task),
        Task::Pool(task) => (task.input.clone(), task.outputs.iter().flatten().copied().collect()),
    }
}

/// The planes whose borders are not zero. Those that share a place agree in this.
fn borders(planes: &[Plane], places: &[usize]) -> Vec<(Range<usize>, u8)> {
    let placed = planes.iter().zip(places).filter(|(plane, place)| plane.zero != 0 && **place != usize::MAX);
    let mut borders: Vec<_> = placed.map(|(plane, &place)| (plane.bytes(place), plane.zero)).collect();
    borders.sort_by_key(|(bytes, _)| bytes.start);
    borders.dedup();
    borders
}

struct Builder<'a> {
    model: &'a Model,
    kernels: Kernels,
    planes: &'a [Plane],
    quantizations: &'a [Quantization],
    places: &'a [usize],
    cells: HashMap<Grid, Arc<Cells>>,
    packer: pack::Packer,
}

impl Builder<'_> {
    fn step(&mut self, task: &Task) -> Step {
        match task {
            Task::Conv(task) => Step::Conv(self.conv(task, true)),
            Task::Pool(task) => Step::Pool(self.pool(task)),
        }
    }

    fn pool(&self, task: &PoolTask) -> PoolStep {
        let Plane { grid, cell, .. } = self.planes[task.input[0].0];
        let planes = (0..task.input.len())
            .map(|i| {
                let chain = std::iter::once(&task.input).chain(&task.outputs);
                chain.map(|planes| self.places[planes[i].0]).collect()
            })
            .collect();
        PoolStep { size: task.size, grid, cell, planes }
    }

    /// `everywhere`: the step always runs on the whole map.
    fn conv(&mut self, task: &ConvTask, everywhere: bool) -> ConvStep {
        let graph = self.model.graph();
        let first = graph.conv(task.convs[0]);
        let (kernel, stride) = (first.kernel, first.stride);
        let input = self.planes[task.sources[0].plane.0];
        let format = self.kernels.format();
        let taps = lower::taps(task, kernel, self.planes, format);
        let offsets: Vec<TapOffset> = taps
            .iter()
            .map(|tap| TapOffset {
                bytes: self.places[tap.plane.0] as isize + tap.cells * input.cell as isize + tap.bytes,
                lanes: tap.lanes.iter().rposition(Option::is_some).map_or(0, |last| last as u32 + 1),
            })
            .collect();

        let out_format = if task.full_precision { Format::F32 } else { format };
        let mut chunks = Vec::new();
        for (i, piece) in task.outputs.iter().flatten().enumerate() {
            let Plane { cell, .. } = self.planes[piece.plane.0];
            let step = 16 * out_format.bytes();
            for offset in (0..cell).step_by(step) {
                let at = |ids: &[PlaneId]| ids.get(i).map(|id| self.places[id.0] + offset);
                chunks.push(Chunk {
                    output: self.places[piece.plane.0] + offset,
                    residual: at(&task.residual),
                    partial: None,
                    cell,
                    quantization: self.quantizations[piece.plane.0],
                    residual_quantization: task
                        .residual
                        .get(i)
                        .map_or(Quantization::IDENTITY, |id| self.quantizations[id.0]),
                });
            }
        }
        for (chunk, plane) in chunks.iter_mut().zip(&task.partial) {
            chunk.partial = Some(self.places[plane.0]);
        }

        let grid = self.planes[task.outputs[0][0].plane.0].grid;
        let cells = Arc::clone(self.cells.entry(grid).or_insert_with(|| Arc::new(Cells::new(grid))));
        let tiling = self.kernels.tiling(grid, stride, everywhere);
        let tiles = tiles(grid, input.grid, stride, tiling);
        let jump =
            if tiling.folded { (stride * (input.grid.pitch() - grid.width) * input.cell) as u32 } else { 0 };
        let per_block = self.kernels.chunks_per_block(chunks.len());
        let layout = pack::Layout {
            model: self.model,
            task,
            taps: &taps,
            offsets: &offsets,
            chunks: &chunks,
            quantizations: self.quantizations,
        };
        let packed = self.packer.pack(&layout, per_block, format);
        // With fewer channels the transforms cost more than the multiplications saved; with few squares, the larger weights
        // take longer to arrive, those of f32 at least.
        let squares = grid.height.div_ceil(2) * grid.width.div_ceil(2);
        let where_it_runs = everywhere || self.kernels.filters_lists();
        let many = squares >= if format == Format::F32 { MANY_SQUARES } else { 8 };
        let gains =
            task.sources.iter().map(|source| source.channels).sum::<usize>() >= 32 && chunks.len() >= 2;
        let filters = kernel == 3 && stride == 1 && input.cell == LINE && task.partial.is_empty();
        let winograd = (where_it_runs && many && gains && filters && self.kernels.winograd_squares() > 0)
            .then(|| {
                let planes = task.sources.iter().map(|source| self.places[source.plane.0]).collect();
                winograd::Winograd::new(&layout, &mut self.packer, planes, grid, per_block, format)
            });
        let weight_bytes = chunks.len() * 16 * taps.len() * LINE;
        let input_bytes = task.sources.len() * input.grid.run() * input.cell;
        ConvStep {
            name: task.convs.iter().map(|&id| graph.conv(id).name.as_str()).collect::<Vec<_>>().join(" + "),
            window: kernel,
            taps: offsets,
            input_cell: input.cell,
            row: input.cell * stride,
            blocks: packed.blocks,
            chunks,
            bias: packed.bias,
            activation: task.activation,
            full_precision: task.full_precision,
            tiling,
            tiles,
            jump,
            winograd,
            cells,
            macs_per_cell: task
                .convs
                .iter()
                .map(|&id| {
                    let conv = graph.conv(id);
                    let read: usize = task.sources.iter().map(|source| source.channels).sum();
                    conv.out_channels * read * conv.kernel * conv.kernel
                })
                .sum(),
            share_blocks: weight_bytes > 2 * input_bytes,
        }
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
