//! What browsers ask for before a page of another origin may read an answer (Fetch standard, "CORS protocol").

use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::origin;
use crate::config::Access;

/// A browser may keep the answer to its preflight for this long.
const MAX_AGE: Duration = Duration::from_secs(600);

/// The layer that lets pages of listed origins read answers; `None` when none is listed, and then `OPTIONS` is a method
/// like any other that no path takes.
///
/// Cookies are not part of it: a page of another origin shows the token as `Authorization: Bearer`, if it was told.
pub(crate) fn cors(access: &Access) -> Option<CorsLayer> {
    if access.origins.is_empty() {
        return None;
    }
    let listed = access.clone();
    let listed = AllowOrigin::predicate(move |origin: &HeaderValue, _: &Parts| {
        origin.to_str().is_ok_and(|origin| origin::is_listed(origin, &listed))
    });
    let layer = CorsLayer::new()
        .allow_origin(listed)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE])
        .expose_headers([header::RETRY_AFTER])
        // Chromium asks before a public page reaches a server on a private address.
        .allow_private_network(true)
        .max_age(MAX_AGE);
    Some(layer)
}
