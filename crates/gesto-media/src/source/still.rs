//! One encoded picture to upright RGB.

use std::io::{BufReader, Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, RgbImage};

use super::{Info, Shot, Source, jpeg};
use crate::{Error, ErrorKind, Limits, Picture, Result};

/// A source of one picture, decoded when it is asked for.
pub(crate) struct Still {
    info: Info,
    encoded: Option<Vec<u8>>,
    format: ImageFormat,
    limits: Limits,
}

impl Still {
    pub(crate) fn new(info: Info, encoded: Vec<u8>, format: ImageFormat, limits: Limits) -> Self {
        Self { info: Info { frames: Some(1), ..info }, encoded: Some(encoded), format, limits }
    }
}

impl Source for Still {
    fn info(&self) -> &Info {
        &self.info
    }

    fn next_frame(&mut self) -> Result<Option<Shot>> {
        let Some(encoded) = self.encoded.take() else { return Ok(None) };
        let mut picture = Picture::default();
        decode(&encoded, self.format, &mut picture, &self.limits)?;
        Ok(Some(Shot { picture, index: 0, timestamp_ms: 0.0, duration_ms: None }))
    }
}

/// Decodes one picture of a known format.
pub(crate) fn decode(
    encoded: &[u8],
    format: ImageFormat,
    picture: &mut Picture,
    limits: &Limits,
) -> Result<()> {
    guarded(|| match format {
        ImageFormat::Jpeg => decode_jpeg(encoded, picture, limits),
        _ => decode_other(encoded, format, picture, limits),
    })
}

fn decode_jpeg(encoded: &[u8], picture: &mut Picture, limits: &Limits) -> Result<()> {
    // The decoder fills what is missing with grey, as viewers do; here a cut file must not pass for a whole one.
    let mut jpeg = Vec::new();
    match jpeg::Cutter::new(encoded, limits).next(&mut jpeg) {
        Ok(Some(jpeg::Cut::Truncated)) => Err(ends_early()),
        _ => jpeg::decode(encoded, picture, limits),
    }
}

fn decode_other(encoded: &[u8], format: ImageFormat, picture: &mut Picture, limits: &Limits) -> Result<()> {
    if format == ImageFormat::Bmp {
        check_bmp(encoded, limits)?;
    }
    let mut reader = ImageReader::with_format(Cursor::new(encoded), format);
    reader.limits(codec_limits(limits));
    let mut decoder = reader.into_decoder().map_err(picture_error)?;
    let (width, height) = decoder.dimensions();
    limits.check(width, height)?;
    if decoder.total_bytes() > limits.bytes {
        return Err(Error::new(ErrorKind::TooLarge, "the decoded picture needs more memory than the limit"));
    }
    // A damaged EXIF block says nothing; the pixels may be fine.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(picture_error)?;
    image.apply_orientation(orientation);
    fill(picture, &image, limits)
}

/// The size in a bitmap's header, whose decoder does not tell too large from damaged.
fn check_bmp(encoded: &[u8], limits: &Limits) -> Result<()> {
    let field = |at: usize| Some(i32::from_le_bytes(*encoded.get(at..)?.first_chunk()?));
    match (field(14), field(18), field(22)) {
        // A negative height means rows from the top.
        (Some(40..), Some(width @ 1..), Some(height)) => {
            limits.check(width.unsigned_abs(), height.unsigned_abs())
        }
        _ => Ok(()),
    }
}

/// Turns any decoded image into RGB over white.
pub(crate) fn fill(picture: &mut Picture, image: &DynamicImage, limits: &Limits) -> Result<()> {
    picture.reset(image.width(), image.height(), limits)?;
    if image.color().has_alpha() {
        let rgba = image.to_rgba8();
        flatten(picture, &rgba);
    } else if let DynamicImage::ImageRgb8(rgb) = image {
        picture.pixels_mut().copy_from_slice(rgb);
    } else {
        picture.pixels_mut().copy_from_slice(&image.to_rgb8());
    }
    Ok(())
}

/// Lays RGBA over white, the page that most viewers show behind it. Sizes must agree.
pub(crate) fn flatten(picture: &mut Picture, rgba: &[u8]) {
    let pixels = picture.pixels_mut().as_chunks_mut::<3>().0;
    for (to, &[r, g, b, a]) in pixels.iter_mut().zip(rgba.as_chunks::<4>().0) {
        let over = |c: u8| {
            let a = u32::from(a);
            ((u32::from(c) * a + 255 * (255 - a) + 127) / 255) as u8
        };
        *to = if a == 255 { [r, g, b] } else { [over(r), over(g), over(b)] };
    }
}

/// Makes a picture upright.
pub(crate) fn orient(picture: &mut Picture, orientation: Orientation) {
    let (width, height) = (picture.width(), picture.height());
    let pixels = std::mem::take(picture).into_pixels();
    let Some(rgb) = RgbImage::from_raw(width, height, pixels) else { return };
    let mut image = DynamicImage::ImageRgb8(rgb);
    image.apply_orientation(orientation);
    let (width, height) = (image.width(), image.height());
    if let Ok(upright) = Picture::from_rgb(width, height, image.into_bytes()) {
        *picture = upright;
    }
}

pub(crate) fn codec_limits(limits: &Limits) -> image::Limits {
    let mut codec = image::Limits::default();
    codec.max_image_width = Some(Limits::MAX_SIDE);
    codec.max_image_height = Some(Limits::MAX_SIDE);
    codec.max_alloc = Some(limits.bytes);
    codec
}

/// Reads a whole encoded picture, up to the limit.
pub(crate) fn read_all(reader: impl Read, limits: &Limits) -> Result<Vec<u8>> {
    let mut encoded = Vec::new();
    BufReader::new(reader)
        .take(limits.bytes.saturating_add(1))
        .read_to_end(&mut encoded)
        .map_err(|error| Error::io("cannot be read", error))?;
    if encoded.len() as u64 > limits.bytes {
        let message = format!("more than {} MiB for one picture", limits.bytes >> 20);
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    Ok(encoded)
}

/// The format that the first bytes tell.
pub(crate) fn sniff(head: &[u8]) -> Option<ImageFormat> {
    let format = image::guess_format(head).ok()?;
    let known = match format {
        // Two letters are weak evidence: the bitmap's header must have one of the sizes that exist.
        ImageFormat::Bmp => {
            matches!(head.get(14..18), Some([12 | 16 | 40 | 52 | 56 | 64 | 108 | 124, 0, 0, 0]))
        }
        ImageFormat::Pnm => head.get(2).is_some_and(|b| b.is_ascii_whitespace() || *b == b'#'),
        ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP | ImageFormat::Gif | ImageFormat::Tiff => {
            true
        }
        _ => false,
    };
    known.then_some(format)
}

pub(crate) fn ends_early() -> Error {
    Error::new(ErrorKind::Malformed, "the data ends early")
}

pub(crate) fn picture_error(error: ImageError) -> Error {
    match error {
        ImageError::Limits(_) => Error::because(
            ErrorKind::TooLarge,
            "needs more than the limits on pixels and memory allow",
            error,
        ),
        ImageError::Unsupported(_) => Error::because(ErrorKind::Unsupported, "cannot be decoded", error),
        ImageError::IoError(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => ends_early(),
        ImageError::IoError(io) => Error::because(ErrorKind::Malformed, "cannot be decoded", io),
        error => Error::because(ErrorKind::Malformed, "damaged picture", error),
    }
}

/// Runs a third-party decoder so that a bug in it, met by a hostile file, costs that file alone.
pub(crate) fn guarded<T>(decode: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Malformed, "the decoder failed on this data")))
}
