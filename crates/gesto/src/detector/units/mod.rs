//! One frame's way through a compute unit, one file a unit.

pub(super) mod cpu;
pub(super) mod front;
#[cfg(feature = "gpu")]
pub(super) mod gpu;
#[cfg(feature = "gpu")]
mod gpu_maps;
#[cfg(feature = "gpu")]
mod gpu_resize;
#[cfg(feature = "ort")]
pub(super) mod ort;
pub(super) mod turning;

use std::fmt;

use gesto_engine::Isa;

use super::Thresholds;
use crate::detection::Detections;
use crate::error::Result;
use crate::frame::Frame;

/// A planned network on some unit with all that surrounds it: frame -> preprocess -> network -> decode -> NMS. Every
/// buffer is kept between frames.
pub(super) trait Pipeline: fmt::Debug + Send {
    /// What one frame shows, as soon as the unit can tell. Replaces what `out` held; `out.timing` tells each stage.
    fn detect(&mut self, frame: &Frame<'_>, out: &mut Detections) -> Result<()>;

    /// A frame is about to come.
    fn wake(&mut self) {}

    /// What each frame shows, in order, as fast as the unit can do many.
    fn detect_batch(&mut self, frames: &[Frame<'_>]) -> Result<Vec<Detections>> {
        let one = |frame| {
            let mut out = Detections::default();
            self.detect(frame, &mut out)?;
            Ok(out)
        };
        frames.iter().map(one).collect()
    }

    /// What the network sees of a frame: red, green and blue of each pixel, 0 to 255; `None` where that cannot be read.
    fn network_input(&mut self, _frame: &Frame<'_>) -> Result<Option<Vec<[f32; 3]>>> {
        Ok(None)
    }

    /// Keeps to these from the next frame on.
    fn set_thresholds(&mut self, thresholds: &Thresholds);

    /// The kernel tier that computes the network; `None` on units other than the processor.
    fn isa(&self) -> Option<Isa> {
        None
    }

    /// Height and width of the network's input in pixels.
    fn size(&self) -> (usize, usize);
}
