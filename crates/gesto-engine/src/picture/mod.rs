//! A stored picture: its bytes, how to read them, and what makes it upright.

pub(crate) mod format;
mod orientation;

pub use format::{PixelFormat, yuv_to_rgb};
pub use orientation::{Orientation, Rotation};

use crate::error::{Error, ErrorKind, Result};

/// Rows of bytes, `stride` bytes from the start of one to the start of the next.
#[derive(Clone, Copy, Default)]
pub struct Plane<'a> {
    /// The bytes. After the last row's pixels anything or nothing may follow.
    pub data: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// Without the pixels, which would fill the screen.
impl std::fmt::Debug for Plane<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plane").field("bytes", &self.data.len()).field("stride", &self.stride).finish()
    }
}

/// A borrowed picture all of whose pixels are there.
#[derive(Debug, Clone, Copy)]
pub struct Picture<'a> {
    format: PixelFormat,
    width: usize,
    height: usize,
    planes: [Plane<'a>; 2],
    orientation: Orientation,
}

impl<'a> Picture<'a> {
    /// A stored picture of `width` x `height` pixels; the second plane is read for NV12 only.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when a side is 0, or odd where the format halves its chroma, and when a plane has too few
    /// bytes.
    pub fn new(
        format: PixelFormat,
        width: u32,
        height: u32,
        planes: [Plane<'a>; 2],
        orientation: Orientation,
    ) -> Result<Self> {
        let wrong = |what: &str| {
            Err(Error::new(ErrorKind::Shape, format!("a {format} picture of {width} x {height} {what}")))
        };
        let halved = match format {
            PixelFormat::Nv12 => (2, 2),
            PixelFormat::Yuyv => (2, 1),
            _ => (1, 1),
        };
        if width == 0 || height == 0 || !width.is_multiple_of(halved.0) || !height.is_multiple_of(halved.1) {
            return wrong("is not possible");
        }
        let row = format.row_bytes(width);
        let (w, h) = (width as usize, height as usize);
        for (plane, rows) in planes[..format.planes()].iter().zip([h, h / 2]) {
            // Saturating: a stride near `usize::MAX` is just too few bytes.
            let need = plane.stride.saturating_mul(rows - 1).saturating_add(row);
            if plane.stride < row || plane.data.len() < need {
                return wrong("has too few bytes");
            }
        }
        Ok(Self { format, width: w, height: h, planes, orientation })
    }

    /// How the bytes are to be read.
    #[must_use]
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// Stored width in pixels.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Stored height in pixels.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Width and height after rotation is undone.
    #[must_use]
    pub fn upright_size(&self) -> (usize, usize) {
        if self.orientation.rotation.swaps_sides() {
            (self.height, self.width)
        } else {
            (self.width, self.height)
        }
    }

    /// What makes it upright.
    #[must_use]
    pub fn orientation(&self) -> Orientation {
        self.orientation
    }

    /// The three colours of one stored pixel in the format's own order: RGB, BGR or YUV. Convenient and slow.
    ///
    /// # Panics
    /// When the pixel lies outside the picture.
    #[must_use]
    pub fn samples(&self, x: usize, y: usize) -> [u8; 3] {
        assert!(x < self.width && y < self.height, "pixel {x}, {y} lies in the picture");
        let at = |plane: usize, y: usize, byte: usize| {
            self.planes[plane].data[y * self.planes[plane].stride + byte]
        };
        match self.format {
            PixelFormat::Rgb8 | PixelFormat::Bgr8 => [0, 1, 2].map(|c| at(0, y, 3 * x + c)),
            PixelFormat::Rgba8 | PixelFormat::Bgra8 => [0, 1, 2].map(|c| at(0, y, 4 * x + c)),
            PixelFormat::Gray8 => [at(0, y, x); 3],
            PixelFormat::Nv12 => [at(0, y, x), at(1, y / 2, x / 2 * 2), at(1, y / 2, x / 2 * 2 + 1)],
            PixelFormat::Yuyv => [at(0, y, 2 * x), at(0, y, x / 2 * 4 + 1), at(0, y, x / 2 * 4 + 3)],
        }
    }

    /// One plane; the second of other formats than NV12 is empty.
    pub(crate) fn plane(&self, index: usize) -> Plane<'a> {
        self.planes[index]
    }

    /// One row of a plane.
    pub(crate) fn row(&self, plane: usize, y: usize) -> &'a [u8] {
        let Plane { data, stride } = self.planes[plane];
        &data[y * stride..][..self.format.row_bytes(self.width as u32)]
    }

    /// Another picture of this format and width that is one row high, from one row of each plane.
    pub(crate) fn with_one_row<'b>(&self, rows: [&'b [u8]; 2]) -> Picture<'b> {
        let planes = rows.map(|data| Plane { data, stride: data.len() });
        Picture { format: self.format, width: self.width, height: 1, planes, orientation: self.orientation }
    }
}
