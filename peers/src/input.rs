//! The network's input, and what is read from its outputs.

use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// `1 x 3 x height x width`, RGB planes, 0..1.
pub struct Input {
    pub shape: [usize; 4],
    pub data: Vec<f32>,
}

impl Input {
    /// A picture that already has the network's size.
    pub fn from_png(path: &Path, height: usize, width: usize) -> Result<Self> {
        let picture = image::open(path).with_context(|| format!("cannot read {}", path.display()))?.into_rgb8();
        let (w, h) = picture.dimensions();
        ensure!(
            (h as usize, w as usize) == (height, width),
            "{} is {h}x{w}, the network's input is {height}x{width}",
            path.display()
        );
        let pixels = picture.as_raw();
        Ok(Self::planar(height, width, |channel, at| pixels[at * 3 + channel]))
    }

    /// The same pseudo-random pixels on every run (a 64-bit LCG, constants from Knuth's MMIX).
    pub fn random(height: usize, width: usize) -> Self {
        let mut state = 1u64;
        Self::planar(height, width, |_, _| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
    }

    fn planar(height: usize, width: usize, mut pixel: impl FnMut(usize, usize) -> u8) -> Self {
        let data = (0..3)
            .flat_map(|channel| (0..height * width).map(move |at| (channel, at)))
            .map(|(channel, at)| f32::from(pixel(channel, at)) / 255.0)
            .collect();
        Self { shape: [1, 3, height, width], data }
    }
}

/// Anchor points over the strides 8, 16 and 32.
pub fn anchors(height: usize, width: usize) -> usize {
    [8, 16, 32].iter().map(|stride| (height / stride) * (width / stride)).sum()
}

/// Highest value among some channels of an output of `channels x anchors`.
pub fn best(output: &[f32], anchors: usize, channels: Range<usize>) -> Result<f32> {
    let values = output
        .get(channels.start * anchors..channels.end * anchors)
        .context("the output has fewer values than the network's shape asks for")?;
    Ok(values.iter().copied().fold(f32::NEG_INFINITY, f32::max))
}

/// `HxW`, both multiples of 32.
pub fn parse_size(text: &str) -> Result<(usize, usize), String> {
    let (height, width) = text.split_once('x').ok_or("not HEIGHTxWIDTH")?;
    let parse = |side: &str| match side.parse() {
        Ok(n) if n > 0 && n % 32 == 0 => Ok(n),
        _ => Err(format!("{side} is not a positive multiple of 32")),
    };
    Ok((parse(height)?, parse(width)?))
}
