//! How much a stranger's file may cost.

use crate::{Error, ErrorKind, Result};

/// Bounds on what one source may claim or use. A header above them is refused before anything is allocated for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Most pixels of one frame (width times height).
    pub pixels: u64,
    /// Most bytes that a decoder may hold for one frame, and most bytes of one encoded picture.
    pub bytes: u64,
    /// Most frames of one animated picture (GIF, PNG, WebP). Clips and cameras are not bounded: they are read as they come.
    pub animation_frames: u64,
}

impl Limits {
    /// The largest width or height of a frame, in pixels: what JPEG, GIF and most encoders can say at all.
    pub const MAX_SIDE: u32 = 65_535;
}

impl Default for Limits {
    /// 64 megapixels, 512 MiB, 100,000 frames of an animated picture.
    fn default() -> Self {
        Self { pixels: 64_000_000, bytes: 512 << 20, animation_frames: 100_000 }
    }
}

impl Limits {
    /// Refuses a size that is empty or too large.
    pub(crate) fn check(&self, width: u32, height: u32) -> Result<()> {
        if width == 0 || height == 0 {
            return Err(Error::new(
                ErrorKind::Malformed,
                format!("a frame of {width} x {height} pixels is empty"),
            ));
        }
        let pixels = u64::from(width) * u64::from(height);
        if pixels > self.pixels || width.max(height) > Self::MAX_SIDE {
            let message = format!(
                "{width} x {height} pixels are more than the limit of {} megapixels, {} a side",
                self.pixels as f64 / 1e6,
                Self::MAX_SIDE
            );
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        Ok(())
    }
}
