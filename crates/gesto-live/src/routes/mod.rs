//! The HTTP interface: one file for each endpoint.

mod detect;
mod error;
pub(crate) mod events;
mod health;
mod info;
mod metrics;
mod openapi;
mod page;
mod query;
mod stream;
mod video;

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::{RequestBodyTimeoutLayer, TimeoutLayer};

pub(crate) use error::ApiError;
pub(crate) use page::login_page;

use crate::access;
use crate::state::App;

/// All endpoints. `openapi.json` describes those below `/v1`, `/healthz` and `/metrics`; a test compares.
pub(crate) fn router(app: &App) -> Router {
    let limits = app.config.limits;
    // These answer once and at once; streams, events and video stay open as long as both sides like.
    let brief = Router::new()
        .route("/v1/detect", post(detect::detect))
        .route("/v1/info", get(info::info))
        .route("/v1/openapi.json", get(openapi::openapi))
        .route("/metrics", get(metrics::metrics))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            limits.request + Duration::from_secs(10),
        ));
    let guarded = Router::new()
        .route("/v1/stream", get(stream::stream))
        .route("/v1/events", get(events::events))
        .route("/v1/video", get(video::video))
        .merge(brief)
        .merge(page::router())
        .layer(from_fn_with_state(app.clone(), access::token));
    let all = Router::new()
        // For load balancers and start scripts, which know no token; it tells nothing but that somebody is there.
        .route("/healthz", get(health::health))
        .route("/login", get(page::login_link).post(page::login))
        .merge(page::open_router())
        .merge(guarded)
        .fallback(error::not_found)
        .method_not_allowed_fallback(error::wrong_method)
        .layer(DefaultBodyLimit::max(limits.body_bytes))
        .layer(RequestBodyTimeoutLayer::new(limits.request));
    // Outside the token: a browser asks without it whether it may send it.
    let all = match access::cors(&app.config.access) {
        Some(cors) => all.layer(cors),
        None => all,
    };
    all.layer(from_fn_with_state(app.clone(), access::same_site))
        .layer(CatchPanicLayer::custom(error::panicked))
        .with_state(app.clone())
}
