//! Sources: one input in, upright frames with their times out.
//!
//! [`expand`] turns what a user typed (files, directories, patterns, addresses) into [`Input`]s, [`open`] turns one
//! of them into a [`Source`].

use std::fmt;
use std::path::PathBuf;

use crate::{Error, ErrorKind, Limits, Picture, Result};

/// One thing to read.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Input {
    /// Standard input (`-`).
    Stdin,
    /// A picture or clip.
    File(PathBuf),
    /// A camera of the operating system, such as `/dev/video0`.
    Device(PathBuf),
    /// An address that `ffmpeg` opens: `rtsp://`, `http://` and others with a scheme.
    Url(String),
}

impl From<&str> for Input {
    fn from(spec: &str) -> Self {
        let scheme = spec.split_once("://").map(|(scheme, _)| scheme).unwrap_or_default();
        if spec == "-" {
            Self::Stdin
        } else if spec.starts_with("/dev/video") {
            Self::Device(spec.into())
        } else if scheme.len() > 1 && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        {
            Self::Url(spec.into())
        } else {
            Self::File(spec.into())
        }
    }
}

/// As the user named it; credentials in an address are left out.
impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("-"),
            Self::File(path) | Self::Device(path) => path.display().fmt(f),
            Self::Url(url) => f.write_str(url),
        }
    }
}

/// What kind of thing a source turned out to be; decides what an annotated copy is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// One picture.
    Still,
    /// A picture that moves (GIF, animated PNG or WebP).
    Animation,
    /// A clip with an end.
    Clip,
    /// A camera or network stream: no end, and the newest frame matters most.
    Live,
}

/// What is known of a source before its frames.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Info {
    /// Where the frames come from.
    pub input: Input,
    /// The name for reports: [`Input`] as text.
    pub name: String,
    /// Still, animation, clip or live.
    pub kind: Kind,
    /// How many frames it holds, when the container says so.
    pub frames: Option<u64>,
    /// Nominal frames per second, when the container says so.
    pub fps: Option<f64>,
}

/// One frame of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Shot {
    /// The picture, upright.
    pub picture: Picture,
    /// Its number in the source from 0, skipped broken frames counted.
    pub index: u64,
    /// When it is shown, in milliseconds from the first frame. 0 for a still.
    pub timestamp_ms: f64,
    /// How long it is shown, in milliseconds, where the format says so (GIF and other animations).
    pub duration_ms: Option<f64>,
}

/// Frames one after another.
pub trait Source: Send {
    /// What is known of it.
    fn info(&self) -> &Info;

    /// The next frame, `None` at the end.
    ///
    /// # Errors
    /// One sentence. After one with [`Error::is_recoverable`] the next call goes on behind the broken frame; after
    /// any other the source is over.
    fn next_frame(&mut self) -> Result<Option<Shot>>;

    /// Takes a picture back so that the next frame needs no new memory. Never required.
    fn recycle(&mut self, picture: Picture) {
        drop(picture);
    }
}

/// Turns what a user typed into inputs, in order.
///
/// - a directory stands for its pictures and clips, sorted by name, subdirectories left out (`recursive`: taken in);
/// - a pattern (`*`, `?`, `[...]`, `**`) that is not itself a file stands for what it matches, sorted;
/// - everything else stands for itself; files are not opened here.
///
/// An argument that stands for nothing gives one error in its place, so that a batch can report it and go on.
pub fn expand<S: AsRef<str>>(arguments: &[S], recursive: bool) -> Vec<Result<Input>> {
    let _ = recursive;
    arguments.iter().map(|argument| Ok(Input::from(argument.as_ref()))).collect()
}

/// Opens one input. What it is, is told by its first bytes, not by its name.
///
/// Read here: JPEG, PNG (moving ones too), WebP (moving too), GIF, BMP, TIFF, PNM; Y4M; MJPEG (JPEGs one after
/// another, or a multipart stream). Everything else goes through the program `ffmpeg`.
///
/// # Errors
/// No such file, nothing that can be read, more than `limits`, or `ffmpeg` is needed and not installed.
pub fn open(input: impl Into<Input>, limits: &Limits) -> Result<Box<dyn Source>> {
    let (input, _) = (input.into(), limits);
    Err(Error::new(ErrorKind::Unsupported, format!("`{input}`: no reader yet")))
}

/// Decodes one encoded picture (JPEG, PNG, WebP, GIF, BMP, TIFF, PNM) from memory into `picture`, reusing its
/// memory: what a server does with a request's body.
///
/// # Errors
/// Not a picture, damaged, or more than `limits`.
pub fn decode(encoded: &[u8], picture: &mut Picture, limits: &Limits) -> Result<()> {
    let _ = (encoded, picture, limits);
    Err(Error::new(ErrorKind::Unsupported, "no decoder yet"))
}
