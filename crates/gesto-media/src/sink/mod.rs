//! Sinks: annotated pictures and clips as files.

use std::path::{Path, PathBuf};

use crate::source::{Info, Shot};
use crate::{Error, ErrorKind, Result};

/// Where annotated copies go: one file, or a directory with one file for each source.
///
/// ```text
/// let mut saver = Saver::new("out".as_ref(), inputs.len())?;   // --save FILE|DIR
/// for input in inputs {
///     let mut source = source::open(input, &limits)?;
///     let mut sink = saver.sink(source.info())?;
///     while let Some(mut shot) = source.next_frame()? {
///         annotator.draw(&mut shot.picture, &detections);
///         sink.write(&shot)?;
///     }
///     let path = sink.finish()?;
/// }
/// ```
#[derive(Debug)]
pub struct Saver {
    target: PathBuf,
}

impl Saver {
    /// `target` is a file when it ends with a known extension (`jpg png webp bmp tiff gif mp4 mkv webm mov avi`) and is
    /// no directory, else a directory, which is made when it is missing.
    ///
    /// # Errors
    /// One file for several inputs, or the directory cannot be made.
    pub fn new(target: &Path, inputs: usize) -> Result<Self> {
        let _ = inputs;
        Ok(Self { target: target.into() })
    }

    /// The sink for one source: a still keeps its format, a GIF becomes a GIF, another animation or clip an MP4. In a
    /// directory the file is named after the source; two of one name get a number.
    ///
    /// # Errors
    /// The format cannot hold the source (a clip as a JPEG), or `ffmpeg` is needed and not installed.
    pub fn sink(&mut self, info: &Info) -> Result<Box<dyn Sink>> {
        let message = format!("no writer yet for `{}` to `{}`", info.name, self.target.display());
        Err(Error::new(ErrorKind::Unsupported, message))
    }
}

/// One annotated copy being written.
///
/// The file appears under its name only when it is whole (written beside it, then renamed). A sink dropped without
/// [`finish`](Self::finish) still finishes with the frames that it was given.
pub trait Sink: Send {
    /// Adds a frame.
    ///
    /// # Errors
    /// The disk is full, the size changed within a clip, the encoder failed.
    fn write(&mut self, shot: &Shot) -> Result<()>;

    /// Finishes the file and says where it is; `None` when there was no frame.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    fn finish(self: Box<Self>) -> Result<Option<PathBuf>>;
}
