//! Settings of a detector, checked when it is built.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gesto_engine::{HeadMode, Isa, MAX_THREADS, Model, Options};

use super::units::Pipeline;
use super::units::cpu::{Cpu, Lane};
use super::units::front::Front;
use super::units::turning::Turning;
use super::{Detector, HeadInfo, Network};
use crate::detection::Label;
use crate::error::{Error, ErrorKind, Result};
use crate::gesture::Gesture;
use crate::keypoint::KEYPOINTS;
use crate::model;
use crate::postprocess::{HeadKind, HeadPlan, PostProcessing, Postprocessor};
#[cfg(any(feature = "gpu", feature = "ort"))]
use crate::preprocess::Preprocessor;
use crate::preprocess::{Fit, Resize};
use crate::unit::Adapter;
#[cfg(feature = "ort")]
use crate::unit::Provider;
use crate::unit::Unit;

/// Settings of a [`Detector`]; each has a default.
///
/// "Hand" settings hold for heads that give boxes and classes, "body" settings for heads with keypoints.
#[derive(Debug, Clone)]
pub struct DetectorBuilder {
    height: usize,
    width: usize,
    threads: Option<usize>,
    fit: Fit,
    pub(super) resize: Option<Resize>,
    resize_adapter: Adapter,
    pub(super) confidence_hand: f32,
    pub(super) confidence_body: f32,
    pub(super) iou_hand: f32,
    pub(super) iou_body: f32,
    max_detections: usize,
    isa: Option<Isa>,
    head_mode: HeadMode,
    source: ModelSource,
    pub(super) unit: Unit,
    pub(super) unit_fallback: Option<Unit>,
    post_processing: Option<PostProcessing>,
    ort_library: Option<PathBuf>,
    tune: bool,
    turn: bool,
}

#[derive(Debug, Clone)]
enum ModelSource {
    Embedded,
    File(PathBuf),
    Given(Arc<Model>),
}

impl Default for DetectorBuilder {
    fn default() -> Self {
        Self {
            height: 320,
            width: 224,
            threads: None,
            fit: Fit::Letterbox,
            resize: None,
            resize_adapter: Adapter::Best,
            confidence_hand: 0.3,
            confidence_body: 0.5,
            iou_hand: 0.4,
            iou_body: 0.3,
            max_detections: 300,
            isa: None,
            head_mode: HeadMode::Lazy,
            source: ModelSource::Embedded,
            unit: Unit::Cpu,
            unit_fallback: None,
            post_processing: None,
            ort_library: None,
            tune: false,
            turn: false,
        }
    }
}

impl DetectorBuilder {
    /// Height and width of the network's input: multiples of 32. Default 320 x 224.
    #[must_use]
    pub fn size(mut self, height: usize, width: usize) -> Self {
        (self.height, self.width) = (height, width);
        self
    }

    /// Whether the network's input turns to lie as the frame does: a frame that is wider than tall gets the network of
    /// swapped sides, 224 x 320 instead of 320 x 224, at the same cost. Letterboxed it then covers twice the pixels, and
    /// smaller hands and people are found. What counts is the upright frame; a square one gets the size as given. The
    /// network is planned twice, so building takes twice the time and memory. Default: no.
    #[must_use]
    pub fn turn(mut self, turn: bool) -> Self {
        self.turn = turn;
        self
    }

    /// Threads, the caller's included, 1 to 256: they share one frame, or take one each in a batch. Default: one for each core.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// How frames of another shape are fitted into the input. Default [`Fit::Letterbox`].
    #[must_use]
    pub fn fit(mut self, fit: Fit) -> Self {
        self.fit = fit;
        self
    }

    /// How pixels are resampled, and where. Default: what suits the unit ([`Unit::default_resize`]).
    #[must_use]
    pub fn resize(mut self, resize: Resize) -> Self {
        self.resize = Some(resize);
        self
    }

    /// The graphics processor that resizes for a network on the processor ([`Resize::GpuBilinear`],
    /// [`Resize::GpuNearest`]). Default [`Adapter::Best`].
    #[must_use]
    pub fn resize_adapter(mut self, adapter: Adapter) -> Self {
        self.resize_adapter = adapter;
        self
    }

    /// Least probability of a hand, 0 to 1. Default 0.3.
    #[must_use]
    pub fn confidence_hand(mut self, confidence: f32) -> Self {
        self.confidence_hand = confidence;
        self
    }

    /// Least probability of a person, 0 to 1. Default 0.5.
    #[must_use]
    pub fn confidence_body(mut self, confidence: f32) -> Self {
        self.confidence_body = confidence;
        self
    }

    /// Overlap (IoU, 0 to 1) above which the weaker of two hands of one class is dropped. Default 0.4.
    #[must_use]
    pub fn iou_hand(mut self, iou: f32) -> Self {
        self.iou_hand = iou;
        self
    }

    /// Overlap (IoU, 0 to 1) above which the weaker of two people is dropped. Default 0.3.
    #[must_use]
    pub fn iou_body(mut self, iou: f32) -> Self {
        self.iou_body = iou;
        self
    }

    /// Most hands and most people of a frame, each. Default 300.
    #[must_use]
    pub fn max_detections(mut self, most: usize) -> Self {
        self.max_detections = most;
        self
    }

    /// The kernels to run, of the network and of the resize. Default: the best that this machine has (and the variable
    /// `GESTO_ISA` allows).
    #[must_use]
    pub fn isa(mut self, isa: Isa) -> Self {
        self.isa = Some(isa);
        self
    }

    /// Whether boxes and keypoints are computed everywhere or only where a class passes its threshold. The
    /// detections are the same. Default [`HeadMode::Lazy`].
    #[must_use]
    pub fn head_mode(mut self, mode: HeadMode) -> Self {
        self.head_mode = mode;
        self
    }

    /// Another network of the family instead of the shipped one.
    #[must_use]
    pub fn model(mut self, model: Model) -> Self {
        self.source = ModelSource::Given(Arc::new(model));
        self
    }

    /// Another network of the family, from a file that [`build`](Self::build) reads: safetensors for every unit, ONNX
    /// (by its ending `.onnx`) for units `ort`, with the file's own size where it has a fixed one.
    #[must_use]
    pub fn model_file(mut self, path: impl AsRef<Path>) -> Self {
        self.source = ModelSource::File(path.as_ref().to_owned());
        self
    }

    /// What runs the network. Default [`Unit::Cpu`].
    #[must_use]
    pub fn unit(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self
    }

    /// The unit that takes over when the chosen one is not to be had, or fails at work: a graphics processor that is
    /// lost or out of memory. [`Detector::fallen_back`] tells why it did. Where it cannot resize or post-process as was
    /// asked for, it does so in its own way; so does the processor where only the graphics processor of its resize is
    /// missing ([`Resize::GpuBilinear`] with the units [`Unit::Cpu`] here and there). Default: none, so that this is an error.
    #[must_use]
    pub fn unit_fallback(mut self, unit: Unit) -> Self {
        self.unit_fallback = Some(unit);
        self
    }

    /// Who turns the network's maps into candidates. Default: what suits the unit.
    #[must_use]
    pub fn post_processing(mut self, place: PostProcessing) -> Self {
        self.post_processing = Some(place);
        self
    }

    /// ONNX Runtime's library, for units `ort`. Default: the file that the variable `ORT_DYLIB_PATH` names, else one
    /// beside the program or in the usual folders. A process loads one library and keeps it.
    #[must_use]
    pub fn ort_library(mut self, file: impl AsRef<Path>) -> Self {
        self.ort_library = Some(file.as_ref().to_owned());
        self
    }

    /// Try the variants of a graphics processor's kernels when the detector is built, and keep the fastest of each. Takes
    /// a moment; without it a rule of thumb chooses. Other units, and adapters that are software, take no notice.
    #[must_use]
    pub fn tune(mut self, tune: bool) -> Self {
        self.tune = tune;
        self
    }

    /// Checks the settings, loads the network and plans it.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a setting outside its range, such as a size that is no multiple of 32;
    /// [`ErrorKind::Model`] for a model file that cannot be read, holds something else, or has a pose head without
    /// the 17 keypoints; [`ErrorKind::Unit`] when the machine or this build of the library lacks the unit;
    /// [`ErrorKind::Unsupported`] for a resize that the unit cannot do.
    pub fn build(self) -> Result<Detector> {
        self.check()?;
        let network = match &self.source {
            ModelSource::Embedded => Network::Model(Arc::new(model::shipped()?)),
            ModelSource::File(path) if model::is_onnx(path) => Network::Onnx(model::bytes(path)?.into()),
            ModelSource::File(path) => Network::Model(Arc::new(model::read(path)?)),
            ModelSource::Given(model) => Network::Model(Arc::clone(model)),
        };
        let ((pipeline, heads), unit, fallen_back) =
            match (self.pipeline(&self.unit, &network), self.successor(&self.unit)) {
                (Err(error), Some(other)) if error.is_of_unit() => {
                    (self.take_over(&other, &network, &error)?, other, Some(error))
                }
                (made, _) => (made?, self.unit.clone(), None),
            };
        Ok(Detector { settings: self, network, heads, pipeline, unit, fallen_back })
    }

    /// Plans `network` on `unit`, twice where it turns with the frame; with it, what its heads find.
    pub(super) fn pipeline(
        &self,
        unit: &Unit,
        network: &Network,
    ) -> Result<(Box<dyn Pipeline>, Vec<HeadInfo>)> {
        let (given, heads) = self.fixed_pipeline(unit, network)?;
        if !self.turn || self.height == self.width {
            return Ok((given, heads));
        }
        let (turned, _) =
            Self { height: self.width, width: self.height, ..self.clone() }.fixed_pipeline(unit, network)?;
        if turned.size() == given.size() {
            let message = "this ONNX file has one size, so the network's input cannot turn with the frame";
            return Err(Error::new(ErrorKind::Config, message));
        }
        Ok((Box::new(Turning::new(given, turned)), heads))
    }

    fn fixed_pipeline(&self, unit: &Unit, network: &Network) -> Result<(Box<dyn Pipeline>, Vec<HeadInfo>)> {
        match (unit, network) {
            (Unit::Cpu, Network::Model(model)) => self.cpu(model),
            #[cfg(feature = "gpu")]
            (Unit::Gpu(adapter), Network::Model(model)) => self.gpu(adapter, model),
            #[cfg(feature = "ort")]
            (Unit::Ort(provider), network) => self.ort(*provider, network),
            (Unit::Cpu | Unit::Gpu(_), Network::Onnx(_)) => {
                let message =
                    format!("unit {unit} does not read ONNX files; a unit ort:PROVIDER does, say ort:cpu");
                Err(Error::new(ErrorKind::Config, message))
            }
            #[cfg(not(all(feature = "gpu", feature = "ort")))]
            (unit, _) => {
                let feature = if matches!(unit, Unit::Gpu(_)) { "gpu" } else { "ort" };
                let message =
                    format!("unit {unit} is not part of this program: it was built without {feature}");
                Err(Error::new(ErrorKind::Unit, message))
            }
        }
    }

    /// The unit that takes over from `unit`: another one, or the processor from itself when it is the graphics processor of its
    /// resize that failed.
    pub(super) fn successor(&self, unit: &Unit) -> Option<Unit> {
        let helped = *unit == Unit::Cpu && self.resize.is_some_and(Resize::needs_gpu);
        self.unit_fallback.clone().filter(|other| other != unit || helped)
    }

    /// The resize that was asked for, where `unit` can do it after another has failed: the processor then does without a
    /// graphics processor.
    pub(super) fn resize_after_failure(&self, unit: &Unit) -> Option<Resize> {
        let alone = *unit == Unit::Cpu;
        self.resize.filter(|resize| unit.check_resize(*resize).is_ok() && !(alone && resize.needs_gpu()))
    }

    /// As [`pipeline`](Self::pipeline) for the unit that follows one that failed with `error`. What was asked of that one
    /// and is impossible on this one is done in this one's own way.
    pub(super) fn take_over(
        &self,
        unit: &Unit,
        network: &Network,
        error: &Error,
    ) -> Result<(Box<dyn Pipeline>, Vec<HeadInfo>)> {
        let mut settings = self.clone();
        settings.resize = self.resize_after_failure(unit);
        let possible = |place: &PostProcessing| *place != PostProcessing::Gpu || matches!(unit, Unit::Gpu(_));
        settings.post_processing = self.post_processing.filter(possible);
        settings.pipeline(unit, network).map_err(|other| {
            // Two units that are not to be had: the first is the one that was wanted.
            let kind = if other.is_of_unit() { error.kind() } else { other.kind() };
            Error::new(kind, format!("{error}; unit {unit} cannot take over: {other}"))
        })
    }

    /// Refuses thresholds outside 0 to 1.
    pub(super) fn check(&self) -> Result<()> {
        for (name, value) in [
            ("hand confidence", self.confidence_hand),
            ("body confidence", self.confidence_body),
            ("hand IoU", self.iou_hand),
            ("body IoU", self.iou_body),
        ] {
            if !(0.0..=1.0).contains(&value) {
                let message = format!("a {name} of {value} is not possible: it lies between 0 and 1");
                return Err(Error::new(ErrorKind::Config, message));
            }
        }
        Ok(())
    }

    pub(super) fn thread_count(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
        self.threads.unwrap_or_else(cores)
    }

    fn resize_on(&self, unit: &Unit) -> Result<Resize> {
        let resize = self.resize.unwrap_or_else(|| unit.default_resize());
        unit.check_resize(resize)?;
        Ok(resize)
    }

    fn cpu(&self, model: &Model) -> Result<(Box<dyn Pipeline>, Vec<HeadInfo>)> {
        let lane = self.cpu_lane(model)?;
        let heads = lane.network.heads().iter().map(HeadInfo::from).collect();
        Ok((Box::new(Cpu::new(lane, self.thread_count())), heads))
    }

    /// The processor's way on all threads, for benchmarks of its stages.
    pub(crate) fn lane(&self) -> Result<Lane> {
        self.check()?;
        match &self.source {
            ModelSource::Embedded => self.cpu_lane(&model::shipped()?),
            ModelSource::File(path) => self.cpu_lane(&model::read(path)?),
            ModelSource::Given(model) => self.cpu_lane(model),
        }
    }

    fn cpu_lane(&self, model: &Model) -> Result<Lane> {
        if self.post_processing == Some(PostProcessing::Gpu) {
            let message = "post-processing on the gpu needs a unit gpu";
            return Err(Error::new(ErrorKind::Config, message));
        }
        let resize = self.resize_on(&Unit::Cpu)?;
        let mut options = Options::default();
        options.threads = self.thread_count();
        options.heads = self.head_mode;
        options.isa = self.isa;
        options.class_max = self.post_processing == Some(PostProcessing::CpuGraphMax);
        let network = gesto_engine::Network::new(model, self.height, self.width, &options)?;
        let heads: Vec<HeadInfo> = network.heads().iter().map(HeadInfo::from).collect();
        let (postprocessor, thresholds) = self.postprocessor(&heads)?;
        Ok(Lane {
            thresholds,
            strides: network.heads()[0].levels.iter().map(|level| level.stride).collect(),
            // The engine has bounded both sides.
            front: Front::new(
                self.height as u32,
                self.width as u32,
                self.fit,
                resize,
                self.thread_count(),
                &self.resize_adapter,
            )?,
            postprocessor,
            network,
            mapping: None,
        })
    }

    #[cfg(feature = "gpu")]
    fn gpu(&self, adapter: &Adapter, model: &Model) -> Result<(Box<dyn Pipeline>, Vec<HeadInfo>)> {
        use super::units::gpu::{Gpu, IN_FLIGHT, Parts};
        use gesto_gpu::{GpuNetwork, GpuOptions, Output, Timing};

        let resize = self.resize_on(&Unit::Gpu(adapter.clone()))?;
        let (shader, processor) = match resize {
            Resize::GpuNearest => (gesto_gpu::Resize::Nearest, Resize::CpuNearest),
            Resize::GpuBilinear => (gesto_gpu::Resize::Bilinear, Resize::CpuBilinear),
            other => (gesto_gpu::Resize::Bilinear, other),
        };
        let mut options = GpuOptions::default();
        options.adapter = adapter.into();
        options.tune = self.tune;
        options.in_flight = IN_FLIGHT;
        // One core copies a frame's rows about as fast as the bus takes them; more than four gain nothing.
        options.copy_threads = self.thread_count().clamp(1, 4);
        options.output = match self.post_processing {
            None | Some(PostProcessing::Gpu) => Output::Candidates,
            Some(PostProcessing::Cpu) => Output::Maps,
            Some(PostProcessing::CpuGraphMax) => Output::MapsAndBest,
        };
        let decodes = options.output == Output::Candidates;
        options.timing = Timing::Stages;
        options.experimental = gesto_engine::matrix_units();
        let network = GpuNetwork::new(model, self.height, self.width, &options)?;
        let heads: Vec<HeadInfo> = network.heads().iter().map(HeadInfo::from).collect();
        let (postprocessor, thresholds) = self.postprocessor(&heads)?;
        let parts = Parts {
            fit: self.fit,
            resize: shader,
            preprocessor: self.preprocessor(processor)?,
            always_staged: !resize.needs_gpu(),
            postprocessor,
            thresholds,
            decodes,
        };
        Ok((Box::new(Gpu::new(network, parts)), heads))
    }

    #[cfg(feature = "ort")]
    fn ort(&self, provider: Provider, network: &Network) -> Result<(Box<dyn Pipeline>, Vec<HeadInfo>)> {
        use super::units::ort::Ort;
        use gesto_ort::{Library, Options, OrtNetwork};

        let resize = self.resize_on(&Unit::Ort(provider))?;
        let class_max = self.post_processing == Some(PostProcessing::CpuGraphMax);
        if self.post_processing == Some(PostProcessing::Gpu) {
            let message = "post-processing on the gpu needs a unit gpu";
            return Err(Error::new(ErrorKind::Config, message));
        }
        let mut options = Options::default();
        options.provider = provider.into();
        options.threads = Some(self.thread_count());
        options.size = Some((self.height, self.width));
        if let Some(file) = &self.ort_library {
            options.library = Library::File(file.clone());
        }
        let network = match network {
            Network::Onnx(file) => OrtNetwork::new(file, &options)?,
            Network::Model(model) => {
                let export = gesto_onnx::Options {
                    precision: gesto_onnx::Precision::F32,
                    class_max,
                    ..gesto_onnx::Options::new(self.height, self.width)
                };
                let file = gesto_onnx::export(model, &export)
                    .map_err(|error| Error::new(ErrorKind::Config, error.to_string()))?;
                OrtNetwork::new(&file, &options)?
            }
        };
        if class_max && !network.has_best() {
            let message = "this ONNX file does not tell the best class of each anchor point (outputs NAME.best and \
                           NAME.class); post-processing has to be cpu";
            return Err(Error::new(ErrorKind::Config, message));
        }
        let heads: Vec<HeadInfo> = network.heads().iter().map(HeadInfo::from).collect();
        let (postprocessor, thresholds) = self.postprocessor(&heads)?;
        // An ONNX file may have another size than was asked for.
        let (height, width) = (network.height(), network.width());
        let preprocessor = Self { height, width, ..self.clone() }.preprocessor(resize)?;
        Ok((Box::new(Ort::new(network, preprocessor, postprocessor, thresholds, class_max)), heads))
    }

    /// A resize on the processor in front of another unit. The unit has bounded both sides.
    #[cfg(any(feature = "gpu", feature = "ort"))]
    fn preprocessor(&self, resize: Resize) -> Result<Preprocessor> {
        let pass = Preprocessor::new(self.height as u32, self.width as u32, self.fit, resize)?;
        self.isa.map_or(Ok(pass.clone()), |isa| pass.isa(isa))
    }

    /// What makes detections of these heads' results, and the least probability for each head.
    fn postprocessor(&self, heads: &[HeadInfo]) -> Result<(Postprocessor, Vec<f32>)> {
        let plans: Vec<_> = heads.iter().map(|head| self.plan(head)).collect::<Result<_>>()?;
        let thresholds = plans.iter().map(|plan| match plan.kind {
            HeadKind::Hands(_) => self.confidence_hand,
            HeadKind::People => self.confidence_body,
        });
        let thresholds = thresholds.collect();
        Ok((Postprocessor::new(plans, self.max_detections), thresholds))
    }

    fn plan(&self, head: &HeadInfo) -> Result<HeadPlan> {
        let kind = match head.keypoints {
            0 => {
                let classes = head.classes.iter().map(|name| (Gesture::from_name(name), Label::new(name)));
                HeadKind::Hands(classes.collect())
            }
            KEYPOINTS => HeadKind::People,
            other => {
                let message = format!(
                    "head {:?} of the model has {other} keypoints; people with COCO's {KEYPOINTS} are supported",
                    head.name
                );
                return Err(Error::new(ErrorKind::Model, message));
            }
        };
        let iou = if matches!(kind, HeadKind::People) { self.iou_body } else { self.iou_hand };
        Ok(HeadPlan { kind, iou })
    }
}
