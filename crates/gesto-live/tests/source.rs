//! The server's own source: several viewers, newest picture only, settings for all, MJPEG, and a source that is gone.

#![forbid(unsafe_code)]

mod support;

use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt;
use gesto_live::engine::{Backend, Detect};
use gesto_live::settings::{Network, Settings};
use gesto_live::wire::{Choices, ClientMessage};
use gesto_live::{Config, Server, SourceConfig, SourceState};
use gesto_media::source::Input;
use support::{PICTURE, Running, TestBackend, Ws, close_code, frame, head, next_binary, next_text, send};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

fn clip() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../samples/fingers-lq.gif")
}

async fn playing(input: PathBuf) -> Running {
    let mut config = Config::loopback(0);
    config.source = Some(SourceConfig { input: Input::File(input), mirrored: false });
    Running::start(config).await
}

async fn shown(ws: &mut Ws, id: u32) {
    send(ws, Message::Binary(ClientMessage::Shown(id).encode().into())).await;
}

/// The JPEG behind a picture message's result, and the size that the result names.
fn split(message: &[u8]) -> (&[u8], u32, u32) {
    let number = |at: usize| usize::from(u16::from_le_bytes(message[at..at + 2].try_into().unwrap()));
    let (hands, people, keypoints) = (number(56), number(58), number(60));
    let end = 64 + 24 * hands + people * (20 + 12 * keypoints);
    let side = |at: usize| u32::from_le_bytes(message[at..at + 4].try_into().unwrap());
    (&message[end..], side(16), side(20))
}

#[tokio::test]
async fn every_viewer_sees_the_newest_picture_with_its_result() {
    let server = playing(clip()).await;
    let mut viewers = [server.open().await, server.open().await];
    for ws in &mut viewers {
        let hello = next_text(ws).await;
        assert_eq!(hello["mode"], "source");
        assert!(hello["source"].as_str().unwrap().ends_with("fingers-lq.gif"));
        let mut last = None;
        for _ in 0..6 {
            let message = next_binary(ws).await;
            let (kind, id, _) = head(&message);
            assert_eq!(kind, PICTURE);
            assert!(last.is_none_or(|last| id > last), "never back in time");
            last = Some(id);
            let (jpeg, width, height) = split(&message);
            let picture = image::load_from_memory(jpeg).unwrap();
            assert_eq!((picture.width(), picture.height()), (width, height));
            shown(ws, id).await;
        }
    }
    assert!(server.metric("gesto_latency_seconds_count{from=\"source\"}").await >= 6.0);
}

#[tokio::test]
async fn a_slow_viewer_sees_fewer_pictures_not_older_ones() {
    let server = playing(clip()).await;
    let mut slow = server.open().await;
    let mut quick = server.open().await;
    let mut newest = 0;
    let mut of_slow = Vec::new();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(3);
    loop {
        tokio::select! {
            message = quick.next() => if let Some(Ok(Message::Binary(message))) = message {
                newest = head(&message).1;
                shown(&mut quick, newest).await;
            },
            message = slow.next() => if let Some(Ok(Message::Binary(message))) = message {
                of_slow.push(head(&message).1);
            },
            () = tokio::time::sleep_until(deadline) => break,
        }
    }
    assert_eq!(of_slow.len(), 2, "two under way, none shown: the next waits");
    assert!(newest > of_slow[1] + 3);
    shown(&mut slow, of_slow[0]).await;
    let next = head(&next_binary(&mut slow).await).1;
    assert!(next >= newest, "{next} is the newest, not the one after {}", of_slow[1]);
}

#[tokio::test]
async fn settings_belong_to_all_viewers_and_frames_are_not_taken() {
    let server = playing(clip()).await;
    let (mut one, mut other) = (server.open().await, server.open().await);
    for ws in [&mut one, &mut other] {
        next_text(ws).await;
    }
    send(&mut one, Message::Text(r#"{"type":"settings","conf_hand":0.9}"#.into())).await;
    for ws in [&mut one, &mut other] {
        let told = loop {
            let message = next_text(ws).await;
            if message["type"] == "settings" {
                break message;
            }
        };
        assert!((told["settings"]["conf_hand"].as_f64().unwrap() - 0.9).abs() < 1e-6);
    }
    send(&mut other, frame(1, 8, 8, 1)).await;
    assert_eq!(close_code(&mut other).await, 1002);
}

#[tokio::test]
async fn the_source_plays_as_mjpeg() {
    let server = playing(clip()).await;
    let mut reader = TcpStream::connect(server.address).await.unwrap();
    let request = format!("GET /v1/video HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    reader.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 65536];
    let starts = |bytes: &[u8]| bytes.windows(7).filter(|seven| seven == b"--gesto").count();
    while starts(&bytes) < 4 {
        let count =
            tokio::time::timeout(Duration::from_secs(10), reader.read(&mut buffer)).await.unwrap().unwrap();
        assert!(count > 0, "the video goes on");
        bytes.extend_from_slice(&buffer[..count]);
    }
    let text = String::from_utf8_lossy(&bytes);
    assert!(
        text.contains("multipart/x-mixed-replace; boundary=gesto")
            && text.contains("Content-Type: image/jpeg")
    );
}

#[tokio::test]
async fn a_source_that_is_gone_is_told_and_tried_again() {
    let folder = std::env::temp_dir().join(format!("gesto-live-source-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("late.gif");
    let server = playing(file.clone()).await;
    let mut ws = server.open().await;
    next_text(&mut ws).await;
    let state = async |ws: &mut Ws, wanted: &str| loop {
        let message = next_text(ws).await;
        if message["type"] == "source" && message["state"] == wanted {
            break message;
        }
    };
    let lost = state(&mut ws, "lost").await;
    assert!(!lost["message"].as_str().unwrap().is_empty());
    std::fs::copy(clip(), &file).unwrap();
    state(&mut ws, "playing").await;
    assert_eq!(support::head(&next_binary(&mut ws).await).0, PICTURE);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn whoever_starts_the_server_hears_what_the_source_does() {
    let mut config = Config::loopback(0);
    let missing = PathBuf::from("/no/such/clip.gif");
    config.source = Some(SourceConfig { input: Input::File(missing), mirrored: false });
    let backend = std::sync::Arc::new(TestBackend::new(Duration::ZERO));
    let server = Server::bind(config, backend).await.unwrap();
    let mut watch = server.source().unwrap();
    let reason = loop {
        match tokio::time::timeout(Duration::from_secs(10), watch.next()).await.unwrap() {
            Some(SourceState::Connecting) => {}
            Some(SourceState::Lost(reason)) => break reason,
            other => panic!("{other:?}"),
        }
    };
    assert!(reason.contains("/no/such/clip.gif"), "{reason}");
    server.run(std::future::ready(())).await;
    let without = Server::bind(Config::loopback(0), std::sync::Arc::new(TestBackend::new(Duration::ZERO)));
    assert!(without.await.unwrap().source().is_none());
}

/// A unit that fails on every frame, as a lost graphics processor does.
struct Broken(TestBackend);

impl Backend for Broken {
    fn choices(&self) -> &Choices {
        self.0.choices()
    }

    fn defaults(&self) -> &Settings {
        self.0.defaults()
    }

    fn gestures(&self) -> Vec<String> {
        self.0.gestures()
    }

    fn build(&self, _: &Network) -> Result<Box<dyn Detect>, String> {
        Err("the unit is lost".to_owned())
    }
}

#[tokio::test]
async fn a_unit_that_fails_is_told_to_viewers() {
    let mut config = Config::loopback(0);
    config.source = Some(SourceConfig { input: Input::File(clip()), mirrored: false });
    let server = Running::with(config, Broken(TestBackend::new(Duration::ZERO))).await;
    let mut ws = server.open().await;
    loop {
        let message = next_text(&mut ws).await;
        if message["state"] == "lost" {
            assert_eq!(message["message"], "the unit is lost");
            break;
        }
    }
}
