//! From an input to the reader that its first bytes ask for.

use std::fs::{self, File};
use std::io::{BufReader, Chain, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use image::ImageFormat;

use super::animation::{Animation, count_gif_frames, is_moving_png, is_moving_webp};
use super::ffmpeg::Ffmpeg;
use super::mjpeg::Mjpeg;
use super::still::{Still, decode as decode_still, read_all, sniff};
use super::y4m::{self, Y4m};
use super::{Info, Input, Kind, Shot, Source};
use crate::ffmpeg::Stopper;
use crate::{Error, ErrorKind, Limits, Picture, Result};

/// Bytes that tell formats apart.
const HEAD: usize = 512;

/// Opens one input. What it is, is told by its first bytes, not by its name.
///
/// Read here: JPEG, PNG (moving ones too), WebP (moving too), GIF, BMP, TIFF, PNM; Y4M; MJPEG (JPEGs one after
/// another, or a multipart stream). Everything else goes through the program `ffmpeg` (the first on the `PATH`, or
/// the one that the variable `GESTO_FFMPEG` names).
///
/// # Errors
/// No such file, nothing that can be read, more than `limits`, or `ffmpeg` is needed and not installed. Messages of
/// the source and of its frames begin with the input's name.
pub fn open(input: impl Into<Input>, limits: &Limits) -> Result<Box<dyn Source>> {
    let info = Info::new(input.into());
    let name = info.name.clone();
    match open_unnamed(info, *limits) {
        Ok(source) => Ok(Box::new(Named { name, source })),
        Err(error) => Err(error.named(&name)),
    }
}

/// Decodes one encoded picture (JPEG, PNG, WebP, GIF, BMP, TIFF, PNM) from memory into `picture`, reusing its
/// memory: what a server does with a request's body. Of a moving picture the first frame.
///
/// # Errors
/// Not a picture, damaged, or more than `limits`. `picture` then holds anything.
pub fn decode(encoded: &[u8], picture: &mut Picture, limits: &Limits) -> Result<()> {
    if encoded.is_empty() {
        return Err(Error::new(ErrorKind::Malformed, "no data at all"));
    }
    let format = sniff(encoded)
        .ok_or_else(|| Error::new(ErrorKind::Unsupported, "not a picture in a known format"))?;
    if encoded.len() as u64 > limits.bytes {
        return Err(Error::new(ErrorKind::TooLarge, "the encoded picture is larger than the limit"));
    }
    decode_still(encoded, format, picture, limits)
}

fn open_unnamed(info: Info, limits: Limits) -> Result<Box<dyn Source>> {
    match &info.input {
        Input::Stdin => open_stream(info, std::io::stdin(), limits),
        Input::File(path) => {
            let path = path.clone();
            open_file(info, &path, limits)
        }
        Input::Device(path) if !path.exists() => {
            Err(Error::new(ErrorKind::NotFound, "no such device: is the camera plugged in?"))
        }
        Input::Device(_) | Input::Url(_) => Ok(Box::new(Ffmpeg::open(info, None, limits)?)),
    }
}

/// A stream after some of its first bytes were read, whole again.
type Whole<R> = Chain<Cursor<Vec<u8>>, R>;

fn read_head<R: Read>(mut reader: R) -> Result<(Vec<u8>, Whole<R>)> {
    let mut head = Vec::with_capacity(HEAD);
    (&mut reader).take(HEAD as u64).read_to_end(&mut head).map_err(unreadable)?;
    if head.is_empty() {
        return Err(Error::new(ErrorKind::Malformed, "is empty"));
    }
    let whole = Cursor::new(head.clone()).chain(reader);
    Ok((head, whole))
}

fn unreadable(error: std::io::Error) -> Error {
    Error::io("cannot be read", error)
}

fn open_file(info: Info, path: &Path, limits: Limits) -> Result<Box<dyn Source>> {
    let meta = fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::new(ErrorKind::NotFound, "no such file"),
        _ => unreadable(error),
    })?;
    if meta.is_dir() {
        return Err(Error::new(ErrorKind::InvalidArgument, "is a directory"));
    }
    let mut file = File::open(path).map_err(unreadable)?;
    if !meta.is_file() {
        // A named pipe cannot be read twice.
        return open_stream(info, file, limits);
    }
    let (head, _) = read_head(&file)?;
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    match recognise(&head) {
        Format::Picture(ImageFormat::Gif) => {
            let frames = count_gif_frames(&file, limits.animation_frames);
            file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
            Ok(Box::new(Animation::gif(moving(info, frames), file, limits)))
        }
        // Many cameras put previews behind the picture; a file that calls itself JPEG is one.
        Format::Picture(ImageFormat::Jpeg) if has_extension(path, &["jpg", "jpeg", "jpe", "jfif"]) => {
            picture(info, ImageFormat::Jpeg, file, limits)
        }
        Format::Y4m => Ok(Box::new(Y4m::new(info, BufReader::new(file), Some(meta.len()), limits)?)),
        Format::Other => {
            drop(file);
            Ok(Box::new(Ffmpeg::open(info, None, limits)?))
        }
        format => open_as(info, format, &head, file, limits),
    }
}

fn open_stream(info: Info, reader: impl Read + Send + 'static, limits: Limits) -> Result<Box<dyn Source>> {
    let (head, whole) = read_head(reader)?;
    open_as(info, recognise(&head), &head, whole, limits)
}

fn open_as(
    info: Info,
    format: Format,
    head: &[u8],
    reader: impl Read + Send + 'static,
    limits: Limits,
) -> Result<Box<dyn Source>> {
    Ok(match format {
        Format::Picture(ImageFormat::Gif) => {
            Box::new(Animation::gif(moving(info, None), BufReader::new(reader), limits))
        }
        Format::Picture(ImageFormat::Jpeg) | Format::Mjpeg => {
            Box::new(Mjpeg::new(info, BufReader::with_capacity(1 << 16, reader), limits)?)
        }
        Format::Picture(format) => return picture(info, format, reader, limits),
        Format::Y4m => Box::new(Y4m::new(info, BufReader::with_capacity(1 << 16, reader), None, limits)?),
        Format::Text => {
            return Err(Error::new(ErrorKind::Unsupported, "is text, neither a picture nor a clip"));
        }
        Format::Other if needs_seek(head) => Box::new(Spooled::open(info, reader, limits)?),
        Format::Other => Box::new(Ffmpeg::open(info, Some(Box::new(reader)), limits)?),
    })
}

fn picture(info: Info, format: ImageFormat, reader: impl Read, limits: Limits) -> Result<Box<dyn Source>> {
    let encoded = read_all(reader, &limits)?;
    Ok(match format {
        ImageFormat::Png if is_moving_png(&encoded, &limits) => {
            Box::new(Animation::png(moving(info, None), encoded, limits))
        }
        ImageFormat::WebP if is_moving_webp(&encoded) => {
            Box::new(Animation::webp(moving(info, None), encoded, limits))
        }
        _ => Box::new(Still::new(info, encoded, format, limits)),
    })
}

/// Of one frame it is a still.
fn moving(info: Info, frames: Option<u64>) -> Info {
    let kind = if frames == Some(1) { Kind::Still } else { Kind::Animation };
    Info { kind, frames, ..info }
}

fn has_extension(path: &Path, known: &[&str]) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    known.iter().any(|known| known.eq_ignore_ascii_case(extension))
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Format {
    Picture(ImageFormat),
    Mjpeg,
    Y4m,
    /// `ffmpeg` would show text files as clips of a terminal.
    Text,
    Other,
}

fn recognise(head: &[u8]) -> Format {
    if let Some(format) = sniff(head) {
        return Format::Picture(format);
    }
    if head.starts_with(y4m::MAGIC) {
        return Format::Y4m;
    }
    let text = head.trim_ascii_start();
    if text.starts_with(b"--") && contains(head, b"image/jpeg") {
        return Format::Mjpeg;
    }
    // Lists of clips that `ffmpeg` follows, and the SDP of a stream, are text too.
    let list = [&b"#EXTM3U"[..], b"ffconcat", b"v=0", b"<MPD", b"<?xml"].iter().any(|s| text.starts_with(s));
    if !list && is_text(head) { Format::Text } else { Format::Other }
}

/// UTF-8 without control characters; the head may end within a letter.
fn is_text(head: &[u8]) -> bool {
    let valid = match std::str::from_utf8(head) {
        Ok(_) => head.len(),
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Err(_) => 0,
    };
    valid > 0 && head.iter().all(|b| !b.is_ascii_control() || b.is_ascii_whitespace())
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle))
}

/// Whether this is an MP4 or QuickTime clip (ISO/IEC 14496-12) whose index stands at its end: it cannot be read from
/// a pipe.
fn needs_seek(head: &[u8]) -> bool {
    let mut at = 0;
    while let Some(&[a, b, c, d, ref name @ ..]) = head.get(at..at + 8) {
        match name {
            b"mdat" => return true,
            b"ftyp" | b"free" | b"skip" | b"wide" => at += u32::from_be_bytes([a, b, c, d]).max(8) as usize,
            _ => return false,
        }
    }
    false
}

/// A clip from a pipe, copied to a file so that `ffmpeg` can read its end first.
struct Spooled {
    source: Ffmpeg,
    info: Info,
    _file: tempfile::NamedTempFile,
}

impl Spooled {
    fn open(info: Info, mut reader: impl Read, limits: Limits) -> Result<Self> {
        let spool = |error| Error::io("cannot be copied to a temporary file", error);
        let mut file = tempfile::NamedTempFile::new().map_err(spool)?;
        std::io::copy(&mut reader, &mut file).map_err(spool)?;
        let copy = Info { input: Input::File(file.path().into()), ..info.clone() };
        let source = Ffmpeg::open(copy, None, limits)?;
        let info = Info { input: info.input, ..source.info().clone() };
        Ok(Self { source, info, _file: file })
    }
}

impl Source for Spooled {
    fn info(&self) -> &Info {
        &self.info
    }

    fn next_frame(&mut self) -> Result<Option<Shot>> {
        self.source.next_frame()
    }

    fn recycle(&mut self, picture: Picture) {
        self.source.recycle(picture);
    }

    fn stopper(&self) -> Stopper {
        self.source.stopper()
    }
}

/// Puts the input's name before every message.
struct Named {
    name: String,
    source: Box<dyn Source>,
}

impl Source for Named {
    fn info(&self) -> &Info {
        self.source.info()
    }

    fn next_frame(&mut self) -> Result<Option<Shot>> {
        self.source.next_frame().map_err(|error| error.named(&self.name))
    }

    fn recycle(&mut self, picture: Picture) {
        self.source.recycle(picture);
    }

    fn stopper(&self) -> Stopper {
        self.source.stopper()
    }
}
