//! Single pixels of every format, in the format's own colours.

use super::Tier;
use crate::picture::{Picture, PixelFormat, yuv_to_rgb};

/// Something to do with a picture's pixels.
pub(super) trait Visitor {
    /// `pixel(x, y)` gives three colours: RGB, BGR or YUV.
    fn visit(self, pixel: impl Fn(usize, usize) -> [u8; 3]);
}

/// Hands over the function that reads one pixel, so that each loop is compiled for each format.
#[inline(always)]
pub(super) fn visit(picture: &Picture<'_>, visitor: impl Visitor) {
    let plane = picture.plane(0);
    let (data, stride) = (plane.data, plane.stride);
    match picture.format() {
        PixelFormat::Rgb8 | PixelFormat::Bgr8 => visitor.visit(|x, y| {
            let at = y * stride + 3 * x;
            [data[at], data[at + 1], data[at + 2]]
        }),
        PixelFormat::Rgba8 | PixelFormat::Bgra8 => visitor.visit(|x, y| {
            let at = y * stride + 4 * x;
            [data[at], data[at + 1], data[at + 2]]
        }),
        PixelFormat::Gray8 => visitor.visit(|x, y| [data[y * stride + x]; 3]),
        PixelFormat::Nv12 => {
            let chroma = picture.plane(1);
            visitor.visit(|x, y| {
                let uv = y / 2 * chroma.stride + x / 2 * 2;
                [data[y * stride + x], chroma.data[uv], chroma.data[uv + 1]]
            });
        }
        PixelFormat::Yuyv => visitor.visit(|x, y| {
            let row = y * stride;
            let pair = row + x / 2 * 4;
            [data[row + 2 * x], data[pair + 1], data[pair + 3]]
        }),
    }
}

/// How the pixels of a format with whole bytes side by side lie: bytes of a pixel, and where red, green and blue are.
/// `None` for the formats with shared chroma.
pub(super) fn packed(format: PixelFormat) -> Option<(usize, [u8; 3])> {
    match format {
        PixelFormat::Rgb8 => Some((3, [0, 1, 2])),
        PixelFormat::Bgr8 => Some((3, [2, 1, 0])),
        PixelFormat::Rgba8 => Some((4, [0, 1, 2])),
        PixelFormat::Bgra8 => Some((4, [2, 1, 0])),
        PixelFormat::Gray8 => Some((1, [0, 0, 0])),
        PixelFormat::Nv12 | PixelFormat::Yuyv => None,
    }
}

/// From the format's own colours to red, green, blue and zero.
pub(super) fn to_rgb(tier: Tier, format: PixelFormat, line: &mut [[u8; 4]]) {
    match format {
        PixelFormat::Rgb8 | PixelFormat::Rgba8 | PixelFormat::Gray8 => {}
        PixelFormat::Bgr8 | PixelFormat::Bgra8 => line.iter_mut().for_each(|pixel| pixel.swap(0, 2)),
        PixelFormat::Nv12 | PixelFormat::Yuyv => match tier {
            Tier::Plain => yuv_plain(line),
            // SAFETY: the tier proves the instructions, AVX-512 with AVX2.
            #[cfg(target_arch = "x86_64")]
            Tier::Avx2(_) | Tier::Avx512(_) => unsafe { super::avx2::yuv(line) },
        },
    }
}

/// The definition.
pub(super) fn yuv_plain(line: &mut [[u8; 4]]) {
    for pixel in line {
        let [y, u, v, _] = *pixel;
        let [r, g, b] = yuv_to_rgb(y, u, v);
        *pixel = [r, g, b, 0];
    }
}
