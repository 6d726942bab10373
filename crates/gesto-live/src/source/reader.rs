//! The thread that reads the source, at its own pace, and submits each newest frame.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gesto::{Orientation, Rotation};
use gesto_media::source::{Kind, Source, Stopper};
use gesto_media::{Limits, Picture};

use super::SourceConfig;
use super::hub::Hub;
use super::publisher::{Finished, Publisher};
use crate::engine::{Answer, Job, LaneId, Payload, Policy, Reply, Submitted};
use crate::state::App;
use crate::wire::DropReason;

/// A still picture is looked at again this often, for viewers who change settings.
const STILL_PERIOD: Duration = Duration::from_millis(500);
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(10);
/// A clip whose times lie is not waited for longer than this between two frames.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Ends a source that waits for a frame: the program that reads a camera must not outlive the server.
#[derive(Default, Clone)]
pub(crate) struct Handle(Arc<Mutex<Stopper>>);

impl Handle {
    /// Ends what is being read; to be called once the server is known to shut down.
    pub(crate) fn stop(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).stop();
    }

    fn set(&self, stopper: Stopper) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = stopper;
    }
}

/// Starts reading; the threads end when the server shuts down.
pub(crate) fn start(app: &App, config: &SourceConfig) -> std::io::Result<Handle> {
    let (returns, returned) = mpsc::channel();
    let publisher = Publisher::start(app, returns.clone())?;
    let reader = Reader {
        app: app.clone(),
        config: config.clone(),
        lane: app.queue.open(Policy::Newest, None),
        next_id: 0,
        dropped: Arc::default(),
        publisher: Arc::new(publisher),
        returns,
        returned,
        handle: Handle::default(),
    };
    let handle = reader.handle.clone();
    // Not joined: a camera may block for as long as it likes.
    std::thread::Builder::new().name("gesto-source".to_owned()).spawn(move || reader.run())?;
    Ok(handle)
}

struct Reader {
    app: App,
    config: SourceConfig,
    lane: LaneId,
    next_id: u32,
    /// Frames dropped since the last result.
    dropped: Arc<AtomicU32>,
    publisher: Arc<Publisher>,
    returns: Sender<Picture>,
    /// Pictures whose memory the source may use again.
    returned: Receiver<Picture>,
    handle: Handle,
}

impl Reader {
    fn run(mut self) {
        let Some(hub) = self.app.source.clone() else { return };
        let limits = Limits { pixels: self.app.config.limits.request_pixels, ..Limits::default() };
        let mut retry = FIRST_RETRY;
        while !self.stopping() {
            let problem = match gesto_media::source::open(self.config.input.clone(), &limits) {
                Ok(mut source) => {
                    let (played, problem) = self.play(source.as_mut());
                    if played {
                        retry = FIRST_RETRY;
                    }
                    // A clip begins anew at once, like a camera that never ends.
                    match problem {
                        None if played => continue,
                        None => "the source holds no picture".to_owned(),
                        Some(problem) => problem,
                    }
                }
                Err(error) => error.to_string(),
            };
            tracing::warn!(%problem, ?retry, "the source is gone");
            hub.tell("lost", format!("{problem} (trying again)"));
            self.sleep(retry);
            retry = (retry * 2).min(LAST_RETRY);
        }
    }

    /// Plays to the end: whether a frame came, and what ended it if it was not the end.
    fn play(&mut self, source: &mut dyn Source) -> (bool, Option<String>) {
        let kind = source.info().kind;
        self.handle.set(source.stopper());
        let start = Instant::now();
        let mut played = false;
        while !self.stopping() {
            while let Ok(picture) = self.returned.try_recv() {
                source.recycle(picture);
            }
            let shot = match source.next_frame() {
                Ok(Some(shot)) => shot,
                Ok(None) if kind == Kind::Live => return (played, Some("the source ended".to_owned())),
                Ok(None) => return (played, None),
                Err(error) if error.is_recoverable() => {
                    self.app.metrics.refused.inc();
                    continue;
                }
                Err(error) => return (played, Some(error.to_string())),
            };
            played = true;
            if kind != Kind::Live {
                let due = Duration::try_from_secs_f64(shot.timestamp_ms / 1e3).unwrap_or_default();
                self.sleep(due.saturating_sub(start.elapsed()).min(LONGEST_PAUSE));
            }
            let pause = match kind {
                Kind::Still => Some(STILL_PERIOD),
                // An animation's last frame stands for its time before the first comes again.
                _ => shot.duration_ms.and_then(|ms| Duration::try_from_secs_f64(ms / 1e3).ok()),
            };
            self.submit(shot.picture);
            if let Some(pause) = pause {
                self.sleep(pause.min(LONGEST_PAUSE));
            }
        }
        (played, None)
    }

    fn submit(&mut self, picture: Picture) {
        let Some(hub) = &self.app.source else { return };
        let reply = ToPublisher {
            id: self.next_id,
            mirrored: self.config.mirrored,
            received: Instant::now(),
            dropped: Arc::clone(&self.dropped),
            hub: Arc::clone(hub),
            publisher: Arc::clone(&self.publisher),
        };
        self.next_id = self.next_id.wrapping_add(1);
        let job = Job {
            payload: Payload::Picture(picture),
            orientation: Orientation { mirrored: self.config.mirrored, rotation: Rotation::None },
            settings: hub.settings(),
            received: reply.received,
            reply: Box::new(reply),
        };
        let unseen = match self.app.queue.submit(self.lane, job) {
            Submitted::Queued => return,
            Submitted::Replaced(job) | Submitted::Refused(job) => job,
        };
        self.dropped.fetch_add(1, Ordering::Relaxed);
        self.app.metrics.dropped(DropReason::Newer);
        if let Payload::Picture(picture) = unseen.payload {
            // The receiver is this reader itself.
            let _ = self.returns.send(picture);
        }
    }

    fn stopping(&self) -> bool {
        *self.app.shutdown.borrow()
    }

    /// Sleeps in small steps, so that a shutdown is not kept waiting.
    fn sleep(&self, time: Duration) {
        let until = Instant::now() + time;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            if left.is_zero() || self.stopping() {
                return;
            }
            std::thread::sleep(left.min(Duration::from_millis(100)));
        }
    }
}

/// Hands a worker's answer on to the publisher.
struct ToPublisher {
    id: u32,
    mirrored: bool,
    received: Instant,
    dropped: Arc<AtomicU32>,
    hub: Arc<Hub>,
    publisher: Arc<Publisher>,
}

impl Reply for ToPublisher {
    fn answer(self: Box<Self>, answer: Answer<'_>) {
        match answer {
            Answer::Done { width, height, queue, unpack, detections, picture: Some(picture) } => {
                self.hub.tell("playing", String::new());
                self.publisher.publish(Finished {
                    id: self.id,
                    width,
                    height,
                    mirrored: self.mirrored,
                    received: self.received,
                    queue,
                    unpack,
                    dropped: self.dropped.swap(0, Ordering::Relaxed),
                    detections: detections.clone(),
                    picture,
                });
            }
            Answer::Done { .. } | Answer::Dropped(_) => {}
            Answer::Failed { sentence, .. } => {
                tracing::warn!(%sentence, "a frame of the source failed");
                self.hub.tell("lost", sentence);
            }
        }
    }
}
