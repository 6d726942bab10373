//! `POST /v1/detect`: one picture in, its JSON line out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Bytes;
use axum::extract::multipart::Multipart;
use axum::extract::{Extension, FromRequest, Request, State};
use axum::http::{StatusCode, header};
use gesto::record::Line;
use gesto::{Orientation, Rotation};
use gesto_media::Picture;
use tokio::sync::oneshot;

use super::error::ApiError;
use super::events::{self, Seen};
use super::query::{self, Pairs};
use crate::change::Given;
use crate::engine::{Answer, Job, Payload, Reply, Submitted};
use crate::metrics::Origin;
use crate::places::Place;
use crate::settings::Change;
use crate::state::App;
use crate::wire::DropReason;

/// The query: every setting of a stream, and mirroring.
fn options(query: Pairs) -> Result<(Change, bool), ApiError> {
    let (mut change, mut mirrored) = (Change::default(), false);
    for (name, value) in query::pairs(query)? {
        let given = Given::Text(&value);
        let read = match name.as_str() {
            "mirrored" => given.flag(&name).map(|flag| mirrored = flag),
            name => change.set(name, given),
        };
        read.map_err(|sentence| ApiError::bad("settings", sentence))?;
    }
    Ok((change, mirrored))
}

pub(super) async fn detect(
    State(app): State<App>,
    Extension(connection): Extension<Arc<Place>>,
    query: Pairs,
    request: Request,
) -> Result<Json<Line>, ApiError> {
    let (change, mirrored) = options(query)?;
    let settings = app
        .backend
        .defaults()
        .with(change, &app.greeting.choices)
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

/// The picture's bytes: the first file of a form, or the body itself. What the body is, its bytes tell: programs that
/// send files name all kinds of types (`curl --data-binary` names a form's).
async fn body(app: &App, request: Request) -> Result<Bytes, ApiError> {
    let kind =
        request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let bytes = if kind.eq_ignore_ascii_case("multipart/form-data") {
        of_form(app, request).await?
    } else {
        raw(app, request).await?
    };
    if bytes.is_empty() {
        return Err(ApiError::bad("picture", "the body is empty; it should be a picture"));
    }
    Ok(bytes)
}

/// The field `image`.
async fn of_form(app: &App, request: Request) -> Result<Bytes, ApiError> {
    let unreadable = |status: StatusCode| {
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            return too_large(app);
        }
        let message = "the form cannot be read: it is no multipart/form-data, or it did not arrive whole";
        ApiError::new(status, "form", message)
    };
    let mut form = Multipart::from_request(request, app).await.map_err(|error| unreadable(error.status()))?;
    loop {
        let Some(field) = form.next_field().await.map_err(|error| unreadable(error.status()))? else {
            return Err(ApiError::bad("form", "the form has no field `image` with a picture"));
        };
        if field.name() == Some("image") {
            return field.bytes().await.map_err(|error| unreadable(error.status()));
        }
    }
}

fn too_large(app: &App) -> ApiError {
    let message = format!("a body of more than {} bytes is not taken", app.config.limits.body_bytes);
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body", message)
}

async fn raw(app: &App, request: Request) -> Result<Bytes, ApiError> {
    // Said before it is sent: not even waited for.
    let stated = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if stated.is_some_and(|stated| stated > app.config.limits.body_bytes as u64) {
        return Err(too_large(app));
    }
    Bytes::from_request(request, app).await.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(app),
        status => ApiError::new(status, "body", "the body did not arrive whole"),
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
            let message = match status {
                StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                    format!(
                        "{error}; send JPEG, PNG, WebP, GIF, BMP, TIFF or PNM, or a form with a field `image`"
                    )
                }
                _ => error.to_string(),
            };
            Err(ApiError::new(status, "picture", message))
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
