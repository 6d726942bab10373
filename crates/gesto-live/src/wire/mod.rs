//! The stream protocol, version 1: what `/v1/stream` carries. `docs/live-protocol.md` is its description.
//!
//! Frames and results are binary, little-endian; everything rare (greeting, settings, errors) is JSON text.

mod frame;
mod reader;
mod result;
mod text;

pub use frame::{ClientMessage, Encoding, FRAME_HEADER, FrameMessage};
pub use result::{DropReason, Outcome, StreamTiming, dropped, picture, refused, result};
pub use text::{Choices, ClientText, Greeting, Missing, Mode, ServerText, StreamLimits};

/// The protocol's version, the first byte of every binary message.
pub const VERSION: u8 = 1;

/// The WebSocket subprotocol that names this version.
pub const SUBPROTOCOL: &str = "gesto.v1";

/// Close codes beyond the standard ones.
pub mod close {
    /// The server shuts down.
    pub const GOING_AWAY: u16 = 1001;
    /// A message that breaks the protocol.
    pub const PROTOCOL: u16 = 1002;
    /// More than the limits allow, again and again.
    pub const POLICY: u16 = 1008;
    /// As many streams as the server takes.
    pub const FULL: u16 = 1013;
    /// Nothing came for too long.
    pub const IDLE: u16 = 4001;
}

/// Why a message is not of this protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(pub(crate) String);

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Malformed {}

/// Types of binary messages; those of the server have the highest bit set.
mod kind {
    pub(super) const FRAME: u8 = 0x01;
    pub(super) const SHOWN: u8 = 0x02;
    pub(super) const RESULT: u8 = 0x81;
    pub(super) const DROPPED: u8 = 0x82;
    pub(super) const REFUSED: u8 = 0x83;
    pub(super) const PICTURE: u8 = 0x84;
}

/// Bit 0 of a message's flags: the pixels are a mirror image.
const MIRRORED: u8 = 1;
