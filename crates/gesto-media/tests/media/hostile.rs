//! Broken and hostile input: one clear sentence each, no panic, no hang, nothing already read lost.

use std::time::{Duration, Instant};

use gesto_media::source;
use gesto_media::{Error, ErrorKind, Limits, Picture};
use image::ImageFormat;

use crate::support::{encode, gif, png_chunk, ramps, read, store, y4m};

use ErrorKind::{Malformed, TooLarge, Unsupported};

/// Far above what any of these needs, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn png_header(width: u32, height: u32) -> Vec<u8> {
    let fields = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    [&b"\x89PNG\r\n\x1a\n"[..], &png_chunk(b"IHDR", &fields)].concat()
}

/// A JPEG whose frame header claims another size.
fn jpeg_of(width: u16, height: u16) -> Vec<u8> {
    let mut jpeg = encode(&ramps(32, 32), ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|pair| pair[0] == 0xFF && matches!(pair[1], 0xC0..=0xC2)).unwrap();
    jpeg[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    jpeg[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    jpeg
}

fn gif_header(width: u16, height: u16) -> Vec<u8> {
    [&b"GIF89a"[..], &width.to_le_bytes(), &height.to_le_bytes(), &[0x80, 0, 0, 1, 2, 3, 4, 5, 6]].concat()
}

fn bmp_of(width: i32, height: i32) -> Vec<u8> {
    let mut bmp = encode(&ramps(16, 16), ImageFormat::Bmp);
    bmp[18..22].copy_from_slice(&width.to_le_bytes());
    bmp[22..26].copy_from_slice(&height.to_le_bytes());
    bmp
}

fn webp_canvas(side: u32) -> Vec<u8> {
    let side = &side.to_le_bytes()[..3];
    let chunk = [&b"VP8X\x0a\0\0\0\0\0\0\0"[..], side, side].concat();
    let plain = encode(&ramps(16, 16), ImageFormat::WebP);
    let body = [b"WEBP", &chunk[..], &plain[12..]].concat();
    [b"RIFF", &(body.len() as u32).to_le_bytes()[..], &body].concat()
}

fn tiff_with(entries: &[(u16, u16, u32, u32)], next: u32) -> Vec<u8> {
    let mut file = [&b"II*\0"[..], &8_u32.to_le_bytes(), &(entries.len() as u16).to_le_bytes()].concat();
    for (tag, kind, count, value) in entries {
        file.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        file.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
    }
    [file, next.to_le_bytes().to_vec()].concat()
}

fn cut(bytes: &[u8], percent: usize) -> Vec<u8> {
    bytes[..bytes.len() * percent / 100].to_vec()
}

/// The same noise every time (a linear congruential generator).
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let step = |state: &mut u64| {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Some((*state >> 56) as u8)
    };
    std::iter::successors(Some(seed), |_| Some(0))
        .take(1)
        .flat_map(|mut state| std::iter::from_fn(move || step(&mut state)))
        .take(length)
        .collect()
}

/// What, its bytes, and the kind of its error; `None` where that depends on whether `ffmpeg` is installed.
fn table() -> Vec<(&'static str, Vec<u8>, Option<ErrorKind>)> {
    let jpeg = encode(&ramps(200, 150), ImageFormat::Jpeg);
    let png = encode(&ramps(200, 150), ImageFormat::Png);
    let webp = encode(&ramps(200, 150), ImageFormat::WebP);
    let bmp = encode(&ramps(200, 150), ImageFormat::Bmp);
    let tiff = encode(&ramps(200, 150), ImageFormat::Tiff);
    let pnm = encode(&ramps(200, 150), ImageFormat::Pnm);
    let wave = gif(64, 48, &[100; 4]);
    let clip = y4m(32, 16, 3);
    let y4m_header = |header: &str| [header.as_bytes(), b"\nFRAME\n", &[0; 64]].concat();
    let huge_png =
        |side| [png_header(side, side), png_chunk(b"IDAT", &[0x78, 1]), png_chunk(b"IEND", b"")].concat();
    let bomb =
        [png_header(7900, 7900), png_chunk(b"IDAT", &[0x78, 1, 1, 0, 0]), png_chunk(b"IEND", b"")].concat();
    let mut no_length = jpeg.clone();
    no_length[4..6].copy_from_slice(&[0, 0]);
    let mut bad_crc = png.clone();
    bad_crc[8 + 8 + 13] ^= 1;
    let mut bad_frame = clip.clone();
    let second = clip.windows(5).rposition(|window| window == b"FRAME").unwrap();
    bad_frame[second] = b'f';
    let loops = tiff_with(&[(256, 4, 1, 8), (257, 4, 1, 8)], 8);
    let huge_tiff = tiff_with(
        &[
            (256, 4, 1, 60_000),
            (257, 4, 1, 60_000),
            (258, 3, 1, 8),
            (262, 3, 1, 1),
            (273, 4, 1, 8),
            (277, 3, 1, 1),
            (279, 4, 1, 9),
        ],
        0,
    );
    vec![
        ("nothing", vec![], Some(Malformed)),
        ("one byte", vec![0xFF], None),
        ("zeros", vec![0; 70_000], None),
        ("noise", noise(1, 70_000), None),
        ("more noise", noise(7, 600), None),
        ("text", b"Dear reader,\nthis is no picture.\n".to_vec(), Some(Unsupported)),
        ("a web page", b"<!doctype html><title>x</title>".to_vec(), Some(Unsupported)),
        ("a play list of the network", b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n".to_vec(), None),
        ("an MP4 that ends behind its name", b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2".to_vec(), None),
        ("a JPEG's first marker", vec![0xFF, 0xD8, 0xFF], Some(Malformed)),
        ("a JPEG's header", cut(&jpeg, 5), Some(Malformed)),
        ("half a JPEG", cut(&jpeg, 50), Some(Malformed)),
        ("a JPEG without its end", jpeg[..jpeg.len() - 2].to_vec(), Some(Malformed)),
        ("a JPEG of 4 gigapixels", jpeg_of(65_535, 65_535), Some(TooLarge)),
        ("a JPEG of no width", jpeg_of(0, 10), Some(Malformed)),
        ("a JPEG whose segment has no length", no_length, Some(Malformed)),
        ("a PNG's signature", png[..8].to_vec(), Some(Malformed)),
        ("a PNG's header", png[..33].to_vec(), Some(Malformed)),
        ("half a PNG", cut(&png, 50), Some(Malformed)),
        ("a PNG of 10 gigapixels", huge_png(100_000), Some(TooLarge)),
        ("a PNG of 2^31 a side", huge_png(0x7FFF_FFFF), Some(TooLarge)),
        ("a PNG of no size", huge_png(0), Some(Malformed)),
        ("a PNG with a wrong checksum", bad_crc, Some(Malformed)),
        ("a PNG of 62 megapixels in five bytes", bomb, Some(Malformed)),
        ("a GIF's name", b"GIF89a".to_vec(), Some(Malformed)),
        ("a GIF of 4 gigapixels", [gif_header(65_535, 65_535), wave[13..].to_vec()].concat(), Some(TooLarge)),
        ("a GIF without pictures", [gif_header(8, 8), b";".to_vec()].concat(), Some(Malformed)),
        ("a GIF of noise", [gif_header(8, 8), noise(3, 4000)].concat(), Some(Malformed)),
        ("half a GIF", cut(&wave, 50), Some(Malformed)),
        ("a BMP of 2^31 a side", bmp_of(i32::MAX, i32::MAX), Some(TooLarge)),
        ("a BMP of the least height", bmp_of(16, i32::MIN), Some(TooLarge)),
        ("a BMP of negative width", bmp_of(-16, 16), Some(Malformed)),
        ("half a BMP", cut(&bmp, 50), Some(Malformed)),
        ("a TIFF that points behind its end", b"II*\0\xff\xff\xff\x7f".to_vec(), Some(Malformed)),
        ("a TIFF that goes round in circles", loops, None),
        ("a TIFF of 3.6 gigapixels", huge_tiff, Some(TooLarge)),
        ("half a TIFF", cut(&tiff, 50), Some(Malformed)),
        ("a WebP of 3.6 gigapixels", webp_canvas(59_999), Some(TooLarge)),
        ("a WebP of 2^24 a side", webp_canvas(0x00FF_FFFF), Some(Malformed)),
        ("a WebP of noise", [&webp[..20], &noise(9, 900)[..]].concat(), Some(Malformed)),
        ("half a WebP", cut(&webp, 50), Some(Malformed)),
        ("a PPM of 10^16 pixels", b"P6 99999999 99999999 255\n...".to_vec(), Some(TooLarge)),
        ("a PPM without numbers", b"P6 wide high 255\n...".to_vec(), Some(Malformed)),
        ("half a PPM", cut(&pnm, 50), Some(Malformed)),
        ("a Y4M header without an end", [b"YUV4MPEG2 W8 H8 ", &[b'X'; 5000][..]].concat(), Some(Malformed)),
        ("a Y4M header of noise", [b"YUV4MPEG2 ", &noise(5, 900)[..], b"\n"].concat(), Some(Malformed)),
        ("a Y4M without a width", y4m_header("YUV4MPEG2 H8 F1:1"), Some(Malformed)),
        ("a Y4M of no width", y4m_header("YUV4MPEG2 W0 H8 F1:1"), Some(Malformed)),
        ("a Y4M of negative width", y4m_header("YUV4MPEG2 W-8 H8 F1:1"), Some(Malformed)),
        ("a Y4M of 2^32 a side", y4m_header("YUV4MPEG2 W4294967295 H4294967295"), Some(TooLarge)),
        ("a Y4M of 10^20 a side", y4m_header("YUV4MPEG2 W99999999999999999999 H8"), Some(Malformed)),
        ("a Y4M in unknown colours", y4m_header("YUV4MPEG2 W8 H8 C999"), Some(Unsupported)),
        ("a Y4M in a letter of two bytes", y4m_header("YUV4MPEG2 W8 H8 C\u{e9}\u{e9}"), Some(Unsupported)),
        ("a Y4M with a damaged frame", bad_frame, Some(Malformed)),
        ("a Y4M cut in its last frame", clip[..clip.len() - 7].to_vec(), Some(Malformed)),
        (
            "a multipart stream without pictures",
            b"--b\r\nContent-Type: image/jpeg\r\n\r\nnone\r\n--b--".to_vec(),
            Some(Malformed),
        ),
        ("an MJPEG cut in its second frame", [&jpeg[..], &jpeg[..300]].concat(), Some(Malformed)),
    ]
}

/// One line that begins with the file's name and says something.
fn assert_sentence(what: &str, error: &Error) {
    let text = error.to_string();
    assert!(!text.contains('\n') && text.len() > 20 && text.len() < 700, "{what}: {text:?}");
    assert!(!text.contains("panicked"), "{what}: {text:?}");
}

#[test]
fn each_broken_input_gives_one_clear_sentence() {
    let table = table();
    assert!(table.len() >= 50);
    let mut wrong = Vec::new();
    for (what, bytes, kind) in table {
        let file = store("input.bin", &bytes);
        let start = Instant::now();
        let (info, frames) = read(&file.path, &Limits::default());
        assert!(start.elapsed() < PATIENCE, "{what}: took {:?}", start.elapsed());
        let errors: Vec<_> =
            info.err().into_iter().chain(frames.into_iter().filter_map(Result::err)).collect();
        let last = errors.last().unwrap_or_else(|| panic!("{what}: passes for a sound file"));
        println!("{what}: {last}");
        errors.iter().for_each(|error| {
            assert_sentence(what, error);
            assert!(error.to_string().contains("input.bin"), "{what}: {error}");
        });
        if kind.is_some_and(|kind| kind != last.kind()) {
            wrong.push(format!("{what}: {:?} instead of {kind:?}: {last}", last.kind()));
        }
        // The same bytes from a request's body.
        let mut picture = Picture::default();
        if let Err(error) = source::decode(&bytes, &mut picture, &Limits::default()) {
            assert!(!error.to_string().contains(['\n', '\r']), "{what}: {error}");
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Sound pictures and clips, small enough to be broken in many ways.
fn sound() -> Vec<(&'static str, Vec<u8>)> {
    let picture = ramps(40, 30);
    let jpeg = encode(&picture, ImageFormat::Jpeg);
    vec![
        ("clip.mjpeg", [&jpeg[..], &jpeg].concat()),
        ("picture.jpg", jpeg),
        ("picture.png", encode(&picture, ImageFormat::Png)),
        ("picture.webp", encode(&picture, ImageFormat::WebP)),
        ("picture.bmp", encode(&picture, ImageFormat::Bmp)),
        ("picture.tiff", encode(&picture, ImageFormat::Tiff)),
        ("picture.ppm", encode(&picture, ImageFormat::Pnm)),
        ("clip.gif", gif(16, 12, &[100; 3])),
        ("clip.y4m", y4m(16, 12, 3)),
    ]
}

#[test]
fn no_cut_passes_for_a_whole_file() {
    for (name, bytes) in sound() {
        let whole = read(store(name, &bytes).path.as_path(), &Limits::default()).1.len();
        // The last bytes of some formats are padding that no viewer misses.
        let end = bytes.len() * 9 / 10;
        for at in (20..40).chain((40..end).step_by((end / 40).max(1))) {
            let file = store(name, &bytes[..at]);
            let (info, frames) = read(&file.path, &Limits::default());
            let good = frames.iter().filter(|frame| frame.is_ok()).count();
            let failed = info.is_err() || good < frames.len();
            assert!(failed || good < whole, "{name} cut at {at} of {} passes for whole", bytes.len());
        }
    }
}

#[test]
fn flipped_bytes_never_panic_or_hang() {
    let start = Instant::now();
    for (name, bytes) in sound() {
        let places = noise(11, 120);
        for (i, pair) in places.as_chunks::<2>().0.iter().enumerate() {
            let mut broken = bytes.clone();
            // Half of them in the header, where it hurts.
            let range = if i % 2 == 0 { bytes.len().min(64) } else { bytes.len() };
            let at = (usize::from(pair[0]) * 251 + i * 17) % range;
            broken[at] ^= pair[1] | 1;
            let mut picture = Picture::default();
            if let Err(error) = source::decode(&broken, &mut picture, &Limits::default()) {
                assert!(!error.to_string().contains("decoder failed"), "{name}, byte {at}: {error}");
            }
            // Broken magic would only test `ffmpeg`, slowly.
            if at > 12 {
                let file = store(name, &broken);
                let (info, frames) = read(&file.path, &Limits::default());
                let errors = info.err().into_iter().chain(frames.into_iter().filter_map(Result::err));
                errors.for_each(|error| assert_sentence(name, &error));
            }
        }
    }
    assert!(start.elapsed() < 6 * PATIENCE, "took {:?}", start.elapsed());
}

#[test]
fn limits_hold() {
    let few_pixels = Limits { pixels: 1000, ..Limits::default() };
    let little_memory = Limits { bytes: 400, ..Limits::default() };
    for (name, bytes) in sound().into_iter().filter(|(name, _)| name.starts_with("picture")) {
        for limits in [few_pixels, little_memory] {
            let file = store(name, &bytes);
            let (info, frames) = read(&file.path, &limits);
            let error = info.err().or_else(|| frames.into_iter().find_map(Result::err)).unwrap();
            assert_eq!(error.kind(), TooLarge, "{name}: {error}");
            let error = source::decode(&bytes, &mut Picture::default(), &limits).unwrap_err();
            assert_eq!(error.kind(), TooLarge, "{name}: {error}");
        }
    }
}

#[test]
fn an_animation_ends_at_its_limit_and_keeps_what_came_before() {
    let file = store("endless.gif", &gif(8, 8, &[20; 40]));
    let limits = Limits { animation_frames: 7, ..Limits::default() };
    let (_, frames) = read(&file.path, &limits);
    assert_eq!(frames.iter().filter(|frame| frame.is_ok()).count(), 7);
    assert_eq!(frames.last().unwrap().as_ref().unwrap_err().kind(), TooLarge);
}

#[test]
fn places_that_are_no_files() {
    let directory = tempfile::tempdir().unwrap();
    let kind = |spec: &str| {
        source::open(spec, &Limits::default()).err().map(|error| {
            assert_sentence(spec, &error);
            error.kind()
        })
    };
    assert_eq!(kind(directory.path().to_str().unwrap()), Some(ErrorKind::InvalidArgument));
    assert_eq!(kind(directory.path().join("gone.png").to_str().unwrap()), Some(ErrorKind::NotFound));
    assert_eq!(kind("/dev/video999"), Some(ErrorKind::NotFound));
}
