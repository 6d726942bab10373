//! Where a source's newest picture and state lie for all viewers.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use crate::settings::Settings;

/// The newest picture with its detections.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    /// Its number.
    pub(crate) id: u32,
    /// The stream message: result and JPEG.
    pub(crate) message: Bytes,
    /// The JPEG alone: the end of `message`.
    pub(crate) jpeg: Bytes,
}

/// How the source does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// `connecting`, `playing` or `lost`.
    pub(crate) name: &'static str,
    /// One sentence; empty while it plays.
    pub(crate) message: String,
}

/// Shared by reader, publisher and viewers.
pub(crate) struct Hub {
    pub(crate) shown: watch::Sender<Option<Shown>>,
    pub(crate) state: watch::Sender<State>,
    settings: Mutex<Arc<Settings>>,
    /// Counts changes of the settings, so that all viewers hear of them.
    pub(crate) changes: watch::Sender<u64>,
}

impl Hub {
    pub(crate) fn new(settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            shown: watch::Sender::new(None),
            state: watch::Sender::new(State { name: "connecting", message: String::new() }),
            settings: Mutex::new(Arc::new(settings)),
            changes: watch::Sender::new(0),
        })
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn change(&self, settings: Settings) {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
        self.changes.send_modify(|count| *count += 1);
    }

    /// Tells the viewers, unless they know.
    pub(crate) fn tell(&self, name: &'static str, message: String) {
        let state = State { name, message };
        self.state.send_if_modified(|old| {
            let new = *old != state;
            if new {
                *old = state;
            }
            new
        });
    }
}
