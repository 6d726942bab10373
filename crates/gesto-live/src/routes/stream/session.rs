//! A stream that takes the client's frames.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use bytes::Bytes;
use gesto::Orientation;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::rate::{Rate, Verdict};
use super::socket::{End, Socket, Woke};
use crate::engine::{Answer, Job, LaneId, Payload, Policy, Reply, Submitted};
use crate::metrics::Origin;
use crate::routes::events::{self, Seen};
use crate::settings::Settings;
use crate::state::{App, stopped};
use crate::wire::{
    self, ClientMessage, ClientText, DropReason, FrameMessage, Outcome, ServerText, StreamTiming, close,
};

/// Answers that may wait for a client to read them. One frame is worked on and one waits, so a client that reads
/// never has more.
const ANSWERS: usize = 4;

/// Runs a stream to its end.
pub(super) async fn run(app: &App, socket: &mut Socket, number: u64, client: IpAddr) -> Result<(), End> {
    let lane = Lane::open(app, client);
    let (sender, mut answers) = mpsc::channel(ANSWERS);
    let mut session = Session {
        app,
        number,
        lane: lane.id,
        settings: Arc::new(app.backend.defaults().clone()),
        rate: Rate::new(app.config.limits.fps, Instant::now()),
        began: Instant::now(),
        dropped: Arc::default(),
        answers: sender,
    };
    socket.send_text(ServerText::Hello { stream: number, greeting: &app.greeting }.to_json()).await?;
    session.serve(socket, &mut answers).await
}

/// A lane of the queue that closes with the stream.
struct Lane<'a> {
    app: &'a App,
    id: LaneId,
}

impl<'a> Lane<'a> {
    fn open(app: &'a App, client: IpAddr) -> Self {
        Self { app, id: app.queue.open(Policy::Newest, Some(client)) }
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        self.app.queue.close_lane(self.id);
    }
}

struct Session<'a> {
    app: &'a App,
    number: u64,
    lane: LaneId,
    settings: Arc<Settings>,
    rate: Rate,
    began: Instant,
    /// Frames dropped since the last result.
    dropped: Arc<AtomicU32>,
    answers: Sender<Ready>,
}

/// An answer, written already.
struct Ready {
    message: Bytes,
    /// When the frame of a result came.
    received: Option<Instant>,
}

impl Session<'_> {
    async fn serve(&mut self, socket: &mut Socket, answers: &mut Receiver<Ready>) -> Result<(), End> {
        let mut shutdown = pin!(stopped(self.app.shutdown.clone()));
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => {
                    return Err(End::Close(close::GOING_AWAY, "the server shuts down".to_owned()));
                }
                Some(ready) = answers.recv() => {
                    socket.send_binary(ready.message).await?;
                    if let Some(received) = ready.received {
                        self.app.metrics.sent_after(Origin::Stream, received.elapsed());
                    }
                }
                woke = socket.next() => match woke? {
                    Woke::Binary(message) => self.binary(socket, &message).await?,
                    Woke::Text(text) => self.text(socket, &text).await?,
                    Woke::Nothing => {}
                },
            }
        }
    }

    async fn binary(&mut self, socket: &mut Socket, message: &Bytes) -> Result<(), End> {
        let received = Instant::now();
        socket.active();
        let frame = match ClientMessage::decode(message) {
            Ok(ClientMessage::Frame(frame)) => frame,
            Ok(ClientMessage::Shown(_)) => return Ok(()),
            Err(malformed) => return Err(End::Close(close::PROTOCOL, malformed.to_string())),
        };
        if let Some(reason) = self.over_rate(received)? {
            return self.drop_frame(socket, frame.id, frame.sent_at, reason).await;
        }
        let FrameMessage { id, sent_at, encoding, mirrored, rotation, width, height, payload } = frame;
        let reply = ToStream {
            app: self.app.clone(),
            number: self.number,
            id,
            sent_at,
            mirrored,
            began: self.began,
            received,
            dropped: Arc::clone(&self.dropped),
            answers: self.answers.clone(),
        };
        let job = Job {
            payload: Payload::Encoded { encoding, bytes: payload, width, height },
            orientation: Orientation { mirrored, rotation },
            settings: Arc::clone(&self.settings),
            received,
            reply: Box::new(reply),
        };
        match self.app.queue.submit(self.lane, job) {
            Submitted::Queued => {}
            Submitted::Replaced(older) => older.reply.answer(Answer::Dropped(DropReason::Newer)),
            Submitted::Refused(job) => job.reply.answer(Answer::Dropped(DropReason::Busy)),
        }
        Ok(())
    }

    async fn text(&mut self, socket: &mut Socket, text: &str) -> Result<(), End> {
        socket.active();
        if self.over_rate(Instant::now())?.is_some() {
            return Ok(());
        }
        let changed = ClientText::parse(text)
            .and_then(|ClientText::Settings(change)| self.settings.with(change, &self.app.greeting.choices));
        let answer = match changed {
            Ok(settings) => {
                self.settings = Arc::new(settings);
                ServerText::Settings { settings: &self.settings }.to_json()
            }
            Err(sentence) => ServerText::Error { kind: "settings", message: &sentence }.to_json(),
        };
        socket.send_text(answer).await
    }

    fn over_rate(&mut self, now: Instant) -> Result<Option<DropReason>, End> {
        match self.rate.message(now) {
            Verdict::Fine => Ok(None),
            Verdict::Over => Ok(Some(DropReason::Rate)),
            Verdict::Flood => Err(End::Close(close::POLICY, "too many messages a second".to_owned())),
        }
    }

    async fn drop_frame(
        &self,
        socket: &mut Socket,
        id: u32,
        sent_at: f64,
        reason: DropReason,
    ) -> Result<(), End> {
        self.app.metrics.dropped(reason);
        self.dropped.fetch_add(1, Ordering::Relaxed);
        socket.send_binary(wire::dropped(id, sent_at, reason)).await
    }
}

/// Writes a worker's answer and puts it before the stream's task.
struct ToStream {
    app: App,
    number: u64,
    id: u32,
    sent_at: f64,
    mirrored: bool,
    began: Instant,
    received: Instant,
    dropped: Arc<AtomicU32>,
    answers: Sender<Ready>,
}

impl Reply for ToStream {
    fn answer(self: Box<Self>, answer: Answer<'_>) {
        let (message, received) = match answer {
            Answer::Done { width, height, queue, unpack, detections, .. } => {
                let name = || format!("stream-{}", self.number);
                if self.app.events.receiver_count() > 0 {
                    let name = name();
                    events::publish(&self.app.events, || Seen {
                        source: &name,
                        frame: u64::from(self.id),
                        timestamp: self.received.saturating_duration_since(self.began),
                        width,
                        height,
                        detections,
                    });
                }
                let timing = StreamTiming { queue, unpack, server: self.received.elapsed() };
                let outcome = Outcome {
                    id: self.id,
                    sent_at: self.sent_at,
                    width,
                    height,
                    mirrored: self.mirrored,
                    dropped: self.dropped.swap(0, Ordering::Relaxed),
                    timing,
                    detections,
                };
                (wire::result(&outcome), Some(self.received))
            }
            Answer::Dropped(reason) => {
                self.app.metrics.dropped(reason);
                self.dropped.fetch_add(1, Ordering::Relaxed);
                (wire::dropped(self.id, self.sent_at, reason), None)
            }
            Answer::Failed { sentence, .. } => (wire::refused(self.id, self.sent_at, &sentence), None),
        };
        match self.answers.try_send(Ready { message: message.into(), received }) {
            Ok(()) => {}
            // A client that does not read misses answers; nothing piles up for it.
            Err(TrySendError::Full(_)) => self.app.metrics.dropped_for_slow_client(1),
            // It is gone.
            Err(TrySendError::Closed(_)) => {}
        }
    }
}
