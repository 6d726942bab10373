//! The engine's error: opaque, with a [`ErrorKind`] to act on and one sentence to show.

use std::fmt;

/// What went wrong, for code that wants to react to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The file is not safetensors, or its header is damaged.
    Format,
    /// The file is sound but holds another network: a tensor is missing or has another shape.
    Architecture,
    /// A weight is NaN or infinite.
    NotFinite,
    /// The network input is not a positive multiple of the largest stride, or too large.
    Shape,
    /// An instruction set was asked for that this processor or operating system does not grant.
    Unsupported,
    /// A setting outside its range.
    Config,
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
