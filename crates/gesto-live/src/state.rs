//! What all requests share.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Semaphore, broadcast, watch};

use crate::config::Config;
use crate::engine::{Backend, LaneId, Queue};
use crate::metrics::Metrics;
use crate::places::Places;
use crate::source::Hub;
use crate::wire::Greeting;

/// JSON lines that a reader of `/v1/events` may lag behind before it misses some.
pub(crate) const EVENT_BACKLOG: usize = 32;

/// A handle to the server's state.
#[derive(Clone)]
pub(crate) struct App(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) greeting: Greeting,
    /// Where `/v1/detect` waits for its turn.
    pub(crate) request_lane: LaneId,
    /// Requests whose pictures lie in memory unpacked.
    pub(crate) unpacked: Semaphore,
    pub(crate) requests: Arc<Places>,
    pub(crate) streams: Arc<Places>,
    pub(crate) events: broadcast::Sender<Arc<str>>,
    pub(crate) source: Option<Arc<Hub>>,
    /// Becomes true when the server shuts down.
    pub(crate) shutdown: watch::Receiver<bool>,
    pub(crate) next_stream: AtomicU64,
}

impl Shared {
    /// A new stream's number.
    pub(crate) fn stream_number(&self) -> u64 {
        self.next_stream.fetch_add(1, Ordering::Relaxed)
    }
}

/// Waits until the server shuts down.
pub(crate) async fn stopped(mut shutdown: watch::Receiver<bool>) {
    // An error means that the server is gone already.
    let _ = shutdown.wait_for(|stop| *stop).await;
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
