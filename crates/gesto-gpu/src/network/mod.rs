//! A network on a GPU, ready to run frame after frame.

#[cfg(test)]
mod faults;
mod inspect;
mod maps;
mod record;
mod results;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use gesto_engine::Model;
use gesto_engine::model::Head;
use half::f16;

pub use self::maps::{Cells, LevelMaps, Maps};
pub(crate) use self::record::{Dispatch, record};

use self::record::Recipe;
use self::results::{HeadEntry, LevelEntry, head_tables, make_slot};
use crate::adapter::{self, AdapterSummary};
use crate::detections::{Candidate, Detections, StageTimes, parse};
use crate::device::Gpu;
use crate::error::{Error, ErrorKind, Result};
use crate::frame::{Fit, Frame, Resize};
use crate::kernels::{Kernels, pool_room};
use crate::options::{Arithmetic, GpuOptions, Output, Timing, Waiting};
use crate::plan::lower::{Lowered, lower};
use crate::plan::stage::{Shape, Tables, tables};
use crate::preprocess::{Geometry, Preprocess, copiers};
use crate::slot::{Mapping, Slot, TIMESTAMPS};
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
pub(crate) const MAX_PIXELS: usize = 4 * 3840 * 2160;

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
    output: Output,
    copiers: Option<rayon::ThreadPool>,
    inspect: bool,
    levels: Vec<LevelEntry>,
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
    tried: Vec<Vec<(Shape, u64)>>,
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
        if height == 0 || width == 0 || !height.is_multiple_of(stride) || !width.is_multiple_of(stride) {
            let message = format!(
                "a network input of {height} x {width} is not possible: both sides must be multiples of {stride}"
            );
            return Err(Error::new(ErrorKind::Shape, message));
        }
        let batch = options.batch;
        if batch == 0 || options.in_flight == 0 || options.readback == 0 {
            let message = "batch, frames in flight and read-back must be at least 1";
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
        let mut tables =
            tables(model, &lowered, batch, Kernels::block_order(arithmetic), pool_room(arithmetic))?;

        let storage = wgpu::BufferUsages::STORAGE;
        let inspectable =
            if options.inspect { wgpu::BufferUsages::COPY_SRC } else { wgpu::BufferUsages::empty() };
        let comes_back =
            if options.output == Output::Candidates { inspectable } else { wgpu::BufferUsages::COPY_SRC };
        let element = if arithmetic == Arithmetic::F32 { 4 } else { 2 };
        // wgpu zeroes new buffers: that makes the maps' borders.
        let maps =
            gpu.buffer("feature maps", (lowered.elements * element) as u64, storage | inspectable, false)?;
        let raw =
            gpu.buffer("raw outputs", (lowered.raw_elements * 4) as u64, storage | comes_back, false)?;
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
            .map(|_| {
                let inputs = [&raw, &head_table, &level_table];
                make_slot(&gpu, &kernels, &inputs, &results, timed, options.output)
            })
            .collect::<Result<Vec<_>>>()?;

        let software = opened.summary.kind == "software";
        let tune::Plan { dispatches, tried } = {
            let timing = tune::Binds { conv: &conv_bind, pool: &pool_bind };
            let how = tune::How { measure: options.tune, software, batch, kernel: options.kernel };
            tune::plan(&gpu, &mut kernels, &tables, &timing, how)?
        };
        let copiers = copiers(options.copy_threads)?;
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
            output: options.output,
            copiers,
            inspect: options.inspect,
            levels: level_entries,
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
            tried,
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

    /// How the host waits from the next call on.
    pub fn set_waiting(&mut self, waiting: Waiting) {
        self.waiting = waiting;
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

    /// Waits for every submission under way and forgets what it gave, or why it failed: for a caller that gives up after
    /// an error. It ends whatever the network gives back ([`GpuOptions::output`]) and whatever became of the device.
    pub fn discard(&mut self) {
        while !self.pending.is_empty() {
            // Each call takes one, before anything in it can fail.
            let _ = self.arrival(|_, _, _| Ok(()));
        }
    }

    fn admit(&mut self, thresholds: &[f32]) -> Result<()> {
        self.gpu.check()?;
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
            &self.kernels.resize.layout,
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
        if let Err(error) = self.gpu.check() {
            // Nothing to wait for; the slot is free for the next try.
            slot.readback.unmap();
            return Err(error);
        }
        self.next_slot = (index + 1) % self.slots.len();
        self.pending.push_back(Pending { recipe: wanted, started, copy, record: recording.elapsed() });
        Ok(())
    }

    /// The oldest submission's detections.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when nothing is under way, or when the maps come back instead of candidates
    /// ([`GpuOptions::output`]); [`ErrorKind::DeviceLost`] and the like when the GPU failed.
    pub fn wait(&mut self) -> Result<Detections> {
        if self.output != Output::Candidates {
            return Err(Error::new(ErrorKind::Input, "this network gives maps, not candidates"));
        }
        let (candidates, times) = self.arrival(|network, pending, bytes| {
            let slot = &network.slots[pending.recipe.slot];
            let (counts, quick) = bytes.split_at(slot.counters.size() as usize);
            let counts: Vec<u32> = bytemuck::pod_collect_to_vec(counts);
            let mut candidates = Vec::with_capacity(pending.recipe.pictures * network.heads.len());
            for picture in 0..pending.recipe.pictures {
                for entry in &network.head_entries {
                    let count = counts[entry.counter as usize + picture].min(entry.anchors);
                    candidates.push(network.collect(slot, entry, picture, count, quick)?);
                }
            }
            Ok(candidates)
        })?;
        Ok(Detections { heads: self.heads.len(), candidates, times })
    }

    /// Waits for the oldest submission and reads its bytes (counters, results, timestamps) where they are. They may be
    /// slow to read: each at most once, and only those that are needed.
    fn arrival<T>(
        &mut self,
        read: impl FnOnce(&Self, &Pending, &[u8]) -> Result<T>,
    ) -> Result<(T, StageTimes)> {
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
        let (found, stamps) = {
            let view = slot.readback.slice(..).get_mapped_range().map_err(|e| self.gpu.map_failed(&e))?;
            let stamps = view.len() - if slot.queries.is_some() { 8 * TIMESTAMPS as usize } else { 0 };
            (read(self, &pending, &view[..stamps]), bytemuck::pod_collect_to_vec(&view[stamps..]))
        };
        slot.readback.unmap();
        Ok((found?, self.times(&pending, &stamps)))
    }

    /// Where a submission's time went.
    fn times(&self, pending: &Pending, stamps: &[u64]) -> StageTimes {
        let period = f64::from(self.gpu.queue.get_timestamp_period());
        let span = |i: usize| {
            let (from, to) = (*stamps.get(2 * i)?, *stamps.get(2 * i + 1)?);
            Some(Duration::from_nanos((to.saturating_sub(from) as f64 * period) as u64))
        };
        StageTimes {
            copy: pending.copy,
            record: pending.record,
            total: pending.started.elapsed(),
            resize: span(0),
            network: span(1),
            decode: span(2),
        }
    }

    /// One picture's candidates of one head, in anchor order; fetches what did not come back with the frame.
    fn collect(
        &self,
        slot: &Slot,
        entry: &HeadEntry,
        picture: usize,
        count: u32,
        quick: &[u8],
    ) -> Result<Vec<Candidate>> {
        let record = entry.record as usize;
        let at_once = count.min(entry.quick) as usize;
        let start = 4 * (entry.quick_base as usize + picture * entry.quick as usize * record);
        let words: Vec<u32> = bytemuck::pod_collect_to_vec(&quick[start..start + 4 * at_once * record]);
        let mut found: Vec<Candidate> = words.chunks_exact(record).map(parse).collect();
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
}
