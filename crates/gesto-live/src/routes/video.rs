//! `GET /v1/video`: the server's source as MJPEG (`multipart/x-mixed-replace`), for an `<img>` or a player.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::StreamExt;
use tokio_stream::wrappers::WatchStream;

use super::ApiError;
use crate::state::{App, stopped};

pub(super) async fn video(State(app): State<App>) -> Response {
    let Some(hub) = &app.source else {
        let message = "this server has no source of its own; start it with --source";
        return ApiError::new(StatusCode::NOT_FOUND, "source", message).into_response();
    };
    // A watch holds the newest picture alone: a slow reader gets fewer, never older ones.
    let parts = WatchStream::new(hub.shown.subscribe())
        .filter_map(|shown| std::future::ready(shown.map(|shown| part(&shown.jpeg))))
        .map(Ok::<_, Infallible>)
        .take_until(stopped(app.shutdown.clone()));
    let kind = "multipart/x-mixed-replace; boundary=gesto";
    ([(header::CONTENT_TYPE, kind)], Body::from_stream(parts)).into_response()
}

fn part(jpeg: &Bytes) -> Bytes {
    let head = format!("--gesto\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", jpeg.len());
    let mut part = BytesMut::with_capacity(head.len() + jpeg.len() + 2);
    part.put(head.as_bytes());
    part.put(&**jpeg);
    part.put(&b"\r\n"[..]);
    part.freeze()
}
