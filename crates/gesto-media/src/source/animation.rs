//! Moving pictures: GIF, animated PNG, animated WebP.

use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::{AnimationDecoder, ImageDecoder, ImageError};

use super::still::{codec_limits, ends_early, flatten, guarded, picture_error};
use super::{Info, Shot, Source};
use crate::{Error, ErrorKind, Limits, Picture, Result};

/// What viewers show frames for that ask for 10 ms or less.
const DEFAULT_DELAY_MS: f64 = 100.0;

/// Frames of a moving picture, decoded one ahead on a thread of its own (the decoder's iterator cannot move between
/// threads).
pub(crate) struct Animation {
    info: Info,
    frames: Receiver<Result<Decoded>>,
    index: u64,
    time_ms: f64,
    most: u64,
    over: bool,
}

struct Decoded {
    picture: Picture,
    delay_ms: f64,
}

impl Animation {
    /// Frames of a GIF, read as they come.
    pub(crate) fn gif(info: Info, reader: impl Read + Send + 'static, limits: Limits) -> Self {
        Self::spawn(info, limits, move |deliver| {
            let mut decoder = GifDecoder::new(Forward(BufReader::new(reader))).map_err(picture_error)?;
            let (width, height) = decoder.dimensions();
            limits.check(width, height)?;
            decoder.set_limits(codec_limits(&limits)).map_err(picture_error)?;
            deliver_all(decoder, &limits, deliver)
        })
    }

    /// Frames of an animated PNG.
    pub(crate) fn png(info: Info, encoded: Vec<u8>, limits: Limits) -> Self {
        Self::spawn(info, limits, move |deliver| {
            let decoder = PngDecoder::with_limits(Cursor::new(encoded), codec_limits(&limits))
                .map_err(picture_error)?;
            let (width, height) = decoder.dimensions();
            limits.check(width, height)?;
            deliver_all(decoder.apng().map_err(picture_error)?, &limits, deliver)
        })
    }

    /// Frames of an animated WebP.
    pub(crate) fn webp(info: Info, encoded: Vec<u8>, limits: Limits) -> Self {
        Self::spawn(info, limits, move |deliver| {
            let mut decoder = WebPDecoder::new(Cursor::new(encoded)).map_err(picture_error)?;
            let (width, height) = decoder.dimensions();
            limits.check(width, height)?;
            decoder.set_limits(codec_limits(&limits)).map_err(picture_error)?;
            deliver_all(decoder, &limits, deliver)
        })
    }

    fn spawn<F>(info: Info, limits: Limits, run: F) -> Self
    where
        F: FnOnce(&mut dyn FnMut(Result<Decoded>) -> bool) -> Result<()> + Send + 'static,
    {
        let (sender, frames) = sync_channel(1);
        thread::spawn(move || {
            // A send fails once the source was dropped; decoding then ends.
            let mut deliver = |frame| sender.send(frame).is_ok();
            if let Err(error) = guarded(|| run(&mut deliver)) {
                deliver(Err(error));
            }
        });
        Self { info, frames, index: 0, time_ms: 0.0, most: limits.animation_frames, over: false }
    }
}

/// A stream where `image` asks for a file. It reads GIFs from start to end, so that a pipe will do.
struct Forward<R>(BufReader<R>);

impl<R: Read> Read for Forward<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read> BufRead for Forward<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.0.consume(amount);
    }
}

impl<R> Seek for Forward<R> {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Hands over frame after frame until the last one, an error or nobody listening.
fn deliver_all<'a>(
    decoder: impl AnimationDecoder<'a>,
    limits: &Limits,
    deliver: &mut dyn FnMut(Result<Decoded>) -> bool,
) -> Result<()> {
    for frame in decoder.into_frames() {
        let frame = frame.map_err(picture_error)?;
        let (numerator, denominator) = frame.delay().numer_denom_ms();
        let delay = f64::from(numerator) / f64::from(denominator.max(1));
        let delay_ms = if delay > 10.0 { delay } else { DEFAULT_DELAY_MS };
        let rgba = frame.into_buffer();
        let mut picture = Picture::new(rgba.width(), rgba.height(), limits)?;
        flatten(&mut picture, &rgba);
        if !deliver(Ok(Decoded { picture, delay_ms })) {
            return Ok(());
        }
    }
    Ok(())
}

impl Source for Animation {
    fn info(&self) -> &Info {
        &self.info
    }

    fn next_frame(&mut self) -> Result<Option<Shot>> {
        if self.over {
            return Ok(None);
        }
        let Ok(frame) = self.frames.recv() else {
            self.over = true;
            // The shortest GIF that the decoder accepts has no picture at all.
            return if self.index == 0 { Err(ends_early()) } else { Ok(None) };
        };
        if self.index == self.most {
            self.over = true;
            let message = format!("more than {} frames in one picture", self.most);
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let Decoded { picture, delay_ms } = frame.inspect_err(|_| self.over = true)?;
        let shot =
            Shot { picture, index: self.index, timestamp_ms: self.time_ms, duration_ms: Some(delay_ms) };
        self.index += 1;
        self.time_ms += delay_ms;
        Ok(Some(shot))
    }
}

/// Counts the frames of a GIF without decoding them; `None` when it is damaged or holds more than `most`.
pub(crate) fn count_gif_frames(reader: impl Read, most: u64) -> Option<u64> {
    let mut options = gif::DecodeOptions::new();
    options.skip_frame_decoding(true);
    let mut decoder = options.read_info(BufReader::new(reader)).ok()?;
    let mut frames = 0;
    while decoder.next_frame_info().ok()?.is_some() {
        frames += 1;
        if frames > most {
            return None;
        }
    }
    Some(frames)
}

/// Whether an encoded PNG moves.
pub(crate) fn is_moving_png(encoded: &[u8], limits: &Limits) -> bool {
    moving(|| PngDecoder::with_limits(Cursor::new(encoded), codec_limits(limits))?.is_apng())
}

/// Whether an encoded WebP moves.
pub(crate) fn is_moving_webp(encoded: &[u8]) -> bool {
    moving(|| Ok(WebPDecoder::new(Cursor::new(encoded))?.has_animation()))
}

/// A damaged header does not move: the still decoder then says what is wrong with it.
fn moving(test: impl FnOnce() -> std::result::Result<bool, ImageError>) -> bool {
    guarded(|| test().map_err(picture_error)).unwrap_or(false)
}
