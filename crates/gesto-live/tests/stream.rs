//! `/v1/stream`: the protocol, newest frame only, fairness, limits.

#![forbid(unsafe_code)]

mod support;

use std::time::{Duration, Instant};

use gesto_live::Config;
use gesto_live::wire::Encoding;
use support::{
    DROPPED, REFUSED, RESULT, Running, TestBackend, close_code, encoded, frame, head, jpeg, next_binary,
    next_text, send,
};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn a_frame_is_answered_with_what_it_shows() {
    let server = Running::start(Config::loopback(0)).await;
    let mut ws = server.open().await;
    let hello = next_text(&mut ws).await;
    assert_eq!((hello["type"].as_str(), hello["protocol"].as_u64()), (Some("hello"), Some(1)));
    assert_eq!(hello["gestures"][4], "like");
    assert_eq!(hello["keypoints"].as_array().unwrap().len(), 17);
    send(&mut ws, frame(42, 20, 10, 51)).await;
    let answer = next_binary(&mut ws).await;
    assert_eq!(head(&answer).0, RESULT);
    assert_eq!(head(&answer).1, 42);
    assert_eq!(answer.len(), 64 + 24, "one hand");
    let f32_at = |at: usize| f32::from_le_bytes(answer[at..at + 4].try_into().unwrap());
    assert!((f32_at(68) - 0.2).abs() < 1e-3, "the score is the frame's grey");
    assert_eq!((f32_at(80), f32_at(84)), (20.0, 10.0), "the box is the frame");
    send(&mut ws, encoded(43, Encoding::Jpeg, jpeg(64, 48))).await;
    let answer = next_binary(&mut ws).await;
    assert_eq!(head(&answer), (RESULT, 43, 0));
    assert_eq!(u32::from_le_bytes(answer[16..20].try_into().unwrap()), 64);
}

#[tokio::test]
async fn late_frames_are_dropped_and_every_frame_is_answered_once() {
    let server = Running::with(Config::loopback(0), TestBackend::new(Duration::from_millis(60))).await;
    let mut ws = server.open().await;
    next_text(&mut ws).await;
    // Thirty frames at once: the first is worked on, the last waits, those between are replaced.
    for id in 0..30 {
        send(&mut ws, frame(id, 8, 8, 9)).await;
    }
    let mut answers = Vec::new();
    while answers.len() < 30 {
        answers.push(head(&next_binary(&mut ws).await));
    }
    let mut ids: Vec<_> = answers.iter().map(|answer| answer.1).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..30).collect::<Vec<_>>());
    let results: Vec<_> = answers.iter().filter(|answer| answer.0 == RESULT).map(|answer| answer.1).collect();
    assert!(results.len() <= 4 && results.last() == Some(&29), "{results:?}");
    assert!(answers.iter().all(|answer| answer.0 == RESULT || (answer.0 == DROPPED && answer.2 == 1)));
}

#[tokio::test]
async fn a_stream_of_costly_frames_does_not_hold_up_another() {
    let server = Running::with(Config::loopback(0), TestBackend::new(Duration::from_millis(15))).await;
    let mut greedy = server.open().await;
    next_text(&mut greedy).await;
    let flood = tokio::spawn(async move {
        for id in 0..400 {
            send(&mut greedy, frame(id, 8, 8, 1)).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let mut polite = server.open().await;
    next_text(&mut polite).await;
    let mut worst = Duration::ZERO;
    for id in 0..20 {
        let began = Instant::now();
        send(&mut polite, frame(id, 8, 8, 9)).await;
        assert_eq!(head(&next_binary(&mut polite).await), (RESULT, id, 0));
        worst = worst.max(began.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Its own frame and the one that was being worked on; the rest is a busy machine's.
    assert!(worst < Duration::from_secs(1), "{worst:?}");
    flood.abort();
}

#[tokio::test]
async fn settings_change_what_is_named_and_mistakes_are_told() {
    let server = Running::start(Config::loopback(0)).await;
    let mut ws = server.open().await;
    next_text(&mut ws).await;
    let mut say = async |text: &str| {
        send(&mut ws, Message::Text(text.into())).await;
        next_text(&mut ws).await
    };
    let answer = say(r#"{"type":"settings","size":[128,128],"conf_hand":0.6}"#).await;
    assert_eq!(answer["type"], "settings");
    assert_eq!(answer["settings"]["size"], serde_json::json!([128, 128]));
    assert_eq!(answer["settings"]["iou_hand"].as_f64().unwrap() as f32, 0.4);
    for wrong in [
        "",
        "{}",
        "[]",
        "\u{0}",
        r#"{"type":"settings","size":[31,31]}"#,
        r#"{"type":"settings","conf_hand":7}"#,
        r#"{"type":"settings","surprise":1}"#,
        r#"{"type":"nonsense"}"#,
        &format!(r#"{{"type":"settings","unit":"{}"}}"#, "x".repeat(100_000)),
    ] {
        let answer = say(wrong).await;
        assert_eq!(answer["type"], "error", "{}", &wrong[..wrong.len().min(80)]);
        assert!(answer["message"].as_str().unwrap().len() < 300);
    }
    let answer = say(r#"{"type":"settings"}"#).await;
    assert_eq!(answer["settings"]["size"], serde_json::json!([128, 128]), "mistakes changed nothing");
}

#[tokio::test]
async fn what_is_no_picture_is_refused_and_the_stream_goes_on() {
    let mut config = Config::loopback(0);
    config.limits.stream_pixels = 10_000;
    let server = Running::start(config).await;
    let mut ws = server.open().await;
    next_text(&mut ws).await;
    for (id, message) in [
        (1, encoded(1, Encoding::Jpeg, b"no picture".to_vec())),
        (2, encoded(2, Encoding::Jpeg, Vec::new())),
        (3, encoded(3, Encoding::Jpeg, jpeg(640, 480))),
        (4, frame(4, 200, 200, 1)),
        (5, encoded(5, Encoding::Png, jpeg(64, 48)[..300].to_vec())),
        (6, frame(6, 13, 4, 1)),
    ] {
        send(&mut ws, message).await;
        let answer = next_binary(&mut ws).await;
        assert_eq!((head(&answer).0, head(&answer).1), (REFUSED, id));
        assert!(answer.len() > 20, "a sentence");
    }
    send(&mut ws, frame(7, 8, 8, 1)).await;
    assert_eq!(head(&next_binary(&mut ws).await), (RESULT, 7, 0));
}

#[tokio::test]
async fn a_message_of_another_protocol_ends_the_stream_with_a_reason() {
    let server = Running::start(Config::loopback(0)).await;
    for wrong in [vec![], vec![2, 1], vec![1, 9, 0, 0], vec![1, 1, 1, 0, 0], vec![0; 4096]] {
        let mut ws = server.open().await;
        next_text(&mut ws).await;
        send(&mut ws, Message::Binary(wrong.into())).await;
        assert_eq!(close_code(&mut ws).await, 1002);
    }
}

#[tokio::test]
async fn a_message_too_large_ends_the_stream() {
    let mut config = Config::loopback(0);
    config.limits.message_bytes = 10_000;
    let server = Running::start(config).await;
    let mut ws = server.open().await;
    next_text(&mut ws).await;
    send(&mut ws, Message::Binary(vec![1; 20_000].into())).await;
    let ended = tokio::time::timeout(Duration::from_secs(10), async {
        use futures_util::StreamExt;
        while let Some(Ok(message)) = ws.next().await {
            if message.is_close() {
                break;
            }
        }
    });
    ended.await.expect("the stream ends");
    server.metric_becomes("gesto_streams", 0.0).await;
}

#[tokio::test]
async fn too_many_frames_a_second_are_dropped_and_a_flood_ends_the_stream() {
    let mut config = Config::loopback(0);
    config.limits.fps = 20;
    let server = Running::start(config).await;
    let mut ws = server.open().await;
    next_text(&mut ws).await;
    for id in 0..12 {
        send(&mut ws, frame(id, 8, 8, 1)).await;
    }
    let mut reasons = Vec::new();
    while reasons.len() < 12 {
        let (kind, _, reason) = head(&next_binary(&mut ws).await);
        if kind == DROPPED {
            reasons.push(reason);
        } else {
            reasons.push(0);
        }
    }
    assert!(reasons.iter().filter(|&&reason| reason == 2).count() >= 5, "{reasons:?}");
    let flood = async {
        use futures_util::SinkExt;
        for id in 0..100_000 {
            if ws.send(frame(id, 1, 1, 1)).await.is_err() {
                break;
            }
        }
    };
    // The server stops reading a flood, so this ends by an error, not by having sent all.
    tokio::time::timeout(Duration::from_secs(20), flood).await.expect("the flood ends");
    server.metric_becomes("gesto_streams", 0.0).await;
}

#[tokio::test]
async fn an_idle_stream_is_closed_with_its_code() {
    let mut config = Config::loopback(0);
    config.limits.idle = Duration::from_millis(400);
    let server = Running::start(config).await;
    let mut idle = server.open().await;
    next_text(&mut idle).await;
    let began = Instant::now();
    assert_eq!(close_code(&mut idle).await, 4001);
    assert!(began.elapsed() >= Duration::from_millis(350));
}

#[tokio::test]
async fn one_stream_too_many_is_told_to_come_later() {
    let mut config = Config::loopback(0);
    config.limits.streams = 4;
    let server = Running::start(config).await;
    let mut streams = [server.open().await, server.open().await];
    for ws in &mut streams {
        next_text(ws).await;
    }
    assert_eq!(close_code(&mut server.open().await).await, 1013);
    let [first, _second] = streams;
    drop(first);
    // Its place is free as soon as the server has seen it go.
    for attempt in 0.. {
        let mut ws = server.open().await;
        let message = support::next(&mut ws).await;
        if message.is_text() {
            break;
        }
        assert!(attempt < 50, "the place never came back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
