//! The whole way on a real picture: what is found, and that it is the same however the picture is stored.

#[path = "common/picture.rs"]
mod picture;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use gesto::{Detections, Detector, Fit, Frame, KeypointName, Orientation, PixelFormat, Plane};

use picture::Picture;

/// NASA's portrait of Eileen Collins: one person, facing the camera.
fn astronaut() -> Picture {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/astronaut.png");
    let mut reader = png::Decoder::new(BufReader::new(File::open(path).unwrap())).read_info().unwrap();
    let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut rgb).unwrap();
    assert_eq!((info.color_type, info.bit_depth), (png::ColorType::Rgb, png::BitDepth::Eight));
    // A part whose sides differ, lest exchanged axes go unseen.
    let (width, height) = (info.width, info.height * 3 / 4);
    rgb.truncate((width * height * 3) as usize);
    Picture { width, height, rgb }
}

fn detector(fit: Fit) -> Detector {
    Detector::builder().threads(1).fit(fit).build().unwrap()
}

/// Asserts that both show one person with the same keypoints, those of `got` taken through `upright`.
fn assert_same(
    got: &Detections,
    want: &Detections,
    pixels: f32,
    upright: impl Fn((f32, f32)) -> (f32, f32),
    what: &str,
) {
    let ([got], [want]) = (&got.people[..], &want.people[..]) else {
        panic!("{what}: {} and {} people", got.people.len(), want.people.len());
    };
    assert!((got.score - want.score).abs() < 0.05, "{what}: {} is not {}", got.score, want.score);
    for (got, want) in got.keypoints.iter().zip(&want.keypoints).filter(|(_, want)| want.score > 0.5) {
        let (x, y) = upright((got.x, got.y));
        let off = (x - want.x).hypot(y - want.y);
        assert!(off < pixels, "{what}: {} is {off} pixels away", got.name);
    }
    let corners = |(x, y), (u, v)| gesto::Rect::from_corners(upright((x, y)), upright((u, v)));
    let b = &got.bbox;
    let overlap = corners((b.x, b.y), (b.right(), b.bottom())).iou(&want.bbox);
    assert!(overlap > 0.95, "{what}: boxes overlap by {overlap} only");
}

#[test]
fn the_astronaut_is_found_where_she_is() {
    let picture = astronaut();
    let out = detector(Fit::Letterbox).detect(&picture.frame()).unwrap();
    let [person] = &out.people[..] else { panic!("{} people", out.people.len()) };
    assert!(person.score > 0.6, "{}", person.score);
    assert!(out.hands.is_empty(), "no hand shows: {:?}", out.hands);
    // Read off the picture by eye.
    for (name, x, y) in [
        (KeypointName::Nose, 222.0, 125.0),
        (KeypointName::LeftEye, 243.0, 105.0),
        (KeypointName::RightEye, 202.0, 108.0),
    ] {
        let got = person.keypoint(name);
        assert!(got.score > 0.8, "{got:?}");
        assert!((got.x - x).hypot(got.y - y) < 15.0, "{got:?} is not at {x}, {y}");
    }
}

#[test]
fn every_stored_orientation_shows_the_same_person() {
    let picture = astronaut();
    for fit in [Fit::Letterbox, Fit::Stretch] {
        let mut detector = detector(fit);
        let want = detector.detect(&picture.frame()).unwrap();
        for orientation in Orientation::all() {
            let stored = picture.stored(orientation);
            let got = detector.detect(&stored.frame().oriented(orientation)).unwrap();
            let (w, h) = (stored.width as f32, stored.height as f32);
            let upright = |point| orientation.to_upright(point, w, h);
            assert_same(&got, &want, 4.0, upright, &format!("{fit:?} {orientation:?}"));
        }
    }
}

#[test]
fn every_pixel_format_shows_the_same_person() {
    let picture = astronaut();
    let mut detector = detector(Fit::Letterbox);
    let want = detector.detect(&picture.frame()).unwrap();
    let pixels = picture.rgb.as_chunks::<3>().0;
    let bytes = |of: fn(&[u8; 3]) -> Vec<u8>| -> Vec<u8> { pixels.iter().flat_map(of).collect() };
    let (w, h) = (picture.width, picture.height);
    for (format, data) in [
        (PixelFormat::Bgr8, bytes(|&[r, g, b]| vec![b, g, r])),
        (PixelFormat::Rgba8, bytes(|&[r, g, b]| vec![r, g, b, 9])),
        (PixelFormat::Bgra8, bytes(|&[r, g, b]| vec![b, g, r, 200])),
        (PixelFormat::Nv12, nv12(&picture)),
        (PixelFormat::Yuyv, yuyv(pixels)),
    ] {
        let frame = Frame::new(format, &data, w, h).unwrap();
        let got = detector.detect(&frame).unwrap();
        if matches!(format, PixelFormat::Bgr8 | PixelFormat::Rgba8 | PixelFormat::Bgra8) {
            assert_eq!(got.people, want.people, "{format}");
        } else {
            assert_same(&got, &want, 8.0, |point| point, &format.to_string());
        }
    }

    // Without its colours it is another picture to the network, but the same one in both formats.
    let grey = bytes(|rgb| vec![yuv(rgb)[0]]);
    let rgb = bytes(|rgb| vec![yuv(rgb)[0]; 3]);
    let grey = detector.detect(&Frame::new(PixelFormat::Gray8, &grey, w, h).unwrap()).unwrap();
    assert_eq!(grey.people.len(), 1);
    assert_eq!(grey.people, detector.detect(&Frame::rgb8(&rgb, w, h).unwrap()).unwrap().people);

    // Rows with a gap after them.
    let (row, stride) = (3 * w as usize, 3 * w as usize + 13);
    let mut gaps = vec![255; stride * h as usize];
    for (to, from) in gaps.chunks_mut(stride).zip(picture.rgb.chunks(row)) {
        to[..row].copy_from_slice(from);
    }
    let frame = Frame::with_stride(PixelFormat::Rgb8, &gaps, w, h, stride).unwrap();
    assert_eq!(detector.detect(&frame).unwrap().people, want.people);
    let luma = Plane { data: &picture.rgb, stride: 1 };
    assert!(Frame::nv12(luma, luma, w, h).is_err());
}

/// BT.601 limited range.
fn yuv(&[r, g, b]: &[u8; 3]) -> [u8; 3] {
    let [r, g, b] = [r, g, b].map(|v| f32::from(v) / 255.0);
    let y = 0.299 * r + 0.587 * g + 0.114 * b;
    [16.0 + 219.0 * y, 128.0 + 224.0 * (b - y) / 1.772, 128.0 + 224.0 * (r - y) / 1.402]
        .map(|v| v.round() as u8)
}

fn nv12(picture: &Picture) -> Vec<u8> {
    let pixels = picture.rgb.as_chunks::<3>().0;
    let mut data: Vec<u8> = pixels.iter().map(|rgb| yuv(rgb)[0]).collect();
    let width = picture.width as usize;
    for rows in pixels.chunks_exact(2 * width) {
        data.extend((0..width).step_by(2).flat_map(|x| [yuv(&rows[x])[1], yuv(&rows[x])[2]]));
    }
    data
}

fn yuyv(pixels: &[[u8; 3]]) -> Vec<u8> {
    let pair = |[a, b]: &[[u8; 3]; 2]| {
        let ([y0, u, v], [y1, ..]) = (yuv(a), yuv(b));
        [y0, u, y1, v]
    };
    pixels.as_chunks::<2>().0.iter().flat_map(pair).collect()
}
