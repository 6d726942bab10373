//! An owned picture: upright 8-bit RGB, rows from the top, no padding.

use crate::{Error, ErrorKind, Limits, Result};

/// An owned picture in 8-bit RGB, as every viewer shows it (EXIF orientation and clip rotation already applied).
///
/// Pixel `(x, y)` has its red, green and blue at `3 * (y * width + x)`; `(0, 0)` is the upper left corner.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Picture {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

impl Picture {
    /// A black picture.
    ///
    /// # Errors
    /// A side of zero, or more than `limits` allow.
    pub fn new(width: u32, height: u32, limits: &Limits) -> Result<Self> {
        let mut picture = Self::default();
        picture.reset(width, height, limits)?;
        Ok(picture)
    }

    /// Takes `3 * width * height` bytes of RGB.
    ///
    /// # Errors
    /// A side of zero, or another number of bytes.
    pub fn from_rgb(width: u32, height: u32, pixels: Vec<u8>) -> Result<Self> {
        let wanted = u64::from(width) * u64::from(height) * 3;
        if wanted == 0 || pixels.len() as u64 != wanted {
            let message = format!("{} bytes are no RGB picture of {width} x {height} pixels", pixels.len());
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        Ok(Self { width, height, pixels })
    }

    /// Gives the picture another size, reusing its memory. The pixels are then whatever was there before.
    pub(crate) fn reset(&mut self, width: u32, height: u32, limits: &Limits) -> Result<()> {
        limits.check(width, height)?;
        self.pixels.resize(width as usize * height as usize * 3, 0);
        (self.width, self.height) = (width, height);
        Ok(())
    }

    /// Pixels in a row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// What a detector reads: these pixels, borrowed.
    ///
    /// # Errors
    /// The picture is empty, or larger than any frame may be.
    pub fn as_frame(&self) -> Result<gesto::Frame<'_>> {
        gesto::Frame::rgb8(&self.pixels, self.width, self.height)
            .map_err(|error| Error::because(ErrorKind::InvalidArgument, "no frame", error))
    }

    /// Bytes from one row to the next.
    pub fn stride(&self) -> usize {
        self.width as usize * 3
    }

    /// All rows, `3 * width * height` bytes.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// All rows, to draw on.
    pub fn pixels_mut(&mut self) -> &mut [u8] {
        &mut self.pixels
    }

    /// The bytes alone.
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }
}
