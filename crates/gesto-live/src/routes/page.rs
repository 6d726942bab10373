//! The page and its files, and the login of a server with a token.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::Router;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use serde::Deserialize;

use super::ApiError;
use crate::access::COOKIE;
use crate::state::App;

struct File {
    path: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

macro_rules! file {
    ($path:literal, $name:literal, $kind:literal) => {
        File { path: $path, kind: $kind, bytes: include_bytes!(concat!("../../web/dist/", $name)) }
    };
}

/// What `npm run build` makes of `web/`.
static FILES: [File; 4] = [
    file!("/", "index.html", "text/html; charset=utf-8"),
    file!("/icon.svg", "icon.svg", "image/svg+xml"),
    file!("/assets/app.js", "assets/app.js", "text/javascript; charset=utf-8"),
    file!("/assets/index.css", "assets/index.css", "text/css; charset=utf-8"),
];

const LOGIN: &str = include_str!("login.html");

/// Files that the login page needs, and so nobody needs a token for: they tell nothing but how pages look.
const OPEN: [&str; 2] = ["/icon.svg", "/assets/index.css"];

/// The page, for those who may use the server.
pub(super) fn router() -> Router<App> {
    files(|path| !OPEN.contains(&path))
}

/// The files of the login page, for everybody.
pub(super) fn open_router() -> Router<App> {
    files(|path| OPEN.contains(&path))
}

fn files(which: impl Fn(&str) -> bool) -> Router<App> {
    FILES.iter().filter(|file| which(file.path)).fold(Router::new(), |router, file| {
        router.route(file.path, get(move |headers: HeaderMap| async move { serve(file, &headers) }))
    })
}

/// The file, or "not modified": a page of the version before never stays.
fn serve(file: &File, headers: &HeaderMap) -> Response {
    let mut hasher = DefaultHasher::new();
    file.bytes.hash(&mut hasher);
    let tag = format!("\"{:016x}\"", hasher.finish());
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == tag.as_bytes());
    let fixed = [(header::CACHE_CONTROL, "no-cache".to_owned()), (header::ETAG, tag)];
    if known {
        return (StatusCode::NOT_MODIFIED, fixed).into_response();
    }
    (fixed, [(header::CONTENT_TYPE, file.kind)], file.bytes).into_response()
}

/// The form that asks for the token.
pub(crate) fn login_page(status: StatusCode) -> Response {
    (status, Html(LOGIN)).into_response()
}

/// The form again, for who gave another token.
fn wrong_token() -> Response {
    let problem = "<p class=\"problem\" role=\"alert\">That is not the token.</p>";
    (StatusCode::UNAUTHORIZED, Html(LOGIN.replacen("<!--problem-->", problem, 1))).into_response()
}

#[derive(Deserialize)]
pub(super) struct Login {
    token: String,
}

/// `POST /login`, from the form.
pub(super) async fn login(State(app): State<App>, form: Result<Form<Login>, FormRejection>) -> Response {
    match form {
        Ok(Form(login)) => enter(&app, &login),
        Err(_) => login_page(StatusCode::BAD_REQUEST),
    }
}

/// `GET /login?token=...`, the address that is printed at the start.
pub(super) async fn login_link(
    State(app): State<App>,
    query: Result<Query<Login>, QueryRejection>,
) -> Response {
    match query {
        Ok(Query(login)) => enter(&app, &login),
        Err(_) => login_page(StatusCode::BAD_REQUEST),
    }
}

/// The token becomes a cookie that only this site's requests carry and no script can read, and leaves the address.
fn enter(app: &App, login: &Login) -> Response {
    let Some(token) = &app.config.access.token else { return Redirect::to("./").into_response() };
    if !token.is(login.token.trim()) {
        app.metrics.denied("token");
        return wrong_token();
    }
    let cookie = format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000", token.as_str());
    let Ok(cookie) = HeaderValue::from_str(&cookie) else {
        return ApiError::bad("token", "the token does not fit into a cookie").into_response();
    };
    (
        StatusCode::SEE_OTHER,
        [(header::LOCATION, HeaderValue::from_static("./")), (header::SET_COOKIE, cookie)],
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_built_file_is_served() {
        fn walk(folder: &Path, found: &mut Vec<Vec<u8>>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, found);
                } else {
                    found.push(std::fs::read(path).unwrap());
                }
            }
        }
        let mut built = Vec::new();
        walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("web/dist"), &mut built);
        assert_eq!(built.len(), FILES.len());
        for file in &FILES {
            assert!(built.iter().any(|bytes| bytes == file.bytes), "{}", file.path);
        }
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        for file in &FILES {
            let text = String::from_utf8_lossy(file.bytes);
            for address in
                text.split("http").skip(1).filter(|rest| rest.starts_with("://") || rest.starts_with("s://"))
            {
                // Names of XML namespaces are no addresses to load from.
                assert!(
                    address.starts_with("://www.w3.org/"),
                    "{}: http{}",
                    file.path,
                    &address[..40.min(address.len())]
                );
            }
        }
    }
}
