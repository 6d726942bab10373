//! Each format as a file: what it is taken for, its frames and their times.

use gesto_media::source::{self, Kind};
use gesto_media::{Limits, Picture};
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageFormat};

use crate::support::{distance, encode, gif, png_chunk, ramps, read, read_all, store, y4m};

#[test]
fn stills() {
    let picture = ramps(61, 37);
    for (format, tolerance) in [
        (ImageFormat::Jpeg, 90),
        (ImageFormat::Png, 0),
        (ImageFormat::WebP, 0),
        (ImageFormat::Bmp, 0),
        (ImageFormat::Tiff, 0),
        (ImageFormat::Pnm, 0),
        (ImageFormat::Gif, 60),
    ] {
        // The name says nothing.
        let file = store("picture.bin", &encode(&picture, format));
        let (info, shots) = read_all(&file.path);
        assert_eq!((info.kind, info.frames, shots.len()), (Kind::Still, Some(1), 1), "{format:?}");
        assert_eq!((shots[0].index, shots[0].timestamp_ms), (0, 0.0));
        let got = distance(&shots[0].picture, &picture);
        assert!(got <= tolerance, "{format:?}: off by {got}");
        let frame = shots[0].picture.as_frame().unwrap();
        assert_eq!((frame.width(), frame.height()), (61, 37));
    }
}

#[test]
fn transparent_pictures_lie_on_white() {
    let mut encoded = Vec::new();
    let rgba = [255, 0, 0, 255, 0, 0, 255, 0, 0, 0, 0, 128];
    WebPEncoder::new_lossless(&mut encoded).encode(&rgba, 3, 1, ExtendedColorType::Rgba8).unwrap();
    let mut picture = Picture::default();
    source::decode(&encoded, &mut picture, &Limits::default()).unwrap();
    assert_eq!(picture.pixels(), [255, 0, 0, 255, 255, 255, 127, 127, 127]);
}

#[test]
fn gif_frames_have_their_times() {
    // 0 and 10 ms are shown for 100 ms everywhere.
    let file = store("clip.gif", &gif(20, 10, &[50, 0, 200, 10]));
    let (info, shots) = read_all(&file.path);
    assert_eq!((info.kind, info.frames), (Kind::Animation, Some(4)));
    let times: Vec<_> = shots.iter().map(|shot| (shot.index, shot.timestamp_ms, shot.duration_ms)).collect();
    let expected =
        [(0, 0.0, Some(50.0)), (1, 50.0, Some(100.0)), (2, 150.0, Some(200.0)), (3, 350.0, Some(100.0))];
    assert_eq!(times, expected);
    assert_ne!(shots[0].picture, shots[1].picture);
}

/// Two frames of a PNG, the second a single pixel laid over the first.
fn apng() -> Vec<u8> {
    let plain = encode(&ramps(4, 2), ImageFormat::Png);
    let (header, rest) = plain.split_at(8 + 25);
    let control = |sequence: u32, width: u32, height: u32| {
        let fields = [sequence, width, height, 0, 0].map(u32::to_be_bytes).concat();
        // 1/4 second, left as it is, written over.
        [fields, vec![0, 1, 0, 4, 0, 0]].concat()
    };
    // Stored deflate block: filter byte, then red.
    let pixel = [0x78, 0x01, 0x01, 4, 0, 0xFB, 0xFF, 0, 255, 0, 0, 2, 0, 1, 0];
    let pixel = [&pixel[..11], &adler32(&[0, 255, 0, 0]).to_be_bytes()].concat();
    let iend = rest.len() - 12;
    [
        header,
        &png_chunk(b"acTL", &[2_u32, 0].map(u32::to_be_bytes).concat()),
        &png_chunk(b"fcTL", &control(0, 4, 2)),
        &rest[..iend],
        &png_chunk(b"fcTL", &control(1, 1, 1)),
        &png_chunk(b"fdAT", &[&2_u32.to_be_bytes()[..], &pixel].concat()),
        &rest[iend..],
    ]
    .concat()
}

fn adler32(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1_u32, 0_u32), |(a, b), &byte| {
        let a = (a + u32::from(byte)) % 65521;
        (a, (b + a) % 65521)
    });
    (b << 16) | a
}

#[test]
fn moving_png() {
    let file = store("clip.png", &apng());
    let (info, shots) = read_all(&file.path);
    assert_eq!((info.kind, shots.len()), (Kind::Animation, 2));
    assert_eq!((shots[1].timestamp_ms, shots[1].duration_ms), (250.0, Some(250.0)));
    assert_eq!(shots[0].picture, ramps(4, 2));
    assert_eq!(shots[1].picture.pixels()[..3], [255, 0, 0]);
    assert_eq!(shots[1].picture.pixels()[3..], shots[0].picture.pixels()[3..]);
}

#[test]
fn y4m_frames_have_their_times() {
    let file = store("clip", &y4m(33, 17, 4));
    let (info, shots) = read_all(&file.path);
    assert_eq!((info.kind, info.frames, info.fps), (Kind::Clip, Some(4), Some(10.0)));
    let times: Vec<_> = shots.iter().map(|shot| shot.timestamp_ms).collect();
    assert_eq!(times, [0.0, 100.0, 200.0, 300.0]);
    let shades: Vec<_> = shots.iter().map(|shot| shot.picture.pixels()[0]).collect();
    assert_eq!(shades, [0, 12, 23, 35]);
}

#[test]
fn mjpeg_is_a_clip_and_a_jpeg_with_previews_is_not() {
    let jpeg = encode(&ramps(40, 24), ImageFormat::Jpeg);
    let clip = store("clip.bin", &[&jpeg[..], b"\r\n", &jpeg, &jpeg].concat());
    let (info, shots) = read_all(&clip.path);
    assert_eq!((info.kind, info.fps), (Kind::Clip, Some(25.0)));
    assert_eq!(shots.iter().map(|shot| shot.timestamp_ms).collect::<Vec<_>>(), [0.0, 40.0, 80.0]);

    let part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 1\r\n\r\n";
    let multipart = store("clip.bin", &[&part[..], &jpeg, b"\r\n", part, &jpeg, b"\r\n--frame--"].concat());
    assert_eq!(read_all(&multipart.path).1.len(), 2);

    let phone = store("photo.jpg", &[&jpeg[..], &jpeg].concat());
    let (info, shots) = read_all(&phone.path);
    assert_eq!((info.kind, shots.len()), (Kind::Still, 1));
}

#[test]
fn a_broken_frame_of_a_clip_is_passed_over() {
    let jpeg = encode(&ramps(40, 24), ImageFormat::Jpeg);
    let mut broken = jpeg.clone();
    // A quantisation table that ends before it begins.
    let table = broken.windows(2).position(|pair| pair == [0xFF, 0xDB]).unwrap();
    broken[table + 3] = 4;
    let file = store("clip.mjpeg", &[&jpeg[..], &broken, &jpeg].concat());
    let (info, frames) = read(&file.path, &Limits::default());
    assert_eq!(info.unwrap().kind, Kind::Clip);
    let good: Vec<_> = frames.iter().filter_map(|frame| frame.as_ref().ok()).map(|shot| shot.index).collect();
    let bad: Vec<_> = frames.iter().filter_map(|frame| frame.as_ref().err()).collect();
    assert_eq!((good.first(), good.len()), (Some(&0), 2));
    assert!(!bad.is_empty() && bad.iter().all(|error| error.is_recoverable()), "{bad:?}");
}

#[test]
fn memory_is_used_again() {
    let file = store("clip.y4m", &y4m(64, 48, 3));
    let mut source = source::open(file.path.to_str().unwrap(), &Limits::default()).unwrap();
    let first = source.next_frame().unwrap().unwrap().picture;
    let address = first.pixels().as_ptr();
    source.recycle(first);
    assert_eq!(source.next_frame().unwrap().unwrap().picture.pixels().as_ptr(), address);
}

/// Everything that comes through a pipe is read once, from start to end.
#[cfg(unix)]
#[test]
fn pipes_are_read_as_files_are() {
    let jpeg = encode(&ramps(40, 24), ImageFormat::Jpeg);
    let inputs = [
        (jpeg.clone(), Kind::Still, 1),
        ([&jpeg[..], &jpeg, &jpeg].concat(), Kind::Clip, 3),
        (encode(&ramps(40, 24), ImageFormat::Png), Kind::Still, 1),
        (apng(), Kind::Animation, 2),
        (gif(20, 10, &[50, 60, 70]), Kind::Animation, 3),
        (y4m(20, 10, 4), Kind::Clip, 4),
    ];
    let directory = tempfile::tempdir().unwrap();
    for (i, (bytes, kind, count)) in inputs.into_iter().enumerate() {
        let pipe = directory.path().join(format!("{i}.pipe"));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let writer = {
            let pipe = pipe.clone();
            std::thread::spawn(move || std::fs::write(pipe, bytes).unwrap())
        };
        let (info, shots) = read_all(&pipe);
        writer.join().unwrap();
        assert_eq!((info.kind, shots.len()), (kind, count), "input {i}");
    }
}
