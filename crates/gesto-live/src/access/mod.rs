//! Who may speak to the server: Host and Origin checks, and the token.
//!
//! A page of any site can make a browser send requests to loopback, and a name under an attacker's control can be made
//! to point there (DNS rebinding). So the `Host` header has to be an address or a name that was allowed, and what a
//! browser sends on behalf of another site is refused.

mod cors;
mod host;
mod origin;
mod token;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

pub(crate) use cors::cors;
pub use token::{Token, TokenError};

use crate::routes::ApiError;
use crate::state::App;

/// Everything the page loads comes from the server; nobody may frame it.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
    media-src 'self' blob:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Refuses a request with a foreign Host or Origin.
pub(crate) async fn same_site(State(app): State<App>, request: Request, next: Next) -> Response {
    let access = &app.config.access;
    let headers = request.headers();
    let Some(host) = host::of(request.uri(), headers) else {
        app.metrics.denied("host");
        return ApiError::new(StatusCode::BAD_REQUEST, "host", "exactly one Host header is needed")
            .into_response();
    };
    if !host::allowed(&host, access) {
        app.metrics.denied("host");
        let message = "this Host is not allowed; the server's owner can allow it (--allow-host)";
        return ApiError::new(StatusCode::FORBIDDEN, "host", message).into_response();
    }
    if !origin::allowed(request.method(), headers, &host, access) {
        app.metrics.denied("origin");
        let message =
            "pages of this Origin may not use the server; its owner can allow them (--allow-origin)";
        return ApiError::new(StatusCode::FORBIDDEN, "origin", message).into_response();
    }
    let listed = origin::of(headers).is_some_and(|origin| origin::is_listed(origin, access));
    let mut response = next.run(request).await;
    harden(response.headers_mut());
    if listed {
        response.headers_mut().insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
    }
    response
}

/// Refuses a request that does not show the token.
pub(crate) async fn token(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(token) = &app.config.access.token else { return next.run(request).await };
    if token::shown(request.headers()).any(|shown| token.is(shown)) {
        return next.run(request).await;
    }
    app.metrics.denied("token");
    if wants_page(&request) {
        return crate::routes::login_page(StatusCode::UNAUTHORIZED);
    }
    let message = "this server needs its token: Authorization: Bearer TOKEN";
    let mut response = ApiError::new(StatusCode::UNAUTHORIZED, "token", message).into_response();
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"gesto\""));
    response
}

/// The name of the cookie that carries the token after a login.
pub(crate) const COOKIE: &str = "gesto_token";

fn wants_page(request: &Request) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    request.method() == Method::GET
        && request.uri().path() == "/"
        && accept.is_some_and(|accept| accept.contains("text/html"))
}

/// Which pages may load an answer at all.
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

fn harden(headers: &mut HeaderMap) {
    const FIXED: [(HeaderName, &str); 6] = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Not `no-referrer`: with it a browser hides the Origin of the login's own form.
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (RESOURCE_POLICY, "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(self), microphone=(), geolocation=()"),
    ];
    for (name, value) in FIXED {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
