//! Jobs and tiles: each depth of the network is one dispatch over the tiles of all the layers at that depth.

use std::fmt;

use gesto_engine::Model;
use gesto_engine::model::Activation;

use super::layout::{BLOCK, Plane};
use super::lower::{ConvNode, Lowered, PoolNode, Target};
use super::pack::{BlockOrder, Step, pack};
use crate::error::{Error, ErrorKind, Result};

/// Cells in a fragment: the rows of a matrix tile.
pub(crate) const FRAGMENT: usize = 16;

/// A convolution as the kernels see it; the same fields stand in `conv_job.wgsl`. Offsets count elements.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct ConvJob {
    first_step: u32,
    steps: u32,
    weights: u32,
    output_blocks: u32,
    bias: u32,
    silu: u32,
    /// 0: fragments run through the cells of the whole batch, borders included. Else fragments of each output row.
    fragments_in_row: u32,
    stride: u32,
    in_row: u32,
    in_image: u32,
    height: u32,
    width: u32,
    row: u32,
    image: u32,
    pictures: u32,
    out_base: u32,
    out_pitch: u32,
    /// Channels to store: multiple of 4.
    out_channels: u32,
    /// 1: into the raw f32 buffer, without border.
    raw: u32,
    has_residual: u32,
    residual_base: u32,
    residual_pitch: u32,
    has_doubled: u32,
    doubled_base: u32,
    doubled_pitch: u32,
    doubled_row: u32,
    doubled_image: u32,
    /// Fragments that cover every cell once.
    fragments: u32,
    /// Rows of the kernel, 1 or 3; also its columns, except that the picture's steps are whole rows.
    side: u32,
    /// Sixteens of input channels.
    chunks: u32,
}

/// A pool as its kernel sees it; the same fields stand in `pool.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct PoolJob {
    in_base: u32,
    in_pitch: u32,
    out_base: u32,
    out_pitch: u32,
    channels: u32,
    height: u32,
    width: u32,
    row: u32,
    pictures: u32,
    reach: u32,
    padding: [u32; 2],
}

/// A workgroup's part: job, then two coordinates within the job.
pub(crate) type Tile = [u32; 4];

/// Where a workgroup of the convolution kernel has what it multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Feed {
    /// In the maps and the table of weights: `conv_vector.wgsl`, `conv_matrix.wgsl`.
    Buffers,
    /// Cells in workgroup memory: `conv_staged.wgsl`.
    Cells,
    /// Cells and weights in workgroup memory, one range of cells for all nine taps: `conv_tiled.wgsl`.
    Range,
    /// Cells and weights in workgroup memory, each step's cells by themselves: `conv_tiled.wgsl`.
    Gathered,
}

/// How a workgroup of the convolution kernel divides its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Shape {
    /// Subgroups (or 64-thread teams) in a workgroup.
    pub(crate) teams: usize,
    /// Teams that share one tile, each taking a part of the steps.
    pub(crate) split: usize,
    /// Fragments of sixteen cells in a tile.
    pub(crate) rows: usize,
    /// Blocks of sixteen output channels in a tile.
    pub(crate) columns: usize,
    /// Teams that lie beside each other along the output channels.
    pub(crate) across: usize,
    pub(crate) feed: Feed,
    /// Sixteens of input channels, with [`Feed::Gathered`] steps, that are staged in workgroup memory at a time; else 0.
    pub(crate) depth: usize,
    /// Without staging: steps whose matrices are loaded at a time. With [`Feed::Range`] and [`Feed::Gathered`]: 2, the next
    /// numbers to stage are on their way while these are multiplied; 1, they are not.
    pub(crate) ahead: usize,
    /// Blocks of sums that pass through a team's workgroup memory at a time.
    pub(crate) passed: usize,
    /// Cells for which a staging workgroup has room.
    pub(crate) staged: usize,
}

impl Shape {
    /// Teams behind each other along the cells.
    pub(crate) fn along(self) -> usize {
        self.teams / self.split / self.across
    }

    /// Fragments of a workgroup.
    pub(crate) fn fragments(self) -> usize {
        self.along() * self.rows
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (cells, channels) = (self.fragments() * FRAGMENT, self.columns * self.across * FRAGMENT);
        write!(f, "{cells} x {channels} cells by channels, {} teams", self.teams)?;
        if self.split > 1 {
            write!(f, ", sums split {} ways", self.split)?;
        }
        let Self { across, staged, depth, passed, .. } = self;
        match self.feed {
            Feed::Buffers if self.ahead > 1 => write!(f, ", {} steps at a time", self.ahead)?,
            Feed::Buffers => {}
            Feed::Cells => write!(f, ", {across} across, {staged} cells of {} channels staged", 16 * depth)?,
            Feed::Range => write!(f, ", {across} across, {staged} cells staged with their weights")?,
            Feed::Gathered => {
                write!(f, ", {across} across, {depth} steps of each cell staged with their weights")?
            }
        }
        if matches!(self.feed, Feed::Range | Feed::Gathered) {
            let ahead = if self.ahead > 1 { "one ahead, " } else { "" };
            write!(f, ", {ahead}{passed} blocks out")?;
        }
        Ok(())
    }
}

/// Layers that do not depend on each other.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Jobs in `first..first + count` of the convolution table.
    Convs { jobs: std::ops::Range<usize> },
    /// Likewise of the pool table.
    Pools { jobs: std::ops::Range<usize> },
}

/// Everything that the kernels read besides feature maps.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) conv_jobs: Vec<ConvJob>,
    pub(crate) conv_names: Vec<String>,
    pub(crate) pool_jobs: Vec<PoolJob>,
    /// Vectors of four numbers for which the pool kernel has room.
    pub(crate) pool_room: usize,
    pub(crate) steps: Vec<Step>,
    /// First as many zeros as the widest step has weights, then the convolutions'.
    pub(crate) weights: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    pub(crate) stages: Vec<Stage>,
    /// Multiply-accumulates of each convolution job over the batch.
    pub(crate) macs: Vec<u64>,
}

/// Pictures in a batch from which on layers of unlike kinds are dispatched one kind after the other.
const MANY: usize = 8;

pub(crate) fn tables(
    model: &Model,
    lowered: &Lowered,
    batch: usize,
    order: BlockOrder,
    pool_room: usize,
) -> Result<Tables> {
    let mut t = Tables {
        conv_jobs: Vec::new(),
        conv_names: Vec::new(),
        pool_jobs: Vec::new(),
        pool_room,
        steps: Vec::new(),
        weights: Vec::new(),
        bias: Vec::new(),
        stages: Vec::new(),
        macs: Vec::new(),
    };
    let deepest = lowered.convs.iter().map(|n| n.depth).chain(lowered.pools.iter().map(|n| n.depth)).max();
    // As many zeros as any step has weights.
    let widest = lowered.convs.iter().map(|n| model.graph().conv(n.conv).out_channels).max().unwrap_or(0);
    t.weights.resize(widest.next_multiple_of(BLOCK) * BLOCK, 0.0);
    for depth in 1..=deepest.unwrap_or(0) {
        let mut level: Vec<&ConvNode> = lowered.convs.iter().filter(|n| n.depth == depth).collect();
        // Longest first, so that the dispatch does not end on a straggler.
        level.sort_by_key(|n| std::cmp::Reverse(model.graph().conv(n.conv).macs_per_cell()));
        // One kernel for all of them saves a barrier; one for each kind is faster, which many cells repay.
        let kind = |node: &ConvNode| {
            let conv = model.graph().conv(node.conv);
            (batch >= MANY).then_some((conv.kernel, conv.stride))
        };
        while let Some(first) = level.first() {
            let wanted = kind(first);
            let (these, others) = level.into_iter().partition(|node| kind(node) == wanted);
            level = others;
            let first = t.conv_jobs.len();
            let these: Vec<&ConvNode> = these;
            for node in these {
                conv_job(&mut t, model, node, batch, order)?;
            }
            t.stages.push(Stage::Convs { jobs: first..t.conv_jobs.len() });
        }
        let first = t.pool_jobs.len();
        for node in lowered.pools.iter().filter(|n| n.depth == depth) {
            t.pool_jobs.push(pool_job(node, batch)?);
        }
        if t.pool_jobs.len() > first {
            t.stages.push(Stage::Pools { jobs: first..t.pool_jobs.len() });
        }
    }
    Ok(t)
}

fn small(n: usize) -> Result<u32> {
    u32::try_from(n).map_err(|_| {
        Error::new(ErrorKind::Shape, "the network at this size and batch exceeds 32-bit offsets")
    })
}

fn conv_job(t: &mut Tables, model: &Model, node: &ConvNode, batch: usize, order: BlockOrder) -> Result<()> {
    let conv = model.graph().conv(node.conv);
    let packed = pack(conv, &model.weights(node.conv), &node.inputs, order)?;
    let input = node.inputs[0].plane;
    if node.inputs.iter().any(|run| !run.plane.same_cells(&input)) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("{:?} reads maps of unlike layout", conv.name),
        ));
    }
    let mut job = ConvJob {
        first_step: small(t.steps.len())?,
        steps: small(packed.steps.len())?,
        weights: small(t.weights.len())?,
        output_blocks: small(packed.output_blocks)?,
        bias: small(t.bias.len())?,
        silu: u32::from(conv.activation == Activation::Silu),
        stride: small(conv.stride)?,
        side: small(conv.kernel)?,
        chunks: if input.pitch < BLOCK {
            1
        } else {
            small(packed.steps.len() / (conv.kernel * conv.kernel))?
        },
        in_row: small(input.row)?,
        in_image: small(input.image())?,
        pictures: small(batch)?,
        ..ConvJob::default()
    };
    let cells = match node.target {
        Target::Map(plane) => {
            job.out_base = small(plane.base)?;
            job.out_pitch = small(plane.pitch)?;
            job.out_channels = small(plane.pitch)?;
            plane
        }
        Target::Raw(raw) => {
            job.raw = 1;
            job.out_base = small(raw.base)?;
            job.out_pitch = small(raw.pitch)?;
            job.out_channels = small(raw.pitch)?;
            Plane { base: 0, pitch: 0, height: raw.height, width: raw.width, row: raw.width + 1 }
        }
    };
    (job.height, job.width) = (small(cells.height)?, small(cells.width)?);
    (job.row, job.image) = (small(cells.row)?, small(cells.image())?);
    if conv.stride != 1 || !cells.same_cells(&input) {
        job.fragments_in_row = small(cells.width.div_ceil(FRAGMENT))?;
    }
    if let Some(run) = node.residual {
        job.has_residual = 1;
        job.residual_base = small(run.plane.base + run.start)?;
        job.residual_pitch = small(run.plane.pitch)?;
    }
    if let Some(plane) = node.doubled {
        job.has_doubled = 1;
        job.doubled_base = small(plane.base)?;
        job.doubled_pitch = small(plane.pitch)?;
        job.doubled_row = small(plane.row)?;
        job.doubled_image = small(plane.image())?;
    }
    job.fragments = small(job.count_fragments())?;
    t.conv_jobs.push(job);
    t.conv_names.push(conv.name.clone());
    t.macs.push((conv.macs_per_cell() * cells.height * cells.width * batch) as u64);
    t.steps.extend(packed.steps);
    t.weights.extend(packed.weights);
    t.bias.extend(packed.bias);
    Ok(())
}

fn pool_job(node: &PoolNode, batch: usize) -> Result<PoolJob> {
    let (input, output) = (node.input, node.output);
    if !input.plane.same_cells(&output) {
        return Err(Error::new(ErrorKind::Unsupported, "a pool's maps have unlike layouts"));
    }
    Ok(PoolJob {
        in_base: small(input.plane.base + input.start)?,
        in_pitch: small(input.plane.pitch)?,
        out_base: small(output.base)?,
        out_pitch: small(output.pitch)?,
        channels: small(output.pitch.min(input.channels.next_multiple_of(4)))?,
        height: small(output.height)?,
        width: small(output.width)?,
        row: small(output.row)?,
        pictures: small(batch)?,
        reach: small(node.reach)?,
        padding: [0; 2],
    })
}

impl ConvJob {
    fn count_fragments(&self) -> usize {
        let [row, image, pictures] = [self.row, self.image, self.pictures].map(|n| n as usize);
        if self.fragments_in_row == 0 {
            // From the first picture's first cell to the last picture's last.
            let first = row + 1;
            let last = (pictures - 1) * image + self.height as usize * row + self.width as usize;
            (last + 1 - first).div_ceil(FRAGMENT)
        } else {
            pictures * self.height as usize * self.fragments_in_row as usize
        }
    }

    /// Steps of sixteen inputs each.
    pub(crate) fn steps(&self) -> usize {
        self.steps as usize
    }

    /// Sixteens of output channels.
    pub(crate) fn blocks(&self) -> usize {
        (self.out_channels as usize).div_ceil(FRAGMENT)
    }

    /// Rows and columns of the kernel.
    pub(crate) fn side(&self) -> usize {
        self.side as usize
    }

    /// Blocks of 16 x 16 sums.
    pub(crate) fn sums(&self) -> usize {
        self.fragments as usize * self.blocks()
    }

    /// The job's share of a dispatch: one entry for each workgroup.
    pub(crate) fn tiles(&self, job: usize, shape: Shape) -> impl Iterator<Item = Tile> {
        let blocks = self.blocks();
        let (fragments, strip) = match shape.feed {
            // Of output cells, borders left out.
            Feed::Gathered => {
                let cells = self.pictures as usize * self.height as usize * self.width as usize;
                (cells.div_ceil(FRAGMENT), 0)
            }
            _ => (self.fragments as usize, self.strip(shape) as u32),
        };
        (0..fragments).step_by(shape.fragments()).flat_map(move |fragment| {
            (0..blocks)
                .step_by(shape.columns * shape.across)
                .map(move |block| [job as u32, fragment as u32, block as u32, strip])
        })
    }

    /// It reads the picture.
    fn picture(&self) -> bool {
        self.steps == self.side && self.side > 1
    }

    /// Staged cells from one row of the kernel to the next.
    fn strip(&self, shape: Shape) -> usize {
        let [side, stride, in_row] = [self.side, self.stride, self.in_row].map(|n| n as usize);
        if self.fragments_in_row != 0 {
            return 15 * stride + side;
        }
        // One range over all rows of the kernel where rows are short, else a strip for each.
        in_row.min(shape.fragments() * FRAGMENT + side - 1)
    }

    /// Cells that a workgroup stages; `None` where a shape cannot do the job.
    pub(crate) fn staged_cells(&self, shape: Shape) -> Option<usize> {
        let (side, strip) = (self.side as usize, self.strip(shape));
        match self.fragments_in_row {
            _ if shape.feed == Feed::Gathered => Some(shape.fragments() * FRAGMENT),
            _ if shape.feed == Feed::Range
                && (side != 3 || self.fragments_in_row != 0 || self.has_doubled != 0) =>
            {
                None
            }
            // Its steps are no taps of sixteen channels.
            _ if self.picture() => None,
            0 => Some((side - 1) * strip + shape.fragments() * FRAGMENT + side - 1),
            _ => Some(shape.fragments() * side * strip),
        }
    }
}

/// Threads of the pool kernel's workgroup.
const POOL_THREADS: usize = 64;

impl PoolJob {
    /// The job's share of a dispatch, for workgroups with room for `room` vectors of four numbers: picture, first vector and
    /// vectors of each cell, or the first of the threads' items and zeros where the map is too large.
    pub(crate) fn tiles(&self, job: usize, room: usize) -> Vec<Tile> {
        let quads = self.channels / 4;
        let cells = (self.height * self.width) as usize;
        // Four vectors are 32 bytes of f16, what memory hands over at a time.
        let Some(together) =
            [4, 2, 1].into_iter().find(|n| cells * *n as usize <= room && quads.is_multiple_of(*n))
        else {
            let items = self.pictures as usize * cells * quads as usize;
            return (0..items).step_by(POOL_THREADS).map(|first| [job as u32, first as u32, 0, 0]).collect();
        };
        let firsts =
            |picture| (0..quads).step_by(together as usize).map(move |q| [job as u32, picture, q, together]);
        (0..self.pictures).flat_map(firsts).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(feed: Feed) -> Shape {
        Shape {
            teams: 4,
            split: 1,
            rows: 2,
            columns: 2,
            across: 2,
            feed,
            depth: 1,
            ahead: 1,
            passed: 1,
            staged: 0,
        }
    }

    /// A layer of kernels of `side` x `side` on maps of 10 x 7 cells, three pictures.
    fn job(side: u32, stride: u32) -> ConvJob {
        let mut job = ConvJob {
            steps: side * side,
            side,
            stride,
            chunks: 1,
            height: 10,
            width: 7,
            row: 8,
            image: 12 * 8,
            in_row: 7 * stride + 1,
            pictures: 3,
            out_channels: 48,
            fragments_in_row: u32::from(stride > 1),
            ..ConvJob::default()
        };
        job.fragments = job.count_fragments() as u32;
        job
    }

    #[test]
    fn gathered_tiles_cover_inner_cells_alone() {
        for job in [job(3, 2), job(3, 1), job(1, 1)] {
            let tiles: Vec<Tile> = job.tiles(5, shape(Feed::Gathered)).collect();
            // 210 cells by 64, 48 channels by 64.
            let firsts: Vec<u32> = tiles.iter().map(|tile| tile[1]).collect();
            assert_eq!(firsts, [0, 4, 8, 12]);
            assert!(tiles.iter().all(|tile| tile[0] == 5 && tile[2] == 0));
            assert_eq!(job.staged_cells(shape(Feed::Gathered)), Some(64));
        }
    }

    #[test]
    fn a_range_holds_every_tap_of_its_tile_and_is_for_plain_3x3_alone() {
        let plain = job(3, 1);
        let staged = plain.staged_cells(shape(Feed::Range)).unwrap();
        for tile in plain.tiles(0, shape(Feed::Range)) {
            let strip = tile[3] as usize;
            let last = 2 * strip + 63 + 2;
            assert!(last < staged, "{strip} {staged}");
        }
        assert_eq!(job(3, 2).staged_cells(shape(Feed::Range)), None);
        assert_eq!(job(1, 1).staged_cells(shape(Feed::Range)), None);
        let doubled = ConvJob { has_doubled: 1, ..plain };
        assert_eq!(doubled.staged_cells(shape(Feed::Range)), None);
    }

    #[test]
    fn pools_take_what_fits_and_cover_every_vector_once() {
        let job = PoolJob { channels: 24, height: 7, width: 10, pictures: 2, ..PoolJob::default() };
        assert_eq!(job.tiles(3, 280)[1], [3, 0, 2, 2], "six vectors are three times two");
        assert_eq!(job.tiles(3, 280).len(), 2 * 3);
        assert_eq!(job.tiles(3, 100).len(), 2 * 6, "one vector of each cell at a time");
        let large = job.tiles(3, 69);
        assert_eq!(large.len(), (2 * 70 * 6usize).div_ceil(64));
        assert_eq!(large[1], [3, 64, 0, 0], "from where it lies");
    }
}
