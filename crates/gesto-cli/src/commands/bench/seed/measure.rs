//! One experiment on this machine.

use std::time::{Duration, Instant};

use gesto::postprocess::nms::Nms;
use gesto::unit::{Adapter, Provider};
use gesto::{Detections, Detector, DetectorBuilder, ErrorKind, Fit, Isa, Model, Resize, Timing, Unit};
use gesto_engine::isa::{Detected, Token, Wish};
use gesto_engine::resample::layers::{Blocks, Layers, ResizeModel};
use gesto_engine::{Network, Options};

use super::crowd;
use super::experiments::{Experiment, Part, Place};
use crate::commands::bench::frame::CameraFrame;
use crate::commands::bench::samples::Samples;
use crate::unit;
use crate::values::Size;

/// As [`DetectorBuilder`] has it by default.
const IOU_OF_PEOPLE: f32 = 0.3;

/// What all experiments of a run share.
pub(super) struct Bench {
    pub(super) camera: CameraFrame,
    pub(super) model: Model,
    pub(super) threads: usize,
    /// Frames to time for each figure.
    pub(super) frames: usize,
    /// No figure takes longer, however few frames that leaves.
    pub(super) limit: Duration,
    /// Try the variants of a graphics processor's kernels before each figure.
    pub(super) tune: bool,
    /// Measure graphics processors that are software.
    pub(super) software_gpu: bool,
    pub(super) adapter: Adapter,
    pub(super) ort_library: Option<std::path::PathBuf>,
    /// What GESTO_ISA leaves of the kernel tiers.
    pub(super) wish: Wish,
}

/// What came out.
pub(super) struct Figure {
    /// The unit, with the kernel tier on the processor.
    pub(super) unit: String,
    pub(super) outcome: Outcome,
}

pub(super) enum Outcome {
    Measured(Samples),
    /// Why this machine cannot run it.
    Skipped(String),
}

impl Bench {
    /// Runs an experiment, or says why not; an error is one of the program, not of the machine.
    pub(super) fn run(&self, experiment: &Experiment) -> anyhow::Result<Figure> {
        let (unit, isa) = match self.unit(experiment.place) {
            Ok(found) => found,
            Err((unit, why)) => return Ok(Figure { unit, outcome: Outcome::Skipped(why) }),
        };
        // The adapter has to be one that counts, as for a network of its own.
        if unit == Unit::Cpu
            && experiment.resize.is_some_and(Resize::needs_gpu)
            && let Err((_, why)) = self.unit(Place::Gpu)
        {
            return Ok(Figure { unit: unit.to_string(), outcome: Outcome::Skipped(why) });
        }
        let name = match (&unit, isa) {
            (Unit::Cpu, Some(isa)) => format!("cpu {isa}"),
            (unit, _) => unit.to_string(),
        };
        if let Part::Layers(layers) = experiment.part {
            let samples = self.time_layers(layers, experiment.size, isa)?;
            return Ok(Figure { unit: name, outcome: Outcome::Measured(samples) });
        }
        if experiment.part == Part::NmsOfCrowd {
            return Ok(Figure { unit: name, outcome: Outcome::Measured(self.time_crowd(experiment.size)?) });
        }
        let mut builder = self.builder(experiment).unit(unit);
        if let Some(isa) = isa {
            builder = builder.isa(isa);
        }
        let outcome = match builder.build() {
            Ok(detector) => Outcome::Measured(self.time(detector, experiment.part)?),
            Err(error) if matches!(error.kind(), ErrorKind::Unit | ErrorKind::Unsupported) => {
                Outcome::Skipped(error.to_string())
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Figure { unit: name, outcome })
    }

    fn builder(&self, experiment: &Experiment) -> DetectorBuilder {
        let mut builder = Detector::builder()
            .model(self.model.clone())
            .size(experiment.size.height, experiment.size.width)
            .fit(Fit::Stretch)
            .tune(self.tune)
            .threads(self.threads);
        if let Some(resize) = experiment.resize {
            builder = builder.resize(resize).resize_adapter(self.adapter.clone());
        }
        if let Some(post) = experiment.post {
            builder = builder.post_processing(post);
        }
        if let Some(library) = &self.ort_library {
            builder = builder.ort_library(library);
        }
        builder
    }

    /// The unit that stands for a place here, and the kernel tier on the processor; else the place's name and the reason.
    fn unit(&self, place: Place) -> Result<(Unit, Option<Isa>), (String, String)> {
        let tier = |found: Result<Isa, String>| match found {
            Ok(isa) => Ok((Unit::Cpu, Some(isa))),
            Err(why) => Err((Unit::Cpu.to_string(), why)),
        };
        match place {
            Place::Cpu => tier(best(&self.wish)),
            Place::Vectors => tier(vectors(&self.wish)),
            Place::Gpu => {
                let unit = Unit::Gpu(self.adapter.clone());
                match unit::software_adapter(&self.adapter, self.software_gpu) {
                    Some(why) => Err((unit.to_string(), why)),
                    None => Ok((unit, None)),
                }
            }
            Place::Npu => {
                let no_matrix_unit = match matrix_unit(&self.wish) {
                    Ok(isa) => return Ok((Unit::Cpu, Some(isa))),
                    Err(why) => why,
                };
                let check = |provider| unit::check_provider(provider, self.ort_library.as_deref());
                npu(check).map(|provider| (Unit::Ort(provider), None)).map_err(|why| {
                    ("npu".to_owned(), format!("no matrix unit ({no_matrix_unit}), and {why}"))
                })
            }
        }
    }

    /// Times the layers of a resize by themselves, on the threads of a network.
    fn time_layers(&self, layers: Layers, size: Size, isa: Option<Isa>) -> anyhow::Result<Samples> {
        let Size { height, width } = size;
        let mut options = Options::default();
        (options.threads, options.isa) = (self.threads, isa);
        let mut network = Network::new(&self.model, height, width, &options)?;
        let mut resize = ResizeModel::new(layers, height, width);
        let picture = self.camera.picture()?;
        let target = [0, 0, width as u32, height as u32];
        let frame = [CameraFrame::WIDTH as usize, CameraFrame::HEIGHT as usize];
        let blocks = (layers == Layers::Conv).then(|| Blocks::new(frame, [width, height], false));
        let target = blocks.map_or(target, |blocks| blocks.target);
        let mut tensor = Vec::new();
        let mut one = || {
            let started = Instant::now();
            network.resize_by(&mut resize, &picture, target, blocks, &mut tensor);
            started.elapsed()
        };
        let times = self.repeat(|| Ok(one()))?;
        anyhow::ensure!(tensor.iter().any(|pixel| pixel[0] > 1.0), "the resized frame is black");
        Ok(times)
    }

    /// Times suppression of a crowd's boxes with the default overlap of people.
    fn time_crowd(&self, size: Size) -> anyhow::Result<Samples> {
        let all = crowd::boxes(size);
        let (mut nms, mut boxes) = (Nms::default(), Vec::with_capacity(all.len()));
        self.repeat(|| {
            boxes.clone_from(&all);
            let started = Instant::now();
            nms.suppress(&mut boxes, IOU_OF_PEOPLE, all.len());
            Ok(started.elapsed())
        })
    }

    /// Times one part of the way, frame after frame, after a tenth as many to warm up.
    fn time(&self, mut detector: Detector, part: Part) -> anyhow::Result<Samples> {
        let frame = self.camera.frame()?;
        let mut out = Detections::default();
        let times = self.repeat(|| {
            detector.detect_into(&frame, &mut out)?;
            Ok(of(part, &out.timing))
        })?;
        anyhow::ensure!(!out.people.is_empty(), "the frame shows people, yet nobody was found");
        Ok(times)
    }

    /// Calls `one` a tenth as often as asked to warm up, then as often as asked, within the limit.
    fn repeat(&self, mut one: impl FnMut() -> anyhow::Result<Duration>) -> anyhow::Result<Samples> {
        for _ in 0..self.frames.div_ceil(10).max(2) {
            one()?;
        }
        let mut times = Vec::with_capacity(self.frames);
        let started = Instant::now();
        while times.len() < self.frames && (times.len() < 3 || started.elapsed() < self.limit) {
            times.push(one()?);
        }
        Ok(Samples::new(times))
    }
}

/// The best tier that the wish leaves.
fn best(wish: &Wish) -> Result<Isa, String> {
    Detected::get().best(wish).map(Token::isa).map_err(|why| why.to_string())
}

/// The best tier of the vector units, or why there is none.
fn vectors(wish: &Wish) -> Result<Isa, String> {
    match best(&wish.clone().without(Isa::AmxBf16)) {
        Ok(isa) if !is_matrix_unit(isa) => Ok(isa),
        _ => Err("GESTO_ISA leaves no tier of the vector units".to_owned()),
    }
}

/// The tier of the matrix unit, or why there is none. It comes first wherever it is there.
fn matrix_unit(wish: &Wish) -> Result<Isa, &'static str> {
    let detected = Detected::get();
    match best(wish) {
        Ok(isa) if is_matrix_unit(isa) && !detected.is_emulated(isa) => Ok(isa),
        _ if detected.is_emulated(Isa::AmxBf16) => Err("played by software"),
        _ => Err(detected.missing(Isa::AmxBf16).unwrap_or("GESTO_ISA leaves it out")),
    }
}

/// The provider that hands a network to an NPU, or why there is none.
fn npu(check: impl Fn(Provider) -> Result<(), String>) -> Result<Provider, String> {
    let made_for_it = [Provider::CoreMl, Provider::Qnn];
    if let Some(provider) = made_for_it.into_iter().find(|provider| check(*provider).is_ok()) {
        return Ok(provider);
    }
    // These take the processor or a graphics processor as well, and do not tell.
    let any_device = [Provider::OpenVino, Provider::DirectMl];
    if let Some(provider) = any_device.into_iter().find(|provider| check(*provider).is_ok()) {
        return Err(format!("ort:{provider} chooses its device itself, so that it is no measure of an NPU"));
    }
    let why = check(Provider::CoreMl).err().unwrap_or_default();
    Err(format!("no NPU that ONNX Runtime reaches ({why})"))
}

/// The tiers that run on a matrix unit.
fn is_matrix_unit(isa: Isa) -> bool {
    isa.name().starts_with("amx")
}

fn of(part: Part, timing: &Timing) -> Duration {
    match part {
        Part::Resize | Part::Layers(_) => timing.resize,
        Part::Model => timing.model,
        Part::ResizeAndModel => timing.resize + timing.model,
        Part::PostProcessing => timing.decode + timing.nms,
        Part::Nms | Part::NmsOfCrowd => timing.nms,
        Part::Everything => timing.total,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_keep_to_the_wish() {
        let wish = |text: &str| text.parse::<Wish>().unwrap();
        assert_eq!(vectors(&wish("portable")), Ok(Isa::Portable));
        assert_eq!(vectors(&wish("-avx512-f32,-avx512-bf16,-avx2-f32")), Ok(Isa::Portable));
        let every = "-amx-bf16,-avx512-f32,-avx512-bf16,-avx2-f32,-portable";
        for none in ["amx-bf16", "amx-int8", every] {
            assert!(vectors(&wish(none)).unwrap_err().contains("GESTO_ISA"), "{none}");
        }
        for without in ["portable", "-amx-bf16"] {
            assert!(matrix_unit(&wish(without)).is_err(), "{without}");
        }
    }

    #[test]
    fn only_a_provider_made_for_npus_counts_as_one() {
        let with = |there: &'static [Provider]| {
            npu(move |provider| {
                there.contains(&provider).then_some(()).ok_or(format!("{provider} is missing"))
            })
        };
        assert_eq!(with(&[Provider::OpenVino, Provider::Qnn]).unwrap(), Provider::Qnn);
        assert!(with(&[Provider::Cpu, Provider::OpenVino]).unwrap_err().contains("ort:openvino chooses"));
        assert!(with(&[Provider::DirectMl]).unwrap_err().contains("ort:directml chooses"));
        assert!(with(&[Provider::Cpu, Provider::Cuda]).unwrap_err().contains("coreml is missing"));
    }
}
