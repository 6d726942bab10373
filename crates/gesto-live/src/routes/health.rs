//! `GET /healthz`: whether the server is there and takes frames.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::state::App;

pub(super) async fn health(State(app): State<App>) -> (StatusCode, Json<Value>) {
    if *app.shutdown.borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "stopping" })));
    }
    (StatusCode::OK, Json(json!({ "status": "ok" })))
}
