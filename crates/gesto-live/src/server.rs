//! Binding, accepting, and the orderly end.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::Router;
use gesto::KeypointName;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, broadcast, watch};
use tower::ServiceExt;

use crate::config::{Config, ConfigError};
use crate::engine::{Backend, Policy, Queue, Workers};
use crate::metrics::Metrics;
use crate::places::{Place, Places};
use crate::source::{self, Hub, SourceWatch};
use crate::state::{App, EVENT_BACKLOG, Shared, stopped};
use crate::wire::{self, Greeting, Mode, StreamLimits};

/// Bytes of a request's line and headers at most.
const HEADER_BYTES: usize = 64 << 10;
/// A client that has not sent its headers by then is given up: slow senders hold no place for long.
const HEADER_TIME: Duration = Duration::from_secs(10);
/// Requests' pictures that lie in memory unpacked, beside one for each worker: the next is ready when its turn comes.
const UNPACKED: usize = 1;
/// The time after a failed accept (no more file descriptors, mostly) that lets others end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why a server could not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration is not safe or makes no sense.
    Config(ConfigError),
    /// The address is taken or not this machine's.
    Bind(SocketAddr, std::io::Error),
    /// The system gives no threads.
    Threads(std::io::Error),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Bind(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::Threads(error) => write!(f, "cannot start a thread: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// A server that is bound to its address and works, ready to accept.
pub struct Server {
    app: App,
    router: Router,
    listener: TcpListener,
    address: SocketAddr,
    workers: Workers,
    source: Option<source::Handle>,
    connections: Arc<Places>,
    stop: watch::Sender<bool>,
}

impl Server {
    /// Checks the configuration, takes the address, and starts the workers and the source.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn bind(config: Config, backend: Arc<dyn Backend>) -> Result<Self, StartError> {
        config.check().map_err(StartError::Config)?;
        let bind = |error| StartError::Bind(config.listen, error);
        let listener = TcpListener::bind(config.listen).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;

        let limits = config.limits;
        let metrics = Arc::new(Metrics::new());
        let connections = Places::new(limits.connections, &metrics.connections);
        let queue = Arc::new(Queue::default());
        let picture_limits =
            gesto_media::Limits { pixels: limits.stream_pixels, ..gesto_media::Limits::default() };
        let workers = Workers::start(config.workers, &queue, &backend, &metrics, picture_limits)
            .map_err(StartError::Threads)?;
        let (stop, shutdown) = watch::channel(false);
        let source = config.source.clone();
        let app = App(Arc::new(Shared {
            greeting: greeting(&config, backend.as_ref()),
            request_lane: queue.open(Policy::Bounded(limits.requests), None),
            unpacked: Semaphore::new(UNPACKED + config.workers.max(1)),
            requests: Places::new(limits.requests, &metrics.requests),
            streams: Places::new(limits.streams, &metrics.streams),
            events: broadcast::Sender::new(EVENT_BACKLOG),
            source: source.as_ref().map(|_| Hub::new(backend.defaults().clone())),
            shutdown,
            next_stream: AtomicU64::new(1),
            config,
            backend,
            queue,
            metrics,
        }));
        let source =
            source.map(|source| source::start(&app, &source)).transpose().map_err(StartError::Threads)?;
        let router = crate::routes::router(&app);
        Ok(Self { app, router, listener, address, workers, source, connections, stop })
    }

    /// The address that the server listens on; tells the port when 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Follows the server's own source; `None` without one.
    #[must_use]
    pub fn source(&self) -> Option<SourceWatch> {
        self.app.source.as_ref().map(|hub| SourceWatch::new(hub.state.subscribe()))
    }

    /// Serves until `until` is done, then ends in order: no new connections, streams are told, requests that have
    /// begun are answered, all within the grace of the limits.
    pub async fn run(self, until: impl Future<Output = ()>) {
        let Self { app, router, listener, workers, source, connections, stop, .. } = self;
        tokio::pin!(until);
        loop {
            let accepted = tokio::select! {
                () = &mut until => break,
                accepted = listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // Without a place the connection is closed at once: an answer would cost what the limit saves.
            let Some(place) = connections.take(peer.ip()) else {
                app.metrics.denied("connections");
                continue;
            };
            serve(stream, Arc::new(place), &router, &app);
        }
        drop(listener);
        // Streams, events and video end themselves when they see this.
        stop.send_replace(true);
        if let Some(source) = source {
            source.stop();
        }
        if tokio::time::timeout(app.config.limits.grace, connections.none_taken()).await.is_err() {
            tracing::warn!("some connections did not end in time");
        }
        // Its end waits for frames that are being worked on: not on a thread that serves others.
        let _ = tokio::task::spawn_blocking(move || workers.stop()).await;
    }
}

fn serve(stream: TcpStream, place: Arc<Place>, router: &Router, app: &App) {
    // Results are small and late is worse than many packets. A refusal costs only speed.
    let _ = stream.set_nodelay(true);
    let mut stream = tokio_io_timeout::TimeoutStream::new(stream);
    stream.set_write_timeout(Some(app.config.limits.stalled));
    let router = router.clone().map_request(move |mut request: axum::http::Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&place));
        request
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(router))
        .with_upgrades();
    let shutdown = stopped(app.shutdown.clone());
    tokio::spawn(async move {
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = shutdown => {
                // What has begun is answered; nothing more is taken.
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "connection ended");
        }
    });
}

fn greeting(config: &Config, backend: &dyn Backend) -> Greeting {
    Greeting {
        protocol: wire::VERSION,
        server: concat!("gesto ", env!("CARGO_PKG_VERSION")).to_owned(),
        mode: if config.source.is_some() { Mode::Source } else { Mode::Browser },
        source: config.source.as_ref().map(|source| source.input.to_string()),
        gestures: backend.gestures(),
        keypoints: KeypointName::ALL.iter().map(|name| name.name().to_owned()).collect(),
        choices: backend.choices().clone(),
        limits: StreamLimits {
            message_bytes: config.limits.message_bytes,
            pixels: config.limits.stream_pixels,
            fps: config.limits.fps,
        },
        settings: backend.defaults().clone(),
    }
}
