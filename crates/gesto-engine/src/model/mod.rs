//! Networks of the YOLOv8 family, read from safetensors.

mod architecture;
mod graph;
pub(crate) mod quantization;
mod weights;

pub use architecture::HeadSpec;
pub use graph::{Activation, Conv, ConvId, DFL_BINS, Graph, Head, HeadLevel, Op, Value, ValueId};
pub use quantization::{ActivationScales, Quantization, quantized_values};
pub use weights::{ConvWeights, Model};
