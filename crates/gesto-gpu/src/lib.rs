//! Runs YOLOv8-style networks (gesture, person and keypoint heads) on a GPU through wgpu: Vulkan, Metal, DX12.
//!
//! One submission a frame: the frame's rows -> resize -> network -> decoding, threshold and compaction -> a small
//! read-back. Buffers, pipelines and the list of dispatches are made once, from the same [`gesto_engine::Model`] that
//! the CPU runs.
//!
//! The way of the data: [`Frame`] and [`View`] -> `resize.wgsl` -> the stages that `plan` made of the graph
//! (`conv_*.wgsl`, `pool.wgsl`) -> `decode.wgsl` -> [`Detections`].
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use gesto_gpu::{Frame, GpuNetwork, GpuOptions, PixelFormat, View};
//! let model = gesto_engine::Model::from_bytes(std::fs::read("multi-n.safetensors")?)?;
//! let mut network = GpuNetwork::new(&model, 320, 224, &GpuOptions::default())?;
//! let pixels = vec![0u8; 1080 * 1920 * 4];
//! let frame = Frame::packed(&pixels, 1080, 1920, PixelFormat::Bgra);
//! let detections = network.detect(&[frame], &View::default(), &[0.3, 0.5])?;
//! for hand in detections.candidates(0, 0) {
//!     println!("class {} at {:?}", hand.class, hand.bbox);
//! }
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

pub mod adapter;
pub mod detections;
pub mod error;
pub mod frame;
pub mod options;

mod device;
mod kernels;
mod network;
mod plan;
mod preprocess;
mod resizer;
mod slot;
mod tune;

pub use adapter::{AdapterChoice, AdapterSummary, adapters};
pub use detections::{Candidate, Detections, StageTimes};
pub use error::{Error, ErrorKind, Result};
pub use frame::{Chroma, Fit, Frame, PixelFormat, Placement, Resize, Turn};
pub use network::{Cells, GpuNetwork, LevelMaps, Maps, View};
pub use options::{Arithmetic, GpuOptions, Output, Timing, Waiting};
pub use resizer::GpuResizer;
pub use wgpu::ExperimentalFeatures;
