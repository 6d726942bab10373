//! YUV4MPEG2: a line of text, then raw frames. Format as `man 5 yuv4mpeg` (mjpegtools) and FFmpeg write it.

use std::io::{self, BufRead, Read};

use super::still::ends_early;
use super::{Info, Kind, Shot, Source};
use crate::{Error, ErrorKind, Limits, Picture, Result};

/// First bytes of a stream.
pub(crate) const MAGIC: &[u8] = b"YUV4MPEG2";

/// Longest header line: real ones have about 80 bytes.
const MAX_LINE: usize = 1024;

/// What a header without a rate means.
const DEFAULT_FPS: f64 = 25.0;

/// How samples lie in a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Layout {
    /// log2 of luma samples for one chroma sample, along x and y; `None` without chroma.
    chroma: Option<(u32, u32)>,
    /// A full-size plane of alpha at the end, not shown.
    alpha: bool,
    /// Bits in a sample; above 8 it takes two bytes, little endian.
    bits: u32,
}

impl Layout {
    /// From the header's `C` parameter.
    fn parse(name: &str) -> Option<Self> {
        let plain = |chroma, bits| Self { chroma, alpha: false, bits };
        if let Some(depth) = name.strip_prefix("mono") {
            let bits = if depth.is_empty() { 8 } else { parse_depth(depth)? };
            return Some(plain(None, bits));
        }
        let (subsampling, rest) = name.split_at_checked(3)?;
        let chroma = match subsampling {
            "420" => Some((1, 1)),
            "422" => Some((1, 0)),
            "444" => Some((0, 0)),
            "411" => Some((2, 0)),
            _ => return None,
        };
        match rest {
            "" | "jpeg" | "paldv" | "mpeg2" => Some(plain(chroma, 8)),
            "alpha" if subsampling == "444" => Some(Self { alpha: true, ..plain(chroma, 8) }),
            depth => Some(plain(chroma, parse_depth(depth.strip_prefix('p')?)?)),
        }
    }

    fn sample_bytes(self) -> usize {
        if self.bits > 8 { 2 } else { 1 }
    }

    /// Width and height of a chroma plane.
    fn chroma_size(self, width: usize, height: usize) -> (usize, usize) {
        match self.chroma {
            Some((x, y)) => (width.div_ceil(1 << x), height.div_ceil(1 << y)),
            None => (0, 0),
        }
    }

    /// Bytes of a frame. The sides are at most 65535, so nothing overflows.
    fn frame_bytes(self, width: usize, height: usize) -> usize {
        let (cw, ch) = self.chroma_size(width, height);
        let luma_planes = if self.alpha { 2 } else { 1 };
        (width * height * luma_planes + 2 * cw * ch) * self.sample_bytes()
    }
}

fn parse_depth(text: &str) -> Option<u32> {
    text.parse().ok().filter(|bits| (9..=16).contains(bits))
}

/// A stream's header.
#[derive(Clone, Debug, PartialEq)]
struct Header {
    width: u32,
    height: u32,
    fps: Option<f64>,
    layout: Layout,
    full_range: bool,
}

impl Header {
    fn parse(line: &[u8], limits: &Limits) -> Result<Self> {
        let malformed = |what: &str| Error::new(ErrorKind::Malformed, format!("Y4M header: {what}"));
        let line = std::str::from_utf8(line).map_err(|_| malformed("not text"))?;
        let mut words = line.split(' ');
        if words.next().map(str::as_bytes) != Some(MAGIC) {
            return Err(malformed("no `YUV4MPEG2`"));
        }
        let (mut width, mut height, mut fps, mut full_range) = (None, None, None, false);
        let mut layout = Layout { chroma: Some((1, 1)), alpha: false, bits: 8 };
        for word in words {
            let Some(name) = word.chars().next() else { continue };
            let value = &word[name.len_utf8()..];
            match name {
                'W' => width = Some(value.parse().map_err(|_| malformed("the width is no number"))?),
                'H' => height = Some(value.parse().map_err(|_| malformed("the height is no number"))?),
                'F' => fps = parse_ratio(value),
                'C' => {
                    layout = Layout::parse(value).ok_or_else(|| {
                        Error::new(ErrorKind::Unsupported, format!("Y4M with colour layout `{value}`"))
                    })?;
                }
                'X' => full_range |= value == "COLORRANGE=FULL",
                _ => {}
            }
        }
        let width = width.ok_or_else(|| malformed("no width"))?;
        let height = height.ok_or_else(|| malformed("no height"))?;
        limits.check(width, height)?;
        let header = Self { width, height, fps, layout, full_range };
        if header.frame_bytes() as u64 > limits.bytes {
            return Err(Error::new(ErrorKind::TooLarge, "a Y4M frame is larger than the memory limit"));
        }
        Ok(header)
    }

    fn frame_bytes(&self) -> usize {
        self.layout.frame_bytes(self.width as usize, self.height as usize)
    }
}

fn parse_ratio(text: &str) -> Option<f64> {
    let (num, den) = text.split_once(':')?;
    let (num, den): (u32, u32) = (num.parse().ok()?, den.parse().ok()?);
    (num > 0 && den > 0).then(|| f64::from(num) / f64::from(den))
}

/// Frames of a YUV4MPEG2 stream.
pub(crate) struct Y4m<R> {
    info: Info,
    reader: R,
    header: Header,
    raw: Vec<u8>,
    index: u64,
    spare: Picture,
    limits: Limits,
    over: bool,
}

impl<R: BufRead + Send> Y4m<R> {
    /// `length` is the stream's length in bytes, when known; it tells the number of frames.
    pub(crate) fn new(mut info: Info, mut reader: R, length: Option<u64>, limits: Limits) -> Result<Self> {
        let mut line = Vec::new();
        if !read_line(&mut reader, &mut line)? {
            return Err(ends_early());
        }
        let header = Header::parse(&line, &limits)?;
        info.kind = if info.kind == Kind::Live { Kind::Live } else { Kind::Clip };
        info.fps = header.fps;
        let frame = header.frame_bytes() as u64 + "FRAME\n".len() as u64;
        // Exact when no frame has parameters of its own, as with every common writer.
        info.frames = length
            .map(|length| length.saturating_sub(line.len() as u64 + 1))
            .filter(|frames| frames % frame == 0)
            .map(|frames| frames / frame);
        let raw = vec![0; header.frame_bytes()];
        let spare = Picture::default();
        Ok(Self { info, reader, header, raw, index: 0, spare, limits, over: false })
    }

    fn read_frame(&mut self) -> Result<bool> {
        let mut line = Vec::new();
        if !read_line(&mut self.reader, &mut line)? {
            return Ok(false);
        }
        if line != b"FRAME" && !line.starts_with(b"FRAME ") {
            return Err(Error::new(
                ErrorKind::Malformed,
                format!("no Y4M frame where frame {} begins", self.index),
            ));
        }
        self.reader.read_exact(&mut self.raw).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                Error::new(ErrorKind::Malformed, format!("the data ends early, within frame {}", self.index))
            }
            _ => Error::io("cannot be read", error),
        })?;
        Ok(true)
    }
}

/// Reads up to a line feed, which is dropped; `false` at the end of the stream.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> Result<bool> {
    let mut limited = reader.take(MAX_LINE as u64);
    limited.read_until(b'\n', line).map_err(|error| Error::io("cannot be read", error))?;
    match line.pop() {
        None => Ok(false),
        Some(b'\n') => Ok(true),
        Some(_) if line.len() + 1 == MAX_LINE => {
            Err(Error::new(ErrorKind::Malformed, "a Y4M header line has no end"))
        }
        Some(_) => Err(ends_early()),
    }
}

impl<R: BufRead + Send> Source for Y4m<R> {
    fn info(&self) -> &Info {
        &self.info
    }

    fn next_frame(&mut self) -> Result<Option<Shot>> {
        if self.over {
            return Ok(None);
        }
        // Frames have no marks to find the next one by, so every error is final.
        self.over = true;
        if !self.read_frame()? {
            return Ok(None);
        }
        let mut picture = std::mem::take(&mut self.spare);
        picture.reset(self.header.width, self.header.height, &self.limits)?;
        convert(&self.header, &self.raw, picture.pixels_mut());
        let index = self.index;
        self.index += 1;
        self.over = false;
        let timestamp_ms = index as f64 * 1000.0 / self.header.fps.unwrap_or(DEFAULT_FPS);
        Ok(Some(Shot { picture, index, timestamp_ms, duration_ms: None }))
    }

    fn recycle(&mut self, picture: Picture) {
        self.spare = picture;
    }
}

/// Planar samples to RGB with BT.601's matrix, the format's customary one; chroma samples are repeated.
fn convert(header: &Header, raw: &[u8], rgb: &mut [u8]) {
    let (width, height) = (header.width as usize, header.height as usize);
    let layout = header.layout;
    let (cw, ch) = layout.chroma_size(width, height);
    let bytes = layout.sample_bytes();
    let (luma, rest) = raw.split_at(width * height * bytes);
    let (u, v) = rest[..2 * cw * ch * bytes].split_at(cw * ch * bytes);
    let (shift_x, shift_y) = layout.chroma.unwrap_or((0, 0));
    let row = |plane: &[u8], at: usize, width: usize, out: &mut Vec<u8>| {
        let row = &plane[at * width * bytes..(at + 1) * width * bytes];
        out.clear();
        match bytes {
            1 => out.extend_from_slice(row),
            _ => out.extend(
                row.as_chunks::<2>()
                    .0
                    .iter()
                    .map(|&sample| (u16::from_le_bytes(sample) >> (layout.bits - 8)).min(255) as u8),
            ),
        }
    };
    let coefficients = Coefficients::new(header.full_range);
    let mut rows = [Vec::new(), vec![128; cw.max(width)], vec![128; cw.max(width)]];
    for (y, out) in rgb.chunks_exact_mut(width * 3).enumerate() {
        row(luma, y, width, &mut rows[0]);
        if layout.chroma.is_some() {
            row(u, y >> shift_y, cw, &mut rows[1]);
            row(v, y >> shift_y, cw, &mut rows[2]);
        }
        let [luma, u, v] = &rows;
        for (x, (pixel, &y)) in out.as_chunks_mut::<3>().0.iter_mut().zip(luma).enumerate() {
            *pixel = coefficients.rgb(y, u[x >> shift_x], v[x >> shift_x]);
        }
    }
}

/// BT.601 in 16.16 fixed point.
#[derive(Clone, Copy)]
struct Coefficients {
    black: i32,
    y: i32,
    rv: i32,
    gu: i32,
    gv: i32,
    bu: i32,
}

impl Coefficients {
    fn new(full_range: bool) -> Self {
        let (black, luma, chroma) =
            if full_range { (0, 1.0, 1.0) } else { (16, 255.0 / 219.0, 255.0 / 224.0) };
        let fixed = |value: f64| (value * 65536.0).round() as i32;
        Self {
            black,
            y: fixed(luma),
            rv: fixed(1.402 * chroma),
            gu: fixed(0.344_136_3 * chroma),
            gv: fixed(0.714_136_3 * chroma),
            bu: fixed(1.772 * chroma),
        }
    }

    fn rgb(self, y: u8, u: u8, v: u8) -> [u8; 3] {
        let luma = self.y * (i32::from(y) - self.black) + (1 << 15);
        let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
        [luma + self.rv * v, luma - self.gu * u - self.gv * v, luma + self.bu * u]
            .map(|c| (c >> 16).clamp(0, 255) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(line: &str) -> Result<Header> {
        Header::parse(line.as_bytes(), &Limits::default())
    }

    #[test]
    fn headers_are_read() {
        let ntsc = header("YUV4MPEG2 W720 H480 F30000:1001 Ip A10:11 C420mpeg2 XYSCSS=420MPEG2").unwrap();
        assert_eq!((ntsc.width, ntsc.height), (720, 480));
        assert!((ntsc.fps.unwrap() - 29.97).abs() < 0.001);
        assert_eq!(ntsc.frame_bytes(), 720 * 480 * 3 / 2);
        assert!(!ntsc.full_range);
        let deep = header("YUV4MPEG2 W5 H3 F0:0 C422p10 XCOLORRANGE=FULL").unwrap();
        assert_eq!((deep.fps, deep.full_range, deep.frame_bytes()), (None, true, (15 + 2 * 3 * 3) * 2));
        assert_eq!(header("YUV4MPEG2 W5 H3 C444alpha").unwrap().frame_bytes(), 60);
        assert_eq!(header("YUV4MPEG2 W5 H3 Cmono").unwrap().frame_bytes(), 15);
        assert_eq!(header("YUV4MPEG2 W5 H3 C411").unwrap().frame_bytes(), 15 + 2 * 2 * 3);
    }

    #[test]
    fn colours_come_out() {
        // One pixel each: black, white, red in limited range; mid grey in full range.
        let convert_one = |range: &str, y: u8, u: u8, v: u8| {
            let header = header(&format!("YUV4MPEG2 W1 H1 C444{range}")).unwrap();
            let mut rgb = [0; 3];
            convert(&header, &[y, u, v], &mut rgb);
            rgb
        };
        assert_eq!(convert_one("", 16, 128, 128), [0, 0, 0]);
        assert_eq!(convert_one("", 235, 128, 128), [255, 255, 255]);
        assert_eq!(convert_one("", 81, 90, 240), [254, 0, 0]);
        assert_eq!(convert_one(" XCOLORRANGE=FULL", 128, 128, 128), [128, 128, 128]);
    }

    #[test]
    fn chroma_and_deep_samples_find_their_pixels() {
        let clip = header("YUV4MPEG2 W3 H3 C420p10").unwrap();
        // Luma 0..9 shifted into 10 bits; chroma 2 x 2, the lower right one coloured.
        let mut raw: Vec<u8> = (0..9_u16).flat_map(|y| ((100 + y) << 2).to_le_bytes()).collect();
        for v in [[128_u16, 128, 128, 128], [128, 128, 128, 200]] {
            raw.extend(v.iter().flat_map(|c| (c << 2).to_le_bytes()));
        }
        let mut rgb = [0; 27];
        convert(&clip, &raw, &mut rgb);
        let red_of =
            |x: usize, y: usize| i32::from(rgb[(y * 3 + x) * 3]) - i32::from(rgb[(y * 3 + x) * 3 + 1]);
        assert_eq!(red_of(0, 0), 0);
        assert_eq!(red_of(1, 2), 0);
        assert!(red_of(2, 2) > 100);
    }
}
