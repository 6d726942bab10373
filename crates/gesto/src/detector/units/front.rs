//! What stands before the network on the processor: the chosen way to resize.

use std::time::{Duration, Instant};

use gesto_engine::{Network, Outputs};

use crate::error::Result;
use crate::frame::Frame;
use crate::preprocess::{Fit, Mapping, Preprocessor, Resize};

/// Brings frames into a network.
#[derive(Debug, Clone)]
pub(in crate::detector) enum Front {
    /// The first layer samples the frame.
    Fused(Preprocessor),
    /// A pass of its own, on all of the network's threads.
    Pass(Preprocessor),
}

/// A frame's way into the network and through it.
pub(super) struct Run<'n> {
    pub(super) mapping: Mapping,
    /// Time of the resize, where it is a stage of its own.
    pub(super) resize: Duration,
    pub(super) outputs: Outputs<'n>,
}

impl Front {
    pub(in crate::detector) fn new(height: u32, width: u32, fit: Fit, resize: Resize) -> Result<Self> {
        let pass = Preprocessor::new(height, width, fit, resize)?;
        Ok(if resize == Resize::Fused { Self::Fused(pass) } else { Self::Pass(pass) })
    }

    /// Runs `network` on `frame`.
    pub(super) fn run<'n>(
        &mut self,
        network: &'n mut Network,
        frame: &Frame<'_>,
        thresholds: &[f32],
    ) -> Run<'n> {
        let picture = frame.picture();
        match self {
            Self::Fused(pass) => {
                let mapping = pass.mapping(frame);
                let outputs = network.run_picture(pass.resampler(), &picture, mapping.target(), thresholds);
                Run { mapping, resize: Duration::ZERO, outputs }
            }
            Self::Pass(pass) => {
                let start = Instant::now();
                let mapping = pass.mapping(frame);
                network.resample(pass.resampler(), &picture, mapping.target());
                let resize = start.elapsed();
                Run { mapping, resize, outputs: network.run(thresholds) }
            }
        }
    }
}
