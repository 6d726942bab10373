//! The newest frame of a source: what a live view wants, whatever its own speed.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Info, Kind, Shot, Source, Stopper};
use crate::{Error, Picture, Result};

/// Reads a source on a thread of its own and keeps only its newest frame, so that a slow consumer sees no old ones
/// and latency never grows.
///
/// Clips and animations are read at the speed at which they are shown; live sources come at their own.
#[derive(Debug)]
pub struct Latest {
    info: Info,
    shared: Arc<Shared>,
    stopper: Stopper,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    newest: Option<Shot>,
    /// Frames that nobody took.
    dropped: u64,
    /// Broken frames that were passed over.
    broken: u64,
    over: bool,
    error: Option<Error>,
    spare: Option<Picture>,
    stop: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Latest {
    /// Starts to read.
    pub fn new(source: Box<dyn Source>) -> Self {
        let info = source.info().clone();
        let stopper = source.stopper();
        let shared = Arc::new(Shared::default());
        let thread = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || read(source, &shared))
        };
        Self { info, shared, stopper, thread: Some(thread) }
    }

    /// What is known of the source.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// The newest frame that was not taken yet; waits for one up to `patience`, `None` if none came or the source is
    /// over ([`is_over`](Self::is_over) tells which).
    ///
    /// # Errors
    /// What ended the source, once.
    pub fn take(&self, patience: Duration) -> Result<Option<Shot>> {
        let waiting = |state: &mut State| state.newest.is_none() && !state.over;
        let guard = self.shared.lock();
        let (mut state, _) = self
            .shared
            .changed
            .wait_timeout_while(guard, patience, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        match (state.newest.take(), state.error.take()) {
            (Some(shot), error) => {
                state.error = error;
                Ok(Some(shot))
            }
            (None, Some(error)) => Err(error),
            (None, None) => Ok(None),
        }
    }

    /// Takes a picture back so that a later frame needs no new memory. Never required.
    pub fn recycle(&self, picture: Picture) {
        self.shared.lock().spare = Some(picture);
    }

    /// Frames that came and went while nobody asked.
    pub fn dropped(&self) -> u64 {
        self.shared.lock().dropped
    }

    /// Broken frames that were passed over.
    pub fn broken(&self) -> u64 {
        self.shared.lock().broken
    }

    /// Whether the source has ended and its last frame was taken.
    pub fn is_over(&self) -> bool {
        let state = self.shared.lock();
        state.over && state.newest.is_none()
    }
}

impl Drop for Latest {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
        self.stopper.stop();
        // Standard input cannot be interrupted: its thread ends with the process instead.
        if self.info.input != super::Input::Stdin
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

fn read(mut source: Box<dyn Source>, shared: &Shared) {
    let paced = source.info().kind != Kind::Live;
    let start = Instant::now();
    let error = loop {
        if let Some(spare) = shared.lock().spare.take() {
            source.recycle(spare);
        }
        match source.next_frame() {
            Ok(Some(shot)) => {
                let due = Duration::try_from_secs_f64(shot.timestamp_ms / 1000.0).unwrap_or_default();
                if paced && !wait_until(start + due, shared) {
                    break None;
                }
                let mut state = shared.lock();
                if state.stop {
                    break None;
                }
                if state.newest.replace(shot).is_some() {
                    state.dropped += 1;
                }
                shared.changed.notify_all();
            }
            Ok(None) => break None,
            Err(error) if error.is_recoverable() => shared.lock().broken += 1,
            Err(error) => break Some(error),
        }
    };
    let mut state = shared.lock();
    state.over = true;
    state.error = error;
    shared.changed.notify_all();
}

/// `false` when the reader shall stop.
fn wait_until(due: Instant, shared: &Shared) -> bool {
    let patience = due.saturating_duration_since(Instant::now());
    let (state, _) = shared
        .changed
        .wait_timeout_while(shared.lock(), patience, |state| !state.stop)
        .unwrap_or_else(PoisonError::into_inner);
    !state.stop
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Input;
    use crate::{ErrorKind, Limits};

    struct Counter {
        info: Info,
        next: u64,
        frames: u64,
        step_ms: f64,
    }

    impl Source for Counter {
        fn info(&self) -> &Info {
            &self.info
        }

        fn next_frame(&mut self) -> Result<Option<Shot>> {
            let index = self.next;
            self.next += 1;
            if index == 1 {
                return Err(Error::new(ErrorKind::Malformed, "one bad frame").recoverable());
            }
            if index == self.frames {
                return Err(Error::new(ErrorKind::Io, "unplugged"));
            }
            let picture = Picture::new(2, 2, &Limits::default())?;
            Ok(Some(Shot { picture, index, timestamp_ms: index as f64 * self.step_ms, duration_ms: None }))
        }
    }

    fn counter(kind: Kind, frames: u64, step_ms: f64) -> Box<dyn Source> {
        let info = Info { kind, ..Info::new(Input::Url("rtsp://camera".into())) };
        Box::new(Counter { info, next: 0, frames, step_ms })
    }

    #[test]
    fn a_slow_consumer_gets_the_newest_frame_and_then_the_error() {
        let latest = Latest::new(counter(Kind::Live, 50, 0.0));
        while !latest.shared.lock().over {
            thread::sleep(Duration::from_millis(1));
        }
        let shot = latest.take(Duration::from_secs(9)).unwrap().unwrap();
        assert_eq!((shot.index, latest.dropped(), latest.broken()), (49, 48, 1));
        assert_eq!(latest.take(Duration::ZERO).unwrap_err().to_string(), "unplugged");
        assert!(latest.take(Duration::ZERO).unwrap().is_none());
        assert!(latest.is_over());
    }

    #[test]
    fn clips_are_shown_at_their_own_speed() {
        let start = Instant::now();
        let latest = Latest::new(counter(Kind::Clip, 4, 40.0));
        let mut seen = Vec::new();
        while !latest.is_over() {
            match latest.take(Duration::from_secs(9)) {
                Ok(shot) => seen.extend(shot.map(|shot| shot.index)),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Io),
            }
        }
        assert_eq!(seen, [0, 2, 3]);
        assert!(start.elapsed() >= Duration::from_millis(120));
    }

    #[test]
    fn dropping_it_does_not_wait_for_the_clip() {
        let start = Instant::now();
        drop(Latest::new(counter(Kind::Clip, 10_000, 1000.0)));
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}
