//! A camera frame in host memory and where it goes in the network's input.

use crate::error::{Error, ErrorKind, Result};

/// Order of a pixel's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PixelFormat {
    /// Blue, green, red, unused.
    Bgra,
    /// Red, green, blue, unused.
    Rgba,
    /// Blue, green, red.
    Bgr,
    /// Red, green, blue.
    Rgb,
    /// One byte of brightness.
    Gray,
}

impl PixelFormat {
    /// Bytes for each pixel.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Bgra | Self::Rgba => 4,
            Self::Bgr | Self::Rgb => 3,
            Self::Gray => 1,
        }
    }

    /// Byte positions of red, green and blue.
    pub(crate) fn rgb(self) -> [u32; 3] {
        match self {
            Self::Bgra | Self::Bgr => [2, 1, 0],
            Self::Rgba | Self::Rgb => [0, 1, 2],
            Self::Gray => [0, 0, 0],
        }
    }
}

/// Clockwise turn that brings the stored picture upright.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Turn {
    /// It is upright.
    #[default]
    None,
    /// A quarter turn clockwise.
    Quarter,
    /// Upside down.
    Half,
    /// A quarter turn counter-clockwise.
    ThreeQuarters,
}

/// A picture in host memory, borrowed for one call.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// Rows of pixels, top first.
    pub data: &'a [u8],
    /// Pixels in a stored row.
    pub width: usize,
    /// Stored rows.
    pub height: usize,
    /// Bytes from one row's start to the next.
    pub pitch: usize,
    /// Order of the bytes.
    pub format: PixelFormat,
    /// Turn to apply first.
    pub turn: Turn,
    /// Mirror left and right, after the turn.
    pub mirror: bool,
}

/// The largest accepted side and picture: what graphics drivers and 32-bit offsets handle with room to spare.
const MAX_SIDE: usize = 1 << 16;
const MAX_PIXELS: usize = 1 << 27;

impl<'a> Frame<'a> {
    /// An upright frame whose rows follow each other without gaps.
    #[must_use]
    pub fn packed(data: &'a [u8], width: usize, height: usize, format: PixelFormat) -> Self {
        let pitch = width.saturating_mul(format.bytes());
        Self { data, width, height, pitch, format, turn: Turn::None, mirror: false }
    }

    /// Width and height once upright.
    #[must_use]
    pub fn upright_size(&self) -> (usize, usize) {
        match self.turn {
            Turn::None | Turn::Half => (self.width, self.height),
            Turn::Quarter | Turn::ThreeQuarters => (self.height, self.width),
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        let bad = |message: String| Err(Error::new(ErrorKind::Input, message));
        let Self { width, height, pitch, .. } = *self;
        if width == 0 || height == 0 {
            return bad(format!("a frame of {width} x {height} pixels is empty"));
        }
        if width > MAX_SIDE || height > MAX_SIDE || width * height > MAX_PIXELS {
            return bad(format!(
                "a frame of {width} x {height} pixels is too large: at most {MAX_PIXELS} pixels"
            ));
        }
        let row = width * self.format.bytes();
        if pitch < row {
            return bad(format!(
                "a row of {width} pixels has {row} bytes, more than the frame's pitch of {pitch}"
            ));
        }
        let needed = pitch.checked_mul(height - 1).and_then(|n| n.checked_add(row));
        match needed {
            Some(needed) if self.data.len() >= needed => Ok(()),
            _ => bad(format!(
                "a frame of {width} x {height} pixels with a pitch of {pitch} bytes does not fit {} bytes",
                self.data.len()
            )),
        }
    }
}

/// How the frame is brought to the network's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resize {
    /// Two neighbours along each axis, pixel centres aligned, rounded to 8 bits.
    #[default]
    Bilinear,
    /// The pixel whose centre is nearest.
    Nearest,
}

/// How the upright frame is laid into the network's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fit {
    /// Each axis is scaled by itself: the frame fills the input.
    #[default]
    Stretch,
    /// One scale for both axes; the frame is centred, the rest has this brightness (0 to 255).
    Letterbox(u8),
}

/// The rectangle of the network's input that the upright frame covers, in whole network pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// First column.
    pub x: usize,
    /// First row.
    pub y: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Placement {
    /// Where a frame of upright `frame` (width, height) lies in a network input of `input` (width, height).
    #[must_use]
    pub fn new(fit: Fit, frame: (usize, usize), input: (usize, usize)) -> Self {
        match fit {
            Fit::Stretch => Self { x: 0, y: 0, width: input.0, height: input.1 },
            Fit::Letterbox(_) => {
                // The tighter axis is filled exactly; the other is rounded to the nearest whole pixel, halves up. In
                // integers, so that every unit of the project agrees.
                let [w, h, room_w, room_h] = [frame.0, frame.1, input.0, input.1].map(|side| side as u64);
                let nearest = |a: u64, b: u64, most: u64| ((2 * a + b) / (2 * b)).clamp(1, most);
                let (width, height) = if room_w * h <= room_h * w {
                    (room_w, nearest(h * room_w, w, room_h))
                } else {
                    (nearest(w * room_h, h, room_w), room_h)
                };
                let (width, height) = (width as usize, height as usize);
                Self { x: (input.0 - width) / 2, y: (input.1 - height) / 2, width, height }
            }
        }
    }

    /// A point in network pixels, in pixels of the upright frame.
    #[must_use]
    pub fn to_frame(&self, frame: (usize, usize), x: f32, y: f32) -> (f32, f32) {
        let scale =
            |v: f32, start: usize, side: usize, whole: usize| (v - start as f32) * whole as f32 / side as f32;
        (scale(x, self.x, self.width, frame.0), scale(y, self.y, self.height, frame.1))
    }
}

/// One output coordinate's two source coordinates and the second one's share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tap {
    pub(crate) first: u32,
    pub(crate) second: u32,
    pub(crate) share: f32,
}

/// Taps of `count` output coordinates over `source` input coordinates.
pub(crate) fn taps(resize: Resize, source: usize, count: usize, reverse: bool) -> Vec<Tap> {
    let last = source - 1;
    let turn = |i: usize| if reverse { last - i } else { i } as u32;
    (0..count)
        .map(|i| {
            // In f64: exact for every accepted side.
            let centre = (i as f64 + 0.5) * source as f64 / count as f64;
            match resize {
                Resize::Nearest => {
                    let at = turn((centre.floor() as usize).min(last));
                    Tap { first: at, second: at, share: 0.0 }
                }
                Resize::Bilinear => {
                    let at = (centre - 0.5).clamp(0.0, last as f64);
                    let first = at.floor() as usize;
                    let second = (first + 1).min(last);
                    Tap { first: turn(first), second: turn(second), share: (at - first as f64) as f32 }
                }
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_align_pixel_centres() {
        let six = taps(Resize::Bilinear, 1920, 320, false);
        assert_eq!(six[0], Tap { first: 2, second: 3, share: 0.5 });
        assert_eq!(six[319], Tap { first: 1916, second: 1917, share: 0.5 });
        let up = taps(Resize::Bilinear, 2, 4, false);
        assert_eq!(up[0], Tap { first: 0, second: 1, share: 0.0 });
        assert_eq!(up[1], Tap { first: 0, second: 1, share: 0.25 });
        assert_eq!(up[3].share, 0.0);
        let same = taps(Resize::Nearest, 5, 5, true);
        assert_eq!(same.iter().map(|t| t.first).collect::<Vec<_>>(), [4, 3, 2, 1, 0]);
    }

    #[test]
    fn a_frame_that_does_not_fit_its_bytes_is_refused() {
        let data = [0u8; 100];
        let frame = |w, h, f| Frame::packed(&data, w, h, f).check().map_err(|e| e.kind());
        assert_eq!(frame(5, 5, PixelFormat::Bgra), Ok(()));
        assert_eq!(frame(5, 6, PixelFormat::Bgra), Err(ErrorKind::Input));
        assert_eq!(frame(0, 6, PixelFormat::Rgb), Err(ErrorKind::Input));
        assert_eq!(frame(usize::MAX, 2, PixelFormat::Rgba), Err(ErrorKind::Input));
        let mut short = Frame::packed(&data, 5, 5, PixelFormat::Bgra);
        short.pitch = 19;
        assert_eq!(short.check().unwrap_err().kind(), ErrorKind::Input);
    }

    #[test]
    fn letterbox_keeps_the_ratio_and_maps_back() {
        let placement = Placement::new(Fit::Letterbox(114), (1080, 1920), (224, 320));
        assert_eq!(placement, Placement { x: 22, y: 0, width: 180, height: 320 });
        assert_eq!(placement.to_frame((1080, 1920), 112.0, 160.0), (540.0, 960.0));
    }
}
