//! Worker threads: take a frame, unpack it, detect, answer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gesto::{Detections, Frame, PixelFormat};
use gesto_media::{Limits, Picture};

use super::backend::{Backend, Detect};
use super::job::{Answer, Job, Payload};
use super::queue::Queue;
use crate::metrics::Metrics;
use crate::settings::Network;
use crate::wire::DropReason;

/// Detectors that a worker keeps: each holds the network's packed weights and activations.
const KEPT_DETECTORS: usize = 3;

/// The threads; they end when the queue is closed.
pub(crate) struct Workers {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts `count` workers.
    pub(crate) fn start(
        count: usize,
        queue: &Arc<Queue>,
        backend: &Arc<dyn Backend>,
        metrics: &Arc<Metrics>,
        limits: Limits,
    ) -> std::io::Result<Self> {
        let threads = (0..count.max(1)).map(|index| {
            let mut worker = Worker {
                backend: Arc::clone(backend),
                metrics: Arc::clone(metrics),
                limits,
                detectors: Vec::new(),
                picture: Picture::default(),
                detections: Detections::default(),
            };
            let queue = Arc::clone(queue);
            std::thread::Builder::new()
                .name(format!("gesto-worker-{index}"))
                .spawn(move || worker.run(&queue))
        });
        Ok(Self { queue: Arc::clone(queue), threads: threads.collect::<Result<_, _>>()? })
    }

    /// Closes the queue, tells those who still wait, and waits for the frames that are being worked on.
    pub(crate) fn stop(self) {
        for job in self.queue.close() {
            job.reply.answer(Answer::Dropped(DropReason::Busy));
        }
        for thread in self.threads {
            // A worker survives what its jobs do; were one to panic itself, there is nothing left to wait for.
            let _ = thread.join();
        }
    }
}

struct Worker {
    backend: Arc<dyn Backend>,
    metrics: Arc<Metrics>,
    limits: Limits,
    /// The last used first.
    detectors: Vec<(Network, Box<dyn Detect>)>,
    /// Memory of the last unpacked picture, used again.
    picture: Picture,
    detections: Detections,
}

/// What a frame came to.
struct Done {
    width: u32,
    height: u32,
    unpack: Duration,
    picture: Option<Picture>,
}

/// Why it came to nothing.
struct Failure {
    of_client: bool,
    sentence: String,
}

impl Worker {
    fn run(&mut self, queue: &Queue) {
        // The first frame shall not wait for a detector. Should this one fail, the frame that asks for it is told why.
        let backend = Arc::clone(&self.backend);
        let _ = self.choose(&backend.defaults().network);
        while let Some((lane, job)) = queue.take() {
            let start = Instant::now();
            let Job { payload, orientation, settings, received, reply } = job;
            let waited = start - received;
            // A decoder's panic on a stranger's bytes must not end the service for everybody else.
            let outcome = catch_unwind(AssertUnwindSafe(|| self.work(payload, orientation, &settings)))
                .unwrap_or_else(|_| {
                    tracing::error!("a frame made the detector panic; its detectors are made anew");
                    self.detectors.clear();
                    Err(Failure { of_client: false, sentence: "the server failed on this frame".to_owned() })
                });
            queue.finish(lane, start.elapsed());
            match outcome {
                Ok(Done { width, height, unpack, picture }) => {
                    self.metrics.frame(waited, unpack, &self.detections.timing);
                    let detections = &self.detections;
                    reply.answer(Answer::Done { width, height, queue: waited, unpack, detections, picture });
                }
                Err(Failure { of_client, sentence }) => {
                    self.metrics.refused.inc();
                    reply.answer(Answer::Failed { of_client, sentence });
                }
            }
        }
    }

    fn work(
        &mut self,
        payload: Payload,
        orientation: gesto::Orientation,
        settings: &crate::settings::Settings,
    ) -> Result<Done, Failure> {
        self.choose(&settings.network).map_err(|sentence| Failure { of_client: false, sentence })?;
        let start = Instant::now();
        let (frame, unpack) = match &payload {
            Payload::Picture(picture) => (whole(picture)?, Duration::ZERO),
            Payload::Encoded { encoding, bytes, width, height } => {
                let frame = match encoding.raw_pixel_bytes() {
                    Some(3) => raw(PixelFormat::Rgb8, bytes, *width, *height, self.limits)?,
                    Some(_) => raw(PixelFormat::Rgba8, bytes, *width, *height, self.limits)?,
                    None => {
                        // The network's other threads wake up meanwhile.
                        self.detectors[0].1.wake();
                        gesto_media::source::decode(bytes, &mut self.picture, &self.limits)
                            .map_err(of_client)?;
                        whole(&self.picture)?
                    }
                };
                (frame, start.elapsed())
            }
        };
        let (width, height) = (frame.width(), frame.height());
        let frame = frame.oriented(orientation);
        let detector = &mut self.detectors[0].1;
        if let Err(sentence) = detector.detect(&frame, &settings.thresholds, &mut self.detections) {
            // A graphics processor may be lost for good: the next frame gets a detector made anew.
            self.detectors.remove(0);
            return Err(Failure { of_client: false, sentence });
        }
        let picture = match payload {
            Payload::Picture(picture) => Some(picture),
            Payload::Encoded { .. } => None,
        };
        Ok(Done { width, height, unpack, picture })
    }

    /// Puts the detector for `network` first in the list.
    fn choose(&mut self, network: &Network) -> Result<(), String> {
        match self.detectors.iter().position(|(each, _)| each == network) {
            Some(at) => self.detectors[..=at].rotate_right(1),
            None => {
                self.detectors.truncate(KEPT_DETECTORS - 1);
                let detector = self.backend.build(network)?;
                self.detectors.insert(0, (network.clone(), detector));
            }
        }
        Ok(())
    }
}

fn whole(picture: &Picture) -> Result<Frame<'_>, Failure> {
    Frame::rgb8(picture.pixels(), picture.width(), picture.height()).map_err(of_client)
}

fn raw(
    format: PixelFormat,
    bytes: &[u8],
    width: u32,
    height: u32,
    limits: Limits,
) -> Result<Frame<'_>, Failure> {
    if u64::from(width) * u64::from(height) > limits.pixels {
        let sentence = format!("{width} x {height} pixels are more than the limit of {}", limits.pixels);
        return Err(Failure { of_client: true, sentence });
    }
    Frame::new(format, bytes, width, height).map_err(of_client)
}

fn of_client(error: impl std::fmt::Display) -> Failure {
    Failure { of_client: true, sentence: error.to_string() }
}
