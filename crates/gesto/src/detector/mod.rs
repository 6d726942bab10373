//! The detector: one call from a frame to its hands and people.

mod builder;
mod pipeline;
mod thresholds;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use builder::DetectorBuilder;
pub use thresholds::Thresholds;

use gesto_engine::Model;

use crate::detection::Detections;
use crate::error::Result;
use crate::frame::Frame;
use pipeline::Pipeline;

/// Finds hands and people in frames. One size of network input, any size of frame.
#[derive(Debug)]
pub struct Detector {
    settings: DetectorBuilder,
    model: Arc<Model>,
    /// One frame on all threads.
    latency: Pipeline,
    /// One frame a thread; made by the first batch.
    throughput: Vec<Pipeline>,
}

impl Detector {
    /// Settings to build a detector from.
    #[must_use]
    pub fn builder() -> DetectorBuilder {
        DetectorBuilder::default()
    }

    /// What one frame shows; all threads work on it.
    ///
    /// # Errors
    /// When the unit that runs the network fails; the CPU never does.
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
        self.latency.detect(frame, out);
        Ok(())
    }

    /// What each frame shows, in order; each thread works on frames of its own.
    ///
    /// Faster than frame after frame, at a higher latency. The first call plans one network for each thread.
    ///
    /// # Errors
    /// As [`detect`](Self::detect).
    pub fn detect_batch(&mut self, frames: &[Frame<'_>]) -> Result<Vec<Detections>> {
        let workers = self.settings.thread_count().min(frames.len());
        while self.throughput.len() < workers {
            self.throughput.push(self.latency.fork(1));
        }
        let next = AtomicUsize::new(0);
        let mut results = vec![Detections::default(); frames.len()];
        let work = |pipeline: &mut Pipeline| {
            let mut done = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(frame) = frames.get(index) else { return done };
                let mut out = Detections::default();
                pipeline.detect(frame, &mut out);
                done.push((index, out));
            }
        };
        std::thread::scope(|scope| {
            let (first, rest) = match self.throughput[..workers].split_first_mut() {
                Some(split) => split,
                None => return,
            };
            let handles: Vec<_> = rest.iter_mut().map(|pipeline| scope.spawn(|| work(pipeline))).collect();
            let mut done = work(first);
            for handle in handles {
                done.extend(handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
            for (index, out) in done {
                results[index] = out;
            }
        });
        Ok(results)
    }

    /// The network that runs.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Height and width of the network's input in pixels.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.latency.network.height(), self.latency.network.width())
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
