//! What people read: lines on standard output, and, while the program works, on standard error.
//!
//! Never by `println!` and its like: they panic when nobody reads the pipe, or when the disk is full.

use std::fmt::Display;
use std::io::{self, StdoutLock, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Standard output, whose errors say that they are its.
pub(crate) struct Stdout(StdoutLock<'static>);

/// Locks standard output for this thread.
pub(crate) fn stdout() -> Stdout {
    Stdout(io::stdout().lock())
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(of_stdout)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(of_stdout)
    }
}

fn of_stdout(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write to standard output: {error}"))
}

/// A line on standard output.
pub(crate) fn print(line: impl Display) -> io::Result<()> {
    writeln!(stdout(), "{line}")
}

/// A line on standard error. When nobody reads it there is nowhere left to say so, and the work goes on.
pub(crate) fn tell(line: impl Display) {
    // One write: lines of several threads do not mix.
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// How talkative the program is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Console {
    verbose: bool,
    quiet: bool,
}

impl Console {
    pub(crate) fn new(verbose: u8, quiet: bool) -> Self {
        Self { verbose: verbose > 0, quiet }
    }

    /// Whether only errors are wanted.
    pub(crate) fn quiet(&self) -> bool {
        self.quiet
    }

    /// An error, in one line: the message, then each cause after a colon.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        let mut text = String::new();
        for cause in error.chain().map(ToString::to_string) {
            // Some errors carry their cause in their own sentence; it need not be said twice.
            if !text.contains(&cause) {
                let colon = if text.is_empty() { "" } else { ": " };
                text = text + colon + &cause;
            }
        }
        self.problem(text);
    }

    /// Something that went wrong, in one line.
    pub(crate) fn problem(&self, message: impl Display) {
        let text = message.to_string();
        tell(format_args!("gesto: {}", text.split_whitespace().collect::<Vec<_>>().join(" ")));
    }

    /// A remark, unless `--quiet`.
    pub(crate) fn note(&self, message: impl Display) {
        if !self.quiet {
            tell(message);
        }
    }

    /// A remark for the curious, only with `--verbose`.
    pub(crate) fn detail(&self, message: impl Display) {
        if self.verbose {
            tell(message);
        }
    }
}

/// Failures of one kind, of which there may be hundreds: the first few are told, the others counted.
pub(crate) struct Failures<'a> {
    console: &'a Console,
    count: AtomicUsize,
}

impl<'a> Failures<'a> {
    /// As many are told.
    const TOLD: usize = 3;

    pub(crate) fn new(console: &'a Console) -> Self {
        Self { console, count: AtomicUsize::new(0) }
    }

    pub(crate) fn add(&self, error: &anyhow::Error) {
        if self.count.fetch_add(1, Ordering::Relaxed) < Self::TOLD || self.console.verbose {
            self.console.error(error);
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Says how many of these `many` have not been told.
    pub(crate) fn rest(&self, many: &str) {
        let untold = self.count().saturating_sub(Self::TOLD);
        if untold > 0 && !self.console.verbose {
            self.console.problem(format!("so it is with {untold} more {many} (--verbose names them)"));
        }
    }
}

/// `1 frame`, `2 frames`.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
