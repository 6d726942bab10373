//! Annotated copies, drawn and encoded on a thread of their own while the detector goes on.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use anyhow::Context;
use gesto::Detections;
use gesto_media::Result;
use gesto_media::draw::Annotator;
use gesto_media::sink::{Saver, Sink};
use gesto_media::source::{Info, Shot};

/// Frames that may wait to be drawn.
const FRAMES_AHEAD: usize = 2;

enum Order {
    Begin(Info),
    Frame(Box<Shot>, Detections),
    End,
}

/// What became of the copy of one input.
pub(crate) struct Saved {
    /// The input.
    pub(crate) name: String,
    /// The copy, if there was a frame to write.
    pub(crate) outcome: Result<Option<PathBuf>>,
}

/// The thread that draws and encodes.
pub(crate) struct Saving {
    orders: SyncSender<Order>,
    reports: Receiver<Saved>,
    thread: JoinHandle<()>,
}

impl Saving {
    /// Copies go to `target`, a file or a folder, which is made here if it has to be.
    pub(crate) fn start(target: &Path, inputs: usize) -> anyhow::Result<Self> {
        let saver = Saver::new(target, inputs)?;
        let (orders, queue) = sync_channel(FRAMES_AHEAD);
        let (to, reports) = channel();
        let worker = Worker { saver, annotator: Annotator::default(), current: None };
        let thread = thread::Builder::new()
            .name("save".to_owned())
            .spawn(move || {
                worker.work(&queue, |report| {
                    // The receiver outlives this thread unless the program is ending.
                    let _ = to.send(report);
                });
            })
            .context("cannot start a thread")?;
        Ok(Self { orders, reports, thread })
    }

    /// The next frames belong to this input.
    pub(crate) fn begin(&self, info: Info) {
        self.order(Order::Begin(info));
    }

    pub(crate) fn frame(&self, shot: Shot, detections: Detections) {
        self.order(Order::Frame(Box::new(shot), detections));
    }

    /// The input has no more frames.
    pub(crate) fn end(&self) {
        self.order(Order::End);
    }

    fn order(&self, order: Order) {
        // Fails only when the thread has panicked; `finish` passes that on.
        let _ = self.orders.send(order);
    }

    /// What has become of inputs since the last call.
    pub(crate) fn reports(&self) -> Vec<Saved> {
        self.reports.try_iter().collect()
    }

    /// Waits until everything is written.
    pub(crate) fn finish(self) -> Vec<Saved> {
        drop(self.orders);
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
        self.reports.try_iter().collect()
    }
}

struct Worker {
    saver: Saver,
    annotator: Annotator,
    /// The input at hand and its sink, until the sink fails.
    current: Option<(String, Box<dyn Sink>)>,
}

impl Worker {
    fn work(mut self, queue: &Receiver<Order>, report: impl Fn(Saved)) {
        for order in queue {
            match order {
                Order::Begin(info) => match self.saver.sink(&info) {
                    Ok(sink) => self.current = Some((info.name, sink)),
                    Err(error) => report(Saved { name: info.name, outcome: Err(error) }),
                },
                Order::Frame(shot, detections) => {
                    if let Err(error) = self.frame(*shot, &detections)
                        && let Some((name, _)) = self.current.take()
                    {
                        report(Saved { name, outcome: Err(error) });
                    }
                }
                Order::End => self.end(&report),
            }
        }
        // Ctrl-C: the frames so far still make a copy.
        self.end(&report);
    }

    fn frame(&mut self, mut shot: Shot, detections: &Detections) -> Result<()> {
        let Some((_, sink)) = &mut self.current else { return Ok(()) };
        self.annotator.draw(&mut shot.picture, detections);
        sink.write(&shot)
    }

    fn end(&mut self, report: &impl Fn(Saved)) {
        if let Some((name, sink)) = self.current.take() {
            report(Saved { name, outcome: sink.finish() });
        }
    }
}
