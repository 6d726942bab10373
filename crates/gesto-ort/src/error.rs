//! The error of this crate: opaque, with an [`ErrorKind`] to act on and one sentence to show.

use std::fmt;

/// What went wrong, for code that wants to react to it, such as by falling back to another unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The runtime's library is not to be found, too old, or no ONNX Runtime.
    Library,
    /// The library has no such provider, or the provider lacks a driver, a device or a library of its own.
    Provider,
    /// The model is no ONNX file, has operators that the runtime does not know, or other inputs and outputs than
    /// this family's.
    Model,
    /// The runtime failed on a picture.
    Run,
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
