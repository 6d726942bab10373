//! Files that mean harm, or have come to some.

use std::fs;
use std::path::Path;

/// The weights that ship.
pub(crate) const MODEL: &[u8] = include_bytes!("../../../../models/multi-n.safetensors");

/// Writes all of them into `folder`.
pub(crate) fn write_all(folder: &Path) {
    let png = fs::read(super::program::sample("astronaut.png")).unwrap();
    let gif = fs::read(super::program::sample("fingers-lq.gif")).unwrap();
    let noise: Vec<u8> = (0..4096u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let files: [(&str, Vec<u8>); 36] = [
        ("empty.png", Vec::new()),
        ("empty.jpg", Vec::new()),
        ("empty.gif", Vec::new()),
        ("byte.png", vec![0x89]),
        ("text.jpg", b"This is not a picture.\n".to_vec()),
        ("noise.jpg", noise.clone()),
        ("zeros.png", vec![0; 1 << 20]),
        ("signature.png", png[..8].to_vec()),
        ("header.png", png[..33].to_vec()),
        ("half.png", png[..png.len() / 2].to_vec()),
        ("bad-crc.png", flipped(&png, 30)),
        ("no-size.png", png_of(0, 0)),
        ("huge.png", png_of(100_000, 100_000)),
        ("wide.png", png_of(u32::MAX >> 1, 1)),
        (
            "header.jpg",
            vec![0xff, 0xd8, 0xff, 0xe0, 0, 16, b'J', b'F', b'I', b'F', 0, 1, 1, 0, 0, 1, 0, 1, 0, 0],
        ),
        ("huge.jpg", jpeg_of(65_535, 65_535)),
        ("no-size.jpg", jpeg_of(0, 0)),
        ("marker.jpg", [&[0xff, 0xd8, 0xff, 0xd9], noise.as_slice()].concat()),
        ("signature.gif", gif[..6].to_vec()),
        ("header.gif", gif[..13].to_vec()),
        ("huge.gif", gif_of(65_535, 65_535)),
        ("no-size.gif", gif_of(0, 0)),
        ("huge.bmp", bmp_of(1 << 30, 1 << 30)),
        ("header.bmp", bmp_of(64, 64)),
        ("cut.webp", b"RIFF\x10\x27\0\0WEBPVP8 \x04\x27\0\0\x30\x01\0\x9d\x01\x2a\x40\0\x40\0".to_vec()),
        ("huge.ppm", b"P6 999999999 999999999 255\n".to_vec()),
        ("negative.ppm", b"P6 -4 -4 255\n0000".to_vec()),
        ("loop.tiff", b"II*\0\x08\0\0\0\x01\0\0\x01\x04\0\xff\xff\xff\xff\0\0\0\0\x08\0\0\0".to_vec()),
        ("no-size.y4m", b"YUV4MPEG2 W0 H0 F25:1\nFRAME\n".to_vec()),
        ("huge.y4m", b"YUV4MPEG2 W4000000000 H4000000000 F25:1\nFRAME\n".to_vec()),
        ("cut.y4m", b"YUV4MPEG2 W64 H64 F25:1\nFRAME\nshort".to_vec()),
        ("endless.y4m", [b"YUV4MPEG2 ".to_vec(), vec![b'X'; 1 << 20]].concat()),
        ("noise.mjpeg", [&[0xff, 0xd8, 0xff, 0xdb], noise.as_slice()].concat()),
        ("noise.mp4", [b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2", noise.as_slice()].concat()),
        ("noise.mkv", [b"\x1a\x45\xdf\xa3", noise.as_slice()].concat()),
        ("noise", noise),
    ];
    for (name, bytes) in files {
        fs::write(folder.join(name), bytes).unwrap();
    }
    for (name, bytes) in models() {
        fs::write(folder.join(name), bytes).unwrap();
    }
}

/// Model files that are something else.
fn models() -> [(&'static str, Vec<u8>); 9] {
    let text = |json: &str| [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat();
    [
        ("empty.safetensors", Vec::new()),
        ("text.safetensors", b"# weights of my network".to_vec()),
        ("half.safetensors", MODEL[..MODEL.len() / 2].to_vec()),
        ("header.safetensors", MODEL[..4096].to_vec()),
        ("nan.safetensors", nan()),
        ("long-header.safetensors", [&u64::MAX.to_le_bytes()[..], b"{}"].concat()),
        ("bare.safetensors", text("{}")),
        ("heads.safetensors", text(r#"{"__metadata__":{"heads":"[1, 2]"}}"#)),
        (
            "other.safetensors",
            text(r#"{"__metadata__":{"heads":"[{\"name\":\"hand\",\"classes\":[\"a\"]}]"}}"#),
        ),
    ]
}

/// The shipped weights with the last number of a tensor made NaN.
fn nan() -> Vec<u8> {
    let mut bytes = MODEL.to_vec();
    let end = bytes.len();
    bytes[end - 2..].copy_from_slice(&0x7e00_u16.to_le_bytes());
    bytes
}

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 0xff;
    bytes
}

/// A PNG header of this size with a sound checksum, and no pixels.
fn png_of(width: u32, height: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(width.to_be_bytes());
    chunk.extend(height.to_be_bytes());
    chunk.extend([8, 2, 0, 0, 0]);
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    bytes.extend(&chunk);
    bytes.extend(crc32(&chunk).to_be_bytes());
    bytes.extend(b"\0\0\0\x0cIDAT\x78\x9c\x63\0\0\0\x01\0\x01\0\0\0\0\0");
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
    })
}

/// A JPEG frame header of this size, and no scan.
fn jpeg_of(width: u16, height: u16) -> Vec<u8> {
    let mut bytes = vec![0xff, 0xd8, 0xff, 0xc0, 0, 17, 8];
    bytes.extend(height.to_be_bytes());
    bytes.extend(width.to_be_bytes());
    bytes.extend([3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0, 0xff, 0xd9]);
    bytes
}

/// A GIF whose screen and only frame have this size, and whose data is cut off.
fn gif_of(width: u16, height: u16) -> Vec<u8> {
    let size = [width.to_le_bytes(), height.to_le_bytes()].concat();
    let mut bytes = b"GIF89a".to_vec();
    bytes.extend(&size);
    bytes.extend([0x80, 0, 0, 0, 0, 0, 255, 255, 255, 0x2c, 0, 0, 0, 0]);
    bytes.extend(&size);
    bytes.extend([0, 2, 2, 0x44, 1]);
    bytes
}

/// A BMP header of this size, and no pixels.
fn bmp_of(width: i32, height: i32) -> Vec<u8> {
    let mut bytes = b"BM".to_vec();
    for number in [54_i32, 0, 54, 40, width, height] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend([1, 0, 24, 0]);
    bytes.extend([0; 24]);
    bytes
}
