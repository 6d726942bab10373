//! Load on a running server: so many clients that each send a 640 x 480 JPEG so many times a second, whether or not
//! the answer has come. Prints latencies, drops and the server's memory over time.
//!
//! ```sh
//! gesto live --threads 2 &
//! cargo run --release -p gesto-live --example load -- --clients 8 --fps 15 --seconds 30 samples/fingers-lq.gif
//! ```
//!
//! "Server" is the time from a frame's arrival to its result (queue, JPEG decode, detector), told by the server in
//! every result; "round trip" is the client's own measure. With `--check` the exit code is 1 when a figure of
//! docs/live.md is missed: server p99 under 8 ms for one client; for several, no growth of the round trip from the
//! first quarter to the last; memory growth under 5 MB.

#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use gesto_live::wire::{ClientMessage, Encoding, FrameMessage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "load [--address 127.0.0.1:7860] [--clients 1] [--fps 60] [--seconds 30] [--check] CLIP";

struct Plan {
    address: SocketAddr,
    clients: usize,
    fps: f64,
    seconds: u64,
    check: bool,
    clip: String,
}

fn plan() -> Result<Plan, Failure> {
    let mut plan = Plan {
        address: SocketAddr::from(([127, 0, 0, 1], 7860)),
        clients: 1,
        fps: 60.0,
        seconds: 30,
        check: false,
        clip: String::new(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(USAGE);
        match word.as_str() {
            "--address" => plan.address = value()?.parse()?,
            "--clients" => plan.clients = value()?.parse()?,
            "--fps" => plan.fps = value()?.parse()?,
            "--seconds" => plan.seconds = value()?.parse()?,
            "--check" => plan.check = true,
            clip if !clip.starts_with('-') => plan.clip = clip.to_owned(),
            _ => return Err(USAGE.into()),
        }
    }
    // A tool that sends load sends it to this machine alone.
    if plan.clip.is_empty() || plan.clients == 0 || plan.fps <= 0.0 || !plan.address.ip().is_loopback() {
        return Err(USAGE.into());
    }
    Ok(plan)
}

/// The clip's frames as a browser would send them.
fn pictures(clip: &str) -> Result<Vec<Bytes>, Failure> {
    let mut source = gesto_media::source::open(clip, &gesto_media::Limits::default())?;
    let mut pictures = Vec::new();
    while let Some(shot) = source.next_frame()? {
        let (width, height) = (shot.picture.width(), shot.picture.height());
        let picture =
            image::RgbImage::from_raw(width, height, shot.picture.into_pixels()).ok_or("an odd picture")?;
        let picture = image::imageops::resize(&picture, 640, 480, image::imageops::FilterType::Triangle);
        let mut jpeg = Vec::new();
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 80).encode_image(&picture)?;
        pictures.push(jpeg.into());
    }
    if pictures.is_empty() { Err("the clip has no frames".into()) } else { Ok(pictures) }
}

/// One answer: when it came, and how long it took in milliseconds.
struct Sample {
    at: f64,
    round_trip: f64,
    server: f64,
}

#[derive(Default)]
struct Outcome {
    sent: usize,
    dropped: usize,
    refused: usize,
    samples: Vec<Sample>,
}

async fn client(plan: Arc<Plan>, pictures: Arc<Vec<Bytes>>, offset: Duration) -> Result<Outcome, Failure> {
    let mut request = format!("ws://{}/v1/stream", plan.address).into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", "gesto.v1".parse()?);
    let (ws, _) = tokio_tungstenite::connect_async(request).await?;
    let (mut sender, mut receiver) = ws.split();
    tokio::time::sleep(offset).await;
    let start = Instant::now();
    let until = Duration::from_secs(plan.seconds);
    let (fps, total) = (plan.fps, (plan.seconds as f64 * plan.fps) as u32);
    let send = async move {
        for id in 0..total {
            let due = Duration::from_secs_f64(f64::from(id) / fps);
            tokio::time::sleep_until((start + due).into()).await;
            let frame = FrameMessage {
                id,
                sent_at: start.elapsed().as_secs_f64() * 1e3,
                encoding: Encoding::Jpeg,
                mirrored: false,
                rotation: gesto::Rotation::None,
                width: 640,
                height: 480,
                payload: pictures[id as usize % pictures.len()].clone(),
            };
            sender.send(Message::Binary(ClientMessage::Frame(frame).encode().into())).await?;
        }
        Ok::<_, Failure>(sender)
    };
    let receive = async {
        let mut outcome = Outcome { sent: total as usize, ..Outcome::default() };
        let mut answered = 0;
        while answered < total {
            let message = tokio::time::timeout(until + Duration::from_secs(10), receiver.next()).await?;
            let Message::Binary(bytes) = message.ok_or("the server ended the stream")?? else { continue };
            answered += 1;
            let now = start.elapsed().as_secs_f64() * 1e3;
            let sent_at = f64::from_le_bytes(bytes[8..16].try_into()?);
            match bytes[1] {
                0x81 => {
                    let server = f64::from(f32::from_le_bytes(bytes[52..56].try_into()?));
                    outcome.samples.push(Sample { at: now, round_trip: now - sent_at, server });
                }
                0x82 => outcome.dropped += 1,
                _ => outcome.refused += 1,
            }
        }
        Ok::<_, Failure>(outcome)
    };
    let (sender, outcome) = tokio::try_join!(send, receive)?;
    drop(sender);
    Ok(outcome)
}

/// The server's resident memory in bytes, from its metrics.
async fn memory(address: SocketAddr) -> Result<f64, Failure> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(
            format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes(),
        )
        .await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let line = text.lines().find_map(|line| line.strip_prefix("gesto_resident_memory_bytes "));
    Ok(line.ok_or("the server tells no memory")?.parse()?)
}

fn percentile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let index = ((values.len() as f64 * part).ceil() as usize).clamp(1, values.len().max(1)) - 1;
    values.get(index).copied().unwrap_or(f64::NAN)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Failure> {
    let plan = Arc::new(plan()?);
    let pictures = Arc::new(pictures(&plan.clip)?);
    let clients = (0..plan.clients).map(|i| {
        // Cameras do not tick together.
        let offset = Duration::from_secs_f64(i as f64 / plan.clients as f64 / plan.fps);
        tokio::spawn(client(Arc::clone(&plan), Arc::clone(&pictures), offset))
    });
    let running = futures_util::future::try_join_all(clients.collect::<Vec<_>>());
    tokio::pin!(running);
    let start = Instant::now();
    let mut memories = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_secs((plan.seconds / 10).clamp(2, 30)));
    let outcomes = loop {
        tokio::select! {
            outcomes = &mut running => break outcomes?.into_iter().collect::<Result<Vec<_>, _>>()?,
            _ = ticks.tick() => {
                let now = memory(plan.address).await?;
                println!("{:6.1} s  memory {:.1} MB", start.elapsed().as_secs_f64(), now / 1e6);
                memories.push(now);
            }
        }
    };

    let sum = |count: fn(&Outcome) -> usize| outcomes.iter().map(count).sum::<usize>();
    let (sent, dropped, refused) = (sum(|o| o.sent), sum(|o| o.dropped), sum(|o| o.refused));
    println!(
        "{} clients, {} frames/s each, {} s: {sent} frames sent, {} answered, {dropped} dropped ({:.2}%), {refused} refused",
        plan.clients,
        plan.fps,
        plan.seconds,
        sum(|o| o.samples.len()),
        100.0 * dropped as f64 / sent as f64,
    );
    let all = || outcomes.iter().flat_map(|outcome| &outcome.samples);
    let mut server: Vec<f64> = all().map(|sample| sample.server).collect();
    let mut trip: Vec<f64> = all().map(|sample| sample.round_trip).collect();
    let server_p99 = percentile(&mut server, 0.99);
    println!(
        "server      p50 {:6.2} ms  p99 {server_p99:6.2} ms  most {:6.2} ms",
        percentile(&mut server, 0.5),
        percentile(&mut server, 1.0)
    );
    println!(
        "round trip  p50 {:6.2} ms  p99 {:6.2} ms  most {:6.2} ms",
        percentile(&mut trip, 0.5),
        percentile(&mut trip, 0.99),
        percentile(&mut trip, 1.0)
    );
    let quarter = plan.seconds as f64 * 250.0;
    let within = |from: f64, to: f64| -> f64 {
        let mut part: Vec<f64> = all().filter(|s| (from..to).contains(&s.at)).map(|s| s.round_trip).collect();
        percentile(&mut part, 0.5)
    };
    let (first, last) = (within(0.0, quarter), within(3.0 * quarter, f64::MAX));
    println!("round trip  p50 of the first quarter {first:.2} ms, of the last {last:.2} ms");
    // The first figures hold buffers and detectors that are made once.
    let settled = memories.get(1).copied().unwrap_or(f64::NAN);
    let growth = (memory(plan.address).await? - settled) / 1e6;
    println!("memory growth after the first measure {growth:+.1} MB");

    let reached = refused == 0
        && growth < 5.0
        && if plan.clients == 1 { server_p99 < 8.0 } else { last < first * 1.5 + 2.0 };
    if plan.check && !reached {
        eprintln!("a figure was missed");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
