//! The error of this crate: opaque, with an [`ErrorKind`] to act on and one sentence to show.

use std::fmt;

/// What went wrong, for code that wants to react to it, such as by falling back to the CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No adapter fits: none at all, or none with the asked-for name or backend.
    NoAdapter,
    /// The adapter lacks what was asked for, such as 16-bit arithmetic or a large enough buffer.
    Unsupported,
    /// The device has too little memory for this network at this size and batch.
    OutOfMemory,
    /// The device vanished or was reset: driver crash, unplugged, time-out.
    DeviceLost,
    /// The driver refused a shader or a command.
    Device,
    /// The network input is not a positive multiple of the largest stride, or too large.
    Shape,
    /// A frame whose bytes do not fit its description, or a setting outside its range.
    Input,
}

/// An error of this crate.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The class of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// Shorthand for this crate's results.
pub type Result<T> = std::result::Result<T, Error>;
