//! Which shape of the convolution kernel each dispatch uses: by rule of thumb, or measured on the device.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::device::Gpu;
use crate::error::{Error, ErrorKind, Result};
use crate::kernels::Kernels;
use crate::network::{Dispatch, record};
use crate::plan::stage::{ConvJob, Feed, Shape, Stage, Tables, Tile};

/// What the kernels read and write.
pub(crate) struct Binds<'a> {
    pub(crate) conv: &'a wgpu::BindGroup,
    pub(crate) pool: &'a wgpu::BindGroup,
}

/// How to choose.
#[derive(Clone, Copy)]
pub(crate) struct How {
    /// On the device.
    pub(crate) measure: bool,
    /// The device is software on the CPU, where splitting only costs.
    pub(crate) software: bool,
    /// Pictures in a submission.
    pub(crate) batch: usize,
    /// Not at all: this one.
    pub(crate) kernel: Option<usize>,
}

/// What was chosen, and what each shape took for each stage where that was measured, in ticks.
pub(crate) struct Plan {
    pub(crate) dispatches: Vec<Dispatch>,
    pub(crate) tried: Vec<Vec<(Shape, u64)>>,
}

/// Workgroups that keep a large GPU busy; below, steps are split over more teams.
const BUSY: usize = 512;

/// Time after which a device's clock no longer rises.
const WARM_UP: Duration = Duration::from_millis(100);

/// Times that a dispatch is repeated in a measurement: short ones more often.
pub(crate) fn repeats(batch: usize) -> usize {
    (16 / batch).max(2)
}

/// The largest grid along one axis that every adapter accepts.
const MAX_GROUPS: usize = 65_535;

/// Chooses a shape for each stage, compiles the chosen ones, and lays their tiles out on the GPU.
pub(crate) fn plan(
    gpu: &Gpu,
    kernels: &mut Kernels,
    tables: &Tables,
    binds: &Binds<'_>,
    how: How,
) -> Result<Plan> {
    let How { measure, software, batch, kernel } = how;
    let all = kernels.shapes(gpu);
    let shapes = match kernel {
        Some(number) => all.get(number).into_iter().copied().collect(),
        None => all.clone(),
    };
    if shapes.is_empty() {
        return Err(Error::new(ErrorKind::Unsupported, "the GPU has no kernel of that number"));
    }
    // Each stage's own choice; where the one asked-for kernel cannot do a stage, any that can.
    let fitting = |stage: &Stage| {
        let fit = |shapes: &[Shape]| -> Vec<Shape> {
            shapes.iter().filter_map(|&shape| fitted(gpu, kernels, stage, tables, shape)).collect()
        };
        let wanted = fit(&shapes);
        if wanted.is_empty() { fit(&all) } else { wanted }
    };
    let fitting: Vec<Vec<Shape>> = tables.stages.iter().map(fitting).collect();
    let mut chosen: Vec<Option<Shape>> =
        tables.stages.iter().zip(&fitting).map(|(s, shapes)| rule(s, tables, shapes, software)).collect();
    let timestamps = gpu.device.features().contains(wgpu::Features::TIMESTAMP_QUERY);
    let mut tried: Vec<Vec<(Shape, u64)>> = vec![Vec::new(); chosen.len()];
    if measure && timestamps {
        // Compiled at once, so that the device does not fall asleep between two measurements.
        kernels.compile(gpu, &fitting.concat())?;
        let chosen_by_rule = lay_out(gpu, kernels, tables, &chosen)?;
        let started = Instant::now();
        while started.elapsed() < WARM_UP {
            times(gpu, kernels, binds, &chosen_by_rule, repeats(batch))?;
        }
        // Every shape for every stage; the fastest stays.
        for round in 0..fitting.iter().map(Vec::len).max().unwrap_or(0) {
            let these: Vec<Option<Shape>> =
                fitting.iter().zip(&chosen).map(|(f, c)| f.get(round).copied().or(*c)).collect();
            let dispatches = lay_out(gpu, kernels, tables, &these)?;
            let times = times(gpu, kernels, binds, &dispatches, repeats(batch))?;
            for ((tried, shapes), time) in tried.iter_mut().zip(&fitting).zip(times) {
                tried.extend(shapes.get(round).map(|&shape| (shape, time)));
            }
        }
        for (chosen, tried) in chosen.iter_mut().zip(&tried) {
            *chosen = tried.iter().min_by_key(|(_, time)| *time).map(|&(shape, _)| shape).or(*chosen);
        }
    }
    Ok(Plan { dispatches: lay_out(gpu, kernels, tables, &chosen)?, tried })
}

/// The shape as a stage can use it, if all of its jobs can.
fn fitted(gpu: &Gpu, kernels: &Kernels, stage: &Stage, tables: &Tables, shape: Shape) -> Option<Shape> {
    let Stage::Convs { jobs } = stage else { return None };
    if shape.feed == Feed::Buffers {
        return Some(shape);
    }
    let cells = tables.conv_jobs[jobs.clone()].iter().map(|job| job.staged_cells(shape));
    let staged = cells.collect::<Option<Vec<_>>>()?.into_iter().max()?;
    kernels.fitted(gpu, Shape { staged, ..shape })
}

/// Without measuring: what an H200 preferred for layers of the kind. Vector kernels split the steps only where there are too
/// few tiles to fill the machine.
fn rule(stage: &Stage, tables: &Tables, shapes: &[Shape], software: bool) -> Option<Shape> {
    let Stage::Convs { jobs } = stage else { return None };
    let jobs = &tables.conv_jobs[jobs.clone()];
    let steps = jobs.iter().map(|job| job.steps()).max().unwrap_or(1);
    if software {
        // The smallest kernel: the driver compiles it with a CPU's compiler.
        return shapes.iter().min_by_key(|s| (s.split, s.feed != Feed::Buffers, s.rows * s.columns)).copied();
    }
    if let Some(shape) = preferred(jobs, steps, shapes) {
        return Some(shape);
    }
    let groups = |shape: Shape| tiles(stage, tables, Some(shape)).len();
    let fits = |shape: &&Shape| shape.split == 1 || shape.split * 2 <= steps;
    let enough = shapes.iter().filter(fits).find(|&&shape| groups(shape) >= BUSY);
    enough.or_else(|| shapes.iter().rfind(fits)).or_else(|| shapes.first()).copied()
}

/// Blocks of 16 x 16 sums from which on a layer's time is its work, and no longer a chain of loads.
const MANY_BLOCKS: usize = 2500;
/// Likewise for several layers at once.
const SEVERAL_BLOCKS: usize = 1200;

/// A shape of the matrix kernels for these jobs, if the device has the one wanted.
fn preferred(jobs: &[ConvJob], steps: usize, shapes: &[Shape]) -> Option<Shape> {
    let of = |feed| shapes.iter().filter(move |s| s.feed == feed);
    let staged = |teams, across, rows, columns, depth| {
        of(Feed::Cells).find(|s| {
            (s.teams, s.across, s.rows, s.columns, s.depth) == (teams, across, rows, columns, depth)
        })
    };
    let range = |teams, across, ahead| {
        of(Feed::Range).find(|s| (s.teams, s.across, s.columns, s.ahead) == (teams, across, 2, ahead))
    };
    let gathered = |teams, across, columns, depth, ahead| {
        of(Feed::Gathered).find(|s| {
            (s.teams, s.across, s.rows, s.columns, s.depth, s.ahead)
                == (teams, across, 2, columns, depth, ahead)
        })
    };
    let direct = |split, rows, columns| {
        let fits = |s: &&Shape| (s.split, s.rows, s.columns) == (split, rows, columns);
        of(Feed::Buffers).filter(fits).max_by_key(|s| s.ahead)
    };
    let sums: usize = jobs.iter().map(|job| job.sums()).sum();
    let blocks = jobs.iter().map(|job| job.blocks()).max().unwrap_or(1);
    let chosen = if sums < MANY_BLOCKS && (jobs.len() == 1 || sums < SEVERAL_BLOCKS) {
        // As many teams as it takes for each to have its steps' matrices on their way at once.
        match steps {
            0..=5 => direct(1, 1, 2),
            6..=10 => direct(2, 1, 2),
            11..=20 => direct(4, 1, 2),
            _ => direct(8, 1, 1),
        }
    } else if sums < MANY_BLOCKS {
        staged(4, 2, 2, 2, 4).or_else(|| staged(4, 2, 2, 2, 2))
    } else if jobs.iter().all(|job| job.side() == 1) {
        if blocks >= 4 { gathered(4, 2, 2, 1, 2) } else { gathered(4, 1, 2, 1, 1) }
    } else if steps <= 3 {
        // The picture.
        gathered(4, 1, 1, 3, 1)
    } else if blocks < 4 {
        range(8, 1, 1).or_else(|| gathered(8, 1, 2, 3, 1))
    } else {
        range(8, 2, 2).or_else(|| gathered(4, 2, 2, 3, 2))
    };
    chosen.copied()
}

fn tiles(stage: &Stage, tables: &Tables, shape: Option<Shape>) -> Vec<Tile> {
    match (stage, shape) {
        (Stage::Convs { jobs }, Some(shape)) => {
            jobs.clone().flat_map(|j| tables.conv_jobs[j].tiles(j, shape)).collect()
        }
        (Stage::Convs { .. }, None) => Vec::new(),
        (Stage::Pools { jobs }, _) => {
            jobs.clone().flat_map(|j| tables.pool_jobs[j].tiles(j, tables.pool_room)).collect()
        }
    }
}

/// One buffer for all tiles, one binding into it for each dispatch.
fn lay_out(
    gpu: &Gpu,
    kernels: &mut Kernels,
    tables: &Tables,
    shapes: &[Option<Shape>],
) -> Result<Vec<Dispatch>> {
    let used: Vec<Shape> = shapes.iter().copied().flatten().collect();
    kernels.compile(gpu, &used)?;
    let align = gpu.limits.min_storage_buffer_offset_alignment as usize / size_of::<Tile>();
    let mut all: Vec<Tile> = Vec::new();
    let mut parts = Vec::new();
    for (stage, &shape) in tables.stages.iter().zip(shapes) {
        let tiles = tiles(stage, tables, shape);
        all.resize(all.len().next_multiple_of(align.max(1)), [0; 4]);
        parts.push((all.len(), tiles.len()));
        all.extend(tiles);
    }
    let buffer = gpu.filled("tiles", &all, wgpu::BufferUsages::STORAGE)?;
    let bytes = size_of::<Tile>() as u64;
    let dispatches = parts
        .into_iter()
        .zip(shapes)
        .map(|((first, count), &shape)| {
            let binding = wgpu::BufferBinding {
                buffer: &buffer,
                offset: first as u64 * bytes,
                size: std::num::NonZeroU64::new(count as u64 * bytes),
            };
            let tiles = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: None,
                layout: &kernels.tiles_layout,
                entries: &[wgpu::BindGroupEntry {
                    binding: 0,
                    resource: wgpu::BindingResource::Buffer(binding),
                }],
            });
            let lines = count.div_ceil(MAX_GROUPS);
            let groups = (count.div_ceil(lines.max(1)) as u32, lines as u32);
            Dispatch { shape, tiles, groups }
        })
        .collect();
    gpu.check()?;
    Ok(dispatches)
}

/// GPU time of each dispatch, in ticks, repeated so that its start and end weigh little.
pub(crate) fn times(
    gpu: &Gpu,
    kernels: &Kernels,
    binds: &Binds<'_>,
    dispatches: &[Dispatch],
    repeats: usize,
) -> Result<Vec<u64>> {
    let count = 2 * dispatches.len() as u32;
    let set = gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
        label: None,
        ty: wgpu::QueryType::Timestamp,
        count,
    });
    let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
    let resolved = gpu.buffer("timestamps", 8 * u64::from(count), usage, false)?;
    let mut shortest: HashMap<usize, u64> = HashMap::new();
    // The first round warms up.
    for _ in 0..3 {
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        for (i, dispatch) in dispatches.iter().enumerate() {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                    query_set: &set,
                    beginning_of_pass_write_index: Some(2 * i as u32),
                    end_of_pass_write_index: Some(2 * i as u32 + 1),
                }),
            });
            for _ in 0..repeats {
                record(kernels, binds.conv, binds.pool, dispatch, &mut pass);
            }
        }
        encoder.resolve_query_set(&set, 0..count, &resolved, 0);
        gpu.queue.submit([encoder.finish()]);
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&gpu.read(&resolved, 0, 8 * u64::from(count))?);
        for (i, pair) in ticks.chunks_exact(2).enumerate() {
            let span = pair[1].saturating_sub(pair[0]);
            shortest.entry(i).and_modify(|t| *t = span.min(*t)).or_insert(span);
        }
    }
    Ok((0..dispatches.len()).map(|i| shortest[&i]).collect())
}
