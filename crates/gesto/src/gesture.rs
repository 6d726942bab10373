//! The nineteen gestures.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A hand gesture, named as in the HaGRID data set (arXiv:2206.08219).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Gesture {
    /// Thumb and little finger out: "call me".
    Call,
    /// Thumb down.
    Dislike,
    /// Closed hand.
    Fist,
    /// Four fingers, thumb in.
    Four,
    /// Thumb up.
    Like,
    /// Forefinger on the lips.
    Mute,
    /// Thumb and forefinger form a ring.
    Ok,
    /// Forefinger up.
    One,
    /// Open hand, fingers apart.
    Palm,
    /// Forefinger and middle finger apart, palm outwards.
    Peace,
    /// The same, back of the hand outwards.
    PeaceInverted,
    /// Forefinger and little finger.
    Rock,
    /// Open hand, fingers together.
    Stop,
    /// The same, back of the hand outwards.
    StopInverted,
    /// Forefinger, middle and ring finger.
    Three,
    /// Thumb, forefinger and middle finger.
    Three2,
    /// Forefinger and middle finger together, palm outwards.
    TwoUp,
    /// The same, back of the hand outwards.
    TwoUpInverted,
    /// A hand that makes none of these.
    NoGesture,
    /// A class of another model that is none of these.
    Other,
}

impl Gesture {
    /// The nineteen, in the order of the shipped network's classes.
    pub const ALL: [Self; 19] = [
        Self::Call,
        Self::Dislike,
        Self::Fist,
        Self::Four,
        Self::Like,
        Self::Mute,
        Self::Ok,
        Self::One,
        Self::Palm,
        Self::Peace,
        Self::PeaceInverted,
        Self::Rock,
        Self::Stop,
        Self::StopInverted,
        Self::Three,
        Self::Three2,
        Self::TwoUp,
        Self::TwoUpInverted,
        Self::NoGesture,
    ];

    /// The gesture of a class name, [`Gesture::Other`] if it is none of the nineteen.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        Self::ALL.into_iter().find(|gesture| gesture.name() == name).unwrap_or(Self::Other)
    }

    /// The name as models, JSON and command lines spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Dislike => "dislike",
            Self::Fist => "fist",
            Self::Four => "four",
            Self::Like => "like",
            Self::Mute => "mute",
            Self::Ok => "ok",
            Self::One => "one",
            Self::Palm => "palm",
            Self::Peace => "peace",
            Self::PeaceInverted => "peace_inverted",
            Self::Rock => "rock",
            Self::Stop => "stop",
            Self::StopInverted => "stop_inverted",
            Self::Three => "three",
            Self::Three2 => "three2",
            Self::TwoUp => "two_up",
            Self::TwoUpInverted => "two_up_inverted",
            Self::NoGesture => "no_gesture",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Gesture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
