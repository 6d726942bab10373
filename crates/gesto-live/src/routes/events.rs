//! `GET /v1/events`: every result of the server as it comes, one JSON line each.
//!
//! Server-sent events by default; plain lines for `Accept: application/x-ndjson`. A reader that falls behind misses
//! lines, nobody waits for it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use gesto::record::Line;
use gesto::{Detections, Frame};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

use super::ApiError;
use super::query::{self, Pairs};
use crate::change::quoted;
use crate::state::{App, stopped};

/// A comment line this often keeps proxies from closing a quiet connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// One result, as the line needs it.
pub(crate) struct Seen<'a> {
    /// `stream-N`, `request`, or the server's source.
    pub(crate) source: &'a str,
    pub(crate) frame: u64,
    pub(crate) timestamp: Duration,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) detections: &'a Detections,
}

impl Seen<'_> {
    /// The line of `gesto detect --json`.
    pub(crate) fn line(&self) -> Line {
        Line {
            source: self.source.to_owned(),
            frame: self.frame,
            timestamp_ms: Some((self.timestamp.as_secs_f64() * 1e6).round() / 1e3),
            width: self.width,
            height: self.height,
            ..Line::new("", 0, &nothing(), self.detections)
        }
    }
}

/// A frame of one pixel: the line's own constructor asks for one, and only for its size.
fn nothing() -> Frame<'static> {
    Frame::rgb8(&[0; 3], 1, 1).expect("one pixel is a frame")
}

/// Tells a result to whoever reads events; when nobody does, `seen` is not called.
pub(crate) fn publish<'a>(events: &broadcast::Sender<Arc<str>>, seen: impl FnOnce() -> Seen<'a>) {
    if events.receiver_count() == 0 {
        return;
    }
    if let Ok(line) = serde_json::to_string(&seen().line()) {
        // The last reader may have left since.
        let _ = events.send(line.into());
    }
}

/// The one word that the query may hold: only lines of this source.
fn filter(query: Pairs) -> Result<Option<String>, ApiError> {
    let mut source = None;
    for (name, value) in query::pairs(query)? {
        if name != "source" {
            let message = format!("the query takes `source` alone, not {}", quoted(&name));
            return Err(ApiError::bad("query", message));
        }
        source = Some(value);
    }
    Ok(source)
}

pub(super) async fn events(State(app): State<App>, query: Pairs, headers: HeaderMap) -> Response {
    let source = match filter(query) {
        Ok(source) => source,
        Err(error) => return error.into_response(),
    };
    let metrics = Arc::clone(&app.metrics);
    let wanted = source
        .and_then(|source| serde_json::to_string(&source).ok())
        .map(|name| format!("{{\"source\":{name},"));
    let lines = BroadcastStream::new(app.events.subscribe())
        .filter_map(move |line| {
            let line = match line {
                Ok(line) => {
                    wanted.as_ref().is_none_or(|start| line.starts_with(start.as_str())).then_some(line)
                }
                Err(BroadcastStreamRecvError::Lagged(missed)) => {
                    metrics.dropped_for_slow_client(missed);
                    None
                }
            };
            std::future::ready(line)
        })
        .take_until(stopped(app.shutdown.clone()));
    let plain = headers
        .get(header::ACCEPT)
        .is_some_and(|accept| accept.as_bytes().starts_with(b"application/x-ndjson"));
    if plain {
        let body = Body::from_stream(lines.map(|line| Ok::<_, Infallible>(format!("{line}\n"))));
        return ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response();
    }
    let lines = lines.map(|line| Ok::<_, Infallible>(Event::default().event("detections").data(&*line)));
    Sse::new(lines).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}
