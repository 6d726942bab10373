//! One client: sends at a fixed rate, and takes the time of every answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use gesto_live::wire::{ClientMessage, Encoding, FrameMessage};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::{Failure, HEIGHT, Run, WIDTH};

/// Patience with a server that owes an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// One result: when it came after the start, and how long it took, in milliseconds.
pub(crate) struct Sample {
    pub(crate) at: f64,
    pub(crate) round_trip: f64,
    /// From the frame's arrival to its result, by the server's clock: queue, JPEG decode, detector.
    pub(crate) server: f64,
    /// JPEG decode.
    pub(crate) unpack: f64,
    /// Resize, network, decode and NMS.
    pub(crate) detector: f64,
}

/// What came back.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) sent: usize,
    pub(crate) dropped: usize,
    pub(crate) refused: usize,
    pub(crate) samples: Vec<Sample>,
}

/// Sends from `offset` on, and waits until every frame is answered.
pub(crate) async fn run(
    address: SocketAddr,
    pictures: Arc<Vec<Bytes>>,
    run: Run,
    offset: Duration,
) -> Result<Outcome, Failure> {
    let mut request = format!("ws://{address}/v1/stream").into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", "gesto.v1".parse()?);
    let (ws, _) = tokio_tungstenite::connect_async(request).await?;
    let (mut sender, mut receiver) = ws.split();
    tokio::time::sleep(offset).await;
    let start = Instant::now();
    let total = (run.seconds as f64 * run.fps) as u32;
    let send = async move {
        for id in 0..total {
            let due = Duration::from_secs_f64(f64::from(id) / run.fps);
            tokio::time::sleep_until((start + due).into()).await;
            let frame = FrameMessage {
                id,
                sent_at: start.elapsed().as_secs_f64() * 1e3,
                encoding: Encoding::Jpeg,
                mirrored: false,
                rotation: gesto::Rotation::None,
                width: WIDTH,
                height: HEIGHT,
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
            let message = tokio::time::timeout(PATIENCE, receiver.next()).await?;
            let Message::Binary(bytes) = message.ok_or("the server ended the stream")?? else { continue };
            answered += 1;
            let now = start.elapsed().as_secs_f64() * 1e3;
            // Offsets as in docs/live-protocol.md.
            let sent_at = f64::from_le_bytes(bytes[8..16].try_into()?);
            match bytes[1] {
                0x81 => outcome.samples.push(Sample {
                    at: now,
                    round_trip: now - sent_at,
                    unpack: float(&bytes, 28)?,
                    detector: float(&bytes, 48)?,
                    server: float(&bytes, 52)?,
                }),
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

fn float(bytes: &[u8], at: usize) -> Result<f64, Failure> {
    Ok(f32::from_le_bytes(bytes[at..at + 4].try_into()?).into())
}
