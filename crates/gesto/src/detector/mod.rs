//! The detector: one call from a frame to its hands and people.

mod builder;
mod thresholds;
mod units;

use std::sync::Arc;

pub use builder::DetectorBuilder;
pub use thresholds::Thresholds;

use gesto_engine::model::Head;
use gesto_engine::{Isa, Model};

use crate::detection::Detections;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::preprocess::Resize;
use crate::unit::Unit;
use units::Pipeline;
pub(crate) use units::cpu::Lane;

/// Finds hands and people in frames of any size; the network's input has one size, or two that lie across
/// ([`DetectorBuilder::turn`]).
#[derive(Debug)]
pub struct Detector {
    settings: DetectorBuilder,
    network: Network,
    heads: Vec<HeadInfo>,
    pipeline: Box<dyn Pipeline>,
    /// The unit that `pipeline` runs on.
    unit: Unit,
    /// Why that is not the one of the settings.
    fallen_back: Option<Error>,
}

/// What a unit runs.
#[derive(Debug, Clone)]
enum Network {
    /// A network of `gesto-engine`: every unit runs it.
    Model(Arc<Model>),
    /// An ONNX file, which only ONNX Runtime reads.
    #[cfg_attr(not(feature = "ort"), allow(dead_code, reason = "without that runtime it is refused"))]
    Onnx(Arc<[u8]>),
}

/// What one head of a network finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadInfo {
    /// Its name in the model, such as `hand`.
    pub name: String,
    /// Names of its classes, in the order of their numbers.
    pub classes: Vec<String>,
    /// Keypoints of each detection: 17 for people, 0 for hands.
    pub keypoints: usize,
}

impl From<&Head> for HeadInfo {
    fn from(head: &Head) -> Self {
        Self { name: head.name.clone(), classes: head.classes.clone(), keypoints: head.keypoints }
    }
}

impl Detector {
    /// Settings to build a detector from.
    #[must_use]
    pub fn builder() -> DetectorBuilder {
        DetectorBuilder::default()
    }

    /// What one frame shows, as soon as the unit can tell: on the CPU all threads work on it.
    ///
    /// # Errors
    /// [`ErrorKind::UnitFailed`](crate::ErrorKind::UnitFailed) when the unit fails and no other may take over
    /// ([`DetectorBuilder::unit_fallback`]); the CPU never does. When another unit was to take over and cannot, the errors
    /// of [`DetectorBuilder::build`], with both reasons.
    pub fn detect(&mut self, frame: &Frame<'_>) -> Result<Detections> {
        let mut out = Detections::default();
        self.detect_into(frame, &mut out)?;
        Ok(out)
    }

    /// As [`detect`](Self::detect), into a value whose memory is used again. What `out` held is replaced.
    ///
    /// # Errors
    /// As [`detect`](Self::detect).
    pub fn detect_into(&mut self, frame: &Frame<'_>, out: &mut Detections) -> Result<()> {
        match self.pipeline.detect(frame, out) {
            Err(error) => {
                self.fall_back(error)?;
                self.pipeline.detect(frame, out)
            }
            done => done,
        }
    }

    /// Says that a frame is about to come, so that nobody has to be woken when it is here: on the CPU the threads that share a
    /// frame look out for it, for 2 ms at most. Other units do nothing.
    ///
    /// Call it before a millisecond of other work that the frame needs, such as decoding its JPEG. It is of no use right
    /// before [`detect`](Self::detect), for frames that follow one another without a pause, and with one thread; and it
    /// takes processor time from others.
    pub fn wake(&mut self) {
        self.pipeline.wake();
    }

    /// What each frame shows, in order; on the CPU each thread works on frames of its own.
    ///
    /// Faster than frame after frame, at a higher latency. The first call plans one network for each thread.
    ///
    /// # Errors
    /// As [`detect`](Self::detect).
    pub fn detect_batch(&mut self, frames: &[Frame<'_>]) -> Result<Vec<Detections>> {
        match self.pipeline.detect_batch(frames) {
            Err(error) => {
                self.fall_back(error)?;
                self.pipeline.detect_batch(frames)
            }
            done => done,
        }
    }

    /// Lets the other unit take over from one that failed, or gives its error back.
    fn fall_back(&mut self, error: Error) -> Result<()> {
        match self.settings.successor(&self.unit) {
            Some(other) if error.is_of_unit() && self.fallen_back.is_none() => {
                (self.pipeline, self.heads) = self.settings.take_over(&other, &self.network, &error)?;
                self.unit = other;
                self.fallen_back = Some(error);
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// What the network sees of a frame: red, green and blue of each pixel of its input, 0 to 255, row by row. For tests
    /// and comparisons of resizes; `None` on units whose input cannot be read back.
    ///
    /// # Errors
    /// As [`detect`](Self::detect).
    pub fn network_input(&mut self, frame: &Frame<'_>) -> Result<Option<Vec<[f32; 3]>>> {
        self.pipeline.network_input(frame)
    }

    /// The unit that runs the network: the one asked for, unless another has taken over.
    #[must_use]
    pub fn unit(&self) -> &Unit {
        &self.unit
    }

    /// The kernel tier that computes the network on [`Unit::Cpu`]; `None` on other units. Tiers round differently, so that
    /// scores and boxes differ a little between them.
    #[must_use]
    pub fn isa(&self) -> Option<Isa> {
        self.pipeline.isa()
    }

    /// Why another unit than the one asked for runs the network; `None` when it does not.
    #[must_use]
    pub fn fallen_back(&self) -> Option<&Error> {
        self.fallen_back.as_ref()
    }

    /// How frames become the network's input: as was asked for, unless the unit that has taken over cannot.
    #[must_use]
    pub fn resize(&self) -> Resize {
        let asked = match self.fallen_back {
            Some(_) => self.settings.resize_after_failure(&self.unit),
            None => self.settings.resize,
        };
        asked.unwrap_or_else(|| self.unit.default_resize())
    }

    /// What the network finds, in the order of its heads.
    #[must_use]
    pub fn heads(&self) -> &[HeadInfo] {
        &self.heads
    }

    /// The network that runs; `None` when it is an ONNX file, which ONNX Runtime alone knows.
    #[must_use]
    pub fn model(&self) -> Option<&Model> {
        match &self.network {
            Network::Model(model) => Some(model),
            Network::Onnx(_) => None,
        }
    }

    /// Height and width of the network's input in pixels; of the last frame's where it turns ([`DetectorBuilder::turn`]).
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        self.pipeline.size()
    }

    /// The settings that this detector was built from.
    #[must_use]
    pub fn settings(&self) -> &DetectorBuilder {
        &self.settings
    }
}

/// A detector moves between threads; a camera loop owns one wherever it runs.
const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<Detector>();
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    /// A unit that fails at work.
    #[derive(Debug)]
    struct Broken(ErrorKind);

    impl Pipeline for Broken {
        fn detect(&mut self, _: &Frame<'_>, _: &mut Detections) -> Result<()> {
            Err(Error::new(self.0, "the device was lost"))
        }

        fn set_thresholds(&mut self, _: &Thresholds) {}

        fn size(&self) -> (usize, usize) {
            (64, 64)
        }
    }

    fn broken(builder: DetectorBuilder, kind: ErrorKind) -> Detector {
        let mut detector = builder.size(64, 64).threads(1).build().unwrap();
        detector.pipeline = Box::new(Broken(kind));
        detector.unit = Unit::Gpu(Default::default());
        detector
    }

    #[test]
    fn the_tier_that_runs_is_told() {
        let built = |isa| Detector::builder().size(64, 64).threads(1).isa(isa).build().unwrap();
        assert_eq!(built(Isa::Portable).isa(), Some(Isa::Portable));
        let turning = Detector::builder().size(96, 64).turn(true).threads(1).isa(Isa::Portable);
        assert_eq!(turning.build().unwrap().isa(), Some(Isa::Portable));
        // The tier is the processor's: on another unit none runs.
        assert_eq!(broken(Detector::builder().isa(Isa::Portable), ErrorKind::UnitFailed).isa(), None);
    }

    #[test]
    fn another_unit_takes_over_at_work_when_that_was_asked_for() {
        let pixels = vec![90; 40 * 30 * 3];
        let frame = Frame::rgb8(&pixels, 40, 30).unwrap();
        let builder = Detector::builder().unit_fallback(Unit::Cpu);

        let mut detector = broken(builder.clone(), ErrorKind::UnitFailed);
        detector.detect(&frame).unwrap();
        assert_eq!(detector.unit(), &Unit::Cpu);
        assert_eq!(detector.fallen_back().unwrap().to_string(), "the device was lost");

        let mut detector = broken(builder.clone(), ErrorKind::UnitFailed);
        assert_eq!(detector.detect_batch(&[frame, frame]).unwrap().len(), 2);

        // What only the graphics processor can do is no obstacle.
        let mut detector = broken(builder.clone(), ErrorKind::UnitFailed);
        detector.settings.resize = Some(Resize::GpuNearest);
        detector.detect(&frame).unwrap();
        assert_eq!(detector.resize(), Unit::Cpu.default_resize());

        // A unit that cannot take over does not hide why it had to.
        let nowhere = Unit::Gpu(crate::unit::Adapter::Named("no adapter has this name".to_owned()));
        let mut detector = broken(Detector::builder().unit_fallback(nowhere), ErrorKind::UnitFailed);
        let error = detector.detect(&frame).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnitFailed);
        assert!(error.to_string().starts_with("the device was lost; unit gpu:no adapter"), "{error}");

        // Not for a frame or a setting that no unit would take, and not unless asked for.
        let mut detector = broken(builder, ErrorKind::Config);
        assert_eq!(detector.detect(&frame).unwrap_err().kind(), ErrorKind::Config);
        let mut detector = broken(Detector::builder(), ErrorKind::UnitFailed);
        assert_eq!(detector.detect(&frame).unwrap_err().kind(), ErrorKind::UnitFailed);
        assert!(detector.fallen_back().is_none());
    }
}
