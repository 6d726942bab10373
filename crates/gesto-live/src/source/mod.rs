//! A source of the server itself: camera, network stream or file, looked at once and shown to every viewer.
//!
//! reader thread (newest frame only) -> queue and worker -> publisher thread (JPEG) -> viewers

mod hub;
mod publisher;
mod reader;
mod watch;

use gesto_media::source::Input;

pub(crate) use hub::Hub;
pub(crate) use reader::{Handle, start};
pub use watch::{SourceState, SourceWatch};

/// Which source, and how it is shown.
#[derive(Debug, Clone)]
pub struct SourceConfig {
    /// Camera, address or file.
    pub input: Input,
    /// The source is a mirror image, as some cameras deliver it.
    pub mirrored: bool,
}
