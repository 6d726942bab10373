//! What a frame shows: hands with their gestures, people with their keypoints, and what it cost to know.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::geometry::Rect;
use crate::gesture::Gesture;
use crate::keypoint::{KEYPOINTS, Keypoint, KeypointName};

/// Name of a model's class. Cloning it costs a counter, not a copy.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Label(Arc<str>);

impl Label {
    /// A label that reads `name`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A hand, or whatever a detection head of another model finds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hand {
    /// The gesture; [`Gesture::Other`] when the model's class is none of the nineteen.
    pub gesture: Gesture,
    /// The class's position in the model's list.
    pub class: u16,
    /// The class's name in the model's list.
    pub label: Label,
    /// Probability of the class, 0 to 1.
    pub score: f32,
    /// Where, in pixels of the stored frame: clipped to it, at least one pixel wide and high.
    #[serde(rename = "box")]
    pub bbox: Rect,
}

/// A person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Person {
    /// Probability, 0 to 1.
    pub score: f32,
    /// Where, in pixels of the stored frame: clipped to it, at least one pixel wide and high.
    #[serde(rename = "box")]
    pub bbox: Rect,
    /// The 17 keypoints in COCO's order, in pixels of the stored frame.
    pub keypoints: [Keypoint; KEYPOINTS],
}

impl Person {
    /// The keypoint of this name.
    #[must_use]
    pub fn keypoint(&self, name: KeypointName) -> &Keypoint {
        &self.keypoints[name.index()]
    }
}

/// What one frame shows. Hands and people stand best first (head by head, where a
/// model has several of a kind).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Detections {
    /// Hands.
    pub hands: Vec<Hand>,
    /// People.
    pub people: Vec<Person>,
    /// Wall time of each stage.
    pub timing: Timing,
}

/// Wall time of each stage for one frame. Serialised as milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Timing {
    /// Frame to network input: resize, colours, orientation. Layers in front of the network count here too. Zero when the
    /// network's first layer does it row by row ([`Resize::Fused`](crate::Resize::Fused)): it is part of `model` then.
    #[serde(with = "milliseconds")]
    pub resize: Duration,
    /// The network.
    #[serde(with = "milliseconds")]
    pub model: Duration,
    /// Candidates to boxes and keypoints in pixels of the frame.
    #[serde(with = "milliseconds")]
    pub decode: Duration,
    /// Non-maximum suppression.
    #[serde(with = "milliseconds")]
    pub nms: Duration,
    /// From the call to the return; the stages and what lies between them.
    #[serde(with = "milliseconds")]
    pub total: Duration,
}

pub(crate) mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn from(duration: Duration) -> f64 {
        duration.as_nanos() as f64 / 1e6
    }

    pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(from(*duration))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let nanos = (f64::deserialize(deserializer)? * 1e6).round();
        // Above 2^63 nanoseconds (292 years) the cast would saturate silently.
        if (0.0..9.2e18).contains(&nanos) {
            Ok(Duration::from_nanos(nanos as u64))
        } else {
            Err(de::Error::custom("a time in milliseconds is a positive number"))
        }
    }
}
