//! How the bytes of a frame are to be read.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Layout of a frame's pixels, 8 bits a sample.
///
/// The YUV formats are BT.601 with limited range (luma 16..=235, chroma 16..=240), which is what webcams and
/// Y4M files hold; ITU-R BT.601-7, section 2.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum PixelFormat {
    /// Red, green, blue.
    Rgb8,
    /// Blue, green, red.
    Bgr8,
    /// Red, green, blue, alpha; alpha is ignored.
    Rgba8,
    /// Blue, green, red, alpha; alpha is ignored. What phones' cameras give.
    Bgra8,
    /// One luminance sample a pixel, full range.
    Gray8,
    /// A plane of luma, then one of interleaved `U, V` at half the width and height.
    Nv12,
    /// `Y0, U, Y1, V` for each two pixels of a row (YUY2). What USB cameras give.
    Yuyv,
}

impl PixelFormat {
    /// Every format.
    pub const ALL: [Self; 7] =
        [Self::Rgb8, Self::Bgr8, Self::Rgba8, Self::Bgra8, Self::Gray8, Self::Nv12, Self::Yuyv];

    /// Number of planes: 2 for NV12, else 1.
    #[must_use]
    pub fn planes(self) -> usize {
        if self == Self::Nv12 { 2 } else { 1 }
    }

    /// Bytes of one row of the first plane; NV12's chroma rows are as long.
    #[must_use]
    pub fn row_bytes(self, width: u32) -> usize {
        let width = width as usize;
        match self {
            Self::Rgb8 | Self::Bgr8 => 3 * width,
            Self::Rgba8 | Self::Bgra8 => 4 * width,
            Self::Gray8 | Self::Nv12 => width,
            Self::Yuyv => 2 * width,
        }
    }

    /// Bytes of a picture without gaps, all planes together.
    #[must_use]
    pub fn frame_bytes(self, width: u32, height: u32) -> usize {
        let plane = self.row_bytes(width) * height as usize;
        if self == Self::Nv12 { plane + plane / 2 } else { plane }
    }

    /// Red, green and blue of a pixel whose three colours are in this format's order: RGB, BGR or YUV.
    #[must_use]
    #[inline]
    pub fn to_rgb(self, [a, b, c]: [u8; 3]) -> [u8; 3] {
        match self {
            Self::Rgb8 | Self::Rgba8 | Self::Gray8 => [a, b, c],
            Self::Bgr8 | Self::Bgra8 => [c, b, a],
            Self::Nv12 | Self::Yuyv => yuv_to_rgb(a, b, c),
        }
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Rgb8 => "RGB",
            Self::Bgr8 => "BGR",
            Self::Rgba8 => "RGBA",
            Self::Bgra8 => "BGRA",
            Self::Gray8 => "grey",
            Self::Nv12 => "NV12",
            Self::Yuyv => "YUYV",
        })
    }
}

/// BT.601 limited range to full-range RGB in 16.16 fixed point: what luma and the chroma differences count for.
pub(crate) mod bt601 {
    const ONE: f64 = 65536.0;
    pub(crate) const Y: i32 = (ONE * 255.0 / 219.0 + 0.5) as i32;
    pub(crate) const RV: i32 = (ONE * 1.402 * 255.0 / 224.0 + 0.5) as i32;
    pub(crate) const GU: i32 = (ONE * 0.344_136_3 * 255.0 / 224.0 + 0.5) as i32;
    pub(crate) const GV: i32 = (ONE * 0.714_136_3 * 255.0 / 224.0 + 0.5) as i32;
    pub(crate) const BU: i32 = (ONE * 1.772 * 255.0 / 224.0 + 0.5) as i32;
}

/// BT.601 limited range to full-range RGB, in 16.16 fixed point.
#[must_use]
#[inline]
pub fn yuv_to_rgb(y: u8, u: u8, v: u8) -> [u8; 3] {
    use bt601::{BU, GU, GV, RV, Y};
    let luma = Y * (i32::from(y) - 16) + (1 << 15);
    let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
    [luma + RV * v, luma - GU * u - GV * v, luma + BU * u].map(|c| (c >> 16).clamp(0, 255) as u8)
}
