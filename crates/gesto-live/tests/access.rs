//! Who is let in: Host, Origin, token; and what every answer carries.

#![forbid(unsafe_code)]

mod support;

use gesto_live::{Config, Server, Token};
use support::{Running, TestBackend, jpeg, next_text};

const TOKEN: &str = "0123456789-abcdef";

async fn with_token() -> Running {
    let mut config = Config::loopback(0);
    config.access.token = Some(Token::new(TOKEN).unwrap());
    Running::start(config).await
}

#[tokio::test]
async fn a_rebound_name_is_refused_everywhere() {
    let server = Running::start(Config::loopback(0)).await;
    for path in ["/", "/v1/info", "/healthz", "/metrics", "/v1/events", "/assets/app.js", "/nothing"] {
        let answer = server.request("GET", path, &[("Host", "evil.example")], b"").await;
        assert_eq!(answer.status, 403, "{path}");
        assert_eq!(answer.json()["error"]["kind"], "host");
    }
    assert_eq!(server.raw(b"GET /v1/info HTTP/1.1\r\nConnection: close\r\n\r\n").await.status, 400);
    let two = "GET /v1/info HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(server.raw(two.as_bytes()).await.status, 400);
    let whole = "GET http://evil.example/v1/info HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(server.raw(whole.as_bytes()).await.status, 400);
    assert_eq!(server.request("GET", "/v1/info", &[("Host", "localhost:1")], b"").await.status, 200);
}

#[tokio::test]
async fn allowed_names_and_origins_are_let_in() {
    let mut config = Config::loopback(0);
    config.access.hosts = vec!["camera.example".to_owned()];
    config.access.origins = vec!["https://app.example".to_owned()];
    let server = Running::start(config).await;
    assert_eq!(server.request("GET", "/v1/info", &[("Host", "camera.example")], b"").await.status, 200);
    assert_eq!(
        server.request("GET", "/v1/info", &[("Origin", "https://app.example")], b"").await.status,
        200
    );
    assert_eq!(
        server.request("GET", "/v1/info", &[("Origin", "https://other.example")], b"").await.status,
        403
    );
}

#[tokio::test]
async fn a_listed_page_can_read_what_it_asked_for() {
    const APP: &str = "https://app.example";
    let mut config = Config::loopback(0);
    config.access.origins = vec![APP.to_owned()];
    config.access.token = Some(Token::new(TOKEN).unwrap());
    let server = Running::start(config).await;
    let bearer = format!("Bearer {TOKEN}");

    // The browser's question comes first, and without the token.
    let ask = [
        ("Origin", APP),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "authorization,content-type"),
        ("Access-Control-Request-Private-Network", "true"),
    ];
    let answer = server.request("OPTIONS", "/v1/detect", &ask, b"").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, APP));
    assert!(answer.header("access-control-allow-methods").contains("POST"));
    let allowed = answer.header("access-control-allow-headers");
    assert!(allowed.contains("authorization") && allowed.contains("content-type"), "{allowed}");
    assert_eq!(answer.header("access-control-allow-private-network"), "true");

    // Then the request; errors too have to be readable.
    let picture = jpeg(32, 32);
    for (method, path, body, token, status) in [
        ("POST", "/v1/detect", &picture[..], bearer.as_str(), 200),
        ("POST", "/v1/detect", &picture[..], "", 401),
        ("GET", "/v1/info", b"", &bearer, 200),
        ("GET", "/nothing", b"", &bearer, 404),
        ("POST", "/v1/info", b"", &bearer, 405),
    ] {
        let headers = [("Origin", APP), ("Authorization", token), ("Content-Type", "image/jpeg")];
        let answer = server.request(method, path, &headers, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        assert_eq!(answer.header("access-control-allow-origin"), APP, "{method} {path}");
        assert_eq!(answer.header("access-control-allow-credentials"), "", "{method} {path}");
        assert!(answer.header("vary").contains("origin"), "{method} {path}");
        assert_eq!(answer.header("cross-origin-resource-policy"), "cross-origin", "{method} {path}");
    }

    // Nobody else: neither a page that is not listed nor, beyond what it needs, the own one.
    let other = [("Origin", "https://other.example"), ("Access-Control-Request-Method", "POST")];
    let answer = server.request("OPTIONS", "/v1/detect", &other, b"").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (403, ""));
    let own = format!("http://{}", server.address);
    let headers = [("Origin", own.as_str()), ("Authorization", &bearer)];
    let answer = server.request("GET", "/v1/info", &headers, b"").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, ""));
    assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
    // Caches must not hand one origin's answer to another.
    assert!(answer.header("vary").contains("origin"));
}

#[tokio::test]
async fn without_listed_origins_there_is_no_preflight() {
    let server = Running::start(Config::loopback(0)).await;
    let own = format!("http://{}", server.address);
    let ask = [("Origin", own.as_str()), ("Access-Control-Request-Method", "POST")];
    let answer = server.request("OPTIONS", "/v1/detect", &ask, b"").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (405, ""));
}

#[tokio::test]
async fn pages_of_other_sites_get_no_websocket_and_no_post() {
    let server = Running::start(Config::loopback(0)).await;
    for origin in ["http://evil.example", "null", "http://localhost:1"] {
        assert!(server.open_with(&[("origin", origin.to_owned())]).await.is_err(), "{origin}");
        let answer = server.request("POST", "/v1/detect", &[("Origin", origin)], b"x").await;
        assert_eq!(
            (answer.status, answer.json()["error"]["kind"].as_str()),
            (403, Some("origin")),
            "{origin}"
        );
    }
    let mut own = server.open_with(&[("origin", format!("http://{}", server.address))]).await.unwrap();
    assert_eq!(next_text(&mut own).await["type"], "hello");
    let image = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors")];
    assert_eq!(server.request("GET", "/v1/video", &image, b"").await.status, 403);
    assert!(server.metric("gesto_denied_total{reason=\"origin\"}").await >= 7.0);
}

#[tokio::test]
async fn with_a_token_nothing_is_shown_without_it() {
    let server = with_token().await;
    let bearer = format!("Bearer {TOKEN}");
    for path in ["/", "/v1/info", "/v1/events", "/v1/openapi.json", "/metrics", "/assets/app.js"] {
        for wrong in ["", "Bearer wrong-wrong-wrong", "Basic 0123456789-abcdef", "Bearer"] {
            let answer = server.request("GET", path, &[("Authorization", wrong)], b"").await;
            assert_eq!(answer.status, 401, "{path} {wrong:?}");
        }
        if path != "/v1/events" {
            assert_eq!(
                server.request("GET", path, &[("Authorization", &bearer)], b"").await.status,
                200,
                "{path}"
            );
        }
    }
    assert_eq!(server.request("POST", "/v1/detect", &[], b"x").await.status, 401);
    assert_eq!(server.get("/healthz").await.status, 200);
    assert!(server.open_with(&[]).await.is_err());
    assert!(server.open_with(&[("authorization", bearer)]).await.is_ok());
    assert!(server.open_with(&[("cookie", format!("gesto_token={TOKEN}"))]).await.is_ok());
    assert!(server.open_with(&[("cookie", "gesto_token=wrong".to_owned())]).await.is_err());
}

#[tokio::test]
async fn a_login_gives_a_cookie_that_scripts_and_other_sites_cannot_use() {
    let server = with_token().await;
    let page = server.request("GET", "/", &[("Accept", "text/html")], b"").await;
    assert_eq!(page.status, 401);
    assert!(page.text().contains("<form method=\"post\""), "a person gets a form");
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let wrong = server.request("POST", "/login", &form, b"token=wrong").await;
    assert_eq!((wrong.status, wrong.header("set-cookie")), (401, ""));
    assert!(wrong.text().contains("That is not the token.") && wrong.text().contains("<form"));
    assert!(!page.text().contains("That is not the token."), "nobody has tried yet");
    // What the form is drawn with comes without the token; the page itself does not.
    let links = page.text();
    for (path, status) in [("/assets/index.css", 200), ("/icon.svg", 200), ("/assets/app.js", 401)] {
        assert_eq!(server.get(path).await.status, status, "{path}");
        assert_eq!(links.contains(&format!("href=\".{path}\"")), status == 200, "{path}");
    }
    let body = format!("token={TOKEN}");
    for answer in [
        server.request("POST", "/login", &form, body.as_bytes()).await,
        server.get(&format!("/login?token={TOKEN}")).await,
    ] {
        assert_eq!((answer.status, answer.header("location")), (303, "./"));
        let cookie = answer.header("set-cookie");
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        let value = cookie.split(';').next().unwrap();
        assert_eq!(server.request("GET", "/v1/info", &[("Cookie", value)], b"").await.status, 200);
    }
}

#[tokio::test]
async fn every_answer_forbids_framing_and_foreign_use() {
    let server = Running::start(Config::loopback(0)).await;
    for path in ["/", "/v1/info", "/nothing", "/assets/app.js", "/healthz"] {
        let answer = server.get(path).await;
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
    }
    let page = server.get("/").await;
    let tag = page.header("etag").to_owned();
    assert_eq!(server.request("GET", "/", &[("If-None-Match", &tag)], b"").await.status, 304);
}

#[tokio::test]
async fn beyond_loopback_it_does_not_start_without_a_token() {
    let mut config = Config::loopback(0);
    config.listen = "0.0.0.0:0".parse().unwrap();
    let backend = std::sync::Arc::new(TestBackend::new(std::time::Duration::ZERO));
    let error = Server::bind(config, backend).await.err().unwrap().to_string();
    assert!(error.contains("token"), "{error}");
}
