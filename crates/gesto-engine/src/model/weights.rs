//! A safetensors file, checked: header, shapes, numbers.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use half::f16;
use half::slice::HalfFloatSliceExt as _;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::architecture::{HeadSpec, Shapes, build};
use super::graph::{Conv, ConvId, Graph};
use super::quantization::{self, ActivationScales};
use crate::error::{Error, ErrorKind, Result};

/// Bounds on what a file may ask for, far above any model of the family.
const MAX_HEADS: usize = 8;
const MAX_CLASSES: usize = 4096;
const MAX_KEYPOINTS: usize = 1024;

/// A network with its weights.
///
/// The file's bytes are kept as they are (16-bit mostly); [`Model::weights`] widens one convolution at a time,
/// so that packing the network for a kernel never holds a second full copy.
#[derive(Debug, Clone)]
pub struct Model {
    graph: Graph,
    bytes: Cow<'static, [u8]>,
    tensors: HashMap<String, Tensor>,
    metadata: HashMap<String, String>,
    activation_scales: Option<ActivationScales>,
}

#[derive(Debug, Clone)]
struct Tensor {
    dtype: Dtype,
    shape: Vec<usize>,
    range: Range<usize>,
}

/// Weights of one convolution.
#[derive(Debug, Clone, PartialEq)]
pub struct ConvWeights {
    /// `[out][in][ky][kx]`.
    pub weight: Vec<f32>,
    /// `[out]`.
    pub bias: Vec<f32>,
}

impl Shapes for HashMap<String, Tensor> {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.get(name).map(|tensor| tensor.shape.clone())
    }
}

impl Model {
    /// Reads a safetensors file held in memory.
    ///
    /// The metadata entry `heads` describes the heads: a JSON list of `{"name", "classes", "keypoints"}`.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] when the bytes are no safetensors file or lack the description of the heads,
    /// [`ErrorKind::Architecture`] when a tensor is missing or has another shape or number type, and
    /// [`ErrorKind::NotFinite`] when a weight is NaN or infinite.
    pub fn from_bytes(bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self> {
        let bytes = bytes.into();
        let format = |e| Error::new(ErrorKind::Format, format!("not a safetensors file ({e})"));
        let (header_len, header) = SafeTensors::read_metadata(&bytes).map_err(format)?;
        let data_start = header_len + size_of::<u64>();
        let metadata = header.metadata().clone().unwrap_or_default();
        let tensors: HashMap<String, Tensor> = header
            .tensors()
            .into_iter()
            .map(|(name, info)| {
                let range = data_start + info.data_offsets.0..data_start + info.data_offsets.1;
                (name, Tensor { dtype: info.dtype, shape: info.shape.clone(), range })
            })
            .collect();
        if let Some(tensor) = tensors.values().find(|tensor| tensor.range.end > bytes.len()) {
            let missing = tensor.range.end - bytes.len();
            return Err(Error::new(
                ErrorKind::Format,
                format!("the file is cut short by at least {missing} bytes"),
            ));
        }
        let heads = heads(&metadata)?;
        let graph = build(&tensors, &heads)?;
        let activation_scales = quantization::read(&metadata, &graph)?;
        let model = Self { graph, bytes, tensors, metadata, activation_scales };
        model.check_numbers()?;
        Ok(model)
    }

    /// A model that only has convolutions, for tests that run them one by one.
    #[cfg(test)]
    pub(crate) fn of_convolutions(convs: Vec<(Conv, ConvWeights)>) -> Self {
        let (mut bytes, mut tensors) = (Vec::new(), HashMap::new());
        let mut add = |name: String, shape: Vec<usize>, numbers: &[f32]| {
            let start = bytes.len();
            bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
            tensors.insert(name, Tensor { dtype: Dtype::F32, shape, range: start..bytes.len() });
        };
        for (conv, numbers) in &convs {
            let shape = vec![conv.out_channels, conv.in_channels, conv.kernel, conv.kernel];
            add(format!("{}.weight", conv.name), shape, &numbers.weight);
            add(format!("{}.bias", conv.name), vec![conv.out_channels], &numbers.bias);
        }
        let convs = convs.into_iter().map(|(conv, _)| conv).collect();
        let input = super::graph::ValueId(0);
        let graph = Graph { values: Vec::new(), convs, ops: Vec::new(), input, heads: Vec::new() };
        let metadata = HashMap::new();
        Self { graph, bytes: bytes.into(), tensors, metadata, activation_scales: None }
    }

    /// The network as data.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The file's free-form metadata.
    #[must_use]
    pub fn metadata(&self) -> &HashMap<String, String> {
        &self.metadata
    }

    /// The scales that 8-bit kernels need; `None` when the file has none.
    #[must_use]
    pub fn activation_scales(&self) -> Option<&ActivationScales> {
        self.activation_scales.as_ref()
    }

    /// The file of this network with other activation scales; everything else stays.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when a map has no scale, or one far from what networks need.
    pub fn to_bytes_with_scales(&self, scales: &ActivationScales) -> Result<Vec<u8>> {
        quantization::check(scales, &self.graph)
            .map_err(|why| Error::new(ErrorKind::Config, format!("the activation scales {why}")))?;
        let mut metadata = self.metadata.clone();
        let text = serde_json::to_string(scales).expect("names and numbers are JSON");
        metadata.insert(quantization::KEY.to_owned(), text);
        let views = self.tensors.iter().map(|(name, tensor)| {
            let data = &self.bytes[tensor.range.clone()];
            let view = TensorView::new(tensor.dtype, tensor.shape.clone(), data);
            (name, view.expect("the tensor was read from a sound file"))
        });
        safetensors::serialize(views, Some(metadata))
            .map_err(|e| Error::new(ErrorKind::Format, format!("the file cannot be written ({e})")))
    }

    /// The weights of one convolution as f32.
    #[must_use]
    pub fn weights(&self, conv: ConvId) -> ConvWeights {
        let name = &self.graph.conv(conv).name;
        ConvWeights {
            weight: self.numbers(&format!("{name}.weight")),
            bias: self.numbers(&format!("{name}.bias")),
        }
    }

    fn numbers(&self, name: &str) -> Vec<f32> {
        // `check_numbers` has seen every tensor that the graph names.
        let tensor = &self.tensors[name];
        let bytes = &self.bytes[tensor.range.clone()];
        match tensor.dtype {
            Dtype::F16 => {
                let halves: Vec<f16> = bytes.as_chunks().0.iter().map(|&b| f16::from_le_bytes(b)).collect();
                halves.to_f32_vec()
            }
            Dtype::BF16 => {
                bytes.as_chunks().0.iter().map(|&b| half::bf16::from_le_bytes(b).to_f32()).collect()
            }
            _ => bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
        }
    }

    fn check_numbers(&self) -> Result<()> {
        for Conv { name, .. } in &self.graph.convs {
            for name in [format!("{name}.weight"), format!("{name}.bias")] {
                let tensor = &self.tensors[&name];
                let bytes = &self.bytes[tensor.range.clone()];
                // Infinity and NaN are the numbers whose exponent bits are all ones.
                let finite = match tensor.dtype {
                    Dtype::F16 => all(bytes, |b| u16::from_le_bytes(b) & 0x7c00 != 0x7c00),
                    Dtype::BF16 => all(bytes, |b| u16::from_le_bytes(b) & 0x7f80 != 0x7f80),
                    Dtype::F32 => all(bytes, |b| f32::from_le_bytes(b).is_finite()),
                    other => {
                        let message =
                            format!("tensor {name:?} holds {other:?}; F16, BF16 and F32 are supported");
                        return Err(Error::new(ErrorKind::Architecture, message));
                    }
                };
                if !finite {
                    return Err(Error::new(
                        ErrorKind::NotFinite,
                        format!("tensor {name:?} holds NaN or infinity"),
                    ));
                }
            }
        }
        Ok(())
    }
}

fn all<const N: usize>(bytes: &[u8], good: impl Fn([u8; N]) -> bool) -> bool {
    // A fold instead of `all`: no early exit, so that it vectorises.
    bytes.as_chunks::<N>().0.iter().fold(true, |so_far, &b| so_far & good(b))
}

fn heads(metadata: &HashMap<String, String>) -> Result<Vec<HeadSpec>> {
    let text = metadata.get("heads").ok_or_else(|| {
        Error::new(
            ErrorKind::Format,
            "the file's metadata has no \"heads\" entry, which describes the network's heads",
        )
    })?;
    let heads: Vec<HeadSpec> = serde_json::from_str(text).map_err(|e| {
        Error::new(ErrorKind::Format, format!("the file's description of the heads is damaged: {e}"))
    })?;
    let bad = |why: String| {
        Err(Error::new(ErrorKind::Format, format!("the file's description of the heads {why}")))
    };
    if heads.is_empty() || heads.len() > MAX_HEADS {
        return bad(format!("lists {} heads; 1 to {MAX_HEADS} are supported", heads.len()));
    }
    for (i, head) in heads.iter().enumerate() {
        if head.classes.is_empty() || head.classes.len() > MAX_CLASSES || head.keypoints > MAX_KEYPOINTS {
            let (classes, keypoints) = (head.classes.len(), head.keypoints);
            return bad(format!("gives head {:?} {classes} classes and {keypoints} keypoints", head.name));
        }
        if heads[..i].iter().any(|other| other.name == head.name) {
            return bad(format!("has two heads called {:?}", head.name));
        }
    }
    Ok(heads)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &[u8] = include_bytes!("../../../../models/multi-n.safetensors");

    #[test]
    fn shipped_network_has_the_published_size() {
        let model = Model::from_bytes(SHIPPED).unwrap();
        let graph = model.graph();
        assert_eq!(graph.macs(320, 224) / 1_000_000, 1063);
        assert_eq!(graph.anchor_points(320, 224), 1470);
        assert_eq!(graph.anchor_points(256, 128), 672);
        assert_eq!(graph.max_stride(), 32);
        assert!((4_000_000..4_100_000).contains(&graph.parameters()), "{}", graph.parameters());
    }

    /// Rewrites the shipped file with one tensor changed.
    fn tampered(change: impl Fn(&str, &mut Vec<usize>, &mut Vec<u8>) -> bool) -> Vec<u8> {
        let file = SafeTensors::deserialize(SHIPPED).unwrap();
        let (_, header) = SafeTensors::read_metadata(SHIPPED).unwrap();
        let mut kept = Vec::new();
        for (name, view) in file.tensors() {
            let (mut shape, mut data) = (view.shape().to_vec(), view.data().to_vec());
            if change(&name, &mut shape, &mut data) {
                kept.push((name, shape, data));
            }
        }
        let views = kept.iter().map(|(name, shape, data)| {
            (name.clone(), TensorView::new(Dtype::F16, shape.clone(), data).unwrap())
        });
        safetensors::serialize(views, header.metadata().clone()).unwrap()
    }

    #[test]
    fn a_missing_tensor_is_named() {
        let error = Model::from_bytes(tampered(|name, _, _| name != "n18.cv2.bias")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Architecture);
        assert!(error.to_string().contains("n18.cv2.bias"), "{error}");
    }

    #[test]
    fn a_wrong_shape_is_named() {
        let bytes = tampered(|name, shape, _| {
            if name == "b.1.weight" {
                *shape = vec![16, 32, 3, 3];
            }
            true
        });
        let error = Model::from_bytes(bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Architecture);
        assert!(error.to_string().contains("b.1.weight"), "{error}");
    }

    #[test]
    fn nan_is_refused() {
        let bytes = tampered(|name, _, data| {
            if name == "hand.cv3.1.0.weight" {
                data[..2].copy_from_slice(&f16::NAN.to_le_bytes());
            }
            true
        });
        assert_eq!(Model::from_bytes(bytes).unwrap_err().kind(), ErrorKind::NotFinite);
    }

    #[test]
    fn scales_come_back_and_wrong_ones_are_refused() {
        let model = Model::from_bytes(SHIPPED).unwrap();
        assert_eq!(model.activation_scales(), None);
        let q = quantization::Quantization { scale: 0.03, zero: 9 };
        let names = || quantization::quantized_values(model.graph()).into_iter();
        let mut scales: ActivationScales =
            names().map(|id| (model.graph().value(id).name.clone(), q)).collect();
        assert!(scales.contains_key("b.2.m.0.add") && !scales.contains_key("b.2.m.0.cv2"));
        let file = model.to_bytes_with_scales(&scales).unwrap();
        let again = Model::from_bytes(file).unwrap();
        assert_eq!(again.activation_scales(), Some(&scales));
        for i in 0..model.graph().convs.len() {
            let id = ConvId(i as u32);
            assert_eq!(model.weights(id), again.weights(id));
        }
        scales.get_mut("b.5").unwrap().scale = -1.0;
        assert_eq!(model.to_bytes_with_scales(&scales).unwrap_err().kind(), ErrorKind::Config);
        scales.remove("b.5");
        let error = model.to_bytes_with_scales(&scales).unwrap_err();
        assert!(error.to_string().contains("\"b.5\""), "{error}");
    }

    #[test]
    fn no_prefix_of_the_file_is_accepted_and_none_panics() {
        for len in (0..SHIPPED.len()).step_by(40_009).chain(0..64) {
            assert_eq!(Model::from_bytes(&SHIPPED[..len]).unwrap_err().kind(), ErrorKind::Format, "{len}");
        }
    }
}
