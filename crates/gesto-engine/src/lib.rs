//! Runs YOLOv8-style networks (gesture, person and keypoint heads) on the CPU.
//!
//! The way of the data: [`Model`] (a safetensors file, checked) -> [`Graph`](model::Graph) (layers as data)
//! -> [`Network`] (buffers and steps for one input size and one instruction set) -> kernels.

#![deny(unsafe_code)]

pub mod error;
pub mod model;
pub mod network;
pub mod reference;

pub use error::{Error, ErrorKind, Result};
pub use model::Model;
pub use network::{Candidate, HeadMode, HeadOutput, Network, Options, Outputs};
