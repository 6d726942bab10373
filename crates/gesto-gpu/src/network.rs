//! A network on a GPU, ready to run frame after frame.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use gesto_engine::Model;
use gesto_engine::model::{Head, ValueId};
use gesto_engine::reference::Map;
use half::f16;

use crate::adapter::{self, AdapterSummary};
use crate::detections::{Candidate, Detections, RECORD_HEAD, StageTimes, parse};
use crate::device::Gpu;
use crate::error::{Error, ErrorKind, Result};
use crate::frame::{Fit, Frame, Resize};
use crate::kernels::Kernels;
use crate::options::{Arithmetic, GpuOptions, Timing, Waiting};
use crate::plan::lower::{Lowered, RawPlane, lower};
use crate::plan::stage::{Shape, Stage, Tables, tables};
use crate::preprocess::{Geometry, Preprocess};
use crate::slot::{Mapping, Queries, Slot, TIMESTAMPS};
use crate::tune;

/// How a frame becomes the network's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct View {
    /// Where it goes.
    pub fit: Fit,
    /// How pixels are found.
    pub resize: Resize,
}

/// The largest accepted input, in pixels: four times 4K.
const MAX_PIXELS: usize = 4 * 3840 * 2160;

/// One dispatch.
#[derive(Debug, Clone)]
pub(crate) struct Dispatch {
    /// `None` for pools.
    pub(crate) shape: Option<Shape>,
    pub(crate) tiles: wgpu::BindGroup,
    pub(crate) groups: (u32, u32),
}

/// The decoding kernel's head; the same fields stand in `decode.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct HeadEntry {
    first_level: u32,
    levels: u32,
    classes: u32,
    keypoints: u32,
    anchors: u32,
    record: u32,
    quick: u32,
    quick_base: u32,
    rest_base: u32,
    counter: u32,
    limit: f32,
    padding: u32,
}

/// The decoding kernel's level; the same fields stand in `decode.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct LevelEntry {
    classes: [u32; 2],
    boxes: [u32; 2],
    points: [u32; 2],
    first: u32,
    height: u32,
    width: u32,
    stride: f32,
}

/// What a recorded submission does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Recipe {
    slot: usize,
    pictures: usize,
    /// Starts from new frames, not from the pictures that are there.
    upload: bool,
}

#[derive(Debug)]
struct Pending {
    recipe: Recipe,
    started: Instant,
    copy: Duration,
    record: Duration,
}

/// A network on a GPU, planned for one input size and batch.
pub struct GpuNetwork {
    gpu: Gpu,
    kernels: Kernels,
    summary: AdapterSummary,
    arithmetic: Arithmetic,
    heads: Vec<Head>,
    height: usize,
    width: usize,
    batch: usize,
    waiting: Waiting,
    copiers: Option<rayon::ThreadPool>,
    inspect: bool,
    lowered: Lowered,
    tables: Tables,
    maps: wgpu::Buffer,
    raw: wgpu::Buffer,
    conv_bind: wgpu::BindGroup,
    pool_bind: wgpu::BindGroup,
    head_table: wgpu::Buffer,
    head_entries: Vec<HeadEntry>,
    thresholds: Vec<f32>,
    dispatches: Vec<Dispatch>,
    preprocess: Option<Preprocess>,
    slots: Vec<Slot>,
    next_slot: usize,
    pending: VecDeque<Pending>,
    /// A submission recorded ahead of its call.
    recorded: Option<(Recipe, wgpu::CommandBuffer)>,
}

impl std::fmt::Debug for GpuNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GpuNetwork")
            .field("adapter", &self.summary.name)
            .field("arithmetic", &self.arithmetic)
            .field("height", &self.height)
            .field("width", &self.width)
            .field("batch", &self.batch)
            .field("dispatches", &self.dispatches.len())
            .finish_non_exhaustive()
    }
}

impl GpuNetwork {
    /// Plans `model` for pictures of `height` x `width` and makes its buffers and pipelines.
    ///
    /// # Errors
    /// [`ErrorKind::NoAdapter`] when no adapter fits the options, [`ErrorKind::Unsupported`] when it lacks what they
    /// ask for, [`ErrorKind::Shape`] when a side is 0, not a multiple of the coarsest stride (32), or too large,
    /// [`ErrorKind::Input`] when an option is out of range, [`ErrorKind::OutOfMemory`], [`ErrorKind::DeviceLost`] and
    /// [`ErrorKind::Device`] as the driver reports them.
    pub fn new(model: &Model, height: usize, width: usize, options: &GpuOptions) -> Result<Self> {
        let graph = model.graph();
        let stride = graph.max_stride();
        if height == 0 || width == 0 || height % stride != 0 || width % stride != 0 {
            let message = format!(
                "a network input of {height} x {width} is not possible: both sides must be multiples of {stride}"
            );
            return Err(Error::new(ErrorKind::Shape, message));
        }
        let batch = options.batch;
        if batch == 0 || options.in_flight == 0 || options.readback == 0 || options.copy_threads == 0 {
            let message = "batch, frames in flight, read-back and copying threads must be at least 1";
            return Err(Error::new(ErrorKind::Input, message));
        }
        if height.saturating_mul(width).saturating_mul(batch) > MAX_PIXELS.saturating_mul(4)
            || height.saturating_mul(width) > MAX_PIXELS
        {
            let message = format!("a batch of {batch} inputs of {height} x {width} is too large");
            return Err(Error::new(ErrorKind::Shape, message));
        }
        let opened = adapter::open(options)?;
        let arithmetic = opened.arithmetic;
        let gpu = Gpu::new(&opened);
        let mut kernels = Kernels::new(&gpu, arithmetic, opened.matrix)?;
        let lowered = lower(model, height, width, batch)?;
        let mut tables = tables(model, &lowered, batch, Kernels::block_order(arithmetic))?;

        let storage = wgpu::BufferUsages::STORAGE;
        let inspectable =
            if options.inspect { wgpu::BufferUsages::COPY_SRC } else { wgpu::BufferUsages::empty() };
        let element = if arithmetic == Arithmetic::F32 { 4 } else { 2 };
        // wgpu zeroes new buffers: that makes the maps' borders.
        let maps =
            gpu.buffer("feature maps", (lowered.elements * element) as u64, storage | inspectable, false)?;
        let raw =
            gpu.buffer("raw outputs", (lowered.raw_elements * 4) as u64, storage | inspectable, false)?;
        let values = std::mem::take(&mut tables.weights);
        let weights = if element == 4 {
            gpu.filled("weights", &values, storage)?
        } else {
            let values: Vec<u16> = values.iter().map(|&v| f16::from_f32(v).to_bits()).collect();
            gpu.filled("weights", &values, storage)?
        };
        let bias = gpu.filled("biases", &tables.bias, storage)?;
        let conv_jobs = gpu.filled("convolutions", &tables.conv_jobs, storage)?;
        let pool_jobs = gpu.filled("pools", &tables.pool_jobs, storage)?;
        let steps = gpu.filled("steps", &tables.steps, storage)?;
        let conv_bind = gpu.bind(&kernels.conv_layout, &[&maps, &weights, &bias, &raw, &conv_jobs, &steps]);
        let pool_bind = gpu.bind(&kernels.pool_layout, &[&maps, &pool_jobs]);

        let (head_entries, level_entries, results) =
            head_tables(model, &lowered, height, width, batch, options.readback);
        let head_table = gpu.filled("heads", &head_entries, storage | wgpu::BufferUsages::COPY_DST)?;
        let level_table = gpu.filled("levels", &level_entries, storage)?;
        let timed = options.timing == Timing::Stages
            && gpu.device.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        let slots = (0..options.in_flight)
            .map(|_| make_slot(&gpu, &kernels, &[&raw, &head_table, &level_table], &results, timed))
            .collect::<Result<Vec<_>>>()?;

        let software = opened.summary.kind == "software";
        let dispatches = {
            let timing = tune::Binds { conv: &conv_bind, pool: &pool_bind };
            let how = tune::How { measure: options.tune, software, split: options.split };
            tune::plan(&gpu, &mut kernels, &tables, &timing, how)?
        };
        let copiers = match options.copy_threads {
            1 => None,
            threads => Some(rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(|e| {
                Error::new(
                    ErrorKind::Input,
                    format!("{threads} threads for copying could not be started: {e}"),
                )
            })?),
        };
        gpu.check()?;
        Ok(Self {
            gpu,
            kernels,
            summary: opened.summary,
            arithmetic,
            heads: graph.heads.clone(),
            height,
            width,
            batch,
            waiting: options.waiting,
            copiers,
            inspect: options.inspect,
            lowered,
            tables,
            maps,
            raw,
            conv_bind,
            pool_bind,
            head_table,
            head_entries,
            thresholds: Vec::new(),
            dispatches,
            preprocess: None,
            slots,
            next_slot: 0,
            pending: VecDeque::new(),
            recorded: None,
        })
    }

    /// The adapter it runs on.
    #[must_use]
    pub fn adapter(&self) -> &AdapterSummary {
        &self.summary
    }

    /// The number types in use; never [`Arithmetic::Auto`].
    #[must_use]
    pub fn arithmetic(&self) -> Arithmetic {
        self.arithmetic
    }

    /// Height of the network input in pixels.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Width of the network input in pixels.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Most pictures in one submission.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The heads, in file order.
    #[must_use]
    pub fn heads(&self) -> &[Head] {
        &self.heads
    }

    /// Each dispatch of the network in words: its layers, how the kernel divides them, workgroups, multiply-accumulates.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        let line = |(stage, dispatch): (&Stage, &Dispatch)| match stage {
            Stage::Convs { jobs } => {
                let shape = dispatch.shape.unwrap_or(Shape { teams: 0, split: 0, rows: 0, columns: 0 });
                let macs: u64 = self.tables.macs[jobs.clone()].iter().sum();
                format!(
                    "{} | {} x {} cells by channels, {} teams, sums split {} ways | {} workgroups | {:.2} MMAC",
                    self.tables.conv_names[jobs.clone()].join(" "),
                    16 * shape.rows,
                    16 * shape.columns,
                    shape.teams,
                    shape.split,
                    dispatch.groups.0 * dispatch.groups.1,
                    macs as f64 / 1e6
                )
            }
            Stage::Pools { jobs } => format!("{} pools | {} workgroups", jobs.len(), dispatch.groups.0),
        };
        self.tables.stages.iter().zip(&self.dispatches).map(line).collect()
    }

    /// GPU time of each line of [`describe`](Self::describe), each dispatch repeated by itself; empty without timestamp
    /// queries, which [`GpuOptions::tune`] or [`Timing::Stages`] ask for.
    ///
    /// # Errors
    /// Device errors as in [`new`](Self::new).
    pub fn profile(&self) -> Result<Vec<Duration>> {
        if !self.gpu.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return Ok(Vec::new());
        }
        let binds = tune::Binds { conv: &self.conv_bind, pool: &self.pool_bind };
        let period = f64::from(self.gpu.queue.get_timestamp_period());
        let ticks = tune::times(&self.gpu, &self.kernels, &binds, &self.dispatches)?;
        let one = |t: u64| Duration::from_nanos((t as f64 * period / tune::REPEATS as f64) as u64);
        Ok(ticks.into_iter().map(one).collect())
    }

    /// Frames to detections: [`submit`](Self::submit), then [`wait`](Self::wait).
    ///
    /// # Errors
    /// As the two calls; [`ErrorKind::Input`] when earlier submissions were not waited for.
    pub fn detect(&mut self, frames: &[Frame<'_>], view: &View, thresholds: &[f32]) -> Result<Detections> {
        if !self.pending.is_empty() {
            return Err(Error::new(ErrorKind::Input, "earlier submissions are still under way"));
        }
        self.submit(frames, view, thresholds)?;
        self.wait()
    }

    /// Sends frames on their way: one submission for all of them. They must agree in size, format and orientation.
    ///
    /// `thresholds` holds one probability for each head: anchor points whose best class reaches it become candidates.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when a frame does not fit its bytes, frames differ, there are none or more than the batch, a
    /// threshold is missing or not within 0 to 1, or as many submissions are under way as the options allow;
    /// device errors as in [`new`](Self::new).
    pub fn submit(&mut self, frames: &[Frame<'_>], view: &View, thresholds: &[f32]) -> Result<()> {
        let started = Instant::now();
        let input = |message: String| Err(Error::new(ErrorKind::Input, message));
        if frames.is_empty() || frames.len() > self.batch {
            return input(format!("{} frames do not fit a batch of {}", frames.len(), self.batch));
        }
        let geometry = Geometry::of(&frames[0], view);
        for frame in frames {
            frame.check()?;
            if Geometry::of(frame, view) != geometry {
                return input(
                    "the frames of one submission must agree in size, format and orientation".to_owned(),
                );
            }
        }
        self.admit(thresholds)?;
        if self.preprocess.as_ref().is_none_or(|p| p.geometry != geometry) {
            self.prepare(geometry)?;
        }
        let slot = self.next_slot;
        self.slots[slot].upload_mapped.wait(&self.gpu, self.waiting == Waiting::Spin)?;
        self.copy_frames(slot, frames)?;
        let copy = started.elapsed();
        self.launch(frames.len(), true, started, copy)
    }

    /// Runs network and decoding once more on the pictures that the last submission left on the GPU.
    ///
    /// # Errors
    /// As [`submit`](Self::submit); [`ErrorKind::Input`] when nothing was submitted before.
    pub fn resubmit(&mut self, thresholds: &[f32]) -> Result<()> {
        if self.preprocess.is_none() {
            return Err(Error::new(ErrorKind::Input, "no picture is on the GPU yet"));
        }
        self.admit(thresholds)?;
        self.launch(self.batch, false, Instant::now(), Duration::ZERO)
    }

    /// Submissions under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.pending.len()
    }

    fn admit(&mut self, thresholds: &[f32]) -> Result<()> {
        if self.pending.len() == self.slots.len() {
            let message = format!("{} submissions are under way; wait for one first", self.pending.len());
            return Err(Error::new(ErrorKind::Input, message));
        }
        if thresholds.len() != self.heads.len() || thresholds.iter().any(|t| !(0.0..=1.0).contains(t)) {
            let message =
                format!("{} thresholds between 0 and 1 are needed, one for each head", self.heads.len());
            return Err(Error::new(ErrorKind::Input, message));
        }
        if self.thresholds != thresholds {
            for (entry, &threshold) in self.head_entries.iter_mut().zip(thresholds) {
                // Shaders may assume that no infinity occurs.
                entry.limit = (threshold / (1.0 - threshold)).ln().clamp(-3.0e38, 3.0e38);
            }
            self.gpu.queue.write_buffer(&self.head_table, 0, bytemuck::cast_slice(&self.head_entries));
            self.thresholds = thresholds.to_vec();
        }
        Ok(())
    }

    /// Makes the tables and buffers for another kind of frame.
    fn prepare(&mut self, geometry: Geometry) -> Result<()> {
        let prepared = Preprocess::new(
            &self.gpu,
            &self.kernels,
            &self.maps,
            self.lowered.picture,
            self.batch,
            geometry,
        )?;
        let bytes = (self.batch * prepared.picture_bytes()) as u64;
        let usage = wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC;
        for slot in &mut self.slots {
            slot.upload = Some(self.gpu.buffer("frame upload", bytes, usage, true)?);
            slot.upload_mapped = Mapping::done();
        }
        self.preprocess = Some(prepared);
        // It names the buffers of the geometry before.
        self.recorded = None;
        Ok(())
    }

    fn copy_frames(&self, slot: usize, frames: &[Frame<'_>]) -> Result<()> {
        let (Some(prepared), Some(upload)) = (&self.preprocess, &self.slots[slot].upload) else {
            return Ok(());
        };
        prepared.copy_frames(&self.gpu, frames, upload, self.copiers.as_ref())?;
        upload.unmap();
        Ok(())
    }

    /// Submits everything after the host's copy.
    fn launch(&mut self, pictures: usize, upload: bool, started: Instant, copy: Duration) -> Result<()> {
        let recording = Instant::now();
        let index = self.next_slot;
        let wanted = Recipe { slot: index, pictures, upload };
        let commands = match self.recorded.take() {
            Some((recipe, commands)) if recipe == wanted => commands,
            _ => self.encode(wanted),
        };
        let after = self.gpu.queue.submit([commands]);
        let slot = &mut self.slots[index];
        slot.readback_mapped = Mapping::ask(&slot.readback, wgpu::MapMode::Read, after.clone());
        if let (true, Some(buffer)) = (upload, &slot.upload) {
            slot.upload_mapped = Mapping::ask(buffer, wgpu::MapMode::Write, after);
        }
        self.next_slot = (index + 1) % self.slots.len();
        self.pending.push_back(Pending { recipe: wanted, started, copy, record: recording.elapsed() });
        self.gpu.check()
    }

    /// Records a submission. None of its commands depends on the frames' contents.
    fn encode(&self, recipe: Recipe) -> wgpu::CommandBuffer {
        let Recipe { slot, pictures, upload } = recipe;
        let slot = &self.slots[slot];
        let mut encoder = self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.clear_buffer(&slot.counters, 0, None);
        if let (true, Some(p), Some(from)) = (upload, &self.preprocess, &slot.upload) {
            encoder.copy_buffer_to_buffer(from, 0, &p.frames, 0, (pictures * p.picture_bytes()) as u64);
        }
        // Timestamps are taken between passes; without them one pass holds everything.
        let parts: &[&[Part]] = if slot.queries.is_some() {
            &[&[Part::Resize], &[Part::Network], &[Part::Decode]]
        } else {
            &[&[Part::Resize, Part::Network, Part::Decode]]
        };
        for (i, parts) in parts.iter().enumerate() {
            let writes = slot.queries.as_ref().map(|q| wgpu::ComputePassTimestampWrites {
                query_set: &q.set,
                beginning_of_pass_write_index: Some(2 * i as u32),
                end_of_pass_write_index: Some(2 * i as u32 + 1),
            });
            let mut pass = encoder
                .begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes: writes });
            for part in *parts {
                match part {
                    Part::Resize if upload => self.record_resize(&mut pass, pictures),
                    Part::Resize => {}
                    Part::Network => self.record_network(&mut pass),
                    Part::Decode => self.record_decode(&mut pass, slot),
                }
            }
        }
        let counters = slot.counters.size();
        encoder.copy_buffer_to_buffer(&slot.counters, 0, &slot.readback, 0, counters);
        let stamps = if slot.queries.is_some() { 8 * u64::from(TIMESTAMPS) } else { 0 };
        let quick = slot.readback.size() - counters - stamps;
        encoder.copy_buffer_to_buffer(&slot.records, 0, &slot.readback, counters, quick);
        if let Some(q) = &slot.queries {
            encoder.resolve_query_set(&q.set, 0..TIMESTAMPS, &q.resolved, 0);
            encoder.copy_buffer_to_buffer(&q.resolved, 0, &slot.readback, counters + quick, stamps);
        }
        encoder.finish()
    }

    fn record_resize(&self, pass: &mut wgpu::ComputePass<'_>, pictures: usize) {
        let Some(p) = &self.preprocess else { return };
        pass.set_pipeline(&self.kernels.resize[usize::from(p.nearest())]);
        pass.set_bind_group(0, &p.bind, &[]);
        let [x, y] = [self.width.div_ceil(16), self.height.div_ceil(8)].map(|n| n as u32);
        pass.dispatch_workgroups(x, y, pictures as u32);
    }

    fn record_network(&self, pass: &mut wgpu::ComputePass<'_>) {
        for dispatch in &self.dispatches {
            record(&self.kernels, &self.conv_bind, &self.pool_bind, dispatch, pass);
        }
    }

    fn record_decode(&self, pass: &mut wgpu::ComputePass<'_>, slot: &Slot) {
        pass.set_pipeline(&self.kernels.decode);
        pass.set_bind_group(0, &slot.decode, &[]);
        let anchors = self.head_entries.iter().map(|h| h.anchors).max().unwrap_or(0);
        pass.dispatch_workgroups(anchors.div_ceil(64), self.heads.len() as u32, self.batch as u32);
    }

    /// The oldest submission's detections.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when nothing is under way; [`ErrorKind::DeviceLost`] and the like when the GPU failed.
    pub fn wait(&mut self) -> Result<Detections> {
        let Some(pending) = self.pending.pop_front() else {
            return Err(Error::new(ErrorKind::Input, "no submission is under way"));
        };
        // The GPU is busy: the moment to record what will probably be asked for next.
        if self.recorded.is_none() {
            let likely = Recipe { slot: self.next_slot, ..pending.recipe };
            self.recorded = Some((likely, self.encode(likely)));
        }
        let slot = &self.slots[pending.recipe.slot];
        slot.readback_mapped.wait(&self.gpu, self.waiting == Waiting::Spin)?;
        let (counts, quick, stamps) = {
            let view = slot.readback.slice(..).get_mapped_range().map_err(|e| self.gpu.map_failed(&e))?;
            // Copied out: mapped memory may be slow to read twice.
            let words: Vec<u32> = bytemuck::pod_collect_to_vec(&view);
            let counters = slot.counters.size() as usize / 4;
            let stamps = slot.queries.as_ref().map(|_| words.len() - 2 * TIMESTAMPS as usize);
            let stamps: Vec<u64> =
                stamps.map(|at| bytemuck::pod_collect_to_vec(&words[at..])).unwrap_or_default();
            (words[..counters].to_vec(), words[counters..].to_vec(), stamps)
        };
        slot.readback.unmap();
        let mut candidates = Vec::with_capacity(pending.recipe.pictures * self.heads.len());
        for picture in 0..pending.recipe.pictures {
            for entry in &self.head_entries {
                let count = counts[entry.counter as usize + picture].min(entry.anchors);
                candidates.push(self.collect(slot, entry, picture, count, &quick)?);
            }
        }
        let period = f64::from(self.gpu.queue.get_timestamp_period());
        let span = |i: usize| {
            let (from, to) = (*stamps.get(2 * i)?, *stamps.get(2 * i + 1)?);
            Some(Duration::from_nanos((to.saturating_sub(from) as f64 * period) as u64))
        };
        let times = StageTimes {
            copy: pending.copy,
            record: pending.record,
            total: pending.started.elapsed(),
            resize: span(0),
            network: span(1),
            decode: span(2),
        };
        Ok(Detections { heads: self.heads.len(), candidates, times })
    }

    /// One picture's candidates of one head, in anchor order; fetches what did not come back with the frame.
    fn collect(
        &self,
        slot: &Slot,
        entry: &HeadEntry,
        picture: usize,
        count: u32,
        quick: &[u32],
    ) -> Result<Vec<Candidate>> {
        let record = entry.record as usize;
        let at_once = count.min(entry.quick) as usize;
        let start = entry.quick_base as usize + picture * entry.quick as usize * record;
        let mut found: Vec<Candidate> =
            quick[start..start + at_once * record].chunks_exact(record).map(parse).collect();
        if count > entry.quick {
            let base = entry.rest_base as usize + picture * (entry.anchors - entry.quick) as usize * record;
            let words = (count - entry.quick) as usize * record;
            let bytes = self.gpu.read(&slot.records, 4 * base as u64, 4 * words as u64)?;
            let words: Vec<u32> = bytemuck::pod_collect_to_vec(&bytes);
            found.extend(words.chunks_exact(record).map(parse));
        }
        found.sort_unstable_by_key(|candidate| candidate.anchor);
        Ok(found)
    }

    /// The feature map behind each value of the graph, for one picture of the last submission; `None` where a value was
    /// fused into its reader. For tests and for comparing devices.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] unless [`GpuOptions::inspect`] was set; device errors as in [`new`](Self::new).
    pub fn feature_maps(&self, picture: usize) -> Result<Vec<Option<Map>>> {
        if !self.inspect || picture >= self.batch {
            return Err(Error::new(
                ErrorKind::Input,
                "the network was not built for inspection, or has no such picture",
            ));
        }
        let bytes = self.gpu.read(&self.maps, 0, self.maps.size())?;
        let maps: Vec<f32> = if self.arithmetic == Arithmetic::F32 {
            bytemuck::pod_collect_to_vec(&bytes)
        } else {
            bytes.as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect()
        };
        let raw: Vec<f32> = bytemuck::pod_collect_to_vec(&self.gpu.read(&self.raw, 0, self.raw.size())?);
        let mut found: Vec<Option<Map>> = self
            .lowered
            .runs
            .iter()
            .map(|runs| {
                let runs = runs.as_ref()?;
                let plane = runs.first()?.plane;
                let mut map = Map::zeros(plane.height, plane.width, runs.iter().map(|r| r.channels).sum());
                let mut cells = map.data.chunks_exact_mut(map.channels);
                for (y, x) in (0..plane.height).flat_map(|y| (0..plane.width).map(move |x| (y, x))) {
                    let mut rest = cells.next()?;
                    for run in runs {
                        let from =
                            run.plane.base + run.plane.cell(picture, y, x) * run.plane.pitch + run.start;
                        let (to, more) = rest.split_at_mut(run.channels);
                        to.copy_from_slice(&maps[from..from + run.channels]);
                        rest = more;
                    }
                }
                Some(map)
            })
            .collect();
        for (&id, plane) in &self.lowered.raw {
            found[id.index()] = Some(raw_map(&raw, *plane, picture, self.channels(id)));
        }
        Ok(found)
    }

    fn channels(&self, id: ValueId) -> usize {
        let levels = self.heads.iter().flat_map(|head| head.levels.iter().map(move |level| (head, level)));
        for (head, level) in levels {
            if level.classes == id {
                return head.classes.len();
            }
            if level.keypoints == Some(id) {
                return 3 * head.keypoints;
            }
        }
        4 * gesto_engine::model::DFL_BINS
    }
}

/// What a pass may hold.
#[derive(Clone, Copy)]
enum Part {
    Resize,
    Network,
    Decode,
}

/// Records one dispatch of the network.
pub(crate) fn record(
    kernels: &Kernels,
    conv: &wgpu::BindGroup,
    pool: &wgpu::BindGroup,
    dispatch: &Dispatch,
    pass: &mut wgpu::ComputePass<'_>,
) {
    match dispatch.shape {
        Some(shape) => {
            pass.set_pipeline(kernels.conv(shape));
            pass.set_bind_group(0, conv, &[]);
        }
        None => {
            pass.set_pipeline(&kernels.pool);
            pass.set_bind_group(0, pool, &[]);
        }
    }
    pass.set_bind_group(1, &dispatch.tiles, &[]);
    pass.dispatch_workgroups(dispatch.groups.0, dispatch.groups.1, 1);
}

fn raw_map(raw: &[f32], plane: RawPlane, picture: usize, channels: usize) -> Map {
    let mut map = Map::zeros(plane.height, plane.width, channels);
    let first = plane.base + picture * plane.height * plane.width * plane.pitch;
    for (i, cell) in map.data.chunks_exact_mut(channels).enumerate() {
        cell.copy_from_slice(&raw[first + i * plane.pitch..][..channels]);
    }
    map
}

/// Sizes of the result buffers, in words.
struct Results {
    counters: usize,
    quick: usize,
    all: usize,
}

fn head_tables(
    model: &Model,
    lowered: &Lowered,
    height: usize,
    width: usize,
    batch: usize,
    readback: usize,
) -> (Vec<HeadEntry>, Vec<LevelEntry>, Results) {
    let graph = model.graph();
    let anchors = graph.anchor_points(height, width);
    let quick = readback.min(anchors);
    let record = |head: &Head| RECORD_HEAD + 3 * head.keypoints;
    let quick_words: usize = graph.heads.iter().map(|head| batch * quick * record(head)).sum();
    let (mut heads, mut levels) = (Vec::new(), Vec::new());
    let (mut quick_base, mut rest_base) = (0, quick_words);
    for (h, head) in graph.heads.iter().enumerate() {
        heads.push(HeadEntry {
            first_level: levels.len() as u32,
            levels: head.levels.len() as u32,
            classes: head.classes.len() as u32,
            keypoints: head.keypoints as u32,
            anchors: anchors as u32,
            record: record(head) as u32,
            quick: quick as u32,
            quick_base: quick_base as u32,
            rest_base: rest_base as u32,
            counter: (h * batch) as u32,
            limit: 0.0,
            padding: 0,
        });
        quick_base += batch * quick * record(head);
        rest_base += batch * (anchors - quick) * record(head);
        let mut first = 0;
        for level in &head.levels {
            let place = |id: ValueId| {
                let plane = lowered.raw[&id];
                [plane.base as u32, plane.pitch as u32]
            };
            let plane = lowered.raw[&level.classes];
            levels.push(LevelEntry {
                classes: place(level.classes),
                boxes: place(level.boxes),
                points: level.keypoints.map_or([0, 0], place),
                first,
                height: plane.height as u32,
                width: plane.width as u32,
                stride: level.stride as f32,
            });
            first += (plane.height * plane.width) as u32;
        }
    }
    let results = Results {
        counters: (graph.heads.len() * batch).next_multiple_of(4),
        quick: quick_words,
        all: rest_base,
    };
    (heads, levels, results)
}

fn make_slot(
    gpu: &Gpu,
    kernels: &Kernels,
    inputs: &[&wgpu::Buffer; 3],
    results: &Results,
    timed: bool,
) -> Result<Slot> {
    use wgpu::BufferUsages as U;
    let counters =
        gpu.buffer("counters", 4 * results.counters as u64, U::STORAGE | U::COPY_SRC | U::COPY_DST, false)?;
    let records = gpu.buffer("records", 4 * results.all as u64, U::STORAGE | U::COPY_SRC, false)?;
    let stamps = if timed { 8 * u64::from(TIMESTAMPS) } else { 0 };
    let quick = 4 * results.quick as u64;
    let readback = gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("read-back"),
        size: counters.size() + quick + stamps,
        usage: U::MAP_READ | U::COPY_DST,
        mapped_at_creation: false,
    });
    let queries = timed.then(|| Queries {
        set: gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
            label: None,
            ty: wgpu::QueryType::Timestamp,
            count: TIMESTAMPS,
        }),
        resolved: gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("timestamps"),
            size: stamps,
            usage: U::QUERY_RESOLVE | U::COPY_SRC,
            mapped_at_creation: false,
        }),
    });
    let decode = gpu.bind(&kernels.decode_layout, &[inputs[0], inputs[1], inputs[2], &counters, &records]);
    gpu.check()?;
    Ok(Slot {
        upload: None,
        upload_mapped: Mapping::done(),
        counters,
        records,
        readback,
        readback_mapped: Mapping::default(),
        decode,
        queries,
    })
}
