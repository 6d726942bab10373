//! `GET /v1/info`: what the server is and offers; the greeting of a stream without the stream.

use axum::Json;
use axum::extract::State;

use crate::state::App;
use crate::wire::Greeting;

pub(super) async fn info(State(app): State<App>) -> Json<Greeting> {
    Json(app.greeting.clone())
}
