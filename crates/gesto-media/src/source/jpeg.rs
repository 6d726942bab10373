//! Cuts JPEGs out of a stream of bytes, and decodes one.
//!
//! Markers as in ITU-T T.81, annex B. MJPEG has no container: frames follow one another, with anything (a multipart
//! header, padding) between them.

use std::io::{self, BufRead, Cursor};

use image::metadata::Orientation;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use super::still::orient;
use crate::{Error, ErrorKind, Limits, Picture, Result};

const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const APP2: u8 = 0xE2;

/// How one JPEG in the stream ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Cut {
    /// At its end marker.
    Whole,
    /// The next JPEG began, or no marker stood where one must.
    Broken,
    /// The stream ended within it.
    Truncated,
    /// It grew over the limit; the rest of it is passed over.
    TooLong,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Before `FF D8`; the flag says that `FF` was seen.
    Hunting { ff: bool },
    /// Where a marker must begin; the flag says that `FF` was seen.
    Marker { ff: bool },
    /// In a segment's two length bytes.
    Length { marker: u8, high: Option<u8> },
    /// In a segment.
    Segment { marker: u8, left: usize },
    /// In entropy-coded data; the flag says that `FF` was seen.
    Entropy { ff: bool },
}

/// Cuts JPEGs out of a reader, one after another.
pub(crate) struct Cutter<R> {
    reader: R,
    /// `FF D8` of the next JPEG was consumed while the last one was being read.
    at_soi: bool,
    most: usize,
}

impl<R: BufRead> Cutter<R> {
    pub(crate) fn new(reader: R, limits: &Limits) -> Self {
        Self { reader, at_soi: false, most: usize::try_from(limits.bytes).unwrap_or(usize::MAX) }
    }

    /// Puts the next JPEG into `out`; `None` when the stream holds no further one.
    pub(crate) fn next(&mut self, out: &mut Vec<u8>) -> io::Result<Option<Cut>> {
        out.clear();
        let mut state = State::Hunting { ff: false };
        if std::mem::take(&mut self.at_soi) {
            out.extend([0xFF, SOI]);
            state = State::Marker { ff: false };
        }
        loop {
            let chunk = match self.reader.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() {
                return Ok((!out.is_empty()).then_some(Cut::Truncated));
            }
            let (used, cut) = advance(chunk, &mut state, out);
            self.reader.consume(used);
            if let Some(cut) = cut {
                // `advance` leaves a start marker that interrupts a JPEG at the end of `out`.
                if cut == Cut::Broken && out.ends_with(&[0xFF, SOI]) {
                    out.truncate(out.len() - 2);
                    self.at_soi = true;
                }
                return Ok(Some(cut));
            }
            if out.len() > self.most {
                out.clear();
                return Ok(Some(Cut::TooLong));
            }
        }
    }

    /// Whether another JPEG begins within the next bytes. Blocks until they are there or the stream ends.
    pub(crate) fn has_more(&mut self) -> io::Result<bool> {
        if self.at_soi {
            return Ok(true);
        }
        let mut state = State::Hunting { ff: false };
        let mut out = Vec::new();
        loop {
            let chunk = match self.reader.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() {
                return Ok(false);
            }
            // One byte at a time, so that exactly the start marker is consumed.
            advance(&chunk[..1], &mut state, &mut out);
            self.reader.consume(1);
            if !out.is_empty() {
                self.at_soi = true;
                return Ok(true);
            }
        }
    }
}

/// Runs the state machine over `chunk`: appends to `out` what belongs to the JPEG, says how many bytes were used and
/// whether the JPEG is over.
fn advance(chunk: &[u8], state: &mut State, out: &mut Vec<u8>) -> (usize, Option<Cut>) {
    let mut at = 0;
    while at < chunk.len() {
        // Long runs first: bytes of a segment, bytes of entropy-coded data.
        if let State::Segment { marker, left } = *state {
            let run = left.min(chunk.len() - at);
            out.extend_from_slice(&chunk[at..at + run]);
            at += run;
            *state = match left - run {
                0 if marker == SOS => State::Entropy { ff: false },
                0 => State::Marker { ff: false },
                left => State::Segment { marker, left },
            };
            continue;
        }
        if let State::Entropy { ff: false } = *state {
            let run = chunk[at..].iter().position(|&b| b == 0xFF).unwrap_or(chunk.len() - at);
            out.extend_from_slice(&chunk[at..at + run]);
            at += run;
            if at == chunk.len() {
                break;
            }
        }
        let byte = chunk[at];
        at += 1;
        match *state {
            State::Hunting { ff } => {
                if ff && byte == SOI {
                    out.extend([0xFF, SOI]);
                    *state = State::Marker { ff: false };
                } else {
                    *state = State::Hunting { ff: byte == 0xFF };
                }
                continue;
            }
            State::Marker { ff } => {
                out.push(byte);
                match (ff, byte) {
                    // Any number of FF may stand before a marker.
                    (_, 0xFF) => *state = State::Marker { ff: true },
                    // `FF D8` by chance between frames: a marker follows every real one.
                    (false, _) if out.len() == 3 => {
                        out.clear();
                        *state = State::Hunting { ff: false };
                    }
                    (false, _) | (true, SOI | 0x00) => return (at, Some(Cut::Broken)),
                    (true, EOI) => return (at, Some(Cut::Whole)),
                    // TEM and RSTn stand alone.
                    (true, 0x01 | 0xD0..=0xD7) => *state = State::Marker { ff: false },
                    (true, marker) => *state = State::Length { marker, high: None },
                }
            }
            State::Length { marker, high: None } => {
                out.push(byte);
                *state = State::Length { marker, high: Some(byte) };
            }
            State::Length { marker, high: Some(high) } => {
                out.push(byte);
                // The length counts its own two bytes.
                match usize::from(u16::from_be_bytes([high, byte])).checked_sub(2) {
                    None => return (at, Some(Cut::Broken)),
                    Some(0) if marker == SOS => *state = State::Entropy { ff: false },
                    Some(0) => *state = State::Marker { ff: false },
                    Some(left) => *state = State::Segment { marker, left },
                }
            }
            State::Entropy { ff } => {
                out.push(byte);
                match (ff, byte) {
                    (_, 0xFF) => *state = State::Entropy { ff: true },
                    (true, EOI) => return (at, Some(Cut::Whole)),
                    (true, SOI) => return (at, Some(Cut::Broken)),
                    // Stuffed zero and restart markers belong to the data.
                    (false, _) | (true, 0x00 | 0x01 | 0xD0..=0xD7) => *state = State::Entropy { ff: false },
                    (true, marker) => *state = State::Length { marker, high: None },
                }
            }
            State::Segment { .. } => unreachable!("handled as a run above"),
        }
    }
    (at, None)
}

/// Whether a JPEG announces further pictures behind its end (CIPA DC-007, "MPF": previews, depth), which make it no clip.
pub(crate) fn is_multi_picture(jpeg: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[0xFF, marker, high, low]) = jpeg.get(at..at + 4) {
        if marker == SOS {
            return false;
        }
        if marker == APP2 && jpeg[at + 4..].starts_with(b"MPF\0") {
            return true;
        }
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
    }
    false
}

/// Decodes one whole JPEG into upright RGB, in `picture`'s memory.
pub(crate) fn decode(jpeg: &[u8], picture: &mut Picture, limits: &Limits) -> Result<()> {
    if jpeg.len() as u64 > limits.bytes {
        return Err(Error::new(ErrorKind::TooLarge, "the encoded picture is larger than the limit"));
    }
    let options = DecoderOptions::default()
        .set_strict_mode(false)
        .set_max_width(Limits::MAX_SIDE as usize)
        .set_max_height(Limits::MAX_SIDE as usize)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(jpeg), options);
    decoder.decode_headers().map_err(jpeg_error)?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
    picture.reset(side(width), side(height), limits)?;
    if decoder.output_buffer_size() != Some(picture.pixels().len()) {
        return Err(Error::new(ErrorKind::Unsupported, "the JPEG's colours cannot become RGB"));
    }
    let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
    decoder.decode_into(picture.pixels_mut()).map_err(jpeg_error)?;
    if let Some(orientation) = orientation.filter(|&o| o != Orientation::NoTransforms) {
        orient(picture, orientation);
    }
    Ok(())
}

fn jpeg_error(error: DecodeErrors) -> Error {
    match error {
        DecodeErrors::LargeDimensions(_) => {
            Error::new(ErrorKind::TooLarge, "the JPEG's sides are larger than the limit")
        }
        DecodeErrors::Unsupported(what) => {
            Error::new(ErrorKind::Unsupported, format!("JPEG variant not supported: {what:?}"))
        }
        DecodeErrors::ExhaustedData => Error::new(ErrorKind::Malformed, "the JPEG ends early"),
        error => {
            // The decoder quotes its own messages.
            let text = format!("{error:?}").replace("\\n", " ");
            Error::new(ErrorKind::Malformed, format!("damaged JPEG: {}", text.trim_matches(['"', ' '])))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    /// Markers and lengths of a JPEG, with a thumbnail inside a segment and stuffed data; not decodable.
    fn skeleton() -> Vec<u8> {
        let mut jpeg = vec![0xFF, 0xD8, 0xFF, 0xE1, 0, 8, 0xFF, 0xD8, 0xFF, 0xD9, 1, 2];
        jpeg.extend([0xFF, 0xFF, 0xDB, 0, 3, 7]);
        jpeg.extend([0xFF, 0xDA, 0, 2, 9, 9, 0xFF, 0x00, 9, 0xFF, 0xD3, 9]);
        jpeg.extend([0xFF, 0xC4, 0, 2, 0xFF, 0xDA, 0, 3, 1, 5, 5, 0xFF, 0xD9]);
        jpeg
    }

    fn cuts(stream: &[u8], buffer: usize) -> Vec<(Cut, Vec<u8>)> {
        let mut cutter = Cutter::new(BufReader::with_capacity(buffer, stream), &Limits::default());
        let mut out = Vec::new();
        let mut all = Vec::new();
        while let Some(cut) = cutter.next(&mut out).unwrap() {
            all.push((cut, out.clone()));
        }
        all
    }

    #[test]
    fn frames_are_cut_whole_whatever_stands_between_them() {
        let jpeg = skeleton();
        let stream =
            [b"--b\r\nContent-Type: image/jpeg\r\n\r\n", &jpeg[..], b"\xff\xd8\r\n", &jpeg, &jpeg].concat();
        for buffer in [1, 2, 3, 7, 4096] {
            let whole = (Cut::Whole, jpeg.clone());
            assert_eq!(cuts(&stream, buffer), [whole.clone(), whole.clone(), whole], "buffer of {buffer}");
        }
    }

    #[test]
    fn a_broken_frame_does_not_take_the_next_one_with_it() {
        let jpeg = skeleton();
        let half = &jpeg[..jpeg.len() - 2];
        let stream = [half, &jpeg, &jpeg[..20]].concat();
        for buffer in [1, 5, 4096] {
            let got = cuts(&stream, buffer);
            let kinds: Vec<_> = got.iter().map(|(cut, _)| *cut).collect();
            assert_eq!(kinds, [Cut::Broken, Cut::Whole, Cut::Truncated], "buffer of {buffer}");
            assert_eq!(got[1].1, jpeg);
        }
    }

    #[test]
    fn whether_more_follows_is_known_without_losing_it() {
        let jpeg = skeleton();
        let stream = [&jpeg[..], b"junk", &jpeg].concat();
        let mut cutter = Cutter::new(&stream[..], &Limits::default());
        let mut out = Vec::new();
        assert_eq!(cutter.next(&mut out).unwrap(), Some(Cut::Whole));
        assert!(cutter.has_more().unwrap());
        assert!(cutter.has_more().unwrap());
        assert_eq!(cutter.next(&mut out).unwrap(), Some(Cut::Whole));
        assert_eq!(out, jpeg);
        assert!(!cutter.has_more().unwrap());
        assert_eq!(cutter.next(&mut out).unwrap(), None);
    }
}
