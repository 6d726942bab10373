//! Runs YOLOv8-style ONNX models (gesture, person and keypoint heads) through ONNX Runtime, and so on whatever
//! that runtime reaches: NVIDIA's cards, Apple's Neural Engine, Intel's and Qualcomm's NPUs, DirectX 12.
//!
//! Nothing is linked or downloaded at build time. The runtime's library is found when the first session is made:
//! [`Library`] says where.
//!
//! The way of the data: a picture as planes of floats -> session -> [`Rows`] of each head (decoded boxes in pixels of
//! the model's input, class probabilities, keypoints) -> the caller's threshold and suppression.
//!
//! Which models: one input `1 x 3 x H x W` of 32-bit floats (RGB, 0 to 1), and for each head an output `1 x C x A` over
//! the `A` anchor points of strides 8, 16 and 32. `C` is 4 + classes for detectors and 4 + 1 + 3 x 17 for pose.
//! `gesto model export` writes such files, and so do the exporters of that family of networks.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use gesto_ort::{Options, OrtNetwork};
//! let mut network = OrtNetwork::new(&std::fs::read("multi-n.onnx")?, &Options::default())?;
//! network.input_mut().fill(0.5);
//! let rows = network.run()?;
//! println!("{:?}", rows.head(0).data());
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod error;
mod heads;
mod library;
mod network;
mod provider;

pub use error::{Error, ErrorKind, Result};
pub use heads::Head;
pub use library::{Library, version};
pub use network::{Options, OrtNetwork, Outputs, Rows};
pub use provider::Provider;
