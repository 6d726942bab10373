//! Sources, sinks and drawing, from the outside.

#![forbid(unsafe_code)]

mod drawing;
mod exif;
mod ffmpeg;
mod formats;
mod hostile;
mod sinks;
mod support;
