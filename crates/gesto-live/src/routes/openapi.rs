//! `GET /v1/openapi.json`: the description of this interface.

use axum::http::header;
use axum::response::{IntoResponse, Response};

/// Checked against the handlers by `tests/openapi.rs`.
const DOCUMENT: &str = include_str!("../openapi.json");

pub(super) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}
