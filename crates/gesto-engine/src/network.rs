//! A network planned for one input size, ready to run frame after frame.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::isa::{Detected, Isa, Wish};
use crate::kernels::best::Best;
use crate::kernels::first::Input;
use crate::kernels::memory::Arena;
use crate::kernels::resample;
use crate::kernels::select::Selection;
use crate::kernels::team::Team;
use crate::kernels::turns::Turns;
use crate::kernels::{ceiling, frame, layers};
use crate::model::{DFL_BINS, Head, Model};
use crate::picture::Picture;
use crate::plan::ahead::Schedule;
use crate::plan::layout::{Grid, LINE};
use crate::plan::{ConvStep, Level, Plan, Step};
use crate::resample::layers::{Blocks, ResizeModel};
use crate::resample::{Method, Resampler};

/// How to plan a [`Network`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// Threads that share one frame, the caller's included; at least 1.
    pub threads: usize,
    /// Which anchor points get boxes and keypoints.
    pub heads: HeadMode,
    /// The kernel tier, also of resizes that the network runs; `None` takes the best that the machine has and `GESTO_ISA`
    /// allows.
    pub isa: Option<Isa>,
    /// The plan ends with a step that finds the best class of each anchor point on all threads; what selects candidates
    /// then reads one number for each instead of all classes. The candidates are the same.
    pub class_max: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { threads: 1, heads: HeadMode::Lazy, isa: None, class_max: false }
    }
}

/// Which anchor points get boxes and keypoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HeadMode {
    /// Only those whose best class passes the threshold, with the receptive field they need.
    #[default]
    Lazy,
    /// All of them.
    Dense,
}

/// An anchor point whose best class passed the threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Position among all anchor points: finest stride first, then row by row.
    pub anchor: u32,
    /// Level (index of the stride) and cell that the anchor point is the centre of.
    pub level: u32,
    /// Row of the cell.
    pub y: u32,
    /// Column of the cell.
    pub x: u32,
    /// The best class; the first of several equal ones.
    pub class: u32,
    /// Its logit; the probability is `sigmoid(logit)`.
    pub logit: f32,
}

/// What one frame gave, head by head. Borrowed from the network until the next frame.
#[derive(Debug, Clone, Copy)]
pub struct Outputs<'a> {
    network: &'a Network,
}

/// The raw result of one head.
#[derive(Debug)]
pub struct HeadOutput<'a> {
    network: &'a Network,
    head: usize,
    selection: std::sync::RwLockReadGuard<'a, Selection>,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct StepInfo {
    /// The layers it computes, named after their tensors.
    pub name: String,
    /// The kernel that runs it: `{tier}-{shape}`.
    pub kernel: String,
    /// Rows of the map written.
    pub height: usize,
    /// Columns of the map written.
    pub width: usize,
    /// Multiply-accumulates when computed at every cell.
    pub macs: usize,
    /// Computed only around candidates.
    pub lazy: bool,
}

/// A network planned for one input size.
///
/// Planning packs the weights for the machine's kernels and lays out all buffers; [`run`](Self::run) allocates nothing.
#[derive(Debug)]
pub struct Network {
    heads: Arc<[Head]>,
    plan: Arc<Plan>,
    arena: Arena,
    team: Team,
    /// One a head. Threads of a frame take turns in writing and reading them; nobody else waits for a lock.
    selections: Vec<RwLock<Selection>>,
    input: Vec<u8>,
    limits: Vec<f32>,
    class_max: bool,
    /// Nanoseconds of the last frame's resize by layers.
    resized: AtomicU64,
    /// One a head.
    best: Vec<Best>,
    turns: Turns,
    /// One a thread.
    ahead: Vec<Schedule>,
    mode: HeadMode,
}

/// The largest accepted input, in pixels: four times 4K.
const MAX_PIXELS: usize = 4 * 3840 * 2160;
/// More threads than any machine that splits one small frame.
const MAX_THREADS: usize = 256;

impl Network {
    /// Plans `model` for pictures of `height` x `width`.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when a side is 0, not a multiple of the coarsest stride (32), or the picture is too large;
    /// [`ErrorKind::Config`] when `threads` is 0 or absurd, `GESTO_ISA` is not understood, or an 8-bit tier is asked for and
    /// the model has no activation scales;
    /// [`ErrorKind::Unsupported`] when the tier asked for is not to be had on this machine.
    pub fn new(model: &Model, height: usize, width: usize, options: &Options) -> Result<Self> {
        let stride = model.graph().max_stride();
        if height == 0 || width == 0 || !height.is_multiple_of(stride) || !width.is_multiple_of(stride) {
            let message = format!(
                "a network input of {height} x {width} is not possible: both sides must be multiples of {stride}"
            );
            return Err(Error::new(ErrorKind::Shape, message));
        }
        if height.saturating_mul(width) > MAX_PIXELS {
            let message =
                format!("a network input of {height} x {width} is too large: at most {MAX_PIXELS} pixels");
            return Err(Error::new(ErrorKind::Shape, message));
        }
        if options.threads == 0 || options.threads > MAX_THREADS {
            let message = format!("{} threads are not possible: 1 to {MAX_THREADS}", options.threads);
            return Err(Error::new(ErrorKind::Config, message));
        }
        let wish = match options.isa {
            Some(isa) => Wish::force(isa),
            None => Wish::from_env()?,
        };
        let token = Detected::get().best(&wish)?;
        let plan = Arc::new(Plan::new(model, Grid { height, width }, token)?);
        let heads = model.graph().heads.clone().into();
        let network = Self::with_plan(plan, heads, options.threads, options.heads);
        Ok(Self { class_max: options.class_max, ..network })
    }

    fn with_plan(plan: Arc<Plan>, heads: Arc<[Head]>, threads: usize, mode: HeadMode) -> Self {
        let selections = plan.levels.iter().enumerate().map(|(head, levels)| {
            let steps = || plan.lazy.iter().flatten().filter(move |lazy| lazy.head == head);
            let reaches = 1 + steps().map(|lazy| lazy.reach).max().unwrap_or(0);
            let tiles = |level| {
                let step = &steps().find(|lazy| lazy.level == level).expect("every level has boxes").step;
                (step.tiles.len(), plan.kernels.reach(step))
            };
            let squares = plan.kernels.filters_lists();
            RwLock::new(Selection::new(levels, reaches, squares, tiles))
        });
        Self {
            heads,
            arena: plan.arena(threads),
            team: Team::new(threads),
            selections: selections.collect(),
            input: vec![0; plan.input.grid.height * plan.input.grid.width * 3],
            limits: vec![0.0; plan.levels.len()],
            class_max: false,
            resized: AtomicU64::new(0),
            best: plan.levels.iter().map(|levels| Best::new(levels)).collect(),
            turns: Turns::new(&plan, threads),
            ahead: (0..threads).map(|index| Schedule::new(&plan, index, threads)).collect(),
            mode,
            plan,
        }
    }

    /// Another network of the same plan, to run other frames at the same time: it shares the packed weights and has its
    /// own buffers and threads.
    #[must_use]
    pub fn fork(&self, threads: usize) -> Self {
        let (plan, heads) = (Arc::clone(&self.plan), Arc::clone(&self.heads));
        let network = Self::with_plan(plan, heads, threads.clamp(1, MAX_THREADS), self.mode);
        Self { class_max: self.class_max, ..network }
    }

    /// Height of the network input in pixels.
    #[must_use]
    pub fn height(&self) -> usize {
        self.plan.input.grid.height
    }

    /// Width of the network input in pixels.
    #[must_use]
    pub fn width(&self) -> usize {
        self.plan.input.grid.width
    }

    /// The heads, in file order.
    #[must_use]
    pub fn heads(&self) -> &[Head] {
        &self.heads
    }

    /// The kernel tier that runs it.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.plan.kernels.isa()
    }

    /// Threads that share one frame.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.team.size()
    }

    /// Which anchor points get boxes and keypoints from the next frame on.
    pub fn set_heads(&mut self, mode: HeadMode) {
        self.mode = mode;
    }

    /// The picture that [`run`](Self::run) reads: `height * width` pixels of 8-bit RGB, row by row.
    pub fn input_mut(&mut self) -> &mut [u8] {
        &mut self.input
    }

    /// Runs the network on the picture in [`input_mut`](Self::input_mut).
    ///
    /// `thresholds` holds one probability for each head: anchor points whose best class reaches it become
    /// [candidates](HeadOutput::candidates).
    ///
    /// # Panics
    /// When `thresholds` has another length than [`heads`](Self::heads).
    pub fn run(&mut self, thresholds: &[f32]) -> Outputs<'_> {
        self.set_limits(thresholds);
        let job = frame::Job {
            input: Input::Rgb(&self.input),
            turns: &self.turns,
            ahead: &self.ahead,
            limits: &self.limits,
            dense: self.mode == HeadMode::Dense,
            best: self.class_max.then_some(&self.best),
        };
        frame::run(&self.plan, &mut self.arena, &mut self.team, &self.selections, job);
        Outputs { network: self }
    }

    /// Resizes `picture` into [`input_mut`](Self::input_mut) on all threads, for [`run`](Self::run) to read; see
    /// [`Resampler::run`].
    ///
    /// # Panics
    /// When `resampler` was made for another size, or `target` is empty or leaves the network's input.
    pub fn resample(&mut self, resampler: &mut Resampler, picture: &Picture<'_>, target: [u32; 4]) {
        assert_eq!(resampler.size(), (self.height(), self.width()), "a resize to the network's size");
        let job = self.sampling(resampler, picture, target);
        job.run_team(&mut self.team, &mut self.input);
    }

    /// Runs the network on `picture`, which the first layer resizes: each thread samples the rows that it is about to
    /// convolve straight into the layer's number format. The samples, and so the outputs, are those of
    /// [`resample`](Self::resample) and [`run`](Self::run).
    ///
    /// `target` is the part of the input that the picture fills (x, y, width, height); the rest is grey.
    ///
    /// # Panics
    /// As [`run`](Self::run) and [`resample`](Self::resample), and for [`Method::Area`], whose means are not taken pixel
    /// by pixel.
    pub fn run_picture(
        &mut self,
        resampler: &mut Resampler,
        picture: &Picture<'_>,
        target: [u32; 4],
        thresholds: &[f32],
    ) -> Outputs<'_> {
        assert!(resampler.method() != Method::Area, "means are taken by a pass of their own");
        assert_eq!(resampler.size(), (self.height(), self.width()), "a resize to the network's size");
        self.set_limits(thresholds);
        let job = frame::Job {
            input: Input::Picture(self.sampling(resampler, picture, target)),
            turns: &self.turns,
            ahead: &self.ahead,
            limits: &self.limits,
            dense: self.mode == HeadMode::Dense,
            best: self.class_max.then_some(&self.best),
        };
        frame::run(&self.plan, &mut self.arena, &mut self.team, &self.selections, job);
        Outputs { network: self }
    }

    /// Runs `model`'s layers on `picture` as the first steps of the network's plan, and the network on what they give.
    ///
    /// `target` is the part of the input that the picture fills (x, y, width, height); the rest is grey. A convolution
    /// takes its `blocks`, whose target it must be.
    ///
    /// # Panics
    /// As [`run`](Self::run), when `model` was made for another size, `target` is empty or leaves the network's input, or a
    /// convolution has no blocks.
    pub fn run_layers(
        &mut self,
        model: &mut ResizeModel,
        picture: &Picture<'_>,
        target: [u32; 4],
        blocks: Option<Blocks>,
        thresholds: &[f32],
    ) -> Outputs<'_> {
        assert_eq!(model.size(), (self.height(), self.width()), "a resize to the network's size");
        self.set_limits(thresholds);
        model.prepare(picture, target, blocks);
        let job = frame::Job {
            input: Input::Layers { job: self.layering(model, picture), taken: &self.resized },
            turns: &self.turns,
            ahead: &self.ahead,
            limits: &self.limits,
            dense: self.mode == HeadMode::Dense,
            best: self.class_max.then_some(&self.best),
        };
        frame::run(&self.plan, &mut self.arena, &mut self.team, &self.selections, job);
        Outputs { network: self }
    }

    /// How long the layers of [`run_layers`](Self::run_layers) took of the last frame that had some.
    #[must_use]
    pub fn resize_time(&self) -> Duration {
        Duration::from_nanos(self.resized.load(Ordering::Relaxed))
    }

    /// Runs `model` on `picture` by itself, its output a tensor of its own: the first of two models in a row. `tensor`
    /// receives red, green, blue and zero of each pixel of the network's input, 0 to 255.
    ///
    /// # Panics
    /// As [`run_layers`](Self::run_layers).
    pub fn resize_by(
        &mut self,
        model: &mut ResizeModel,
        picture: &Picture<'_>,
        target: [u32; 4],
        blocks: Option<Blocks>,
        tensor: &mut Vec<[f32; 4]>,
    ) {
        assert_eq!(model.size(), (self.height(), self.width()), "a resize to the network's size");
        model.prepare(picture, target, blocks);
        let (height, width) = model.size();
        tensor.resize(height * width, [0.0; 4]);
        let job = self.layering(model, picture);
        job.run_team(&mut self.team, tensor);
    }

    /// Runs the network on a tensor: red, green, blue and an unused number of each pixel, 0 to 255, row by row.
    ///
    /// # Panics
    /// As [`run`](Self::run), and when `tensor` has another length than the network's pixels.
    pub fn run_tensor(&mut self, tensor: &[[f32; 4]], thresholds: &[f32]) -> Outputs<'_> {
        assert_eq!(tensor.len(), self.height() * self.width(), "a tensor of the network's size");
        self.set_limits(thresholds);
        let job = frame::Job {
            input: Input::Tensor(tensor),
            turns: &self.turns,
            ahead: &self.ahead,
            limits: &self.limits,
            dense: self.mode == HeadMode::Dense,
            best: self.class_max.then_some(&self.best),
        };
        frame::run(&self.plan, &mut self.arena, &mut self.team, &self.selections, job);
        Outputs { network: self }
    }

    /// Selects the candidates of the last frame again, from the class maps that it left: what benchmarks of that stage
    /// repeat.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub fn select(&mut self, thresholds: &[f32]) -> Outputs<'_> {
        self.set_limits(thresholds);
        let job = frame::Job {
            input: Input::Rgb(&self.input),
            turns: &self.turns,
            ahead: &self.ahead,
            limits: &self.limits,
            dense: self.mode == HeadMode::Dense,
            best: self.class_max.then_some(&self.best),
        };
        frame::select(&self.plan, &mut self.arena, &mut self.team, &self.selections, job);
        Outputs { network: self }
    }

    /// The first layer's input as the last frame left it: red, green and blue of each pixel, 0 to 255, row by row. For
    /// tests and comparisons of resizes.
    #[must_use]
    pub fn input_plane(&self) -> Vec<[f32; 3]> {
        let plane = self.plan.input;
        let format = self.plan.kernels.format();
        let cell = |y: usize, x: usize| plane.place + (y * plane.grid.pitch() + x) * 4 * format.bytes();
        let pixels = (0..plane.grid.height).flat_map(|y| (0..plane.grid.width).map(move |x| (y, x)));
        pixels.map(|(y, x)| [0, 1, 2].map(|c| self.arena.number(cell(y, x), c, format))).collect()
    }

    /// A resize into this network's input, with the kernels of its tier.
    fn sampling<'a>(
        &self,
        resampler: &'a mut Resampler,
        picture: &'a Picture<'a>,
        target: [u32; 4],
    ) -> resample::Job<'a> {
        resampler.prepare(picture, target, self.team.size());
        resampler.job(picture).on(self.plan.kernels.token())
    }

    /// As [`sampling`](Self::sampling), by layers that have been prepared.
    fn layering<'a>(&self, model: &'a mut ResizeModel, picture: &'a Picture<'a>) -> layers::Job<'a> {
        model.job(picture, self.team.size()).on(self.plan.kernels.token())
    }

    fn set_limits(&mut self, thresholds: &[f32]) {
        assert_eq!(thresholds.len(), self.heads.len(), "one threshold for each head");
        for (limit, &threshold) in self.limits.iter_mut().zip(thresholds) {
            *limit = logit(threshold);
        }
    }

    /// The steps of the plan, in order: what `gesto model info` and profiles show.
    #[must_use]
    pub fn steps(&self) -> Vec<StepInfo> {
        let isa = self.isa().name();
        let conv = |step: &ConvStep, lazy| {
            let grid = step.cells.grid;
            StepInfo {
                name: step.name.clone(),
                kernel: format!("{isa}-{}", step.kernel_name()),
                height: grid.height,
                width: grid.width,
                macs: step.macs_per_cell * grid.height * grid.width,
                lazy,
            }
        };
        let dense = self.plan.dense.iter().flatten().map(|step| match step {
            Step::Conv(step) => conv(step, false),
            Step::Pool(step) => StepInfo {
                name: format!("{} max pools", step.planes[0].len() - 1),
                kernel: format!("{isa}-pool{0}x{0}", step.size),
                height: step.grid.height,
                width: step.grid.width,
                macs: 0,
                lazy: false,
            },
        });
        dense.chain(self.plan.lazy.iter().flatten().map(|lazy| conv(&lazy.step, true))).collect()
    }

    /// Runs each step of [`steps`](Self::steps) alone, at every anchor point, on the maps of the last frame, and gives its
    /// time to `report` by position.
    pub fn profile(&mut self, report: impl FnMut(usize, Duration)) {
        frame::profile(&self.plan, &mut self.arena, &mut self.team, report);
    }

    /// Floating point operations a second that one core can do with this tier's multiply instruction; measured now, for
    /// about a tenth of a second.
    #[must_use]
    pub fn ceiling(&self) -> f64 {
        ceiling::flops(self.plan.kernels)
    }

    /// Multiply-accumulates that the last frame took: lazy steps count the tiles or squares they ran, as if each output took all of its products.
    #[must_use]
    pub fn macs_of_last_frame(&self) -> usize {
        let dense: usize = self.steps().iter().filter(|step| !step.lazy).map(|step| step.macs).sum();
        let lazy = self.plan.lazy.iter().flatten().map(|lazy| {
            let selection = self.selections[lazy.head].read().unwrap_or_else(|broken| broken.into_inner());
            if let Some(filter) = &lazy.step.winograd {
                let Grid { height, width } = lazy.step.cells.grid;
                let cells = |number: usize| {
                    let (row, column) = (number / filter.columns, number % filter.columns);
                    (height - 2 * row).min(2) * (width - 2 * column).min(2)
                };
                let cells: usize = match selection.squares(lazy.level, lazy.reach) {
                    Some(list) => list.iter().map(|&number| cells(number as usize)).sum(),
                    None => height * width,
                };
                return cells * lazy.step.macs_per_cell;
            }
            let tiles = selection.tiles(lazy.level, lazy.reach).unwrap_or(&lazy.step.tiles);
            tiles.iter().map(|tile| tile.count as usize * lazy.step.macs_per_cell).sum::<usize>()
        });
        dense + lazy.sum::<usize>()
    }

    fn level(&self, head: usize, candidate: &Candidate) -> (&Level, usize) {
        let level = &self.plan.levels[head][candidate.level as usize];
        let (y, x) = (candidate.y as usize, candidate.x as usize);
        assert!(y < level.grid.height && x < level.grid.width, "a candidate of this network");
        (level, (y * level.grid.pitch() + x) * LINE)
    }
}

/// The logit of a probability; never below the logits of channels that only fill a plane.
fn logit(probability: f32) -> f32 {
    let p = f64::from(probability.clamp(0.0, 1.0));
    ((p / (1.0 - p)).ln() as f32).max(-1e20)
}

impl<'a> Outputs<'a> {
    /// [`Network::resize_time`] of this frame.
    #[must_use]
    pub fn resize_time(&self) -> Duration {
        self.network.resize_time()
    }

    /// The result of one head, by its position in [`Network::heads`].
    ///
    /// # Panics
    /// When there is no such head.
    #[must_use]
    pub fn head(&self, head: usize) -> HeadOutput<'a> {
        let selection = self.network.selections[head].read().unwrap_or_else(|broken| broken.into_inner());
        HeadOutput { network: self.network, head, selection }
    }
}

impl HeadOutput<'_> {
    /// Anchor points that passed the threshold, in anchor order.
    #[must_use]
    pub fn candidates(&self) -> &[Candidate] {
        &self.selection.candidates
    }

    /// Distribution logits of a candidate's box sides: left, top, right, bottom, [`DFL_BINS`] each.
    #[must_use]
    pub fn box_logits(&self, candidate: &Candidate) -> [f32; 4 * DFL_BINS] {
        let (level, cell) = self.network.level(self.head, candidate);
        let mut logits = [0.0; 4 * DFL_BINS];
        for (to, &plane) in logits.as_chunks_mut::<16>().0.iter_mut().zip(&level.boxes) {
            *to = self.network.arena.f32x16(plane + cell);
        }
        logits
    }

    /// Writes a candidate's raw `x, y, visibility` of each keypoint into `out`, whose length is three times the
    /// head's keypoints.
    pub fn keypoints(&self, candidate: &Candidate, out: &mut [f32]) {
        let (level, cell) = self.network.level(self.head, candidate);
        for (to, &plane) in out.chunks_mut(16).zip(&level.keypoints) {
            to.copy_from_slice(&self.network.arena.f32x16(plane + cell)[..to.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::resample::Tier;
    use crate::picture::{Orientation, PixelFormat, Plane};
    use crate::resample::layers::Layers;

    #[test]
    fn the_tier_asked_for_governs_the_resize_too() {
        let model =
            Model::from_bytes(include_bytes!("../../../models/multi-n.safetensors").as_slice()).unwrap();
        let pixels = [7; 3 * 8 * 6];
        let planes = [Plane { data: &pixels, stride: 24 }, Plane::default()];
        let picture = Picture::new(PixelFormat::Rgb8, 8, 6, planes, Orientation::default()).unwrap();
        let detected = Detected::get();
        for isa in [Isa::Portable, Isa::Avx2F32, Isa::Avx512F32] {
            let Ok(token) = detected.token(isa) else { continue };
            let options = Options { isa: Some(isa), threads: 1, ..Options::default() };
            let network = Network::new(&model, 32, 32, &options).unwrap();
            let mut resampler = Resampler::new(Method::Bilinear, 32, 32);
            let job = network.sampling(&mut resampler, &picture, [0, 0, 32, 24]);
            assert_eq!(job.tier, Tier::of(token), "{isa}");
            let mut layers = ResizeModel::new(Layers::Bilinear, 32, 32);
            layers.prepare(&picture, [0, 0, 32, 24], None);
            assert_eq!(network.layering(&mut layers, &picture).tier, Tier::of(token), "{isa}");
        }
        assert_eq!(Tier::of(detected.token(Isa::Portable).unwrap()), Tier::Plain);
    }
}
