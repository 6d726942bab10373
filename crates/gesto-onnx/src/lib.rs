//! Writes a [`Model`] as an ONNX file, so that it runs wherever ONNX runs.
//!
//! The way of the data: [`Graph`](gesto_engine::model::Graph) (layers as data) -> trunk nodes -> per head decode
//! nodes (distribution, anchor points, sigmoid) -> bytes of the file. A resize from a full frame may stand in front.
//!
//! The file has static shapes, opset 17 and one input, `images`: `1 x 3 x H x W`, RGB, 0 to 1. Each head is an output
//! of its own name, `1 x C x A` over the `A` anchor points (finest stride first, then row by row). Its `C` rows are
//! `cx, cy, w, h` in pixels of `images`, one probability for each class, and `x, y, visibility` of each keypoint.
//! `metadata_props` tells heads, classes and keypoints.
//!
//! ```
//! use gesto_engine::Model;
//! use gesto_onnx::{Options, Precision, export};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let model = Model::from_bytes(include_bytes!("../../../models/multi-n.safetensors").as_slice())?;
//! let file: Vec<u8> = export(&model, &Options { precision: Precision::F32, ..Options::new(256, 128) })?;
//! # assert!(file.len() > 4 * 4_000_000);
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod builder;
mod decode;
mod error;
mod proto;
mod resize;
mod trunk;

use gesto_engine::Model;
use prost::Message as _;

use builder::GraphBuilder;
pub use error::{Error, ErrorKind, Result};
pub use resize::{Fit, Method, Placement, Resize};

/// ONNX operator set of the files.
pub const OPSET: i64 = 17;
/// File format version; 8 came with opset 17.
const IR_VERSION: i64 = 8;
/// Name of the file's one input.
const INPUT: &str = "images";

/// How the file stores the weights of convolutions. Sums are f32 in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// 16-bit numbers widened by a `Cast`, which runtimes fold away when they load the file: half the size, and
    /// exact for weights that were 16-bit before (the shipped ones).
    #[default]
    F16,
    /// 32-bit numbers.
    F32,
}

/// What to write.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Height of the network input in pixels, a multiple of 32.
    pub height: usize,
    /// Width of the network input in pixels, a multiple of 32.
    pub width: usize,
    /// How weights are stored.
    pub precision: Precision,
    /// A resize from a larger frame in front of the network; `images` is that frame then.
    pub resize: Option<Resize>,
    /// Two more outputs for each head, `1 x A` both: `NAME.best`, the probability of each anchor point's best class, and
    /// `NAME.class`, its number (64-bit integers). Readers then need not compare the classes.
    pub class_max: bool,
}

impl Options {
    /// A network of `height` x `width` with 16-bit weights and no resize.
    #[must_use]
    pub fn new(height: usize, width: usize) -> Self {
        Self { height, width, precision: Precision::default(), resize: None, class_max: false }
    }
}

/// The largest accepted input, in pixels: four times 4K. Constants of each anchor point are stored in the file.
const MAX_PIXELS: usize = 4 * 3840 * 2160;

/// Gives the bytes of the ONNX file.
///
/// # Errors
/// [`ErrorKind::Shape`] when a side is 0, not a multiple of the model's coarsest stride (32), or too large, and when
/// the resize's source is empty or too large; [`ErrorKind::Name`] when a head is called like a layer.
pub fn export(model: &Model, options: &Options) -> Result<Vec<u8>> {
    check_sizes(model, options)?;
    let graph = model.graph();
    let mut nodes = GraphBuilder::new();
    let placement = match &options.resize {
        Some(resize) => resize::append(&mut nodes, resize, options, INPUT),
        None => {
            nodes.input(INPUT, &[1, 3, options.height, options.width]);
            Placement::IDENTITY
        }
    };
    let network_input = if options.resize.is_some() { resize::OUTPUT } else { INPUT };
    let names = trunk::append(&mut nodes, model, options.precision, network_input);
    for head in &graph.heads {
        decode::append(&mut nodes, head, &names, options, &placement);
    }
    let file = proto::ModelProto {
        ir_version: IR_VERSION,
        opset_import: vec![proto::OperatorSetId { domain: String::new(), version: OPSET }],
        producer_name: "gesto".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(nodes.finish("gesto")?),
        metadata_props: metadata(model, options, &placement),
    };
    Ok(file.encode_to_vec())
}

fn check_sizes(model: &Model, options: &Options) -> Result<()> {
    let (height, width) = (options.height, options.width);
    let stride = model.graph().max_stride();
    if height == 0 || width == 0 || height % stride != 0 || width % stride != 0 {
        return Err(Error::new(
            ErrorKind::Shape,
            format!(
                "a network input of {height} x {width} is not possible: both sides must be multiples of {stride}"
            ),
        ));
    }
    let mut sizes = vec![("a network input", height, width)];
    if let Some(resize) = &options.resize {
        if resize.source_height == 0 || resize.source_width == 0 {
            return Err(Error::new(ErrorKind::Shape, "the frame to resize from is empty"));
        }
        sizes.push(("a frame to resize from", resize.source_height, resize.source_width));
    }
    for (what, height, width) in sizes {
        if height.saturating_mul(width) > MAX_PIXELS {
            return Err(Error::new(
                ErrorKind::Shape,
                format!("{what} of {height} x {width} is too large: at most {MAX_PIXELS} pixels"),
            ));
        }
    }
    Ok(())
}

/// What a program needs to read the outputs; keys of the weights' own metadata are kept beside it.
fn metadata(model: &Model, options: &Options, placement: &Placement) -> Vec<proto::StringStringEntry> {
    let heads: Vec<_> = model
        .graph()
        .heads
        .iter()
        .map(|head| {
            serde_json::json!({"name": head.name, "classes": head.classes, "keypoints": head.keypoints})
        })
        .collect();
    let mut entries: std::collections::BTreeMap<String, String> =
        model.metadata().iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    entries.insert("heads".to_owned(), serde_json::Value::from(heads).to_string());
    entries.insert("size".to_owned(), format!("{}x{}", options.height, options.width));
    entries.insert("input".to_owned(), "RGB, 0 to 1".to_owned());
    entries.insert(
        "rows".to_owned(),
        "cx, cy, w, h in pixels of the input; class probabilities; x, y, visibility of each keypoint"
            .to_owned(),
    );
    if let Some(resize) = &options.resize {
        entries.insert("resize".to_owned(), resize.method.name().to_owned());
        entries.insert("source".to_owned(), format!("{}x{}", resize.source_height, resize.source_width));
        entries.insert("placement".to_owned(), serde_json::json!(placement).to_string());
    }
    entries.into_iter().map(|(key, value)| proto::StringStringEntry { key, value }).collect()
}
