//! `GET /v1/stream`: the WebSocket of the stream protocol.
//!
//! With `--source` a stream shows the server's pictures ([`viewer`]); otherwise it takes the client's ([`session`]).

mod rate;
mod session;
mod socket;
mod viewer;

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::{IntoResponse, Response};

use super::ApiError;
use crate::places::Place;
use crate::state::App;
use crate::wire::{SUBPROTOCOL, close};
use socket::Socket;

pub(super) async fn stream(
    State(app): State<App>,
    Extension(place): Extension<Arc<Place>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(error) => {
            let message = "this address speaks WebSocket (subprotocol gesto.v1); open it with ws://";
            return ApiError::new(error.status(), "websocket", message).into_response();
        }
    };
    let limits = app.config.limits;
    upgrade
        .protocols([SUBPROTOCOL])
        .max_message_size(limits.message_bytes)
        .max_frame_size(limits.message_bytes)
        // Every message is flushed at once; what a client does not take fails instead of piling up.
        .write_buffer_size(0)
        .max_write_buffer_size(2 * limits.message_bytes)
        .on_upgrade(move |socket| async move {
            let mut socket = Socket::new(socket, &app);
            // The connection's own place stays taken too until the WebSocket ends.
            let Some(_stream) = app.streams.take(place.address()) else {
                app.metrics.denied("streams");
                socket.close(close::FULL, "as many streams are open as this server takes").await;
                return;
            };
            let number = app.stream_number();
            let code = match &app.source {
                Some(hub) => viewer::run(&app, hub, &mut socket, number).await,
                None => session::run(&app, &mut socket, number, place.address()).await,
            };
            if let Err(end) = code {
                tracing::debug!(stream = number, ?end, "stream ended");
                socket.end(end).await;
            }
        })
}
