//! The palette: a colour for each gesture and for each part of the body.

use gesto::{Gesture, Hand};
use tiny_skia::Color;

/// An opaque colour.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Rgb(pub(crate) u8, pub(crate) u8, pub(crate) u8);

impl Rgb {
    const fn hex(value: u32) -> Self {
        Self((value >> 16) as u8, (value >> 8) as u8, value as u8)
    }

    /// This colour, `alpha` of it (0 to 1).
    pub(crate) fn alpha(self, alpha: f32) -> Color {
        Color::from_rgba8(self.0, self.1, self.2, (alpha.clamp(0.0, 1.0) * 255.0).round() as u8)
    }

    /// Luminance, 0 to 1 (Rec. 709 weights on gamma-coded values: enough to choose between black and white text).
    fn luminance(self) -> f32 {
        (0.2126 * f32::from(self.0) + 0.7152 * f32::from(self.1) + 0.0722 * f32::from(self.2)) / 255.0
    }

    /// What reads well on it.
    pub(crate) fn ink(self) -> Self {
        if self.luminance() > 0.45 { INK } else { WHITE }
    }
}

pub(crate) const WHITE: Rgb = Rgb::hex(0xFFFFFF);
/// Dark text, and the halo that sets lines off from any background.
pub(crate) const INK: Rgb = Rgb::hex(0x0B1020);
/// Person boxes and their labels.
pub(crate) const PERSON: Rgb = Rgb::hex(0x1E293B);

/// Parts of the body that share a colour: one glance tells left from right.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    Face,
    Torso,
    LeftArm,
    RightArm,
    LeftLeg,
    RightLeg,
}

impl Part {
    pub(crate) const fn color(self) -> Rgb {
        Rgb::hex(match self {
            Self::Face => 0xFDE68A,
            Self::Torso => 0xA78BFA,
            Self::LeftArm => 0xFF9F1C,
            Self::RightArm => 0x22C7F2,
            Self::LeftLeg => 0xFB5E9C,
            Self::RightLeg => 0x3EDC97,
        })
    }
}

/// The colour of a hand's gesture. Gestures that differ by the side of the hand share a hue.
pub(crate) fn gesture(hand: &Hand) -> Rgb {
    Rgb::hex(match hand.gesture {
        Gesture::Call => 0x22D3EE,
        Gesture::Dislike => 0xFF7A59,
        Gesture::Fist => 0xFB923C,
        Gesture::Four => 0xA3E635,
        Gesture::Like => 0x4ADE80,
        Gesture::Mute => 0xF9A8D4,
        Gesture::Ok => 0x2DD4BF,
        Gesture::One => 0xFBBF24,
        Gesture::Palm => 0x60A5FA,
        Gesture::Peace => 0xE879F9,
        Gesture::PeaceInverted => 0xC026D3,
        Gesture::Rock => 0xF43F5E,
        Gesture::Stop => 0xEF4444,
        Gesture::StopInverted => 0xB91C1C,
        Gesture::Three => 0x38BDF8,
        Gesture::Three2 => 0x0284C7,
        Gesture::TwoUp => 0xA78BFA,
        Gesture::TwoUpInverted => 0x7C3AED,
        Gesture::NoGesture => 0xCBD5E1,
        // Classes of other models: told apart by number alone.
        _ => OTHERS[usize::from(hand.class) % OTHERS.len()],
    })
}

const OTHERS: [u32; 8] = [0xF87171, 0xFBBF24, 0xA3E635, 0x34D399, 0x22D3EE, 0x60A5FA, 0xA78BFA, 0xF472B6];
