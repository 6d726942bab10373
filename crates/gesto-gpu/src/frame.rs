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
    /// A plane of luma in [`Frame::data`], then a plane of interleaved `U, V` at half the width and height in
    /// [`Frame::chroma`]. BT.601, limited range; both sides even.
    Nv12,
    /// `Y0, U, Y1, V` for each two pixels of a row. BT.601, limited range; the width is even.
    Yuyv,
}

impl PixelFormat {
    /// Bytes for each pixel of the first plane.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Bgra | Self::Rgba => 4,
            Self::Bgr | Self::Rgb => 3,
            Self::Yuyv => 2,
            Self::Gray | Self::Nv12 => 1,
        }
    }

    /// Where a pixel's three samples (red, green, blue or Y, U, V) lie in a row of `width` pixels, NV12's chroma
    /// row following the luma's.
    pub(crate) fn samples(self, width: usize) -> Samples {
        let (pair, at) = match self {
            Self::Bgra | Self::Bgr => (0, [2, 1, 0]),
            Self::Rgba | Self::Rgb => (0, [0, 1, 2]),
            Self::Gray => (0, [0, 0, 0]),
            Self::Yuyv => (4, [0, 1, 3]),
            Self::Nv12 => (2, [0, width as u32, width as u32 + 1]),
        };
        Samples { pixel: self.bytes() as u32, pair, at }
    }
}

/// Places of a pixel's samples in its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Samples {
    /// Bytes from one pixel's first sample to the next one's.
    pub(crate) pixel: u32,
    /// Bytes from one pair of pixels' second and third sample to the next pair's; 0: each pixel has its own, at `pixel`.
    pub(crate) pair: u32,
    /// First bytes of the three samples.
    pub(crate) at: [u32; 3],
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
    /// The chroma plane of [`PixelFormat::Nv12`]; unused by the other formats.
    pub chroma: Chroma<'a>,
}

/// The second plane of an NV12 frame: `U, V` for each two by two pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Chroma<'a> {
    /// Rows of `U, V` pairs, top first; half as many as the luma has.
    pub data: &'a [u8],
    /// Bytes from one row's start to the next.
    pub pitch: usize,
}

/// The largest accepted side and picture: what graphics drivers and 32-bit offsets handle with room to spare.
const MAX_SIDE: usize = 1 << 16;
const MAX_PIXELS: usize = 1 << 27;

impl<'a> Frame<'a> {
    /// An upright frame whose rows follow each other without gaps, NV12's chroma after its luma.
    #[must_use]
    pub fn packed(data: &'a [u8], width: usize, height: usize, format: PixelFormat) -> Self {
        let pitch = width.saturating_mul(format.bytes());
        let chroma = match format {
            PixelFormat::Nv12 => {
                Chroma { data: data.get(pitch.saturating_mul(height)..).unwrap_or_default(), pitch }
            }
            _ => Chroma::default(),
        };
        Self { data, width, height, pitch, format, turn: Turn::None, mirror: false, chroma }
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
        let even = |n: usize| n.is_multiple_of(2);
        match self.format {
            PixelFormat::Nv12 if !even(width) || !even(height) => {
                return bad(format!("an NV12 frame of {width} x {height}: both sides must be even"));
            }
            PixelFormat::Yuyv if !even(width) => {
                return bad(format!("a YUYV frame of {width} x {height}: the width must be even"));
            }
            _ => {}
        }
        let row = width * self.format.bytes();
        let mut planes = vec![("", self.data, pitch, height)];
        if self.format == PixelFormat::Nv12 {
            planes.push(("chroma ", self.chroma.data, self.chroma.pitch, height / 2));
        }
        for (name, data, pitch, rows) in planes {
            if pitch < row {
                return bad(format!(
                    "a {name}row of {width} pixels has {row} bytes, more than the frame's pitch of {pitch}"
                ));
            }
            let needed = pitch.checked_mul(rows - 1).and_then(|n| n.checked_add(row));
            if needed.is_none_or(|needed| data.len() < needed) {
                return bad(format!(
                    "{} {name}bytes are too few for a frame of {width} x {height} pixels with a pitch of {pitch}",
                    data.len()
                ));
            }
        }
        Ok(())
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
        assert_eq!(frame(8, 8, PixelFormat::Nv12), Ok(()), "64 of luma and 32 of chroma");
        assert_eq!(frame(8, 10, PixelFormat::Nv12), Err(ErrorKind::Input), "no room for the chroma");
        assert_eq!(frame(7, 8, PixelFormat::Nv12), Err(ErrorKind::Input), "an odd width");
        assert_eq!(frame(8, 7, PixelFormat::Nv12), Err(ErrorKind::Input), "an odd height");
        assert_eq!(frame(5, 8, PixelFormat::Yuyv), Err(ErrorKind::Input), "an odd width");
        assert_eq!(frame(6, 7, PixelFormat::Yuyv), Ok(()));
        let mut gaps = Frame::packed(&data, 8, 8, PixelFormat::Nv12);
        gaps.chroma.pitch = usize::MAX;
        assert_eq!(gaps.check().unwrap_err().kind(), ErrorKind::Input);
    }

    #[test]
    fn letterbox_keeps_the_ratio_and_maps_back() {
        let placement = Placement::new(Fit::Letterbox(114), (1080, 1920), (224, 320));
        assert_eq!(placement, Placement { x: 22, y: 0, width: 180, height: 320 });
        assert_eq!(placement.to_frame((1080, 1920), 112.0, 160.0), (540.0, 960.0));
    }
}
