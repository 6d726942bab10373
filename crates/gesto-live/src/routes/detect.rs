//! `POST /v1/detect`: one picture in, its JSON line out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Bytes;
use axum::extract::multipart::{Multipart, MultipartError};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, FromRequest, Query, Request, State};
use axum::http::{StatusCode, header};
use gesto::record::Line;
use gesto::{Orientation, Rotation};
use gesto_media::Picture;
use serde::Deserialize;
use tokio::sync::oneshot;

use super::error::ApiError;
use super::events::{self, Seen};
use crate::engine::{Answer, Job, Payload, Reply, Submitted};
use crate::metrics::Origin;
use crate::places::Place;
use crate::settings::Change;
use crate::state::App;
use crate::wire::DropReason;

/// The query: every setting of a stream, and mirroring.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Options {
    size: Option<String>,
    fit: Option<String>,
    resize: Option<String>,
    unit: Option<String>,
    hands: Option<bool>,
    body: Option<bool>,
    conf_hand: Option<f32>,
    conf_body: Option<f32>,
    iou_hand: Option<f32>,
    iou_body: Option<f32>,
    mirrored: bool,
}

impl Options {
    fn change(self) -> Result<Change, ApiError> {
        let size = self.size.map(|text| {
            let sides = text.split_once('x').and_then(|(h, w)| Some([h.parse().ok()?, w.parse().ok()?]));
            sides.ok_or_else(|| ApiError::bad("settings", "size is HEIGHTxWIDTH, such as 320x224"))
        });
        Ok(Change {
            size: size.transpose()?,
            fit: self.fit,
            resize: self.resize,
            unit: self.unit,
            hands: self.hands,
            body: self.body,
            conf_hand: self.conf_hand,
            conf_body: self.conf_body,
            iou_hand: self.iou_hand,
            iou_body: self.iou_body,
        })
    }
}

pub(super) async fn detect(
    State(app): State<App>,
    Extension(connection): Extension<Arc<Place>>,
    options: Result<Query<Options>, QueryRejection>,
    request: Request,
) -> Result<Json<Line>, ApiError> {
    let received = Instant::now();
    let Query(options) = options.map_err(|error| ApiError::bad("settings", error.body_text()))?;
    let mirrored = options.mirrored;
    let settings = app
        .backend
        .defaults()
        .with(options.change()?, &app.greeting.choices)
        .map_err(|sentence| ApiError::bad("settings", sentence))?;
    let busy =
        || ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "too many requests wait for their turn");
    // Before anything of the body is kept: what may be kept in all is bounded.
    let Some(_place) = app.requests.take(connection.address()) else {
        app.metrics.denied("requests");
        return Err(busy());
    };
    let body = body(&app, request).await?;
    // A client that sends slowly waits for itself.
    let received = Instant::now();
    // Pixels are many times the bytes that they come from, so they are made when their turn is near.
    let Ok(_unpacked) = app.unpacked.acquire().await else { return Err(busy()) };
    let picture = unpack(&app, body).await?;
    let (sender, answer) = oneshot::channel();
    let job = Job {
        payload: Payload::Picture(picture),
        orientation: Orientation { mirrored, rotation: Rotation::None },
        settings: Arc::new(settings),
        received,
        reply: Box::new(ToRequest { sender, app: app.clone(), received }),
    };
    if let Submitted::Refused(_) | Submitted::Replaced(_) = app.queue.submit(app.request_lane, job) {
        app.metrics.dropped(DropReason::Busy);
        return Err(busy());
    }
    // Only a server that shuts down forgets a job.
    let line = answer.await.map_err(|_| busy())??;
    app.metrics.sent_after(Origin::Request, received.elapsed());
    Ok(Json(line))
}

/// The picture's bytes: the body itself, or the first file of a form.
async fn body(app: &App, request: Request) -> Result<Bytes, ApiError> {
    let kind =
        request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let bytes = match kind.as_str() {
        "multipart/form-data" => {
            let mut form = Multipart::from_request(request, app)
                .await
                .map_err(|error| ApiError::new(error.status(), "form", error.body_text()))?;
            let of_form = |error: MultipartError| ApiError::new(error.status(), "form", error.body_text());
            loop {
                let Some(field) = form.next_field().await.map_err(of_form)? else {
                    return Err(ApiError::bad("form", "the form has no field `image` with a picture"));
                };
                if field.name() == Some("image") {
                    break field.bytes().await.map_err(of_form)?;
                }
            }
        }
        "" | "application/octet-stream" => raw(app, request).await?,
        kind if kind.starts_with("image/") => raw(app, request).await?,
        _ => {
            let message =
                "send the picture itself (image/jpeg, image/png, ...) or a form (multipart/form-data)";
            return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media", message));
        }
    };
    if bytes.is_empty() {
        return Err(ApiError::bad("picture", "the body is empty; it should be a picture"));
    }
    Ok(bytes)
}

async fn raw(app: &App, request: Request) -> Result<Bytes, ApiError> {
    let most = app.config.limits.body_bytes;
    let too_large = || {
        ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body",
            format!("a body of more than {most} bytes is not taken"),
        )
    };
    // Said before it is sent: not even waited for.
    let stated = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if stated.is_some_and(|stated| stated > most as u64) {
        return Err(too_large());
    }
    Bytes::from_request(request, app).await.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        status => ApiError::new(status, "body", error.body_text()),
    })
}

/// Bytes to pixels on a thread that may block.
async fn unpack(app: &App, body: Bytes) -> Result<Picture, ApiError> {
    let limits =
        gesto_media::Limits { pixels: app.config.limits.request_pixels, ..gesto_media::Limits::default() };
    let unpacked = tokio::task::spawn_blocking(move || {
        let mut picture = Picture::default();
        gesto_media::source::decode(&body, &mut picture, &limits).map(|()| picture)
    });
    match unpacked.await {
        Ok(Ok(picture)) => Ok(picture),
        Ok(Err(error)) => {
            app.metrics.refused.inc();
            let status = match error.kind() {
                gesto_media::ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
                gesto_media::ErrorKind::Unsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            };
            Err(ApiError::new(status, "picture", error.to_string()))
        }
        Err(_) => Err(ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the server failed on this picture",
        )),
    }
}

struct ToRequest {
    sender: oneshot::Sender<Result<Line, ApiError>>,
    app: App,
    received: Instant,
}

impl Reply for ToRequest {
    fn answer(self: Box<Self>, answer: Answer<'_>) {
        let result = match answer {
            Answer::Done { width, height, detections, .. } => {
                let seen = || Seen {
                    source: "request",
                    frame: 0,
                    timestamp: Duration::ZERO,
                    width,
                    height,
                    detections,
                };
                events::publish(&self.app.events, seen);
                tracing::debug!(elapsed = ?self.received.elapsed(), "request");
                Ok(Line { timestamp_ms: None, ..seen().line() })
            }
            Answer::Dropped(_) => {
                Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "the server shuts down"))
            }
            Answer::Failed { of_client: true, sentence } => {
                Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "picture", sentence))
            }
            Answer::Failed { of_client: false, sentence } => {
                Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "unit", sentence))
            }
        };
        // The client may have gone.
        let _ = self.sender.send(result);
    }
}
