//! From a frame to the network's input: resize, colours, orientation, letterbox.

mod mapping;
mod reference;

pub use mapping::{Fit, Mapping};

use crate::frame::Frame;

/// Grey of the letterbox's bars, as in training.
pub const PAD: u8 = 114;

/// Fills network inputs of one size.
#[derive(Debug)]
pub struct Preprocessor {
    height: u32,
    width: u32,
    fit: Fit,
}

impl Preprocessor {
    /// For network inputs of `height` x `width` pixels.
    #[must_use]
    pub fn new(height: u32, width: u32, fit: Fit) -> Self {
        Self { height, width, fit }
    }

    /// Writes `frame` upright into `input` (`height * width` pixels of 8-bit RGB, row by row) and tells how their
    /// coordinates relate.
    ///
    /// # Panics
    /// When `input` has another length.
    pub fn run(&mut self, frame: &Frame<'_>, input: &mut [u8]) -> Mapping {
        assert_eq!(
            input.len(),
            self.height as usize * self.width as usize * 3,
            "input has the network's size"
        );
        let mapping = Mapping::new(frame, self.fit, self.height, self.width);
        reference::fill(frame, &mapping, self.width, input);
        mapping
    }
}
