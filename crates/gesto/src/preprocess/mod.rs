//! From a frame to the network's input: resize, colours, orientation, letterbox.
//!
//! The kernels are the engine's ([`gesto_engine::resample`]); here is decided what they do: where the picture goes, and
//! which way of resizing was chosen.

mod exact;
mod mapping;
#[cfg(test)]
mod reference;
mod resize;
#[cfg(test)]
mod tests;

pub use exact::exact;
use gesto_engine::Isa;
use gesto_engine::isa::Detected;
pub use gesto_engine::resample::PAD;
use gesto_engine::resample::Resampler;
pub use mapping::{Fit, Mapping};
pub use resize::Resize;

use crate::error::Result;
use crate::frame::Frame;

/// Fills network inputs of one size by a pass of its own. Keeps its tables and buffers, so that frames of one kind cost
/// no allocation after the first.
#[derive(Debug, Clone)]
pub struct Preprocessor {
    height: u32,
    width: u32,
    fit: Fit,
    resampler: Resampler,
}

impl Preprocessor {
    /// For network inputs of `height` x `width` pixels.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for a resize that is no pass of its own on the processor;
    /// [`Resize::Fused`], whose samples are the same, counts as [`Resize::CpuBilinear`].
    pub fn new(height: u32, width: u32, fit: Fit, resize: Resize) -> Result<Self> {
        let method = resize.method()?;
        Ok(Self { height, width, fit, resampler: Resampler::new(method, height as usize, width as usize) })
    }

    /// With the kernels of one tier instead of the best that this machine has (and the variable `GESTO_ISA` allows); all give
    /// the same pixels.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) when this machine lacks the tier.
    pub fn isa(mut self, isa: Isa) -> Result<Self> {
        let token = Detected::get().token(isa)?;
        let (height, width) = self.resampler.size();
        self.resampler = Resampler::with_token(self.resampler.method(), height, width, token);
        Ok(self)
    }

    /// Writes `frame` upright into `input` (`height * width` pixels of 8-bit RGB, row by row) and tells how their
    /// coordinates relate.
    ///
    /// # Panics
    /// When `input` has another length.
    pub fn run(&mut self, frame: &Frame<'_>, input: &mut [u8]) -> Mapping {
        let mapping = self.mapping(frame);
        self.resampler.run(&frame.picture(), mapping.target(), input);
        mapping
    }

    /// Where the pixels of `frame` go.
    #[must_use]
    pub fn mapping(&self, frame: &Frame<'_>) -> Mapping {
        Mapping::new(frame, self.fit, self.height, self.width)
    }

    /// What does it, for networks that run it themselves.
    pub(crate) fn resampler(&mut self) -> &mut Resampler {
        &mut self.resampler
    }
}
