//! Sources: one input in, upright frames with their times out.
//!
//! [`expand`] turns what a user typed (files, directories, patterns, addresses) into [`Input`]s, [`open`] turns one
//! of them into a [`Source`].

mod animation;
mod expand;
mod ffmpeg;
mod jpeg;
mod latest;
mod mjpeg;
mod open;
mod still;
mod y4m;

use std::fmt;
use std::path::PathBuf;

pub use expand::expand;
pub use latest::Latest;
pub use open::{decode, open};

pub use crate::ffmpeg::Stopper;
use crate::{Picture, Result};

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
            Self::Url(url) => match url.split_once("://") {
                Some((scheme, rest)) => {
                    let host = rest.find(['/', '?', '#']).unwrap_or(rest.len());
                    let start = rest[..host].rfind('@').map_or(0, |at| at + 1);
                    write!(f, "{scheme}://{}", &rest[start..])
                }
                None => f.write_str(url),
            },
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
    /// How many frames it holds, when the container says so; an estimate for clips that `ffmpeg` reads.
    pub frames: Option<u64>,
    /// Nominal frames per second, when the container says so.
    pub fps: Option<f64>,
}

impl Info {
    fn new(input: Input) -> Self {
        let name = input.to_string();
        Self { input, name, kind: Kind::Still, frames: None, fps: None }
    }
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
    /// One sentence. After one with [`Error::is_recoverable`](crate::Error::is_recoverable) the next call goes on behind the broken frame; after
    /// any other the source is over.
    fn next_frame(&mut self) -> Result<Option<Shot>>;

    /// Takes a picture back so that the next frame needs no new memory. Never required.
    fn recycle(&mut self, picture: Picture) {
        drop(picture);
    }

    /// Something that ends the source from another thread, for cameras that stopped sending.
    fn stopper(&self) -> Stopper {
        Stopper::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_told_apart() {
        assert_eq!(Input::from("-"), Input::Stdin);
        assert_eq!(Input::from("/dev/video2"), Input::Device("/dev/video2".into()));
        assert_eq!(Input::from("rtsp://cam/1"), Input::Url("rtsp://cam/1".into()));
        assert_eq!(Input::from("C:\\clip.mp4"), Input::File("C:\\clip.mp4".into()));
        assert_eq!(Input::from("a/b://c"), Input::File("a/b://c".into()));
    }

    #[test]
    fn names_keep_passwords_to_themselves() {
        let name = |url: &str| Input::from(url).to_string();
        assert_eq!(name("rtsp://me:p@ss@cam:554/a@b"), "rtsp://cam:554/a@b");
        assert_eq!(name("http://cam/x"), "http://cam/x");
    }
}
