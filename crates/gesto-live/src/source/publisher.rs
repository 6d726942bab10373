//! The thread that makes a source's result fit for viewers: JPEG for the picture, JSON for the events.

use std::sync::mpsc::{self, Sender, SyncSender, TrySendError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gesto::Detections;
use gesto_media::Picture;
use image::codecs::jpeg::JpegEncoder;

use super::hub::{Hub, Shown};
use crate::metrics::Origin;
use crate::routes::events;
use crate::state::App;
use crate::wire::{self, Outcome, StreamTiming};

/// Good enough for the eye, and half the bytes of 90.
const QUALITY: u8 = 80;

/// A frame that a worker has looked at.
pub(super) struct Finished {
    pub(super) id: u32,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) mirrored: bool,
    pub(super) received: Instant,
    pub(super) queue: Duration,
    pub(super) unpack: Duration,
    pub(super) dropped: u32,
    pub(super) detections: Detections,
    pub(super) picture: Picture,
}

pub(super) struct Publisher {
    inbox: SyncSender<Finished>,
    returns: Sender<Picture>,
}

impl Publisher {
    /// Starts the thread; it ends with the last sender. Pictures go back through `returns`.
    pub(super) fn start(app: &App, returns: Sender<Picture>) -> std::io::Result<Self> {
        let (inbox, finished) = mpsc::sync_channel::<Finished>(1);
        let (app, back) = (app.clone(), returns.clone());
        std::thread::Builder::new().name("gesto-publisher".to_owned()).spawn(move || {
            let Some(hub) = app.source.clone() else { return };
            let name = app.greeting.source.clone().unwrap_or_default();
            let began = Instant::now();
            for finished in finished {
                events::publish(&app.events, || events::Seen {
                    source: &name,
                    frame: u64::from(finished.id),
                    timestamp: finished.received.saturating_duration_since(began),
                    width: finished.width,
                    height: finished.height,
                    detections: &finished.detections,
                });
                show(&hub, &finished, began);
                app.metrics.sent_after(Origin::Source, finished.received.elapsed());
                // The reader may be gone; then nobody needs the memory.
                let _ = back.send(finished.picture);
            }
        })?;
        Ok(Self { inbox, returns })
    }

    /// Never blocks: while the thread is at work one more may wait, and any other is passed over.
    pub(super) fn publish(&self, finished: Finished) {
        if let Err(TrySendError::Full(finished) | TrySendError::Disconnected(finished)) =
            self.inbox.try_send(finished)
        {
            let _ = self.returns.send(finished.picture);
        }
    }
}

fn show(hub: &Hub, finished: &Finished, began: Instant) {
    // Nobody watches: no JPEG.
    if hub.shown.receiver_count() == 0 {
        return;
    }
    let mut jpeg = Vec::new();
    let Finished { picture, .. } = finished;
    let encoded = JpegEncoder::new_with_quality(&mut jpeg, QUALITY).encode(
        picture.pixels(),
        picture.width(),
        picture.height(),
        image::ExtendedColorType::Rgb8,
    );
    if let Err(error) = encoded {
        tracing::warn!(%error, "a picture of the source could not be written as JPEG");
        return;
    }
    let outcome = Outcome {
        id: finished.id,
        sent_at: finished.received.saturating_duration_since(began).as_secs_f64() * 1e3,
        width: finished.width,
        height: finished.height,
        mirrored: finished.mirrored,
        dropped: finished.dropped,
        timing: StreamTiming {
            queue: finished.queue,
            unpack: finished.unpack,
            server: finished.received.elapsed(),
        },
        detections: &finished.detections,
    };
    let message = Bytes::from(wire::picture(&outcome, &jpeg));
    let jpeg = message.slice(message.len() - jpeg.len()..);
    hub.shown.send_replace(Some(Shown { id: finished.id, message, jpeg }));
}
