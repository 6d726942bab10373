//! What a client sends: frames, and receipts for pictures it has shown.

use bytes::Bytes;
use gesto::Rotation;

use super::reader::Reader;
use super::{MIRRORED, Malformed, VERSION, kind};

/// Bytes before a frame's payload.
pub const FRAME_HEADER: usize = 24;

/// How a frame's pixels are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// JPEG.
    Jpeg,
    /// WebP.
    Webp,
    /// PNG.
    Png,
    /// Rows of red, green, blue, without gaps.
    Rgb,
    /// Rows of red, green, blue, alpha, without gaps; alpha is ignored.
    Rgba,
}

impl Encoding {
    const ALL: [(u8, Self); 5] =
        [(1, Self::Jpeg), (2, Self::Webp), (3, Self::Png), (16, Self::Rgb), (17, Self::Rgba)];

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find_map(|(each, encoding)| (each == code).then_some(encoding))
    }

    fn code(self) -> u8 {
        Self::ALL.into_iter().find_map(|(code, each)| (each == self).then_some(code)).unwrap_or_default()
    }

    /// Bytes of one pixel when the payload is pixels, not a picture file.
    #[must_use]
    pub fn raw_pixel_bytes(self) -> Option<usize> {
        match self {
            Self::Rgb => Some(3),
            Self::Rgba => Some(4),
            Self::Jpeg | Self::Webp | Self::Png => None,
        }
    }
}

/// One frame of a client.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameMessage {
    /// The client's number for it; comes back with the answer.
    pub id: u32,
    /// The client's clock in milliseconds; comes back untouched.
    pub sent_at: f64,
    /// How `payload` is written.
    pub encoding: Encoding,
    /// The stored picture is a mirror image.
    pub mirrored: bool,
    /// The clockwise turn that makes the stored picture upright.
    pub rotation: Rotation,
    /// Width of a raw picture in pixels; informative for the other encodings.
    pub width: u32,
    /// Height of a raw picture in pixels; informative for the other encodings.
    pub height: u32,
    /// The pixels.
    pub payload: Bytes,
}

/// A binary message of a client.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientMessage {
    /// A frame to look at.
    Frame(FrameMessage),
    /// The picture of this number is on the viewer's screen: the next one may come.
    Shown(u32),
}

impl ClientMessage {
    /// Reads a message. The payload is a view into `message`, not a copy.
    ///
    /// # Errors
    /// When it is not of this protocol's version, too short, or names an unknown type or encoding.
    pub fn decode(message: &Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(message);
        let version = reader.u8()?;
        if version != VERSION {
            return Err(Malformed(format!("protocol version {version}; this server speaks {VERSION}")));
        }
        match reader.u8()? {
            kind::FRAME => frame(&mut reader, message).map(Self::Frame),
            kind::SHOWN => {
                reader.array::<2>()?;
                Ok(Self::Shown(reader.u32()?))
            }
            other => Err(Malformed(format!("message type {other:#04x} is unknown"))),
        }
    }

    /// Writes a message, as a client does.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Frame(frame) => {
                let mut out = Vec::with_capacity(FRAME_HEADER + frame.payload.len());
                let flags = u8::from(frame.mirrored) | (quarter_turns(frame.rotation) << 1);
                out.extend([VERSION, kind::FRAME, frame.encoding.code(), flags]);
                out.extend(frame.id.to_le_bytes());
                out.extend(frame.sent_at.to_le_bytes());
                out.extend(frame.width.to_le_bytes());
                out.extend(frame.height.to_le_bytes());
                out.extend(&frame.payload);
                out
            }
            Self::Shown(id) => {
                let mut out = vec![VERSION, kind::SHOWN, 0, 0];
                out.extend(id.to_le_bytes());
                out
            }
        }
    }
}

fn frame(reader: &mut Reader<'_>, message: &Bytes) -> Result<FrameMessage, Malformed> {
    let code = reader.u8()?;
    let encoding =
        Encoding::from_code(code).ok_or_else(|| Malformed(format!("encoding {code} is unknown")))?;
    let flags = reader.u8()?;
    if flags & !0b111 != 0 {
        return Err(Malformed(format!("flags {flags:#010b} hold bits of a later version")));
    }
    let frame = FrameMessage {
        encoding,
        mirrored: flags & MIRRORED != 0,
        rotation: match (flags >> 1) & 0b11 {
            0 => Rotation::None,
            1 => Rotation::Cw90,
            2 => Rotation::Cw180,
            _ => Rotation::Cw270,
        },
        id: reader.u32()?,
        sent_at: reader.f64()?,
        width: reader.u32()?,
        height: reader.u32()?,
        payload: message.slice(FRAME_HEADER..),
    };
    if let Some(pixel) = encoding.raw_pixel_bytes() {
        let wanted = u128::from(frame.width) * u128::from(frame.height) * pixel as u128;
        if wanted != frame.payload.len() as u128 {
            return Err(Malformed(format!(
                "a raw frame of {} x {} pixels has {wanted} bytes, not {}",
                frame.width,
                frame.height,
                frame.payload.len()
            )));
        }
    }
    Ok(frame)
}

fn quarter_turns(rotation: Rotation) -> u8 {
    match rotation {
        Rotation::None => 0,
        Rotation::Cw90 => 1,
        Rotation::Cw180 => 2,
        Rotation::Cw270 => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> FrameMessage {
        FrameMessage {
            id: 7,
            sent_at: 1234.5,
            encoding: Encoding::Rgb,
            mirrored: true,
            rotation: Rotation::Cw270,
            width: 2,
            height: 1,
            payload: Bytes::from_static(&[1, 2, 3, 4, 5, 6]),
        }
    }

    #[test]
    fn frames_come_back_as_they_went() {
        for (_, encoding) in Encoding::ALL {
            for rotation in [Rotation::None, Rotation::Cw90, Rotation::Cw180, Rotation::Cw270] {
                let payload = Bytes::from(vec![9; 2 * encoding.raw_pixel_bytes().unwrap_or(40)]);
                let frame = FrameMessage { encoding, rotation, payload, ..message() };
                let sent = ClientMessage::Frame(frame);
                assert_eq!(ClientMessage::decode(&sent.encode().into()), Ok(sent));
            }
        }
        let shown = ClientMessage::Shown(u32::MAX);
        assert_eq!(ClientMessage::decode(&shown.encode().into()), Ok(shown));
    }

    #[test]
    fn every_cut_and_every_wrong_byte_is_told() {
        let whole = ClientMessage::Frame(message()).encode();
        for length in 0..whole.len() {
            assert!(
                ClientMessage::decode(&Bytes::copy_from_slice(&whole[..length])).is_err(),
                "{length} bytes"
            );
        }
        for (at, value, says) in [
            (0, 2, "version 2"),
            (1, 0x7f, "type 0x7f"),
            (2, 99, "encoding 99"),
            (3, 0xf0, "later version"),
            (16, 200, "not 6"),
        ] {
            let mut wrong = whole.clone();
            wrong[at] = value;
            let error = ClientMessage::decode(&wrong.into()).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn raw_sizes_cannot_overflow() {
        let mut frame = message();
        (frame.width, frame.height) = (u32::MAX, u32::MAX);
        assert!(ClientMessage::decode(&ClientMessage::Frame(frame).encode().into()).is_err());
    }
}
