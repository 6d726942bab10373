//! The JSON line: one frame's detections as programs downstream read them.
//!
//! Stable: fields are added, never renamed or removed. Coordinates are pixels of the original (stored) frame,
//! `box` is `[x, y, w, h]` from the top left corner, scores are 0 to 1.
//!
//! ```json
//! {"source":"clip.gif","frame":3,"timestamp_ms":120.0,"width":640,"height":480,
//!  "hands":[{"gesture":"like","score":0.9,"box":[10.5,20.0,64.0,80.0]}],
//!  "people":[{"score":0.8,"box":[0.0,0.0,300.0,480.0],
//!             "keypoints":[{"name":"nose","x":150.0,"y":80.0,"score":0.97}]}],
//!  "timing_ms":{"resize":0.1,"model":0.8,"decode":0.02,"nms":0.001,"total":0.95}}
//! ```

use serde::{Deserialize, Serialize};

use crate::detection::{Detections, Label, Timing};
use crate::frame::Frame;
use crate::geometry::Rect;
use crate::keypoint::Keypoint;

/// One line: one frame of one source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The input as the user named it: a path, a glob's match, `-`, a camera.
    pub source: String,
    /// Position of the frame in its source, from 0.
    pub frame: u64,
    /// Time since the start of the source in milliseconds; `null` for still pictures.
    pub timestamp_ms: Option<f64>,
    /// Width of the stored frame in pixels.
    pub width: u32,
    /// Height of the stored frame in pixels.
    pub height: u32,
    /// Hands, best first.
    pub hands: Vec<Hand>,
    /// People, best first.
    pub people: Vec<Person>,
    /// Wall time of each stage in milliseconds.
    pub timing_ms: Timing,
}

/// A hand of a [`Line`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hand {
    /// Name of the gesture, or of another model's class.
    pub gesture: Label,
    /// Probability.
    pub score: f32,
    /// `[x, y, w, h]`.
    #[serde(rename = "box")]
    pub bbox: Rect,
}

/// A person of a [`Line`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Person {
    /// Probability.
    pub score: f32,
    /// `[x, y, w, h]`.
    #[serde(rename = "box")]
    pub bbox: Rect,
    /// The 17 keypoints in COCO's order, `{"name","x","y","score"}` each.
    pub keypoints: Vec<Keypoint>,
}

impl Line {
    /// The line for frame number `index` of `source`.
    #[must_use]
    pub fn new(source: &str, index: u64, frame: &Frame<'_>, detections: &Detections) -> Self {
        let hands = detections.hands.iter().map(|hand| Hand {
            gesture: hand.label.clone(),
            score: hand.score,
            bbox: hand.bbox,
        });
        let people = detections.people.iter().map(|person| Person {
            score: person.score,
            bbox: person.bbox,
            keypoints: person.keypoints.to_vec(),
        });
        Self {
            source: source.to_owned(),
            frame: index,
            timestamp_ms: frame.timestamp().map(crate::detection::milliseconds::from),
            width: frame.width(),
            height: frame.height(),
            hands: hands.collect(),
            people: people.collect(),
            timing_ms: detections.timing,
        }
    }
}
