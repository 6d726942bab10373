//! The protocol's messages byte for byte. The page's tests (`web/src/protocol.test.ts`) read the same file, so server
//! and page cannot drift apart. `GESTO_BLESS=1` writes it anew.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use gesto::{Detections, Gesture, Hand, Keypoint, KeypointName, Label, Person, Rect, Rotation, Timing};
use gesto_live::wire::{self, ClientMessage, DropReason, Encoding, FrameMessage, Outcome, StreamTiming};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn detections() -> Detections {
    let micros = Duration::from_micros;
    Detections {
        hands: vec![Hand {
            gesture: Gesture::Like,
            class: 4,
            label: Label::new("like"),
            score: 0.75,
            bbox: Rect::new(10.0, 20.5, 30.0, 40.0),
        }],
        people: vec![Person {
            score: 0.5,
            bbox: Rect::new(0.0, 0.0, 100.0, 200.0),
            keypoints: KeypointName::ALL.map(|name| {
                let i = name.index() as f32;
                Keypoint { name, x: i, y: 2.0 * i, score: 0.5 }
            }),
        }],
        timing: Timing {
            resize: micros(250),
            model: micros(4000),
            decode: micros(125),
            nms: Duration::from_nanos(62_500),
            total: micros(4500),
        },
    }
}

fn messages() -> BTreeMap<&'static str, String> {
    let frame = ClientMessage::Frame(FrameMessage {
        id: 7,
        sent_at: 1234.5,
        encoding: Encoding::Rgb,
        mirrored: true,
        rotation: Rotation::None,
        width: 2,
        height: 1,
        payload: Bytes::from_static(&[1, 2, 3, 4, 5, 6]),
    });
    let detections = detections();
    let outcome = Outcome {
        id: 9,
        sent_at: 55.25,
        width: 640,
        height: 480,
        mirrored: true,
        dropped: 3,
        timing: StreamTiming {
            queue: Duration::from_micros(500),
            unpack: Duration::from_micros(1500),
            server: Duration::from_millis(7),
        },
        detections: &detections,
    };
    BTreeMap::from([
        ("frame", hex(&frame.encode())),
        ("shown", hex(&ClientMessage::Shown(0xffff_fffe).encode())),
        ("result", hex(&wire::result(&outcome))),
        ("picture", hex(&wire::picture(&outcome, &[0xff, 0xd8, 0xff, 0xd9]))),
        ("dropped", hex(&wire::dropped(9, 55.25, DropReason::Rate))),
        ("refused", hex(&wire::refused(9, 55.25, "not a picture"))),
    ])
}

#[test]
fn messages_are_as_documented() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/messages.json");
    let now = messages();
    if std::env::var_os("GESTO_BLESS").is_some() {
        std::fs::write(&path, serde_json::to_string_pretty(&now).unwrap() + "\n").unwrap();
    }
    let golden: BTreeMap<String, String> =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(golden.len(), now.len());
    for (name, message) in now {
        assert_eq!(golden[name], message, "{name}");
    }
}
