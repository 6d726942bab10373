//! What the server answers to a frame.

use std::time::Duration;

use gesto::{Detections, KEYPOINTS};

use super::{MIRRORED, VERSION, kind};

/// Bytes before the first hand.
const RESULT_HEADER: usize = 64;
const HAND_BYTES: usize = 24;
const PERSON_BYTES: usize = 20;
const KEYPOINT_BYTES: usize = 12;

/// Why a frame was not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// A newer frame of the same stream came before its turn.
    Newer,
    /// The stream sends more frames a second than it may.
    Rate,
    /// The server shuts down or has no room.
    Busy,
}

impl DropReason {
    pub(crate) const ALL: [Self; 3] = [Self::Newer, Self::Rate, Self::Busy];

    fn code(self) -> u8 {
        match self {
            Self::Newer => 1,
            Self::Rate => 2,
            Self::Busy => 3,
        }
    }

    /// The reason as metrics call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Newer => "newer",
            Self::Rate => "rate",
            Self::Busy => "busy",
        }
    }
}

/// What the server spent on a frame besides the detector's stages.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StreamTiming {
    /// From its arrival to the start of its work.
    pub queue: Duration,
    /// JPEG, WebP or PNG to pixels.
    pub unpack: Duration,
    /// From its arrival to this message.
    pub server: Duration,
}

/// A frame's identity and what it showed.
#[derive(Debug, Clone, Copy)]
pub struct Outcome<'a> {
    /// The frame's number.
    pub id: u32,
    /// The client's clock, as it came.
    pub sent_at: f64,
    /// Width of the frame in pixels.
    pub width: u32,
    /// Height of the frame in pixels.
    pub height: u32,
    /// The frame is a mirror image.
    pub mirrored: bool,
    /// Frames of the stream dropped since the result before.
    pub dropped: u32,
    /// The server's share of the time.
    pub timing: StreamTiming,
    /// Hands and people in pixels of the frame, with the detector's own timing.
    pub detections: &'a Detections,
}

/// A result message.
#[must_use]
pub fn result(outcome: &Outcome<'_>) -> Vec<u8> {
    encode(kind::RESULT, outcome, 0)
}

/// A result followed by the JPEG of the picture that it belongs to.
#[must_use]
pub fn picture(outcome: &Outcome<'_>, jpeg: &[u8]) -> Vec<u8> {
    let mut message = encode(kind::PICTURE, outcome, jpeg.len());
    message.extend(jpeg);
    message
}

/// Tells that frame `id` was dropped.
#[must_use]
pub fn dropped(id: u32, sent_at: f64, reason: DropReason) -> Vec<u8> {
    let mut message = vec![VERSION, kind::DROPPED, reason.code(), 0];
    message.extend(id.to_le_bytes());
    message.extend(sent_at.to_le_bytes());
    message
}

/// Tells that frame `id` could not be read, in one sentence.
#[must_use]
pub fn refused(id: u32, sent_at: f64, sentence: &str) -> Vec<u8> {
    let mut message = vec![VERSION, kind::REFUSED, 0, 0];
    message.extend(id.to_le_bytes());
    message.extend(sent_at.to_le_bytes());
    message.extend(sentence.as_bytes());
    message
}

fn encode(kind: u8, outcome: &Outcome<'_>, extra: usize) -> Vec<u8> {
    let Detections { hands, people, timing } = outcome.detections;
    // Counts are 16 bits; a detector keeps at most a few hundred.
    let hands = &hands[..hands.len().min(usize::from(u16::MAX))];
    let people = &people[..people.len().min(usize::from(u16::MAX))];
    let person_bytes = PERSON_BYTES + KEYPOINTS * KEYPOINT_BYTES;
    let mut out =
        Vec::with_capacity(RESULT_HEADER + hands.len() * HAND_BYTES + people.len() * person_bytes + extra);
    out.extend([VERSION, kind, 0, if outcome.mirrored { MIRRORED } else { 0 }]);
    out.extend(outcome.id.to_le_bytes());
    out.extend(outcome.sent_at.to_le_bytes());
    out.extend(outcome.width.to_le_bytes());
    out.extend(outcome.height.to_le_bytes());
    let StreamTiming { queue, unpack, server } = outcome.timing;
    for time in [queue, unpack, timing.resize, timing.model, timing.decode, timing.nms, timing.total, server]
    {
        out.extend(((time.as_secs_f64() * 1e3) as f32).to_le_bytes());
    }
    for count in [hands.len(), people.len(), KEYPOINTS, (outcome.dropped as usize).min(usize::from(u16::MAX))]
    {
        out.extend((count as u16).to_le_bytes());
    }
    debug_assert_eq!(out.len(), RESULT_HEADER);
    let floats = |out: &mut Vec<u8>, values: &[f32]| {
        for value in values {
            out.extend(value.to_le_bytes());
        }
    };
    for hand in hands {
        out.extend(hand.class.to_le_bytes());
        out.extend([0, 0]);
        floats(&mut out, &[hand.score, hand.bbox.x, hand.bbox.y, hand.bbox.w, hand.bbox.h]);
    }
    for person in people {
        floats(&mut out, &[person.score, person.bbox.x, person.bbox.y, person.bbox.w, person.bbox.h]);
        for point in &person.keypoints {
            floats(&mut out, &[point.x, point.y, point.score]);
        }
    }
    out
}
