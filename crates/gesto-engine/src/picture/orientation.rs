//! How a stored picture relates to the upright scene.

use serde::{Deserialize, Serialize};

/// The clockwise turn that makes a stored picture upright.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Rotation {
    /// It is upright.
    #[default]
    #[serde(rename = "0")]
    None,
    /// A quarter turn clockwise.
    #[serde(rename = "90")]
    Cw90,
    /// Half a turn.
    #[serde(rename = "180")]
    Cw180,
    /// Three quarter turns clockwise.
    #[serde(rename = "270")]
    Cw270,
}

impl Rotation {
    /// Every rotation.
    pub const ALL: [Self; 4] = [Self::None, Self::Cw90, Self::Cw180, Self::Cw270];

    /// From degrees clockwise, any multiple of 90; `None` for others.
    #[must_use]
    pub fn from_degrees(degrees: i32) -> Option<Self> {
        match degrees.rem_euclid(360) {
            0 => Some(Self::None),
            90 => Some(Self::Cw90),
            180 => Some(Self::Cw180),
            270 => Some(Self::Cw270),
            _ => None,
        }
    }

    /// Degrees clockwise: 0, 90, 180 or 270.
    #[must_use]
    pub fn degrees(self) -> u16 {
        self as u16 * 90
    }

    /// Whether width and height change places.
    #[must_use]
    pub fn swaps_sides(self) -> bool {
        matches!(self, Self::Cw90 | Self::Cw270)
    }
}

/// What makes a stored picture upright: first the mirror image is undone (left and right change places), then
/// the picture is turned clockwise. The eight values are those of EXIF's orientation tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Orientation {
    /// The stored picture is a mirror image.
    pub mirrored: bool,
    /// The clockwise turn that follows.
    pub rotation: Rotation,
}

impl Orientation {
    /// From EXIF's orientation tag (1 to 8); `None` for other values.
    #[must_use]
    pub fn from_exif(tag: u32) -> Option<Self> {
        let (mirrored, rotation) = match tag {
            1 => (false, Rotation::None),
            2 => (true, Rotation::None),
            3 => (false, Rotation::Cw180),
            4 => (true, Rotation::Cw180),
            5 => (true, Rotation::Cw270),
            6 => (false, Rotation::Cw90),
            7 => (true, Rotation::Cw90),
            8 => (false, Rotation::Cw270),
            _ => return None,
        };
        Some(Self { mirrored, rotation })
    }

    /// Every orientation.
    pub fn all() -> impl Iterator<Item = Self> {
        [false, true]
            .into_iter()
            .flat_map(|mirrored| Rotation::ALL.into_iter().map(move |rotation| Self { mirrored, rotation }))
    }

    /// Width and height of the upright picture.
    #[must_use]
    pub fn upright_size(self, width: u32, height: u32) -> (u32, u32) {
        if self.rotation.swaps_sides() { (height, width) } else { (width, height) }
    }

    /// Where a point of the stored picture (`width` x `height`) lies in the upright one.
    #[must_use]
    pub fn to_upright(self, (x, y): (f32, f32), width: f32, height: f32) -> (f32, f32) {
        let x = if self.mirrored { width - x } else { x };
        match self.rotation {
            Rotation::None => (x, y),
            Rotation::Cw90 => (height - y, x),
            Rotation::Cw180 => (width - x, height - y),
            Rotation::Cw270 => (y, width - x),
        }
    }

    /// Where a point of the upright picture lies in the stored one (`width` x `height`).
    #[must_use]
    pub fn to_stored(self, (x, y): (f32, f32), width: f32, height: f32) -> (f32, f32) {
        let (x, y) = match self.rotation {
            Rotation::None => (x, y),
            Rotation::Cw90 => (y, height - x),
            Rotation::Cw180 => (width - x, height - y),
            Rotation::Cw270 => (width - y, x),
        };
        (if self.mirrored { width - x } else { x }, y)
    }
}
