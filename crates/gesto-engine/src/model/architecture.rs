//! The YOLOv8 family's layers as a table, and its expansion into a [`Graph`].
//!
//! Widths and depths are read from the tensors' shapes, so the table serves every scale (`n`, `s`, ...).
//! Source of the layout: the published YOLOv8 detection and pose networks (C2f backbone, PAN-FPN neck,
//! decoupled anchor-free heads).

use super::graph::{Activation, Conv, ConvId, DFL_BINS, Graph, Head, HeadLevel, Op, Value, ValueId};
use crate::error::{Error, ErrorKind, Result};

/// One layer of the trunk. `from` counts layers of the table; `None` is the layer before.
struct Layer {
    prefix: &'static str,
    from: &'static [usize],
    kind: Kind,
}

enum Kind {
    /// Convolution k3 s2 with SiLU.
    Down,
    /// Cross-stage block: 1x1, halves, bottlenecks on the second half, concat, 1x1.
    C2f { shortcut: bool },
    /// Spatial pyramid pooling: three 5x5 max pools in a row, all four maps concatenated.
    Sppf,
    /// Nearest neighbour x2 of the first map, then concat with the second.
    UpsampleConcat,
    /// Concat.
    Concat,
}

const fn layer(prefix: &'static str, from: &'static [usize], kind: Kind) -> Layer {
    Layer { prefix, from, kind }
}

/// Backbone, then neck. Position in the table is what `from` counts; prefixes are the file's tensor names.
const TRUNK: &[Layer] = &[
    layer("b.0", &[], Kind::Down),                      // 0, stride 2
    layer("b.1", &[0], Kind::Down),                     // 1, stride 4
    layer("b.2", &[1], Kind::C2f { shortcut: true }),   // 2
    layer("b.3", &[2], Kind::Down),                     // 3, stride 8
    layer("b.4", &[3], Kind::C2f { shortcut: true }),   // 4, P3
    layer("b.5", &[4], Kind::Down),                     // 5, stride 16
    layer("b.6", &[5], Kind::C2f { shortcut: true }),   // 6, P4
    layer("b.7", &[6], Kind::Down),                     // 7, stride 32
    layer("b.8", &[7], Kind::C2f { shortcut: true }),   // 8
    layer("b.9", &[8], Kind::Sppf),                     // 9, P5
    layer("n10", &[9, 6], Kind::UpsampleConcat),        // 10
    layer("n12", &[10], Kind::C2f { shortcut: false }), // 11
    layer("n13", &[11, 4], Kind::UpsampleConcat),       // 12
    layer("n15", &[12], Kind::C2f { shortcut: false }), // 13, head input at stride 8
    layer("n16", &[13], Kind::Down),                    // 14
    layer("n17", &[14, 11], Kind::Concat),              // 15
    layer("n18", &[15], Kind::C2f { shortcut: false }), // 16, head input at stride 16
    layer("n19", &[16], Kind::Down),                    // 17
    layer("n20", &[17, 9], Kind::Concat),               // 18
    layer("n21", &[18], Kind::C2f { shortcut: false }), // 19, head input at stride 32
];

/// Positions in [`TRUNK`] that the heads read, finest stride first.
const HEAD_INPUTS: [usize; 3] = [13, 16, 19];

/// Name, classes and keypoints of one head, as the file's metadata gives them.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
pub struct HeadSpec {
    /// Prefix of the head's tensors.
    pub name: String,
    /// Class names in channel order.
    pub classes: Vec<String>,
    /// Keypoints for each detection; 0 for a detector.
    #[serde(default)]
    pub keypoints: usize,
}

/// The shape `[out, in, k, k]` of a tensor called `name`, if the file has it.
pub(crate) trait Shapes {
    fn shape(&self, name: &str) -> Option<Vec<usize>>;
}

/// Expands the table into operations; fails where a tensor is missing or does not fit its neighbours.
pub(crate) fn build(shapes: &dyn Shapes, heads: &[HeadSpec]) -> Result<Graph> {
    let mut b = Builder { shapes, values: Vec::new(), convs: Vec::new(), ops: Vec::new() };
    let input = b.value("images", 3, 1);
    let mut outputs: Vec<ValueId> = Vec::with_capacity(TRUNK.len());
    for layer in TRUNK {
        let from: Vec<ValueId> = match layer.from {
            [] => vec![input],
            from => from.iter().map(|&i| outputs[i]).collect(),
        };
        let output = match layer.kind {
            Kind::Down => b.conv(layer.prefix, from[0], 3, 2, Activation::Silu)?,
            Kind::C2f { shortcut } => b.c2f(layer.prefix, from[0], shortcut)?,
            Kind::Sppf => b.sppf(layer.prefix, from[0])?,
            Kind::UpsampleConcat => {
                let up = b.upsample(&format!("{}.up", layer.prefix), from[0]);
                b.concat(layer.prefix, vec![up, from[1]])
            }
            Kind::Concat => b.concat(layer.prefix, from),
        };
        outputs.push(output);
    }
    let features = HEAD_INPUTS.map(|i| outputs[i]);
    let heads = heads.iter().map(|spec| b.head(spec, &features)).collect::<Result<Vec<_>>>()?;
    Ok(Graph { values: b.values, convs: b.convs, ops: b.ops, input, heads })
}

struct Builder<'a> {
    shapes: &'a dyn Shapes,
    values: Vec<Value>,
    convs: Vec<Conv>,
    ops: Vec<Op>,
}

impl Builder<'_> {
    fn value(&mut self, name: &str, channels: usize, stride: usize) -> ValueId {
        self.values.push(Value { name: name.to_owned(), channels, stride });
        ValueId(u32::try_from(self.values.len() - 1).expect("a network has few values"))
    }

    fn of(&self, id: ValueId) -> &Value {
        &self.values[id.index()]
    }

    fn conv(
        &mut self,
        name: &str,
        input: ValueId,
        kernel: usize,
        stride: usize,
        activation: Activation,
    ) -> Result<ValueId> {
        let (in_channels, in_stride) = (self.of(input).channels, self.of(input).stride);
        let weight = format!("{name}.weight");
        let shape = self.required(&weight)?;
        let &[out_channels, ..] = shape.as_slice() else {
            return Err(mismatch(&weight, &shape, "4 dimensions"));
        };
        if out_channels == 0 || shape[1..] != [in_channels, kernel, kernel] {
            let want = format!("[n, {in_channels}, {kernel}, {kernel}]");
            return Err(mismatch(&weight, &shape, &want));
        }
        let bias = format!("{name}.bias");
        let shape = self.required(&bias)?;
        if shape != [out_channels] {
            return Err(mismatch(&bias, &shape, &format!("[{out_channels}]")));
        }
        let output = self.value(name, out_channels, in_stride * stride);
        let conv = ConvId(u32::try_from(self.convs.len()).expect("a network has few convolutions"));
        self.convs.push(Conv {
            name: name.to_owned(),
            in_channels,
            out_channels,
            kernel,
            stride,
            activation,
        });
        self.ops.push(Op::Conv { conv, input, output });
        Ok(output)
    }

    fn required(&self, name: &str) -> Result<Vec<usize>> {
        self.shapes
            .shape(name)
            .ok_or_else(|| Error::new(ErrorKind::Architecture, format!("the model has no tensor {name:?}")))
    }

    fn concat(&mut self, name: &str, inputs: Vec<ValueId>) -> ValueId {
        let channels = inputs.iter().map(|&id| self.of(id).channels).sum();
        let stride = self.of(inputs[0]).stride;
        let output = self.value(name, channels, stride);
        self.ops.push(Op::Concat { inputs, output });
        output
    }

    fn upsample(&mut self, name: &str, input: ValueId) -> ValueId {
        let (channels, stride) = (self.of(input).channels, self.of(input).stride);
        let output = self.value(name, channels, stride / 2);
        self.ops.push(Op::Upsample { input, output });
        output
    }

    fn c2f(&mut self, prefix: &str, input: ValueId, shortcut: bool) -> Result<ValueId> {
        let both = self.conv(&format!("{prefix}.cv1"), input, 1, 1, Activation::Silu)?;
        let Value { channels, stride, .. } = *self.of(both);
        if channels % 2 != 0 {
            return Err(mismatch(&format!("{prefix}.cv1.weight"), &[channels], "an even channel count"));
        }
        let mut parts = Vec::new();
        for (half, start) in [0, channels / 2].into_iter().enumerate() {
            let output = self.value(&format!("{prefix}.split{half}"), channels / 2, stride);
            self.ops.push(Op::Slice { input: both, start, output });
            parts.push(output);
        }
        let mut depth = 0;
        while self.shapes.shape(&format!("{prefix}.m.{depth}.cv1.weight")).is_some() {
            let name = format!("{prefix}.m.{depth}");
            let x = parts[parts.len() - 1];
            let y = self.conv(&format!("{name}.cv1"), x, 3, 1, Activation::Silu)?;
            let mut y = self.conv(&format!("{name}.cv2"), y, 3, 1, Activation::Silu)?;
            if shortcut {
                if self.of(y).channels != channels / 2 {
                    return Err(mismatch(
                        &format!("{name}.cv2.weight"),
                        &[self.of(y).channels],
                        "the block's own channel count",
                    ));
                }
                let output = self.value(&format!("{name}.add"), channels / 2, stride);
                self.ops.push(Op::Add { a: x, b: y, output });
                y = output;
            }
            parts.push(y);
            depth += 1;
        }
        if depth == 0 {
            return Err(Error::new(
                ErrorKind::Architecture,
                format!("the model has no tensor \"{prefix}.m.0.cv1.weight\""),
            ));
        }
        let all = self.concat(&format!("{prefix}.concat"), parts);
        self.conv(&format!("{prefix}.cv2"), all, 1, 1, Activation::Silu)
    }

    fn sppf(&mut self, prefix: &str, input: ValueId) -> Result<ValueId> {
        let x = self.conv(&format!("{prefix}.cv1"), input, 1, 1, Activation::Silu)?;
        let Value { channels, stride, .. } = *self.of(x);
        let mut parts = vec![x];
        for i in 1..=3 {
            let output = self.value(&format!("{prefix}.pool{i}"), channels, stride);
            self.ops.push(Op::MaxPool { size: 5, input: parts[i - 1], output });
            parts.push(output);
        }
        let all = self.concat(&format!("{prefix}.concat"), parts);
        self.conv(&format!("{prefix}.cv2"), all, 1, 1, Activation::Silu)
    }

    /// Three convolutions: k3, k3, then 1x1 without activation.
    fn branch(&mut self, prefix: &str, input: ValueId, want: usize) -> Result<ValueId> {
        let x = self.conv(&format!("{prefix}.0"), input, 3, 1, Activation::Silu)?;
        let x = self.conv(&format!("{prefix}.1"), x, 3, 1, Activation::Silu)?;
        let x = self.conv(&format!("{prefix}.2"), x, 1, 1, Activation::Identity)?;
        let channels = self.of(x).channels;
        if channels != want {
            let name = format!("{prefix}.2.weight");
            return Err(mismatch(&name, &[channels], &format!("{want} output channels")));
        }
        Ok(x)
    }

    fn head(&mut self, spec: &HeadSpec, features: &[ValueId]) -> Result<Head> {
        let mut levels = Vec::with_capacity(features.len());
        for (i, &feature) in features.iter().enumerate() {
            let name = &spec.name;
            let classes = self.branch(&format!("{name}.cv3.{i}"), feature, spec.classes.len())?;
            let boxes = self.branch(&format!("{name}.cv2.{i}"), feature, 4 * DFL_BINS)?;
            let keypoints = match spec.keypoints {
                0 => None,
                n => Some(self.branch(&format!("{name}.cv4.{i}"), feature, 3 * n)?),
            };
            levels.push(HeadLevel { stride: self.of(feature).stride, classes, boxes, keypoints });
        }
        Ok(Head { name: spec.name.clone(), classes: spec.classes.clone(), keypoints: spec.keypoints, levels })
    }
}

fn mismatch(name: &str, shape: &[usize], want: &str) -> Error {
    Error::new(
        ErrorKind::Architecture,
        format!("tensor {name:?} has shape {shape:?}, the network needs {want}"),
    )
}
