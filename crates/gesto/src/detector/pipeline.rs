//! One frame's way: preprocess -> network -> decode -> NMS, with every buffer kept between frames.

use std::time::Instant;

use gesto_engine::Network;

use crate::detection::Detections;
use crate::frame::Frame;
use crate::postprocess::Postprocessor;
use crate::postprocess::decode::EngineHead;
use crate::preprocess::Preprocessor;

/// A planned network with all that surrounds it.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) preprocessor: Preprocessor,
    pub(super) network: Network,
    pub(super) postprocessor: Postprocessor,
    /// Least probability for each head.
    pub(super) thresholds: Vec<f32>,
    /// Input pixels per cell of each level; the heads share them.
    pub(super) strides: Vec<usize>,
}

impl Pipeline {
    /// Another pipeline with the same weights and settings, for frames at the same time.
    pub(super) fn fork(&self, threads: usize) -> Self {
        Self {
            preprocessor: self.preprocessor.clone(),
            network: self.network.fork(threads),
            postprocessor: self.postprocessor.clone(),
            thresholds: self.thresholds.clone(),
            strides: self.strides.clone(),
        }
    }

    pub(super) fn detect(&mut self, frame: &Frame<'_>, out: &mut Detections) {
        let start = Instant::now();
        let mapping = self.preprocessor.run(frame, self.network.input_mut());
        let resized = Instant::now();
        let outputs = self.network.run(&self.thresholds);
        let modelled = Instant::now();
        let head = |h: usize| EngineHead { output: outputs.head(h), strides: &self.strides };
        // One or two heads is what the family has; more take the heap.
        let post = match self.thresholds.len() {
            1 => self.postprocessor.run(&[head(0)], &mapping, out),
            2 => self.postprocessor.run(&[head(0), head(1)], &mapping, out),
            n => self.postprocessor.run(&(0..n).map(head).collect::<Vec<_>>(), &mapping, out),
        };
        out.timing.resize = resized - start;
        out.timing.model = modelled - resized;
        out.timing.decode = post.decode;
        out.timing.nms = post.nms;
        out.timing.total = start.elapsed();
    }
}
