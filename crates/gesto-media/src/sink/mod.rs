//! Sinks: annotated pictures and clips as files.

mod animation;
mod clip;
mod palette;
mod saver;
mod still;
mod temporary;

use std::path::PathBuf;

pub use saver::Saver;
pub use still::encode_jpeg;

use crate::Result;
use crate::source::Shot;

/// One annotated copy being written.
///
/// The file appears under its name only when it is whole (written beside it, then renamed). A sink dropped without
/// [`finish`](Self::finish) still finishes with the frames that it was given, so that work done before an error is
/// not lost; what fails then fails silently.
pub trait Sink: Send {
    /// Adds a frame.
    ///
    /// # Errors
    /// The disk is full, the size changed within a clip, the encoder failed. The sink is of no further use then.
    fn write(&mut self, shot: &Shot) -> Result<()>;

    /// Finishes the file and says where it is; `None` when there was no frame.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    fn finish(self: Box<Self>) -> Result<Option<PathBuf>>;
}
