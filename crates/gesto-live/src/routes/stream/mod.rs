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
use crate::connections::Permit;
use crate::state::App;
use crate::wire::{SUBPROTOCOL, close};
use socket::Socket;

pub(super) async fn stream(
    State(app): State<App>,
    permit: Option<Extension<Arc<Permit>>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(error) => return ApiError::new(error.status(), "websocket", error.body_text()).into_response(),
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
            // The connection's place is taken until the WebSocket ends.
            let _permit = permit;
            let mut socket = Socket::new(socket, &app);
            let Ok(_slot) = Arc::clone(&app.stream_slots).try_acquire_owned() else {
                app.metrics.denied("streams");
                socket.close(close::FULL, "as many streams are open as this server takes").await;
                return;
            };
            app.metrics.streams.inc();
            let number = app.stream_number();
            let code = match &app.source {
                Some(hub) => viewer::run(&app, hub, &mut socket, number).await,
                None => session::run(&app, &mut socket, number).await,
            };
            app.metrics.streams.dec();
            if let Err(end) = code {
                tracing::debug!(stream = number, ?end, "stream ended");
                socket.end(end).await;
            }
        })
}
