//! Animated GIF.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;

use gif::{DisposalMethod, Encoder, EncodingError, Frame, Repeat};

use super::Sink;
use super::palette;
use super::temporary::{Temporary, cannot_write};
use crate::source::Shot;
use crate::{Error, ErrorKind, Picture, Result};

/// A pixel this close in each channel to what is shown stays as it is. Backgrounds then keep still although every
/// frame has a palette of its own, and the file shrinks.
const STILL: u8 = 4;

const DEFAULT_DELAY_MS: f64 = 100.0;

/// Frames of a GIF that loops for ever.
pub(crate) struct Animation {
    path: PathBuf,
    output: Option<Output>,
    /// The newest frame waits for the next one, which tells how long it is shown.
    waiting: Option<Shot>,
    /// Milliseconds since the first frame that the delays written so far add up to.
    written_ms: f64,
    last_delay_ms: f64,
}

struct Output {
    temporary: Temporary,
    encoder: Encoder<BufWriter<File>>,
    /// RGB on the screen after the last frame.
    shown: Vec<u8>,
    width: u32,
    height: u32,
}

impl Animation {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, output: None, waiting: None, written_ms: 0.0, last_delay_ms: DEFAULT_DELAY_MS }
    }

    /// Writes the waiting frame, shown until `end_ms`.
    fn write_waiting(&mut self, end_ms: f64) -> Result<()> {
        let Some(shot) = self.waiting.take() else { return Ok(()) };
        if self.output.is_none() {
            self.output = Some(Output::new(&self.path, &shot.picture)?);
        }
        let Some(output) = &mut self.output else { return Ok(()) };
        // In hundredths of a second. Rounding to what was written, not frame by frame, keeps the clip's length.
        let delay = ((end_ms - self.written_ms) / 10.0).round().clamp(2.0, f64::from(u16::MAX)) as u16;
        self.written_ms += f64::from(delay) * 10.0;
        output.write(&shot.picture, delay).map_err(|error| error.named(&self.path.display().to_string()))
    }

    fn end(&mut self) -> Result<Option<PathBuf>> {
        if let Some(last) = &self.waiting {
            let delay = last.duration_ms.unwrap_or(self.last_delay_ms);
            self.write_waiting(last.timestamp_ms + delay)?;
        }
        let Some(output) = self.output.take() else { return Ok(None) };
        let Output { temporary, encoder, .. } = output;
        // Dropping the encoder would write the trailer too, but hide that it could not.
        let writer = encoder.into_inner().map_err(encoding_error)?;
        writer.into_inner().map_err(|error| cannot_write(&self.path, error.into_error()))?;
        temporary.keep().map(Some)
    }
}

impl Sink for Animation {
    fn write(&mut self, shot: &Shot) -> Result<()> {
        if let Some(waiting) = &self.waiting {
            self.last_delay_ms = (shot.timestamp_ms - waiting.timestamp_ms).max(0.0);
            self.write_waiting(shot.timestamp_ms)?;
        }
        self.waiting = Some(shot.clone());
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Option<PathBuf>> {
        self.end()
    }
}

impl Drop for Animation {
    fn drop(&mut self) {
        // Nobody is left to hear of an error.
        let _ = self.end();
    }
}

impl Output {
    fn new(path: &std::path::Path, picture: &Picture) -> Result<Self> {
        let (width, height) = (picture.width(), picture.height());
        let side = |side: u32| {
            u16::try_from(side)
                .map_err(|_| Error::new(ErrorKind::TooLarge, "a GIF has at most 65535 pixels a side"))
        };
        let mut temporary = Temporary::new(path)?;
        let file = temporary.file().try_clone().map_err(|error| cannot_write(path, error))?;
        let mut encoder =
            Encoder::new(BufWriter::new(file), side(width)?, side(height)?, &[]).map_err(encoding_error)?;
        encoder.set_repeat(Repeat::Infinite).map_err(encoding_error)?;
        Ok(Self { temporary, encoder, shown: Vec::new(), width, height })
    }

    fn write(&mut self, picture: &Picture, delay: u16) -> Result<()> {
        if (picture.width(), picture.height()) != (self.width, self.height) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "the size of the frames changes, which a GIF cannot",
            ));
        }
        let rgba = self.changed(picture);
        let (palette, transparent, indices) = palette::quantise(&rgba);
        let frame = Frame {
            width: self.width as u16,
            height: self.height as u16,
            palette: Some(palette),
            transparent,
            buffer: indices.into(),
            delay,
            dispose: DisposalMethod::Keep,
            ..Frame::default()
        };
        self.remember(&frame);
        self.encoder.write_frame(&frame).map_err(encoding_error)
    }

    /// The picture, transparent where what is shown already looks like it.
    fn changed(&self, picture: &Picture) -> Vec<u8> {
        let mut rgba = Vec::with_capacity(picture.pixels().len() / 3 * 4);
        let shown = self.shown.as_chunks::<3>().0;
        for (i, &[r, g, b]) in picture.pixels().as_chunks::<3>().0.iter().enumerate() {
            let still = shown.get(i).is_some_and(|shown| {
                [r, g, b].iter().zip(shown).all(|(new, old)| new.abs_diff(*old) <= STILL)
            });
            rgba.extend(if still { [0; 4] } else { [r, g, b, 255] });
        }
        rgba
    }

    /// What viewers show after this frame: its palette's colours, not the picture's own.
    fn remember(&mut self, frame: &Frame<'_>) {
        let palette = frame.palette.as_deref().unwrap_or_default();
        self.shown.resize(frame.buffer.len() * 3, 0);
        for (shown, &index) in self.shown.as_chunks_mut::<3>().0.iter_mut().zip(frame.buffer.iter()) {
            let color = palette.get(usize::from(index) * 3..usize::from(index) * 3 + 3);
            if let (Some(&[r, g, b]), false) = (color, frame.transparent == Some(index)) {
                *shown = [r, g, b];
            }
        }
    }
}

fn encoding_error(error: EncodingError) -> Error {
    Error::because(ErrorKind::Io, "cannot be written", error)
}
