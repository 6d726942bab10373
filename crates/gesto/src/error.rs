//! The library's error: opaque, with an [`ErrorKind`] to act on and one sentence to show.

use std::fmt;

/// What went wrong, for code that wants to react to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A frame whose size, strides or buffers do not fit together.
    Frame,
    /// A model that could not be read, or that holds another network.
    Model,
    /// A setting outside its range, such as a network size that is no multiple of 32.
    Config,
    /// A compute unit that this machine, or this build of the library, does not have.
    Unit,
    /// A compute unit that failed at work: lost, reset, out of memory.
    UnitFailed,
    /// Something that this build of the library or this machine cannot do, such as a resize on a graphics processor
    /// without one.
    Unsupported,
}

/// An error of this crate.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(crate) fn with_source(
        kind: ErrorKind,
        message: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { kind, message: message.into(), source: Some(source.into()) }
    }

    /// Whether another unit could do what this one did not.
    pub(crate) fn is_of_unit(&self) -> bool {
        matches!(self.kind, ErrorKind::Unit | ErrorKind::UnitFailed)
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

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<gesto_engine::Error> for Error {
    fn from(error: gesto_engine::Error) -> Self {
        use gesto_engine::ErrorKind as Engine;
        let kind = match error.kind() {
            Engine::Unsupported => ErrorKind::Unsupported,
            Engine::Format | Engine::Architecture | Engine::NotFinite => ErrorKind::Model,
            _ => ErrorKind::Config,
        };
        // The engine's sentence is complete; it needs no second one around it.
        Self::new(kind, error.to_string())
    }
}

/// Shorthand for this crate's results.
pub type Result<T> = std::result::Result<T, Error>;
