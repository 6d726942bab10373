//! Where frames come from and where annotated ones go: pictures, clips, cameras; drawing; files.
//!
//! The way of the data: [`source::open`] -> [`source::Shot`] (an upright [`Picture`] with its time) ->
//! [`Picture::as_frame`] (what a detector reads) -> [`draw::Annotator`] -> [`sink::Saver`].
//!
//! Bad input of any kind (truncated, hostile header, endless, not a picture at all) is an [`Error`] of one
//! sentence. Nothing here panics on it, hangs on it or takes more memory than [`Limits`] allow.

#![forbid(unsafe_code)]

pub mod draw;
mod error;
mod ffmpeg;
mod limits;
mod picture;
pub mod sink;
pub mod source;

pub use error::{Error, ErrorKind, Result};
pub use limits::Limits;
pub use picture::Picture;
