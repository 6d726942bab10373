//! One frame's way through the queue.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use gesto::{Detections, Orientation};
use gesto_media::Picture;

use crate::settings::Settings;
use crate::wire::{DropReason, Encoding};

/// A frame's pixels.
#[derive(Debug)]
pub(crate) enum Payload {
    /// As a stream's client sent them.
    Encoded { encoding: Encoding, bytes: Bytes, width: u32, height: u32 },
    /// Unpacked already.
    Picture(Picture),
}

/// A frame that waits for its turn.
pub(crate) struct Job {
    pub(crate) payload: Payload,
    pub(crate) orientation: Orientation,
    pub(crate) settings: Arc<Settings>,
    pub(crate) received: Instant,
    pub(crate) reply: Box<dyn Reply>,
}

/// Where an answer goes. It is called on a worker's thread and must not block.
pub(crate) trait Reply: Send {
    fn answer(self: Box<Self>, answer: Answer<'_>);
}

/// What became of a frame.
pub(crate) enum Answer<'a> {
    /// It was looked at.
    Done {
        width: u32,
        height: u32,
        queue: Duration,
        unpack: Duration,
        detections: &'a Detections,
        /// The picture, back from a job that owned it.
        picture: Option<Picture>,
    },
    /// It was not looked at.
    Dropped(DropReason),
    /// It could not be read (`of_client`), or the server failed on it.
    Failed { of_client: bool, sentence: String },
}
