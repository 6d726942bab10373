//! The program `ffmpeg`: found, started, listened to, stopped.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};

use crate::{Error, ErrorKind};

/// Names another `ffmpeg` than the first on the `PATH`.
const VARIABLE: &str = "GESTO_FFMPEG";

/// Last words of a failing `ffmpeg` that go into a message.
const KEPT_LINES: usize = 3;

/// Longest line of its log that is looked at.
const MAX_LINE: u64 = 4096;

/// The program to start.
pub(crate) fn program() -> OsString {
    std::env::var_os(VARIABLE).filter(|name| !name.is_empty()).unwrap_or_else(|| "ffmpeg".into())
}

/// A command that logs one message a line, with its level, and never asks anything.
pub(crate) fn command(program: &OsString) -> Command {
    let mut command = Command::new(program);
    command.args(["-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+info"]);
    command
}

/// The sentence for a program that could not be started.
pub(crate) fn start_error(purpose: &str, error: std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::NotFound {
        let message = format!(
            "{purpose} needs the program `ffmpeg`, which is not installed (package `ffmpeg`: `apt install ffmpeg`, \
             `brew install ffmpeg`, `winget install ffmpeg`)"
        );
        Error::new(ErrorKind::MissingProgram, message)
    } else {
        Error::io("the program `ffmpeg` could not be started", error)
    }
}

/// The installed version's first number; development builds, which have none, count as new.
pub(crate) fn major_version(program: &OsString) -> u32 {
    static VERSION: OnceLock<u32> = OnceLock::new();
    *VERSION.get_or_init(|| {
        let output = Command::new(program).arg("-version").output().map(|out| out.stdout).unwrap_or_default();
        let text = String::from_utf8_lossy(&output);
        let version = text.split_whitespace().nth(2).unwrap_or_default();
        let digits = version.trim_start_matches('n').split(|c: char| !c.is_ascii_digit()).next();
        digits.and_then(|digits| digits.parse().ok()).unwrap_or(u32::MAX)
    })
}

/// Arguments that keep every frame with its own time, in this version's words.
pub(crate) fn keep_times(major: u32) -> [&'static str; 2] {
    if major >= 6 { ["-fps_mode", "passthrough"] } else { ["-vsync", "passthrough"] }
}

/// A running `ffmpeg`. Dropping it ends the process.
pub(crate) struct Process {
    child: Arc<Mutex<Child>>,
    log: Option<JoinHandle<Log>>,
}

/// What stayed of the log.
#[derive(Debug, Default)]
pub(crate) struct Log {
    errors: VecDeque<String>,
}

impl Process {
    /// Takes charge of a child; `listen` gets each line of its log.
    pub(crate) fn new(mut child: Child, listen: impl FnMut(&str) + Send + 'static) -> Self {
        let log = child.stderr.take().map(|stderr| thread::spawn(move || follow(stderr, listen)));
        Self { child: Arc::new(Mutex::new(child)), log }
    }

    /// Something that ends the process from another thread.
    pub(crate) fn stopper(&self) -> Stopper {
        Stopper(Some(Arc::clone(&self.child)))
    }

    /// Waits for the end, which must be near: its output was read to the end, or its input was closed.
    pub(crate) fn wait(&mut self) -> (Option<ExitStatus>, Log) {
        let status = lock(&self.child).wait().ok();
        let log = self.log.take().and_then(|log| log.join().ok()).unwrap_or_default();
        (status, log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stopper().stop();
        let _ = lock(&self.child).wait();
    }
}

/// Ends a source that waits for a frame which may never come. Cloneable, usable from any thread.
#[derive(Clone, Debug, Default)]
pub struct Stopper(Option<Arc<Mutex<Child>>>);

impl Stopper {
    /// Ends the source: its waiting call returns the end of the stream or an error soon after.
    ///
    /// Does nothing for sources that do not wait on another process.
    pub fn stop(&self) {
        if let Some(child) = &self.0 {
            // Fails only for a process that has ended, which is what is wanted.
            let _ = lock(child).kill();
        }
    }
}

/// A poisoned lock still holds a process that must be ended.
fn lock(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

fn follow(stderr: ChildStderr, mut listen: impl FnMut(&str)) -> Log {
    let mut reader = BufReader::new(stderr);
    let mut log = Log::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return log,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        listen(text);
        if let Some((_, message)) = text.split_once("[error] ").or_else(|| text.split_once("[fatal] ")) {
            if log.errors.len() == KEPT_LINES {
                log.errors.pop_front();
            }
            log.errors.push_back(message.trim().to_owned());
        }
    }
}

impl Log {
    /// The last errors in one line.
    pub(crate) fn summary(&self) -> String {
        if self.errors.is_empty() {
            return "no reason given".into();
        }
        self.errors.iter().map(String::as_str).collect::<Vec<_>>().join("; ")
    }

    /// Whether a clip was cut short although the program called it a success.
    pub(crate) fn tells_of_cut(&self) -> bool {
        self.errors.iter().any(|line| line.contains("ended prematurely") || line.contains("partial file"))
    }
}
