//! A WebSocket with the server's patience: bounded sends, pings, and an end for those who say nothing.

use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use bytes::Bytes;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use crate::state::App;
use crate::wire::close;

/// Why a stream ends.
#[derive(Debug)]
pub(super) enum End {
    /// The client went, or does not take what is sent.
    Gone,
    /// The server ends it.
    Close(u16, String),
}

pub(super) struct Socket {
    socket: WebSocket,
    stalled: Duration,
    idle: Duration,
    /// When the client last did something besides being there.
    active: Instant,
    ticks: Interval,
}

/// What a socket woke up for.
pub(super) enum Woke {
    Text(String),
    Binary(Bytes),
    /// A ping's answer or the like.
    Nothing,
}

impl Socket {
    pub(super) fn new(socket: WebSocket, app: &App) -> Self {
        let limits = app.config.limits;
        let mut ticks = interval((limits.idle / 4).clamp(Duration::from_millis(50), Duration::from_secs(15)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { socket, stalled: limits.stalled, idle: limits.idle, active: Instant::now(), ticks }
    }

    /// Sends one message, or ends the stream when the client does not take it in time.
    pub(super) async fn send(&mut self, message: Message) -> Result<(), End> {
        match timeout(self.stalled, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Gone),
        }
    }

    pub(super) async fn send_text(&mut self, json: String) -> Result<(), End> {
        self.send(Message::Text(json.into())).await
    }

    pub(super) async fn send_binary(&mut self, bytes: impl Into<Bytes>) -> Result<(), End> {
        self.send(Message::Binary(bytes.into())).await
    }

    /// Waits for the client's next message. Safe to cancel.
    pub(super) async fn next(&mut self) -> Result<Woke, End> {
        tokio::select! {
            biased;
            message = self.socket.recv() => match message {
                Some(Ok(Message::Binary(bytes))) => Ok(Woke::Binary(bytes)),
                Some(Ok(Message::Text(text))) => Ok(Woke::Text(text.to_string())),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(Woke::Nothing),
                Some(Ok(Message::Close(_))) | None => Err(End::Gone),
                // Too large, or not WebSocket at all.
                Some(Err(error)) => Err(End::Close(close::POLICY, shorten(&error.to_string()))),
            },
            _ = self.ticks.tick() => {
                if self.active.elapsed() >= self.idle {
                    return Err(End::Close(close::IDLE, "nothing came for a while".to_owned()));
                }
                self.send(Message::Ping(Bytes::new())).await?;
                Ok(Woke::Nothing)
            }
        }
    }

    /// The client did something: it is not idle.
    pub(super) fn active(&mut self) {
        self.active = Instant::now();
    }

    pub(super) async fn end(&mut self, end: End) {
        if let End::Close(code, reason) = end {
            self.close(code, &reason).await;
        }
    }

    pub(super) async fn close(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code, reason: shorten(reason).into() };
        // Whether it arrives or not, this is the end.
        if self.send(Message::Close(Some(frame))).await.is_ok() {
            // The client's own close, so that it has read ours before the connection goes.
            let _ = timeout(Duration::from_secs(1), async {
                while let Some(Ok(_)) = self.socket.recv().await {}
            })
            .await;
        }
    }
}

/// A close frame holds 123 bytes of reason.
fn shorten(reason: &str) -> String {
    let mut end = reason.len().min(120);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason[..end].to_owned()
}
