//! The 17 keypoints of a person and the limbs between them, as in COCO (arXiv:1405.0312).

use std::fmt;

use serde::{Deserialize, Serialize};

/// Keypoints of a person.
pub const KEYPOINTS: usize = 17;

/// Name of a keypoint, in COCO's order. Left and right are the person's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum KeypointName {
    Nose,
    LeftEye,
    RightEye,
    LeftEar,
    RightEar,
    LeftShoulder,
    RightShoulder,
    LeftElbow,
    RightElbow,
    LeftWrist,
    RightWrist,
    LeftHip,
    RightHip,
    LeftKnee,
    RightKnee,
    LeftAnkle,
    RightAnkle,
}

use KeypointName::{
    LeftAnkle, LeftEar, LeftElbow, LeftEye, LeftHip, LeftKnee, LeftShoulder, LeftWrist, Nose, RightAnkle,
    RightEar, RightElbow, RightEye, RightHip, RightKnee, RightShoulder, RightWrist,
};

/// Pairs of keypoints that a limb joins, as COCO draws them.
pub const SKELETON: [(KeypointName, KeypointName); 19] = [
    (LeftAnkle, LeftKnee),
    (LeftKnee, LeftHip),
    (RightAnkle, RightKnee),
    (RightKnee, RightHip),
    (LeftHip, RightHip),
    (LeftShoulder, LeftHip),
    (RightShoulder, RightHip),
    (LeftShoulder, RightShoulder),
    (LeftShoulder, LeftElbow),
    (RightShoulder, RightElbow),
    (LeftElbow, LeftWrist),
    (RightElbow, RightWrist),
    (LeftEye, RightEye),
    (Nose, LeftEye),
    (Nose, RightEye),
    (LeftEye, LeftEar),
    (RightEye, RightEar),
    (LeftEar, LeftShoulder),
    (RightEar, RightShoulder),
];

impl KeypointName {
    /// All, in COCO's order.
    pub const ALL: [Self; KEYPOINTS] = [
        Nose,
        LeftEye,
        RightEye,
        LeftEar,
        RightEar,
        LeftShoulder,
        RightShoulder,
        LeftElbow,
        RightElbow,
        LeftWrist,
        RightWrist,
        LeftHip,
        RightHip,
        LeftKnee,
        RightKnee,
        LeftAnkle,
        RightAnkle,
    ];

    /// Position in COCO's order.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// The name as COCO and JSON spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Nose => "nose",
            LeftEye => "left_eye",
            RightEye => "right_eye",
            LeftEar => "left_ear",
            RightEar => "right_ear",
            LeftShoulder => "left_shoulder",
            RightShoulder => "right_shoulder",
            LeftElbow => "left_elbow",
            RightElbow => "right_elbow",
            LeftWrist => "left_wrist",
            RightWrist => "right_wrist",
            LeftHip => "left_hip",
            RightHip => "right_hip",
            LeftKnee => "left_knee",
            RightKnee => "right_knee",
            LeftAnkle => "left_ankle",
            RightAnkle => "right_ankle",
        }
    }
}

impl fmt::Display for KeypointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A point of the body.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Keypoint {
    /// Which.
    pub name: KeypointName,
    /// Pixels from the left edge of the stored frame. May lie outside it: the network guesses hidden points.
    pub x: f32,
    /// Pixels from the top edge of the stored frame.
    pub y: f32,
    /// Probability that the point is visible, 0 to 1.
    pub score: f32,
}
