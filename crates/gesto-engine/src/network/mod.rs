//! A network planned for one input size, ready to run frame after frame.

mod options;
mod outputs;
mod steps;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use self::options::{HeadMode, Options};
pub use self::outputs::{Candidate, HeadOutput, Outputs};
pub use self::steps::StepInfo;

use crate::error::{Error, ErrorKind, Result};
use crate::isa::{Detected, Isa, Wish};
use crate::kernels::first::Input;
use crate::kernels::memory::Arena;
use crate::kernels::team::Team;
use crate::kernels::{frame, layers, resample};
use crate::model::{Head, Model};
use crate::picture::Picture;
use crate::plan::Plan;
use crate::plan::layout::Grid;
use crate::resample::layers::{Blocks, ResizeModel};
use crate::resample::{Method, Resampler};

/// A network planned for one input size.
///
/// Planning packs the weights for the machine's kernels and lays out all buffers; [`run`](Self::run) allocates nothing.
#[derive(Debug)]
pub struct Network {
    heads: Arc<[Head]>,
    plan: Arc<Plan>,
    arena: Arena,
    team: Team,
    shared: frame::Shared,
    input: Vec<u8>,
    /// Nanoseconds of the last frame's resize by layers.
    resized: AtomicU64,
}

/// The largest accepted input, in pixels: four times 4K.
const MAX_PIXELS: usize = 4 * 3840 * 2160;
/// Most threads that may share a frame: more than one small frame is worth splitting for.
pub const MAX_THREADS: usize = 256;

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
        let dense = options.heads == HeadMode::Dense;
        Ok(Self::with_plan(plan, heads, options.threads, dense, options.class_max))
    }

    fn with_plan(plan: Arc<Plan>, heads: Arc<[Head]>, threads: usize, dense: bool, class_max: bool) -> Self {
        Self {
            heads,
            arena: plan.arena(threads),
            team: Team::new(threads),
            shared: frame::Shared::new(&plan, threads, dense, class_max),
            input: vec![0; plan.input.grid.height * plan.input.grid.width * 3],
            resized: AtomicU64::new(0),
            plan,
        }
    }

    /// Another network of the same plan, to run other frames at the same time: it shares the packed weights and has its
    /// own buffers and threads, 1 to 256 of them.
    #[must_use]
    pub fn fork(&self, threads: usize) -> Self {
        let (plan, heads) = (Arc::clone(&self.plan), Arc::clone(&self.heads));
        let threads = threads.clamp(1, MAX_THREADS);
        Self::with_plan(plan, heads, threads, self.shared.dense, self.shared.class_max())
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
        self.shared.dense = mode == HeadMode::Dense;
    }

    /// Wakes the other threads for a frame that is about to come: they look out for it for 2 ms at most, and sleep again when
    /// it does not come.
    ///
    /// A thread that sleeps takes a while to wake, during which the frame waits or the others do its share. So call this
    /// when there is still something to do that takes a millisecond, such as decoding a JPEG, and the frame follows. It is
    /// of no use right before a frame, and for frames that follow one another without a pause; it costs what the threads
    /// would else have left to others in that time.
    pub fn wake(&mut self) {
        self.team.call();
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
        let input = Input::Rgb(&self.input);
        frame::run(&self.plan, &mut self.arena, &mut self.team, &self.shared, input);
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
        let input = Input::Picture(self.sampling(resampler, picture, target));
        frame::run(&self.plan, &mut self.arena, &mut self.team, &self.shared, input);
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
        let input = Input::Layers { job: self.layering(model, picture), taken: &self.resized };
        frame::run(&self.plan, &mut self.arena, &mut self.team, &self.shared, input);
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
        let input = Input::Tensor(tensor);
        frame::run(&self.plan, &mut self.arena, &mut self.team, &self.shared, input);
        Outputs { network: self }
    }

    /// Selects the candidates of the last frame again, from the class maps that it left: what benchmarks of that stage
    /// repeat.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub fn select(&mut self, thresholds: &[f32]) -> Outputs<'_> {
        self.set_limits(thresholds);
        frame::select(&self.plan, &mut self.arena, &mut self.team, &self.shared);
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
        for (limit, &threshold) in self.shared.limits.iter_mut().zip(thresholds) {
            *limit = logit(threshold);
        }
    }
}

/// The logit of a probability; never below the logits of channels that only fill a plane.
fn logit(probability: f32) -> f32 {
    let p = f64::from(probability.clamp(0.0, 1.0));
    ((p / (1.0 - p)).ln() as f32).max(-1e20)
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
            Model::from_bytes(include_bytes!("../../../../models/multi-n.safetensors").as_slice()).unwrap();
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
