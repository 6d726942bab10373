//! A server on a free port with a detector whose cost the test sets, and clients that say exactly what they are told.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod rtsp;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use gesto::{Detections, Frame, Gesture, Hand, Label, Rect, Timing};
use gesto_live::engine::{Backend, Detect};
use gesto_live::settings::{Network, Settings, Thresholds};
use gesto_live::wire::{Choices, ClientMessage, Encoding, FrameMessage, Missing};
use gesto_live::{Config, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

pub type Ws = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A detector that takes as long as the test says and finds one hand: its box is the frame, its score the mean of the
/// first pixel, so that a test can tell whose frame it was. A picture of width 13 makes it panic.
pub struct TestBackend {
    pub micros: Arc<AtomicU64>,
    pub built: Arc<AtomicUsize>,
    choices: Choices,
    defaults: Settings,
}

impl TestBackend {
    pub fn new(cost: Duration) -> Self {
        let network = Network {
            size: [64, 64],
            fit: "letterbox".into(),
            resize: "cpu-bilinear".into(),
            unit: "cpu".into(),
            hands: true,
            body: true,
        };
        let choices = Choices {
            sizes: vec![[64, 64], [128, 128]],
            fits: vec!["letterbox".into(), "stretch".into()],
            units: vec!["cpu".into()],
            resizes: [("cpu".into(), vec!["cpu-bilinear".into()])].into(),
            missing: Missing::default(),
        };
        Self {
            micros: Arc::new(AtomicU64::new(cost.as_micros() as u64)),
            built: Arc::default(),
            choices,
            defaults: Settings { network, thresholds: Thresholds::default() },
        }
    }
}

impl Backend for TestBackend {
    fn choices(&self) -> &Choices {
        &self.choices
    }

    fn defaults(&self) -> &Settings {
        &self.defaults
    }

    fn gestures(&self) -> Vec<String> {
        Gesture::ALL.iter().map(|gesture| gesture.name().to_owned()).collect()
    }

    fn build(&self, _: &Network) -> Result<Box<dyn Detect>, String> {
        self.built.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(TestDetector(Arc::clone(&self.micros))))
    }
}

struct TestDetector(Arc<AtomicU64>);

impl Detect for TestDetector {
    fn detect(&mut self, frame: &Frame<'_>, _: &Thresholds, out: &mut Detections) -> Result<(), String> {
        assert_ne!(frame.width(), 13, "the test asked for a panic");
        std::thread::sleep(Duration::from_micros(self.0.load(Ordering::Relaxed)));
        let [r, ..] = frame.pixel(0, 0);
        out.hands = vec![Hand {
            gesture: Gesture::Like,
            class: 4,
            label: Label::new("like"),
            score: f32::from(r) / 255.0,
            bbox: Rect::new(0.0, 0.0, frame.width() as f32, frame.height() as f32),
        }];
        out.people.clear();
        // A resize within the model, as the fused one: no time of its own.
        let micro = Duration::from_micros(1);
        out.timing =
            Timing { model: micro, decode: micro, nms: micro, total: 3 * micro, ..Timing::default() };
        Ok(())
    }
}

/// A running server; stops with the test.
pub struct Running {
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    pub async fn start(config: Config) -> Self {
        Self::with(config, TestBackend::new(Duration::from_millis(1))).await
    }

    pub async fn with(config: Config, backend: impl Backend) -> Self {
        let server = Server::bind(config, Arc::new(backend)).await.unwrap();
        let address = server.address();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Self { address, stop: Some(stop), task }
    }

    /// Asks for the end without waiting for it.
    pub fn ask_to_stop(&mut self) {
        self.stop.take().map(|stop| stop.send(()));
    }

    /// Waits for the end.
    pub async fn stopped(self) {
        self.task.await.unwrap();
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], b"").await
    }

    /// One request on a connection of its own.
    pub async fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut text = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            text += &format!("Host: {}\r\n", self.address);
        }
        if !body.is_empty() {
            text += &format!("Content-Length: {}\r\n", body.len());
        }
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += "\r\n";
        let mut bytes = text.into_bytes();
        bytes.extend(body);
        self.raw(&bytes).await
    }

    /// Sends bytes and reads to the end.
    pub async fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // A server that refuses early closes before all is written.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        Answer::parse(&answer)
    }

    pub async fn open(&self) -> Ws {
        self.open_with(&[]).await.unwrap()
    }

    pub async fn open_with(&self, headers: &[(&'static str, String)]) -> Result<Ws, tungstenite::Error> {
        let mut request = format!("ws://{}/v1/stream", self.address).into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", "gesto.v1".parse().unwrap());
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        Ok(tokio_tungstenite::connect_async(request).await?.0)
    }

    /// Waits until a metric has this value.
    pub async fn metric_becomes(&self, name: &str, value: f64) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while self.metric(name).await != value {
            assert!(tokio::time::Instant::now() < deadline, "{name} does not become {value}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The value of a metric's line that starts with `name `.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").await.text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Self { status: 0, headers: Vec::new(), body: bytes.to_vec() };
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or(0);
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Self { status, headers, body: bytes[end + 4..].to_vec() }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(each, _)| each == name).map_or("", |(_, value)| value)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// A raw frame of one colour.
pub fn frame(id: u32, width: u32, height: u32, level: u8) -> Message {
    let message = ClientMessage::Frame(FrameMessage {
        id,
        sent_at: f64::from(id),
        encoding: Encoding::Rgb,
        mirrored: false,
        rotation: gesto::Rotation::None,
        width,
        height,
        payload: Bytes::from(vec![level; 3 * width as usize * height as usize]),
    });
    Message::Binary(message.encode().into())
}

/// A frame with any payload.
pub fn encoded(id: u32, encoding: Encoding, payload: Vec<u8>) -> Message {
    let message = ClientMessage::Frame(FrameMessage {
        id,
        sent_at: 0.0,
        encoding,
        mirrored: false,
        rotation: gesto::Rotation::None,
        width: 0,
        height: 0,
        payload: payload.into(),
    });
    Message::Binary(message.encode().into())
}

/// What a binary message of the server is: type, frame id, third byte.
pub fn head(message: &[u8]) -> (u8, u32, u8) {
    (message[1], u32::from_le_bytes(message[4..8].try_into().unwrap()), message[2])
}

pub const RESULT: u8 = 0x81;
pub const DROPPED: u8 = 0x82;
pub const REFUSED: u8 = 0x83;
pub const PICTURE: u8 = 0x84;

/// The next binary message; panics after ten seconds or at the end of the stream.
pub async fn next_binary(ws: &mut Ws) -> Bytes {
    loop {
        match next(ws).await {
            Message::Binary(bytes) => return bytes,
            Message::Close(frame) => panic!("closed: {frame:?}"),
            _ => {}
        }
    }
}

/// The next text message as JSON.
pub async fn next_text(ws: &mut Ws) -> serde_json::Value {
    loop {
        match next(ws).await {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            Message::Close(frame) => panic!("closed: {frame:?}"),
            _ => {}
        }
    }
}

/// The code that the server closes with; other messages are passed over.
pub async fn close_code(ws: &mut Ws) -> u16 {
    loop {
        match tokio::time::timeout(Duration::from_secs(10), ws.next())
            .await
            .expect("a close within ten seconds")
        {
            Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
            Some(Ok(_)) => {}
            other => panic!("the stream ended without a close: {other:?}"),
        }
    }
}

pub async fn next(ws: &mut Ws) -> Message {
    let message =
        tokio::time::timeout(Duration::from_secs(10), ws.next()).await.expect("a message within ten seconds");
    message.expect("the stream goes on").unwrap()
}

pub async fn send(ws: &mut Ws, message: Message) {
    ws.send(message).await.unwrap();
}

/// A small JPEG, made here.
pub fn jpeg(width: u32, height: u32) -> Vec<u8> {
    let mut out = Vec::new();
    let pixels: Vec<u8> =
        (0..width * height).flat_map(|i| [(i % 251) as u8, (i / 7 % 253) as u8, 90]).collect();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut out, 80)
        .encode(&pixels, width, height, image::ExtendedColorType::Rgb8)
        .unwrap();
    out
}
