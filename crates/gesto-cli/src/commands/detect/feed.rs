//! Inputs are opened and decoded ahead on threads of their own, and arrive in the order in which they were named.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use gesto_media::source::{self, Info, Input, Shot};
use gesto_media::{Limits, Result};

use crate::interrupt;

/// Frames of one input that may wait for the detector; one more is being decoded.
const FRAMES_AHEAD: usize = 2;

/// How often a wait for a frame looks for Ctrl-C.
const POLL: Duration = Duration::from_millis(100);

/// What comes from an input, in this order: `Opened` once, then frames; an error at any point.
pub(crate) enum Message {
    Opened(Info),
    Frame(Shot),
    /// The input could not be opened or is over, unless the error is recoverable.
    Failed(gesto_media::Error),
}

struct Job {
    input: Input,
    to: SyncSender<Message>,
}

/// Hands out one [`Stream`] for each input, in order.
pub(crate) struct Feed {
    waiting: VecDeque<Result<Input>>,
    ahead: VecDeque<Stream>,
    jobs: Sender<Job>,
    readers: usize,
}

/// The messages of one input.
pub(crate) struct Stream {
    /// The input as the user named it; `None` when what the user typed stands for nothing.
    pub(crate) name: Option<String>,
    messages: Receiver<Message>,
}

impl Feed {
    /// Starts `readers` threads for these inputs.
    pub(crate) fn new(inputs: Vec<Result<Input>>, readers: usize) -> Self {
        let readers = readers.clamp(1, inputs.len().max(1));
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..readers {
            let queue = Arc::clone(&queue);
            // Detached on purpose: a reader may hang in a pipe that nobody writes to when the program ends.
            thread::spawn(move || {
                loop {
                    let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(job) = job else { return };
                    read(&job);
                }
            });
        }
        Self { waiting: inputs.into(), ahead: VecDeque::new(), jobs, readers }
    }

    /// The next input.
    pub(crate) fn next_stream(&mut self) -> Option<Stream> {
        // One input for each reader besides the one handed out: no reader idles, and memory stays bounded.
        while self.ahead.len() <= self.readers {
            let Some(input) = self.waiting.pop_front() else { break };
            let (to, messages) = sync_channel(FRAMES_AHEAD);
            let name = input.as_ref().ok().map(ToString::to_string);
            match input {
                // Fails only when every reader has died, and then the stream reports its end.
                Ok(input) => drop(self.jobs.send(Job { input, to })),
                Err(error) => drop(to.send(Message::Failed(error))),
            }
            self.ahead.push_back(Stream { name, messages });
        }
        self.ahead.pop_front()
    }
}

impl Stream {
    /// The next message; `None` at the end of the input or after Ctrl-C.
    pub(crate) fn next_message(&self) -> Option<Message> {
        while !interrupt::requested() {
            match self.messages.recv_timeout(POLL) {
                Ok(message) => return Some(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        None
    }
}

/// Reads one input to its end, or until nobody listens any more.
fn read(job: &Job) {
    let limits = Limits::default();
    let mut source = match source::open(job.input.clone(), &limits) {
        Ok(source) => source,
        Err(error) => return drop(job.to.send(Message::Failed(error))),
    };
    if job.to.send(Message::Opened(source.info().clone())).is_err() {
        return;
    }
    loop {
        let (message, over) = match source.next_frame() {
            Ok(Some(shot)) => (Message::Frame(shot), false),
            Ok(None) => return,
            Err(error) => {
                let over = !error.is_recoverable();
                (Message::Failed(error), over)
            }
        };
        if job.to.send(message).is_err() || over {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_keep_their_order_and_failures_their_place() {
        let names: Vec<String> = (0..20).map(|i| format!("no-such-file-{i}.png")).collect();
        let inputs = names.iter().map(|name| Ok(Input::from(name.as_str()))).collect();
        let mut feed = Feed::new(inputs, 3);
        for name in &names {
            let stream = feed.next_stream().unwrap();
            assert_eq!(stream.name.as_ref(), Some(name));
            let Some(Message::Failed(error)) = stream.next_message() else { panic!("{name} does not exist") };
            assert!(error.to_string().contains(name), "{error}");
            assert!(stream.next_message().is_none());
        }
        assert!(feed.next_stream().is_none());
    }
}
