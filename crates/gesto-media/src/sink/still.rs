//! One picture as a file.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, ImageFormat};

use super::Sink;
use super::temporary::Temporary;
use crate::source::Shot;
use crate::{Error, ErrorKind, Picture, Result};

/// Of a JPEG file: no visible loss around thin lines.
const JPEG_QUALITY: u8 = 92;

/// Writes a still at once; there is no second frame.
pub(crate) struct Still {
    path: PathBuf,
    format: ImageFormat,
    done: bool,
}

impl Still {
    pub(crate) fn new(path: PathBuf, format: ImageFormat) -> Self {
        Self { path, format, done: false }
    }
}

impl Sink for Still {
    fn write(&mut self, shot: &Shot) -> Result<()> {
        if self.done {
            let message = format!("`{}` holds one picture, not several", self.path.display());
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        let mut file = Temporary::new(&self.path)?;
        let mut writer = BufWriter::new(file.file());
        encode(&shot.picture, self.format, &mut writer)
            .and_then(|()| writer.flush().map_err(|error| Error::io("cannot be written", error)))
            .map_err(|error| error.named(&self.path.display().to_string()))?;
        drop(writer);
        file.keep()?;
        self.done = true;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Option<PathBuf>> {
        Ok(self.done.then_some(self.path))
    }
}

/// The picture format that a file's ending asks for, of those that can be written.
pub(crate) fn format(path: &Path) -> Option<ImageFormat> {
    let format = ImageFormat::from_path(path).ok()?;
    let writable = matches!(
        format,
        ImageFormat::Jpeg
            | ImageFormat::Png
            | ImageFormat::WebP
            | ImageFormat::Bmp
            | ImageFormat::Tiff
            | ImageFormat::Pnm
            | ImageFormat::Gif
    );
    writable.then_some(format)
}

fn encode(picture: &Picture, format: ImageFormat, writer: &mut (impl Write + std::io::Seek)) -> Result<()> {
    let (pixels, width, height) = (picture.pixels(), picture.width(), picture.height());
    let color = ExtendedColorType::Rgb8;
    match format {
        ImageFormat::Jpeg => {
            JpegEncoder::new_with_quality(writer, JPEG_QUALITY).write_image(pixels, width, height, color)
        }
        ImageFormat::Png => PngEncoder::new_with_quality(writer, CompressionType::Fast, FilterType::Adaptive)
            .write_image(pixels, width, height, color),
        format => image::write_buffer_with_format(writer, pixels, width, height, color, format),
    }
    .map_err(|error| Error::because(ErrorKind::Io, "cannot be written", error))
}

/// Encodes a picture as JPEG of quality 1 to 100: what a server sends.
///
/// # Errors
/// An empty picture.
pub fn encode_jpeg(picture: &Picture, quality: u8) -> Result<Vec<u8>> {
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, quality)
        .write_image(picture.pixels(), picture.width(), picture.height(), ExtendedColorType::Rgb8)
        .map_err(|error| Error::because(ErrorKind::InvalidArgument, "no JPEG of this picture", error))?;
    Ok(jpeg)
}
