//! The eight orientations of EXIF, in every format that carries them.

use gesto_media::source;
use gesto_media::{Limits, Picture};
use image::ImageFormat;

use crate::support::{distance, encode, png_chunk, ramps};

/// The picture as a camera held that way stores it: for each stored pixel, where in the upright picture it belongs
/// (EXIF 2.32, section 4.6.4, "Orientation": which edge the first row and the first column show).
fn stored(upright: &Picture, orientation: u16) -> Picture {
    let (w, h) = (upright.width(), upright.height());
    let (stored_w, stored_h) = if orientation > 4 { (h, w) } else { (w, h) };
    let mut pixels = Vec::new();
    for y in 0..stored_h {
        for x in 0..stored_w {
            let (ux, uy) = match orientation {
                1 => (x, y),
                2 => (w - 1 - x, y),
                3 => (w - 1 - x, h - 1 - y),
                4 => (x, h - 1 - y),
                5 => (y, x),
                6 => (w - 1 - y, x),
                7 => (w - 1 - y, h - 1 - x),
                8 => (y, h - 1 - x),
                _ => unreachable!(),
            };
            let at = 3 * (uy * w + ux) as usize;
            pixels.extend_from_slice(&upright.pixels()[at..at + 3]);
        }
    }
    Picture::from_rgb(stored_w, stored_h, pixels).unwrap()
}

/// A TIFF block with one entry.
fn exif(orientation: u16, big_endian: bool) -> Vec<u8> {
    let two = |v: u16| if big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
    let four = |v: u32| if big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
    let mut block = if big_endian { b"MM\0*".to_vec() } else { b"II*\0".to_vec() };
    block.extend(four(8));
    block.extend(two(1));
    block.extend([two(0x0112), two(3)].concat());
    block.extend(four(1));
    block.extend([two(orientation), two(0)].concat());
    block.extend(four(0));
    block
}

fn jpeg(picture: &Picture, exif: &[u8]) -> Vec<u8> {
    let plain = encode(picture, ImageFormat::Jpeg);
    let body = [b"Exif\0\0", exif].concat();
    let length = (body.len() as u16 + 2).to_be_bytes();
    [&plain[..2], &[0xFF, 0xE1], &length, &body, &plain[2..]].concat()
}

fn png(picture: &Picture, exif: &[u8]) -> Vec<u8> {
    let plain = encode(picture, ImageFormat::Png);
    let behind_header = 8 + 25;
    [&plain[..behind_header], &png_chunk(b"eXIf", exif), &plain[behind_header..]].concat()
}

fn webp(picture: &Picture, exif: &[u8]) -> Vec<u8> {
    let plain = encode(picture, ImageFormat::WebP);
    let chunk = |name: &[u8; 4], data: &[u8]| {
        let padding = if data.len() % 2 == 1 { &[0][..] } else { &[] };
        [&name[..], &(data.len() as u32).to_le_bytes(), data, padding].concat()
    };
    let size = |side: u32| (side - 1).to_le_bytes()[..3].to_vec();
    let header = [vec![0x08, 0, 0, 0], size(picture.width()), size(picture.height())].concat();
    let body =
        [b"WEBP".to_vec(), chunk(b"VP8X", &header), plain[12..].to_vec(), chunk(b"EXIF", exif)].concat();
    chunk(b"RIFF", &body)
}

/// Baseline TIFF: one uncompressed strip.
fn tiff(picture: &Picture, orientation: u16) -> Vec<u8> {
    let entries: [(u16, u16, u32, u32); 11] = [
        (256, 4, 1, picture.width()),
        (257, 4, 1, picture.height()),
        (258, 3, 3, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 1, 0),
        (274, 3, 1, u32::from(orientation)),
        (277, 3, 1, 3),
        (278, 4, 1, picture.height()),
        (279, 4, 1, picture.pixels().len() as u32),
        (284, 3, 1, 1),
    ];
    let bits_at = 8 + 2 + 12 * entries.len() as u32 + 4;
    let mut file = [&b"II*\0"[..], &8_u32.to_le_bytes(), &(entries.len() as u16).to_le_bytes()].concat();
    for (tag, kind, count, value) in entries {
        let value = match tag {
            258 => bits_at,
            273 => bits_at + 6,
            _ => value,
        };
        file.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        file.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
    }
    file.extend([0; 4]);
    file.extend([8, 0, 8, 0, 8, 0]);
    file.extend_from_slice(picture.pixels());
    file
}

fn decoded(encoded: &[u8]) -> Picture {
    let mut picture = Picture::default();
    source::decode(encoded, &mut picture, &Limits::default()).unwrap();
    picture
}

#[test]
fn every_orientation_of_every_format_comes_out_upright() {
    let upright = ramps(48, 32);
    for orientation in 1..=8 {
        let picture = stored(&upright, orientation);
        for big_endian in [false, true] {
            let exif = exif(orientation, big_endian);
            let what = format!("orientation {orientation}, big endian {big_endian}");
            // JPEG loses a little; its blocks are smooth but for the corner.
            assert!(distance(&decoded(&jpeg(&picture, &exif)), &upright) < 60, "JPEG, {what}");
            assert_eq!(decoded(&png(&picture, &exif)), upright, "PNG, {what}");
            assert_eq!(decoded(&webp(&picture, &exif)), upright, "WebP, {what}");
        }
        assert_eq!(decoded(&tiff(&picture, orientation)), upright, "TIFF, orientation {orientation}");
    }
}

#[test]
fn a_damaged_exif_block_costs_nothing_but_itself() {
    let upright = ramps(48, 32);
    for exif in [&b""[..], b"II", b"II*\0\xff\xff\xff\x7f", &exif(9, false), &exif(0, true), &[0xFF; 40]] {
        assert_eq!(decoded(&png(&upright, exif)), upright);
        assert!(distance(&decoded(&jpeg(&upright, exif)), &upright) < 60);
    }
}
