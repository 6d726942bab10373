//! Types of flag values that several commands share.

use std::str::FromStr;

use gesto_engine::MAX_THREADS;

/// The path that means standard output.
pub(crate) const STDOUT: &str = "-";

/// A network input, written `HxW`: `320x224` is 320 pixels high and 224 wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) height: usize,
    pub(crate) width: usize,
}

/// Height and width of a frame, written `HxW`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameSize {
    pub(crate) height: usize,
    pub(crate) width: usize,
}

impl FromStr for FrameSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sides = text.split_once(['x', 'X']).and_then(|(height, width)| {
            Some(Self { height: height.trim().parse().ok()?, width: width.trim().parse().ok()? })
        });
        sides.ok_or_else(|| "a size is HEIGHTxWIDTH in pixels, such as 320x224".to_owned())
    }
}

/// The coarsest stride of the model family; a network input is a multiple of it.
const STRIDE: usize = 32;

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let FrameSize { height, width } = text.parse()?;
        let size = Self { height, width };
        if size.height == 0
            || size.width == 0
            || !size.height.is_multiple_of(STRIDE)
            || !size.width.is_multiple_of(STRIDE)
        {
            return Err(format!("both sides must be positive multiples of {STRIDE}"));
        }
        Ok(size)
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.height, self.width)
    }
}

/// How many threads share a frame.
pub(crate) fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(threads @ 1..=MAX_THREADS) => Ok(threads),
        _ => Err(format!("a number from 1 to {MAX_THREADS} is needed")),
    }
}

/// A probability or an overlap: a number from 0 to 1.
pub(crate) fn fraction(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("a number from 0 to 1 is needed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!("320x224".parse(), Ok(Size { height: 320, width: 224 }));
        assert_eq!("256X128".parse(), Ok(Size { height: 256, width: 128 }));
        for bad in [
            "",
            "320",
            "x",
            "320x",
            "320x0",
            "0x0",
            "321x224",
            "-32x32",
            "320x224x3",
            "99999999999999999999x32",
        ] {
            assert!(bad.parse::<Size>().is_err(), "{bad:?}");
        }
        assert_eq!(Size { height: 320, width: 224 }.to_string(), "320x224");
    }

    #[test]
    fn fractions() {
        assert_eq!(fraction("0.3"), Ok(0.3));
        assert_eq!(fraction("1"), Ok(1.0));
        for bad in ["", "-0.1", "1.1", "NaN", "inf", "30%"] {
            assert!(fraction(bad).is_err(), "{bad:?}");
        }
    }
}
