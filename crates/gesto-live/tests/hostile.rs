//! Clients that mean harm or do not read, and the end of the server.

#![forbid(unsafe_code)]

mod support;

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use gesto_live::Config;
use support::{Running, TestBackend, close_code, frame, jpeg, next_binary, next_text, send};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

/// The server still does its work for others.
async fn serves(server: &Running) {
    let answer = server.request("POST", "/v1/detect", &[("Content-Type", "image/jpeg")], &jpeg(16, 16)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn connections_have_a_limit_for_each_address() {
    let mut config = Config::loopback(0);
    config.limits.connections = 8;
    let server = Running::start(config).await;
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
        open.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut fifth = TcpStream::connect(server.address).await.unwrap();
    let mut nothing = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(5), fifth.read_to_end(&mut nothing)).await;
    assert!(closed.is_ok() && nothing.is_empty(), "the fifth is closed without an answer");
    drop(open);
    tokio::time::sleep(Duration::from_millis(200)).await;
    serves(&server).await;
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_given_up() {
    let server = Running::start(Config::loopback(0)).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    // One that has been answered may not stay for ever either.
    let mut kept = TcpStream::connect(server.address).await.unwrap();
    kept.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let began = Instant::now();
    let (mut nothing, mut answer) = (Vec::new(), Vec::new());
    let both = async { tokio::join!(silent.read_to_end(&mut nothing), kept.read_to_end(&mut answer)) };
    let _ = tokio::time::timeout(Duration::from_secs(20), both).await.expect("the server closes both");
    assert!(answer.starts_with(b"HTTP/1.1 200") && nothing.is_empty());
    assert!(
        began.elapsed() > Duration::from_secs(5),
        "{:?}: there is time to say something",
        began.elapsed()
    );
    serves(&server).await;
}

#[tokio::test]
async fn headers_that_never_end_are_given_up() {
    let server = Running::start(Config::loopback(0)).await;
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    let began = Instant::now();
    slow.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n").await.unwrap();
    let mut rest = Vec::new();
    let ended = async {
        let mut buffer = [0; 64];
        loop {
            tokio::select! {
                read = slow.read(&mut buffer) => match read {
                    Ok(0) | Err(_) => break,
                    Ok(count) => rest.extend_from_slice(&buffer[..count]),
                },
                () = tokio::time::sleep(Duration::from_secs(1)) => {
                    // One header line a second, forever.
                    let _ = slow.write_all(b"X-A: b\r\n").await;
                }
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("the server gives up");
    assert!(began.elapsed() < Duration::from_secs(15));
    serves(&server).await;
}

#[tokio::test]
async fn headers_without_measure_are_refused() {
    let server = Running::start(Config::loopback(0)).await;
    let huge = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "a".repeat(200_000));
    assert_eq!(server.raw(huge.as_bytes()).await.status / 100, 4);
    let many = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: a\r\n".repeat(500));
    assert_eq!(server.raw(many.as_bytes()).await.status / 100, 4);
    for garbage in
        [&b"\0\0\0\0\r\n\r\n"[..], b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"]
    {
        let status = server.raw(garbage).await.status;
        assert!(status == 400 || status == 0, "{status}");
    }
    serves(&server).await;
}

#[tokio::test]
async fn a_body_that_never_comes_is_given_up() {
    let mut config = Config::loopback(0);
    config.limits.request = Duration::from_millis(300);
    let server = Running::start(config).await;
    let began = Instant::now();
    let answer = server.raw(
        b"POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: 1000\r\n\
          Connection: close\r\n\r\nonly this",
    );
    let answer = answer.await;
    assert!((400..500).contains(&answer.status), "{answer:?}");
    assert!(began.elapsed() < Duration::from_secs(5));
    serves(&server).await;
}

#[tokio::test]
async fn slow_uploads_leave_places_for_others_and_are_bounded() {
    let mut config = Config::loopback(0);
    config.limits.requests = 4;
    config.limits.request = Duration::from_secs(2);
    let server = Running::start(config).await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = "POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n\
                    Content-Length: 1000\r\n\r\nonly this";
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    server.metric_becomes("gesto_requests", 2.0).await;
    // Two of four is one address's half; the other half stays for other addresses.
    let kind = [("Content-Type", "image/jpeg")];
    let answer = server.request("POST", "/v1/detect", &kind, &jpeg(16, 16)).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"), "{}", answer.text());
    for mut stream in slow {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(rest.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&rest));
    }
    serves(&server).await;
    server.metric_becomes("gesto_requests", 0.0).await;
}

#[tokio::test]
async fn a_length_that_lies_is_refused_before_it_is_read() {
    let server = Running::start(Config::loopback(0)).await;
    let answer = server
        .raw(
            b"POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n\
              Content-Length: 99999999999\r\nConnection: close\r\n\r\n",
        )
        .await;
    assert_eq!(answer.status, 413);
    serves(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_is_cut_off_and_costs_no_memory() {
    let mut config = Config::loopback(0);
    config.limits.stalled = Duration::from_millis(500);
    config.limits.fps = 100_000;
    let server = Running::with(config, TestBackend::new(Duration::ZERO)).await;
    let mut deaf = server.open().await;
    next_text(&mut deaf).await;
    // It sends, and never reads a result: the socket's buffers fill, then the server gives up on it.
    let sent = async {
        for id in 0..u32::MAX {
            if deaf.feed(frame(id, 1, 1, 1)).await.is_err() || deaf.flush().await.is_err() {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), sent).await.expect("the server ends it");
    let mut other = server.open().await;
    next_text(&mut other).await;
    send(&mut other, frame(1, 8, 8, 1)).await;
    next_binary(&mut other).await;
    serves(&server).await;
}

#[tokio::test]
async fn pings_and_broken_websockets_hurt_nobody() {
    let server = Running::start(Config::loopback(0)).await;
    let mut ws = server.open().await;
    next_text(&mut ws).await;
    for _ in 0..200 {
        send(&mut ws, Message::Ping(vec![0; 100].into())).await;
    }
    send(&mut ws, frame(1, 8, 8, 1)).await;
    next_binary(&mut ws).await;
    let upgrade = "GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    for rubbish in
        [&[0xff; 64][..], &[0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0][..]]
    {
        let mut raw = TcpStream::connect(server.address).await.unwrap();
        raw.write_all(upgrade.as_bytes()).await.unwrap();
        raw.write_all(rubbish).await.unwrap();
        let mut all = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(10), raw.read_to_end(&mut all)).await;
        assert!(ended.is_ok(), "the server ends it");
        assert!(all.starts_with(b"HTTP/1.1 101"));
    }
    for (without, status) in
        [("Upgrade: websocket\r\n", 400), ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", 400)]
    {
        let broken =
            upgrade.replace(without, "").replace("Connection: Upgrade", "Connection: close, Upgrade");
        let answer = server.raw(broken.as_bytes()).await;
        assert_eq!(answer.status, status, "{without}");
        assert_eq!(answer.json()["error"]["kind"], "websocket");
    }
    serves(&server).await;
}

#[tokio::test]
async fn the_end_is_told_to_streams_and_comes_at_once() {
    let mut server = Running::with(Config::loopback(0), TestBackend::new(Duration::from_millis(50))).await;
    let mut ws = server.open().await;
    next_text(&mut ws).await;
    let mut events = TcpStream::connect(server.address).await.unwrap();
    let request = format!("GET /v1/events HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    events.write_all(request.as_bytes()).await.unwrap();
    send(&mut ws, frame(1, 8, 8, 1)).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let address = server.address;
    let began = Instant::now();
    server.ask_to_stop();
    assert_eq!(close_code(&mut ws).await, 1001);
    while ws.next().await.is_some_and(|message| message.is_ok()) {}
    let mut rest = Vec::new();
    events.read_to_end(&mut rest).await.unwrap();
    server.stopped().await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}
