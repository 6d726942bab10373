//! A stream that shows the server's source.
//!
//! A viewer acknowledges each picture that it has shown. With two under way the next waits, and by then it is the
//! newest: a slow viewer sees fewer pictures, not older ones.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::ws::Message;

use super::rate::{Rate, Verdict};
use super::socket::{End, Socket, Woke};
use crate::source::Hub;
use crate::state::{App, stopped};
use crate::wire::{ClientMessage, ClientText, ServerText, close};

/// Pictures sent and not yet shown.
const UNDER_WAY: usize = 2;

/// Runs a stream to its end.
pub(super) async fn run(app: &App, hub: &Arc<Hub>, socket: &mut Socket, number: u64) -> Result<(), End> {
    let mut greeting = app.greeting.clone();
    greeting.settings = (*hub.settings()).clone();
    socket.send_text(ServerText::Hello { stream: number, greeting: &greeting }.to_json()).await?;

    let (mut shown, mut state, mut changes) =
        (hub.shown.subscribe(), hub.state.subscribe(), hub.changes.subscribe());
    shown.mark_changed();
    state.mark_changed();
    let mut shutdown = pin!(stopped(app.shutdown.clone()));
    let mut rate = Rate::new(app.config.limits.fps, Instant::now());
    let mut under_way: Vec<u32> = Vec::with_capacity(UNDER_WAY);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => {
                return Err(End::Close(close::GOING_AWAY, "the server shuts down".to_owned()));
            }
            Ok(()) = state.changed() => {
                let state = state.borrow_and_update().clone();
                socket.send_text(ServerText::Source { state: state.name, message: &state.message }.to_json()).await?;
            }
            Ok(()) = changes.changed() => {
                changes.borrow_and_update();
                let settings = hub.settings();
                socket.send_text(ServerText::Settings { settings: &settings }.to_json()).await?;
            }
            Ok(()) = shown.changed(), if under_way.len() < UNDER_WAY => {
                let picture = shown.borrow_and_update().clone();
                if let Some(picture) = picture {
                    under_way.push(picture.id);
                    socket.send(Message::Binary(picture.message)).await?;
                }
            }
            woke = socket.next() => {
                let message = woke?;
                match message {
                    Woke::Nothing => continue,
                    _ if rate.message(Instant::now()) == Verdict::Flood => {
                        return Err(End::Close(close::POLICY, "too many messages a second".to_owned()));
                    }
                    Woke::Text(text) => {
                        socket.active();
                        if let Some(error) = change(app, hub, &text) {
                            socket.send_text(ServerText::Error { kind: "settings", message: &error }.to_json()).await?;
                        }
                    }
                    Woke::Binary(message) => match ClientMessage::decode(&message) {
                        Ok(ClientMessage::Shown(id)) => {
                            socket.active();
                            under_way.retain(|&each| each != id);
                        }
                        Ok(ClientMessage::Frame(_)) => {
                            let reason = "this server shows its own source and takes no frames".to_owned();
                            return Err(End::Close(close::PROTOCOL, reason));
                        }
                        Err(malformed) => return Err(End::Close(close::PROTOCOL, malformed.to_string())),
                    },
                }
            }
        }
    }
}

/// Applies a viewer's settings for all viewers; the error is for this one.
fn change(app: &App, hub: &Hub, text: &str) -> Option<String> {
    let ClientText::Settings(change) = match ClientText::parse(text) {
        Ok(message) => message,
        Err(sentence) => return Some(sentence),
    };
    match hub.settings().with(change, &app.greeting.choices) {
        Ok(settings) => {
            hub.change(settings);
            None
        }
        Err(sentence) => Some(sentence),
    }
}
