//! The `Origin` header, and what else browsers tell about who is asking.

use axum::http::{HeaderMap, HeaderName, Method, header};

use crate::config::Access;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// The page that a request comes from, if it names exactly one.
pub(super) fn of(headers: &HeaderMap) -> Option<&str> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let origin = origins.next()?.to_str().ok()?;
    origins.next().is_none().then_some(origin)
}

/// Whether a request comes from the server's own page, from an allowed one, or from no page at all.
pub(super) fn allowed(method: &Method, headers: &HeaderMap, host: &str, access: &Access) -> bool {
    if headers.contains_key(header::ORIGIN) {
        // Origin is on every WebSocket and every POST of a browser; WebSockets know no other guard.
        return of(headers).is_some_and(|origin| is_own(origin, host) || is_listed(origin, access));
    }
    // Without Origin it is no page's script; an <img> of a foreign page still says where it stands.
    match headers.get(FETCH_SITE).map(|site| site.as_bytes()) {
        None | Some(b"same-origin" | b"none") => true,
        // A link to the page may stand anywhere.
        _ => method == Method::GET && headers.get(FETCH_MODE).is_some_and(|mode| mode == "navigate"),
    }
}

fn is_own(origin: &str, host: &str) -> bool {
    // A proxy may speak https for us, so both schemes are our own.
    let own = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    own.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

/// Whether `origin` is one of `--allow-origin`.
pub(super) fn is_listed(origin: &str, access: &Access) -> bool {
    access.origins.iter().any(|each| each.eq_ignore_ascii_case(origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(method: Method, headers: &[(&'static str, &'static str)]) -> bool {
        let access = Access { origins: vec!["https://app.example".to_owned()], ..Access::default() };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        allowed(&method, &map, "localhost:7860", &access)
    }

    #[test]
    fn only_the_own_page_and_listed_ones() {
        for (origin, good) in [
            ("http://localhost:7860", true),
            ("https://app.example", true),
            ("http://localhost:3000", false),
            ("http://localhost", false),
            ("http://evil.example", false),
            ("http://localhost:7860.evil.example", false),
            ("null", false),
            ("file://", false),
        ] {
            assert_eq!(ask(Method::POST, &[("origin", origin)]), good, "{origin}");
            assert_eq!(ask(Method::GET, &[("origin", origin)]), good, "{origin}");
        }
        assert!(!ask(Method::GET, &[("origin", "http://localhost:7860"), ("origin", "http://evil.example")]));
    }

    #[test]
    fn without_an_origin_the_browser_still_tells() {
        assert!(ask(Method::GET, &[]), "curl");
        assert!(ask(Method::POST, &[]), "curl");
        assert!(ask(Method::GET, &[("sec-fetch-site", "same-origin")]));
        assert!(
            ask(Method::GET, &[("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")]),
            "typed address"
        );
        assert!(
            ask(Method::GET, &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]),
            "a link"
        );
        assert!(
            !ask(Method::GET, &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")]),
            "an <img>"
        );
        assert!(
            !ask(Method::POST, &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "navigate")]),
            "a form"
        );
    }
}
