//! `POST /v1/detect`, `/v1/events`, `/metrics`: answers, limits, and one clear sentence for every mistake.

#![forbid(unsafe_code)]

mod support;

use std::time::Duration;

use gesto_live::Config;
use support::{Running, TestBackend, frame, jpeg, next_binary, next_text, send};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const JPEG: [(&str, &str); 1] = [("Content-Type", "image/jpeg")];

#[tokio::test]
async fn a_picture_comes_back_as_its_line() {
    let server = Running::start(Config::loopback(0)).await;
    let picture = jpeg(64, 48);
    let boundary = "gesto-test-boundary";
    let mut form = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n--{boundary}\r\n\
         Content-Disposition: form-data; name=\"image\"; filename=\"a.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n"
    )
    .into_bytes();
    form.extend(&picture);
    form.extend(format!("\r\n--{boundary}--\r\n").as_bytes());
    let multipart = format!("multipart/form-data; boundary={boundary}");
    // `curl --data-binary @photo.jpg` says that it sends a form.
    for (kind, body) in [
        ("image/jpeg", &picture),
        ("application/octet-stream", &picture),
        ("application/x-www-form-urlencoded", &picture),
        (&multipart, &form),
    ] {
        let answer = server.request("POST", "/v1/detect", &[("Content-Type", kind)], body).await;
        assert_eq!(answer.status, 200, "{kind}: {}", answer.text());
        let line = answer.json();
        assert_eq!((line["width"].as_u64(), line["height"].as_u64()), (Some(64), Some(48)));
        assert_eq!(line["hands"][0]["gesture"], "like");
        assert_eq!(line["timestamp_ms"], serde_json::Value::Null);
    }
    assert_eq!(server.metric("gesto_frames_total").await, 4.0);
}

#[tokio::test]
async fn a_mistake_in_the_query_names_itself() {
    let server = Running::start(Config::loopback(0)).await;
    for (path, says) in [
        ("/v1/detect?nonsense=1", "no setting `nonsense`"),
        ("/v1/detect?size=big", "HEIGHTxWIDTH, such as 320x224, not `big`"),
        ("/v1/detect?hands=maybe", "hands is true or false, not `maybe`"),
        ("/v1/detect?mirrored=1", "mirrored is true or false, not `1`"),
        ("/v1/detect?conf_hand=half", "conf_hand is a number between 0 and 1, not `half`"),
        ("/v1/detect?unit=npu", "unit `npu` is not offered; cpu is"),
        ("/v1/detect?fit=a&fit=b", "says `fit` twice"),
    ] {
        let answer = server.request("POST", path, &JPEG, &jpeg(16, 16)).await;
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(answer.status == 400 && message.contains(says), "{path}: {message}");
    }
    let answer = server.get("/v1/events?nonsense=1").await;
    assert!(answer.text().contains("takes `source` alone, not `nonsense`"), "{}", answer.text());
    let answer = server.get("/v1/stream").await;
    assert!(answer.text().contains("speaks WebSocket"), "{}", answer.text());
}

#[tokio::test]
async fn every_mistake_is_one_sentence() {
    let mut config = Config::loopback(0);
    config.limits.body_bytes = 200_000;
    config.limits.request_pixels = 100_000;
    let server = Running::start(config).await;
    let good = jpeg(64, 48);
    let large = jpeg(640, 480);
    // A JPEG whose header claims 65,535 x 65,535 pixels.
    let mut bomb = good.clone();
    let frame_header = bomb.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
    bomb[frame_header + 5..frame_header + 9].fill(0xff);
    for (path, kind, body, status) in [
        ("/v1/detect", "image/jpeg", &b""[..], 400),
        ("/v1/detect", "image/jpeg", &b"not a picture"[..], 415),
        ("/v1/detect", "image/jpeg", &good[..good.len() / 4], 422),
        ("/v1/detect", "image/jpeg", &large[..], 413),
        ("/v1/detect", "image/jpeg", &bomb[..], 413),
        ("/v1/detect", "image/jpeg", &[0; 300_000][..], 413),
        ("/v1/detect", "text/html", &b"<p>not a picture</p>"[..], 415),
        ("/v1/detect", "multipart/form-data", &good[..], 400),
        ("/v1/detect", "multipart/form-data; boundary=x", &b"--x--\r\n"[..], 400),
        ("/v1/detect?size=63x64", "image/jpeg", &good[..], 400),
        ("/v1/detect?size=big", "image/jpeg", &good[..], 400),
        ("/v1/detect?conf_hand=2", "image/jpeg", &good[..], 400),
        ("/v1/detect?conf_hand=NaN", "image/jpeg", &good[..], 400),
        ("/v1/detect?hands=false&body=false", "image/jpeg", &good[..], 400),
        ("/v1/detect?unit=npu", "image/jpeg", &good[..], 400),
        ("/v1/detect?nonsense=1", "image/jpeg", &good[..], 400),
        ("/v1/detec", "image/jpeg", &good[..], 404),
        ("/v1/info", "image/jpeg", &good[..], 405),
    ] {
        let answer = server.request("POST", path, &[("Content-Type", kind)], body).await;
        let told = answer.text();
        assert!(
            answer.status == status || (status == 415 && answer.status == 422),
            "{path} {kind}: {} {told}",
            answer.status
        );
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(!message.is_empty() && message.len() < 300 && !message.contains('\n'), "{message}");
    }
    let answer = server.request("POST", "/v1/detect", &JPEG, &good).await;
    assert_eq!(answer.status, 200, "the server is as good as before: {}", answer.text());
}

#[tokio::test]
async fn a_detector_that_panics_costs_its_frame_only() {
    let server = Running::start(Config::loopback(0)).await;
    let answer = server.request("POST", "/v1/detect", &JPEG, &jpeg(13, 13)).await;
    assert_eq!(answer.status, 500);
    assert_eq!(server.request("POST", "/v1/detect", &JPEG, &jpeg(16, 16)).await.status, 200);
}

#[tokio::test]
async fn too_many_requests_are_told_so_and_streams_go_on() {
    let mut config = Config::loopback(0);
    config.limits.requests = 6;
    let server = Running::with(config, TestBackend::new(Duration::from_millis(300))).await;
    let picture = jpeg(32, 32);
    let requests = (0..12).map(|_| server.request("POST", "/v1/detect", &JPEG, &picture));
    let (answers, trip) = tokio::join!(futures_util::future::join_all(requests), async {
        let mut ws = server.open().await;
        next_text(&mut ws).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let began = std::time::Instant::now();
        send(&mut ws, frame(1, 8, 8, 9)).await;
        next_binary(&mut ws).await;
        began.elapsed()
    });
    let busy = answers.iter().filter(|answer| answer.status == 503).count();
    let done = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(busy >= 1 && done >= 3 && busy + done == 12, "{busy} busy, {done} done");
    assert!(answers.iter().all(|answer| answer.status == 200 || answer.header("retry-after") == "1"));
    // The frame that was being worked on, then it is the stream's turn: 0.6 s. Behind all that wait it would be 2 s.
    assert!(trip < Duration::from_millis(1500), "{trip:?}");
}

#[tokio::test]
async fn events_tell_every_result_as_lines_or_server_sent() {
    let server = Running::start(Config::loopback(0)).await;
    for (accept, kind) in
        [("text/event-stream", "text/event-stream"), ("application/x-ndjson", "application/x-ndjson")]
    {
        let mut reader = TcpStream::connect(server.address).await.unwrap();
        let request =
            format!("GET /v1/events HTTP/1.1\r\nHost: {}\r\nAccept: {accept}\r\n\r\n", server.address);
        reader.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        let mut buffer = [0; 4096];
        // The headers come first; by then the reader is subscribed.
        while !text.contains("\r\n\r\n") {
            let count = reader.read(&mut buffer).await.unwrap();
            text += &String::from_utf8_lossy(&buffer[..count]);
        }
        assert!(text.contains(kind), "{text}");
        let answer = server.request("POST", "/v1/detect", &JPEG, &jpeg(40, 30)).await;
        assert_eq!(answer.status, 200);
        while !text.contains("\"width\":40") {
            let count = tokio::time::timeout(Duration::from_secs(10), reader.read(&mut buffer))
                .await
                .unwrap()
                .unwrap();
            assert!(count > 0);
            text += &String::from_utf8_lossy(&buffer[..count]);
        }
        let start = text.find("{\"source\":\"request\"").unwrap_or_else(|| panic!("{text}"));
        let line = text[start..].lines().next().unwrap();
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["hands"][0]["gesture"], "like");
        if accept == "text/event-stream" {
            assert!(text.contains("event: detections\ndata: {"), "{text}");
        }
    }
}

#[tokio::test]
async fn metrics_count_frames_and_time_every_stage() {
    let server = Running::start(Config::loopback(0)).await;
    let mut ws = server.open().await;
    next_text(&mut ws).await;
    for id in 0..3 {
        send(&mut ws, frame(id, 8, 8, 9)).await;
        next_binary(&mut ws).await;
    }
    let text = server.get("/metrics").await.text();
    for line in [
        "# TYPE gesto_frames counter",
        "gesto_frames_total 3",
        "gesto_streams 1",
        "gesto_stage_seconds_count{stage=\"model\"} 3",
        "gesto_stage_seconds_count{stage=\"queue\"} 3",
        "gesto_stage_seconds_bucket{le=\"+Inf\",stage=\"nms\"} 3",
        "gesto_latency_seconds_count{from=\"stream\"} 3",
        "# EOF",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}
