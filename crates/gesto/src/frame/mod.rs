//! A picture as the camera or the decoder left it: borrowed planes and how to read them.

use std::time::Duration;

use gesto_engine::picture::Picture;
pub use gesto_engine::picture::{Orientation, PixelFormat, Plane, Rotation};

use crate::error::{Error, ErrorKind, Result};

/// The longest side of a [`Frame`] in pixels.
pub const MAX_SIDE: u32 = 65_535;

/// The most pixels in a [`Frame`].
pub const MAX_PIXELS: u64 = 1 << 28;

/// One picture, borrowed.
///
/// `width` and `height` are those of the *stored* picture, before [`Rotation`] and mirroring are undone; every
/// detection comes back in its pixels. Coordinates are continuous: the pixel in the top left corner covers
/// `0..1` along both axes, so the right edge of the picture is `x = width`.
///
/// ```
/// use gesto::{Frame, Rotation};
///
/// let pixels = vec![0; 64 * 48 * 3];
/// let frame = Frame::rgb8(&pixels, 64, 48)?.rotated(Rotation::Cw90);
/// assert_eq!(frame.upright_size(), (48, 64));
/// # Ok::<(), gesto::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    format: PixelFormat,
    width: u32,
    height: u32,
    /// The second plane is empty for all formats but NV12.
    planes: [Plane<'a>; 2],
    orientation: Orientation,
    timestamp: Option<Duration>,
}

impl<'a> Frame<'a> {
    /// A picture whose rows follow one another without gaps; NV12's chroma follows its luma.
    ///
    /// # Errors
    /// [`ErrorKind::Frame`] when a side is 0 or over [`MAX_SIDE`], the picture has over [`MAX_PIXELS`], `data` is
    /// too short, or the format needs even sides (NV12 both, YUYV the width) and a side is odd.
    pub fn new(format: PixelFormat, data: &'a [u8], width: u32, height: u32) -> Result<Self> {
        let stride = format.row_bytes(width);
        if format != PixelFormat::Nv12 {
            return Self::from_planes(format, [Plane { data, stride }, Plane::default()], width, height);
        }
        check_size(format, width, height)?;
        let need = format.frame_bytes(width, height);
        if data.len() < need {
            let what = format!("an NV12 frame of {width} x {height}");
            return Err(too_short(&what, data.len(), need));
        }
        let (y, uv) = data.split_at(stride * height as usize);
        Self::nv12(Plane { data: y, stride }, Plane { data: uv, stride }, width, height)
    }

    /// A single-plane picture with `stride` bytes from one row to the next.
    ///
    /// # Errors
    /// As [`new`](Self::new), and when `stride` is less than one row's bytes, or for NV12, which has two planes
    /// ([`nv12`](Self::nv12)).
    pub fn with_stride(
        format: PixelFormat,
        data: &'a [u8],
        width: u32,
        height: u32,
        stride: usize,
    ) -> Result<Self> {
        if format == PixelFormat::Nv12 {
            return Err(Error::new(ErrorKind::Frame, "an NV12 frame has two planes with a stride each"));
        }
        Self::from_planes(format, [Plane { data, stride }, Plane::default()], width, height)
    }

    /// A picture with full-size luma and half-size interleaved `U, V` chroma.
    ///
    /// # Errors
    /// As [`new`](Self::new), and when a stride is less than `width`.
    pub fn nv12(luma: Plane<'a>, chroma: Plane<'a>, width: u32, height: u32) -> Result<Self> {
        Self::from_planes(PixelFormat::Nv12, [luma, chroma], width, height)
    }

    /// Red, green, blue, 8 bits each; rows without gaps.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn rgb8(data: &'a [u8], width: u32, height: u32) -> Result<Self> {
        Self::new(PixelFormat::Rgb8, data, width, height)
    }

    fn from_planes(format: PixelFormat, planes: [Plane<'a>; 2], width: u32, height: u32) -> Result<Self> {
        check_size(format, width, height)?;
        let row = format.row_bytes(width);
        let rows = [height as usize, if format == PixelFormat::Nv12 { height as usize / 2 } else { 0 }];
        for (i, (plane, rows)) in planes.iter().zip(rows).enumerate().filter(|&(_, (_, rows))| rows > 0) {
            if plane.stride < row {
                return Err(Error::new(
                    ErrorKind::Frame,
                    format!("a stride of {} bytes is too small: a row has {row}", plane.stride),
                ));
            }
            // The last row may end with its pixels. Saturating: a stride near `usize::MAX` is just too short data.
            let need = plane.stride.saturating_mul(rows - 1).saturating_add(row);
            if plane.data.len() < need {
                let part = match format {
                    PixelFormat::Nv12 => ["the luma of ", "the chroma of "][i],
                    _ => "",
                };
                let article = if format == PixelFormat::Nv12 { "an" } else { "a" };
                let what = format!("{part}{article} {format} frame of {width} x {height}");
                return Err(too_short(&what, plane.data.len(), need));
            }
        }
        Ok(Self { format, width, height, planes, orientation: Orientation::default(), timestamp: None })
    }

    /// Says that the stored picture becomes upright by this clockwise turn.
    #[must_use]
    pub fn rotated(mut self, rotation: Rotation) -> Self {
        self.orientation.rotation = rotation;
        self
    }

    /// Says whether the stored picture is a mirror image, as selfie cameras make them.
    ///
    /// The network sees it un-mirrored, so a left hand is called left.
    #[must_use]
    pub fn mirrored(mut self, mirrored: bool) -> Self {
        self.orientation.mirrored = mirrored;
        self
    }

    /// Sets rotation and mirroring at once, say from a picture's EXIF entry.
    #[must_use]
    pub fn oriented(mut self, orientation: Orientation) -> Self {
        self.orientation = orientation;
        self
    }

    /// Sets the time of the picture since the start of its clip.
    #[must_use]
    pub fn at(mut self, timestamp: Duration) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// Width of the stored picture in pixels.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height of the stored picture in pixels.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Width and height after rotation is undone.
    #[must_use]
    pub fn upright_size(&self) -> (u32, u32) {
        self.orientation.upright_size(self.width, self.height)
    }

    /// How the bytes are to be read.
    #[must_use]
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// What makes the stored picture upright.
    #[must_use]
    pub fn orientation(&self) -> Orientation {
        self.orientation
    }

    /// Time since the start of the clip, if known.
    #[must_use]
    pub fn timestamp(&self) -> Option<Duration> {
        self.timestamp
    }

    /// The planes: two for NV12 (luma, then chroma), one for the others.
    #[must_use]
    pub fn planes(&self) -> &[Plane<'a>] {
        &self.planes[..self.format.planes()]
    }

    /// The same picture as the engine's resamplers take it.
    pub(crate) fn picture(&self) -> Picture<'a> {
        let Self { format, width, height, planes, orientation, .. } = *self;
        Picture::new(format, width, height, planes, orientation).expect("a frame's planes were checked")
    }

    /// Red, green and blue of one stored pixel. Convenient and slow; meant for references and small pictures.
    ///
    /// # Panics
    /// When the pixel lies outside the picture.
    #[must_use]
    pub fn pixel(&self, x: u32, y: u32) -> [u8; 3] {
        self.format.to_rgb(self.samples(x, y))
    }

    /// The three colours of one stored pixel in the format's own order: RGB, BGR or YUV.
    pub(crate) fn samples(&self, x: u32, y: u32) -> [u8; 3] {
        self.picture().samples(x as usize, y as usize)
    }
}

fn check_size(format: PixelFormat, width: u32, height: u32) -> Result<()> {
    let message = if width == 0 || height == 0 {
        format!("a frame of {width} x {height} has no pixels")
    } else if width > MAX_SIDE || height > MAX_SIDE || u64::from(width) * u64::from(height) > MAX_PIXELS {
        format!(
            "a frame of {width} x {height} is too large: at most {MAX_SIDE} a side and {MAX_PIXELS} pixels"
        )
    } else if format == PixelFormat::Nv12 && !(width.is_multiple_of(2) && height.is_multiple_of(2)) {
        format!("an NV12 frame of {width} x {height} is not possible: both sides must be even")
    } else if format == PixelFormat::Yuyv && !width.is_multiple_of(2) {
        format!("a YUYV frame of {width} x {height} is not possible: the width must be even")
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Frame, message))
}

fn too_short(what: &str, have: usize, need: usize) -> Error {
    Error::new(ErrorKind::Frame, format!("{what} needs {need} bytes where {have} were given"))
}
