//! The processor's way: preprocess -> network of `gesto-engine` -> decode -> NMS.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use gesto_engine::{Isa, Network, Outputs};

use super::Pipeline;
use super::front::{Front, Run};
use crate::detection::Detections;
use crate::detector::Thresholds;
use crate::error::Result;
use crate::frame::Frame;
use crate::postprocess::decode::EngineHead;
use crate::postprocess::{PostTiming, Postprocessor};
use crate::preprocess::Mapping;

/// Frames on the processor: one on all threads, or one a thread.
#[derive(Debug)]
pub(in crate::detector) struct Cpu {
    latency: Lane,
    /// Made by the first batch.
    throughput: Vec<Lane>,
    threads: usize,
}

impl Cpu {
    /// `lane` has a network of `threads` threads.
    pub(in crate::detector) fn new(lane: Lane, threads: usize) -> Self {
        Self { latency: lane, throughput: Vec::new(), threads }
    }
}

impl Pipeline for Cpu {
    fn detect(&mut self, frame: &Frame<'_>, out: &mut Detections) -> Result<()> {
        self.latency.detect(frame, out)
    }

    fn wake(&mut self) {
        self.latency.network.wake();
    }

    fn detect_batch(&mut self, frames: &[Frame<'_>]) -> Result<Vec<Detections>> {
        let workers = self.threads.min(frames.len());
        while self.throughput.len() < workers {
            self.throughput.push(self.latency.fork(1));
        }
        let next = AtomicUsize::new(0);
        let mut results = vec![Detections::default(); frames.len()];
        let work = |lane: &mut Lane| -> Result<Vec<(usize, Detections)>> {
            let mut done = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(frame) = frames.get(index) else { return Ok(done) };
                let mut out = Detections::default();
                lane.detect(frame, &mut out)?;
                done.push((index, out));
            }
        };
        std::thread::scope(|scope| -> Result<()> {
            let (first, rest) = match self.throughput[..workers].split_first_mut() {
                Some(split) => split,
                None => return Ok(()),
            };
            let handles: Vec<_> = rest.iter_mut().map(|lane| scope.spawn(|| work(lane))).collect();
            let mut parts = vec![work(first)];
            for handle in handles {
                parts.push(handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
            for part in parts {
                for (index, out) in part? {
                    results[index] = out;
                }
            }
            Ok(())
        })?;
        Ok(results)
    }

    fn network_input(&mut self, frame: &Frame<'_>) -> Result<Option<Vec<[f32; 3]>>> {
        self.latency.detect(frame, &mut Detections::default())?;
        Ok(Some(self.latency.network.input_plane()))
    }

    fn set_thresholds(&mut self, thresholds: &Thresholds) {
        for lane in self.throughput.iter_mut().chain([&mut self.latency]) {
            thresholds.apply(&mut lane.postprocessor, &mut lane.thresholds);
        }
    }

    fn isa(&self) -> Option<Isa> {
        Some(self.latency.network.isa())
    }

    fn size(&self) -> (usize, usize) {
        (self.latency.network.height(), self.latency.network.width())
    }
}

/// A planned network with all that surrounds it.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(in crate::detector) front: Front,
    pub(in crate::detector) network: Network,
    pub(in crate::detector) postprocessor: Postprocessor,
    /// Least probability for each head.
    pub(in crate::detector) thresholds: Vec<f32>,
    /// Input pixels per cell of each level; the heads share them.
    pub(in crate::detector) strides: Vec<usize>,
    /// Where the pixels of the last frame lie.
    pub(in crate::detector) mapping: Option<Mapping>,
}

impl Lane {
    /// Another lane with the same weights and settings, for frames at the same time.
    fn fork(&self, threads: usize) -> Self {
        Self {
            front: self.front.clone(),
            network: self.network.fork(threads),
            postprocessor: self.postprocessor.clone(),
            thresholds: self.thresholds.clone(),
            strides: self.strides.clone(),
            mapping: None,
        }
    }

    pub(crate) fn detect(&mut self, frame: &Frame<'_>, out: &mut Detections) -> Result<()> {
        let start = Instant::now();
        let Run { mapping, resize, outputs } = self.front.run(&mut self.network, frame, &self.thresholds)?;
        let modelled = start.elapsed();
        self.mapping = Some(mapping);
        let post = finish(&mut self.postprocessor, &outputs, &self.strides, &mapping, out);
        out.timing.resize = resize;
        out.timing.model = modelled - resize;
        out.timing.decode = post.decode;
        out.timing.nms = post.nms;
        out.timing.total = start.elapsed();
        Ok(())
    }

    /// The resize as a stage of its own.
    pub(crate) fn resize(&mut self, frame: &Frame<'_>) -> Result<()> {
        self.front.resize(&mut self.network, frame)
    }

    /// The network on what [`resize`](Self::resize) left.
    pub(crate) fn model(&mut self) {
        self.front.model(&mut self.network, &self.thresholds);
    }

    /// What follows the network's maps, once more for the last frame.
    pub(crate) fn post_processing(&mut self, out: &mut Detections) -> PostTiming {
        let Some(mapping) = self.mapping else { return PostTiming::default() };
        let start = Instant::now();
        let outputs = self.network.select(&self.thresholds);
        let selection = start.elapsed();
        let post = finish(&mut self.postprocessor, &outputs, &self.strides, &mapping, out);
        PostTiming { decode: selection + post.decode, nms: post.nms }
    }
}

/// From candidates to detections, both heads.
fn finish(
    postprocessor: &mut Postprocessor,
    outputs: &Outputs<'_>,
    strides: &[usize],
    mapping: &Mapping,
    out: &mut Detections,
) -> PostTiming {
    let head = |h: usize| EngineHead { output: outputs.head(h), strides };
    // One or two heads is what the family has; more take the heap.
    match postprocessor.plans().count() {
        1 => postprocessor.run(&[head(0)], mapping, out),
        2 => postprocessor.run(&[head(0), head(1)], mapping, out),
        n => postprocessor.run(&(0..n).map(head).collect::<Vec<_>>(), mapping, out),
    }
}
