//! A camera of the network, for real: RTSP over loopback, lost and found again.

#![forbid(unsafe_code)]

mod support;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use gesto_live::wire::ClientMessage;
use gesto_live::{Config, SourceConfig};
use gesto_media::source::Input;
use support::rtsp::{Camera, ffmpeg_is_here};
use support::{PICTURE, Running, Ws, head, send};
use tokio_tungstenite::tungstenite::Message;

/// What a viewer was told until the wanted came: pictures are acknowledged on the way.
async fn until(ws: &mut Ws, wanted: impl Fn(&Message) -> bool) -> Message {
    let found = async {
        loop {
            let message = support::next(ws).await;
            if let Message::Binary(bytes) = &message {
                let shown = ClientMessage::Shown(head(bytes).1).encode();
                send(ws, Message::Binary(shown.into())).await;
            }
            if wanted(&message) {
                break message;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), found).await.expect("it comes within a minute")
}

fn tells(message: &Message, state: &str) -> bool {
    let Message::Text(text) = message else { return false };
    let json: serde_json::Value = serde_json::from_str(text).unwrap();
    json["type"] == "source" && json["state"] == state
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_camera_is_shown_lost_and_found_again() {
    if !ffmpeg_is_here() {
        // Unlike `println!`, this shows for tests that pass.
        _ = writeln!(
            std::io::stderr(),
            "skipped: a_network_camera_is_shown_lost_and_found_again (there is no ffmpeg)"
        );
        return;
    }
    let clip = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../samples/fingers-lq.gif");
    let camera = Camera::start(&clip, ([127, 0, 0, 1], 0).into());
    let (address, url) = (camera.address, camera.url());
    let mut config = Config::loopback(0);
    config.source = Some(SourceConfig { input: Input::Url(url), mirrored: false });
    let server = Running::start(config).await;
    let mut ws = server.open().await;

    let hello = until(&mut ws, Message::is_text).await.into_text().unwrap();
    assert!(hello.contains(&format!("rtsp://{address}/camera")) && !hello.contains("secret"), "{hello}");
    for _ in 0..5 {
        let Message::Binary(picture) = until(&mut ws, Message::is_binary).await else { unreachable!() };
        assert_eq!(head(&picture).0, PICTURE);
        let side = |at: usize| u32::from_le_bytes(picture[at..at + 4].try_into().unwrap());
        assert_eq!((side(16), side(20)), (320, 240));
    }

    tokio::task::block_in_place(|| drop(camera));
    until(&mut ws, |message| tells(message, "lost")).await;
    let camera = tokio::task::block_in_place(|| Camera::start(&clip, address));
    until(&mut ws, |message| tells(message, "playing")).await;
    until(&mut ws, Message::is_binary).await;
    tokio::task::block_in_place(|| drop(camera));
}
