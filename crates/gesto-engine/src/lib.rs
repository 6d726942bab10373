//! Runs YOLOv8-style networks (gesture, person and keypoint heads) on the CPU.
//!
//! The way of the data: [`Model`] (a safetensors file, checked) -> [`Graph`](model::Graph) (layers as data)
//! -> plan (buffers and steps for one input size and one instruction set) -> kernels. [`Network`] holds them
//! together; [`mod@reference`] is the same network evaluated plainly, for comparison.

#![deny(unsafe_code)]

pub mod calibration;
pub mod error;
pub mod isa;
mod kernels;
pub mod model;
pub mod network;
pub mod picture;
mod plan;
pub mod reference;
pub mod resample;

pub use calibration::Calibration;
pub use error::{Error, ErrorKind, Result};
pub use isa::Isa;
#[cfg(feature = "wgpu")]
pub use kernels::wgpu::matrix_units;
pub use model::Model;
pub use network::{Candidate, HeadMode, HeadOutput, MAX_THREADS, Network, Options, Outputs, StepInfo};
