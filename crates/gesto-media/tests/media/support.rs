//! Pictures made for tests, in every format.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use gesto_media::source::{self, Info, Shot};
use gesto_media::{Limits, Picture, Result};
use image::{Delay, Frame, ImageFormat, RgbImage, RgbaImage};

/// A picture without symmetry: smooth ramps, one bright corner.
pub(crate) fn ramps(width: u32, height: u32) -> Picture {
    let pixel = |x: u32, y: u32| {
        let ramp = |at: u32, side: u32| (at * 200 / side.max(1)) as u8;
        if x < width / 4 && y < height / 4 { [250, 240, 20] } else { [ramp(x, width), ramp(y, height), 90] }
    };
    let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y))).collect();
    Picture::from_rgb(width, height, pixels).unwrap()
}

pub(crate) fn rgb_image(picture: &Picture) -> RgbImage {
    RgbImage::from_raw(picture.width(), picture.height(), picture.pixels().to_vec()).unwrap()
}

pub(crate) fn encode(picture: &Picture, format: ImageFormat) -> Vec<u8> {
    let mut encoded = Cursor::new(Vec::new());
    rgb_image(picture).write_to(&mut encoded, format).unwrap();
    encoded.into_inner()
}

/// A GIF of `delays.len()` plain frames, each of another colour.
pub(crate) fn gif(width: u32, height: u32, delays: &[u32]) -> Vec<u8> {
    let mut encoded = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut encoded);
    for (i, &delay) in delays.iter().enumerate() {
        let shade = (i * 37 % 256) as u8;
        let picture = RgbaImage::from_pixel(width, height, image::Rgba([shade, 255 - shade, 60, 255]));
        let delay = Delay::from_numer_denom_ms(delay, 1);
        encoder.encode_frame(Frame::from_parts(picture, 0, 0, delay)).unwrap();
    }
    drop(encoder);
    encoded
}

/// A Y4M clip of plain grey frames in 4:2:0.
pub(crate) fn y4m(width: usize, height: usize, frames: u8) -> Vec<u8> {
    let mut clip = format!("YUV4MPEG2 W{width} H{height} F10:1 C420jpeg\n").into_bytes();
    for frame in 0..frames {
        clip.extend(b"FRAME\n");
        clip.extend(vec![16 + 10 * frame; width * height]);
        clip.extend(vec![128; 2 * width.div_ceil(2) * height.div_ceil(2)]);
    }
    clip
}

/// A file in a directory of its own, gone with it.
pub(crate) struct Stored {
    _directory: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

pub(crate) fn store(name: &str, bytes: &[u8]) -> Stored {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    Stored { _directory: directory, path }
}

/// All frames of a file, with what was wrong with some.
pub(crate) fn read(path: &Path, limits: &Limits) -> (Result<Info>, Vec<Result<Shot>>) {
    let mut source = match source::open(path.to_str().unwrap(), limits) {
        Ok(source) => source,
        Err(error) => return (Err(error), Vec::new()),
    };
    let mut frames = Vec::new();
    loop {
        match source.next_frame() {
            Ok(Some(shot)) => frames.push(Ok(shot)),
            Ok(None) => break,
            Err(error) => frames.push(Err(error)),
        }
        assert!(frames.len() < 10_000, "`{}` has no end", path.display());
    }
    (Ok(source.info().clone()), frames)
}

/// All frames of a sound file.
pub(crate) fn read_all(path: &Path) -> (Info, Vec<Shot>) {
    let (info, frames) = read(path, &Limits::default());
    (info.unwrap(), frames.into_iter().map(|frame| frame.unwrap()).collect())
}

/// The largest difference of any channel.
pub(crate) fn distance(a: &Picture, b: &Picture) -> u8 {
    assert_eq!((a.width(), a.height()), (b.width(), b.height()));
    a.pixels().iter().zip(b.pixels()).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

pub(crate) fn png_chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [kind, data].concat();
    [&(data.len() as u32).to_be_bytes()[..], &body, &crc32(&body).to_be_bytes()].concat()
}
