//! What can go wrong with a source or a sink, said in one sentence.

use std::fmt;

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller may want to tell apart.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No such file, an empty directory, a pattern that matches nothing.
    NotFound,
    /// The data is damaged, cut short, or not what its first bytes say.
    Malformed,
    /// Larger than [`Limits`](crate::Limits) allow.
    TooLarge,
    /// Sound, but in a format, variant or place that cannot be read or written here.
    Unsupported,
    /// A helper program (`ffmpeg`) is not installed.
    MissingProgram,
    /// The operating system refused to read or write.
    Io,
    /// An argument makes no sense.
    InvalidArgument,
}

/// One sentence about one input or output.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    recoverable: bool,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: one_line(&message.into()), recoverable: false, cause: None }
    }

    pub(crate) fn io(what: impl fmt::Display, cause: std::io::Error) -> Self {
        let kind =
            if cause.kind() == std::io::ErrorKind::NotFound { ErrorKind::NotFound } else { ErrorKind::Io };
        Self { cause: Some(Box::new(cause)), ..Self::new(kind, what.to_string()) }
    }

    pub(crate) fn because(
        kind: ErrorKind,
        what: impl fmt::Display,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { cause: Some(cause.into()), ..Self::new(kind, what.to_string()) }
    }

    /// Marks an error after which the source goes on with its next frame.
    pub(crate) fn recoverable(self) -> Self {
        Self { recoverable: true, ..self }
    }

    /// Puts an input's or output's name before the message.
    pub(crate) fn named(self, name: &str) -> Self {
        Self { message: format!("`{}`: {}", one_line(name), self.message), ..self }
    }

    /// What went wrong, for a program.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the source that gave this error can still give later frames.
    ///
    /// `false` means that it is over: the next call to [`next_frame`](crate::source::Source::next_frame) gives `None`.
    pub fn is_recoverable(&self) -> bool {
        self.recoverable
    }
}

/// Causes come from decoders and child processes: their text may hold line breaks, which a one-line report cannot.
fn one_line(text: &str) -> String {
    let clean = text.split(['\n', '\r']).map(str::trim).filter(|part| !part.is_empty());
    clean.collect::<Vec<_>>().join("; ").chars().filter(|c| !c.is_control()).collect()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.cause {
            Some(cause) => write!(f, ": {}", one_line(&cause.to_string())),
            None => Ok(()),
        }
    }
}

// The cause is part of the sentence already, so `source()` stays empty: reporters that walk the chain
// would print it twice.
impl std::error::Error for Error {}
