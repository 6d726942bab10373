//! The frame that benchmarks of the whole way start from.

use std::io::Cursor;

use anyhow::Context;
use gesto::{Frame, Orientation, PixelFormat, Plane};
use gesto_engine::picture::Picture;

/// A webcam frame with two people, one of them showing a gesture, at 320 x 224. Boxes and keypoints are computed only
/// around what is found, so the picture matters.
const PICTURE: &[u8] = include_bytes!("../../../../gesto-engine/tests/golden/two-people-320x224.png");

/// The picture blown up to a phone's portrait frame, in the byte order of cameras. The same bytes on every machine.
pub(super) struct CameraFrame {
    bytes: Vec<u8>,
}

impl CameraFrame {
    pub(super) const WIDTH: u32 = 1080;
    pub(super) const HEIGHT: u32 = 1920;

    /// Bilinear, in integers, so that every machine gets the same bytes.
    pub(super) fn new() -> anyhow::Result<Self> {
        let mut decoder = png::Decoder::new(Cursor::new(PICTURE));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info()?;
        let mut small = vec![0; reader.output_buffer_size().context("the picture is too large")?];
        let info = reader.next_frame(&mut small)?;
        let pixels = small.as_chunks::<3>().0;
        let (columns, rows) = (taps(info.width, Self::WIDTH), taps(info.height, Self::HEIGHT));
        let mut bytes = Vec::with_capacity((Self::WIDTH * Self::HEIGHT * 4) as usize);
        for &(top, bottom, down) in &rows {
            for &(left, right, across) in &columns {
                let at = |x: u32, y: u32, c: usize| u32::from(pixels[(y * info.width + x) as usize][c]);
                let blend = |c: usize| {
                    let upper = at(left, top, c) * (256 - across) + at(right, top, c) * across;
                    let lower = at(left, bottom, c) * (256 - across) + at(right, bottom, c) * across;
                    ((upper * (256 - down) + lower * down + (1 << 15)) >> 16) as u8
                };
                bytes.extend([blend(2), blend(1), blend(0), 255]);
            }
        }
        Ok(Self { bytes })
    }

    pub(super) fn frame(&self) -> gesto::Result<Frame<'_>> {
        Frame::new(PixelFormat::Bgra8, &self.bytes, Self::WIDTH, Self::HEIGHT)
    }

    /// The same for the engine's own layers.
    pub(super) fn picture(&self) -> gesto_engine::Result<Picture<'_>> {
        let plane = Plane { data: &self.bytes, stride: 4 * Self::WIDTH as usize };
        let planes = [plane, Plane::default()];
        Picture::new(PixelFormat::Bgra8, Self::WIDTH, Self::HEIGHT, planes, Orientation::default())
    }
}

/// For each output pixel the two input pixels around its centre and the share of the second in 1/256.
fn taps(from: u32, to: u32) -> Vec<(u32, u32, u32)> {
    let tap = |i: u32| {
        // Twice the centre's distance from the first input pixel's centre, in 1/to of a pixel; edges repeat.
        let twice = ((2 * i + 1) * from).saturating_sub(to).min(2 * to * (from - 1));
        let first = twice / (2 * to);
        let share = (twice % (2 * to)) * 256 / (2 * to);
        (first, (first + 1).min(from - 1), share)
    };
    (0..to).map(tap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gesto::{Detector, Fit};

    #[test]
    fn the_frame_shows_people_and_a_gesture() {
        let camera = CameraFrame::new().unwrap();
        let mut detector = Detector::builder().fit(Fit::Stretch).threads(1).build().unwrap();
        let out = detector.detect(&camera.frame().unwrap()).unwrap();
        assert!(!out.people.is_empty() && !out.hands.is_empty(), "{out:?}");
    }
}
