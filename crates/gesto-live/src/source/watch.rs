//! What the source does, for whoever started the server: the page is not the only one that wants to know.

use tokio::sync::watch;

use super::hub::State;

/// How a source does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceState {
    /// It is being opened; no frame has come yet.
    Connecting,
    /// Frames come.
    Playing,
    /// It cannot be read, for this reason (one sentence); the server tries again.
    Lost(String),
}

/// Tells each change of a source's state once.
#[derive(Debug)]
pub struct SourceWatch(watch::Receiver<State>);

impl SourceWatch {
    pub(crate) fn new(mut states: watch::Receiver<State>) -> Self {
        states.mark_changed();
        Self(states)
    }

    /// Waits for a change and tells the newest state (the present one the first time); `None` once the server is gone.
    /// Safe to cancel.
    pub async fn next(&mut self) -> Option<SourceState> {
        self.0.changed().await.ok()?;
        let state = self.0.borrow_and_update();
        Some(match state.name {
            "playing" => SourceState::Playing,
            "lost" => SourceState::Lost(state.message.clone()),
            _ => SourceState::Connecting,
        })
    }
}
