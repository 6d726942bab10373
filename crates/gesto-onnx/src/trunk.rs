//! The graph's operations, one ONNX node or a few for each.

use gesto_engine::Model;
use gesto_engine::model::{Activation, ConvId, Op, ValueId};

use crate::Precision;
use crate::builder::{Attribute, GraphBuilder};
use crate::proto::DataType;

/// Names of the graph's values in the file.
#[derive(Debug)]
pub(crate) struct Names(Vec<String>);

impl std::ops::Index<ValueId> for Names {
    type Output = str;

    fn index(&self, id: ValueId) -> &str {
        &self.0[id.index()]
    }
}

/// Appends every operation of the model's graph; its input is the value called `input`.
pub(crate) fn append(nodes: &mut GraphBuilder, model: &Model, precision: Precision, input: &str) -> Names {
    let graph = model.graph();
    let mut names: Vec<String> = graph.values.iter().map(|value| value.name.clone()).collect();
    names[graph.input.index()] = input.to_owned();
    let names = Names(names);
    for op in &graph.ops {
        let output = &names[op.output()];
        match op {
            Op::Conv { conv, input, .. } => {
                convolution(nodes, model, *conv, &names[*input], output, precision)
            }
            Op::Add { a, b, .. } => {
                nodes.node("Add", output, &[&names[*a], &names[*b]], &[]);
            }
            Op::Slice { input, start, .. } => {
                let end = start + graph.value(op.output()).channels;
                let starts = nodes.indices(&format!("{output}.start"), &[*start as i64]);
                let ends = nodes.indices(&format!("{output}.end"), &[end as i64]);
                let axes = nodes.indices(&format!("{output}.axis"), &[1]);
                nodes.node("Slice", output, &[&names[*input], &starts, &ends, &axes], &[]);
            }
            Op::Concat { inputs, .. } => {
                let inputs: Vec<&str> = inputs.iter().map(|&id| &names[id]).collect();
                nodes.node("Concat", output, &inputs, &[("axis", Attribute::Int(1))]);
            }
            Op::Upsample { input, .. } => {
                let scales = nodes.floats(&format!("{output}.scales"), &[4], &[1.0, 1.0, 2.0, 2.0]);
                // With these two modes output cell `i` reads input cell `floor(i / 2)`.
                let attributes = [
                    ("mode", Attribute::Text("nearest")),
                    ("coordinate_transformation_mode", Attribute::Text("asymmetric")),
                    ("nearest_mode", Attribute::Text("floor")),
                ];
                nodes.node("Resize", output, &[&names[*input], "", &scales], &attributes);
            }
            Op::MaxPool { size, input, .. } => {
                let (size, reach) = (*size as i64, *size as i64 / 2);
                let attributes = [
                    ("kernel_shape", Attribute::Ints(vec![size; 2])),
                    ("pads", Attribute::Ints(vec![reach; 4])),
                    ("strides", Attribute::Ints(vec![1; 2])),
                ];
                nodes.node("MaxPool", output, &[&names[*input]], &attributes);
            }
        }
    }
    names
}

fn convolution(
    nodes: &mut GraphBuilder,
    model: &Model,
    id: ConvId,
    input: &str,
    output: &str,
    precision: Precision,
) {
    let conv = model.graph().conv(id);
    let weights = model.weights(id);
    let shape = [conv.out_channels, conv.in_channels, conv.kernel, conv.kernel];
    let name = format!("{}.weight", conv.name);
    let weight = match precision {
        Precision::F32 => nodes.floats(&name, &shape, &weights.weight),
        Precision::F16 => {
            let stored = nodes.halves(&format!("{name}.f16"), &shape, &weights.weight);
            nodes.node("Cast", &name, &[&stored], &[("to", Attribute::Int(DataType::Float as i64))])
        }
    };
    let bias = nodes.floats(&format!("{}.bias", conv.name), &[conv.out_channels], &weights.bias);
    let attributes = [
        ("kernel_shape", Attribute::Ints(vec![conv.kernel as i64; 2])),
        ("pads", Attribute::Ints(vec![conv.kernel as i64 / 2; 4])),
        ("strides", Attribute::Ints(vec![conv.stride as i64; 2])),
    ];
    match conv.activation {
        Activation::Identity => {
            nodes.node("Conv", output, &[input, &weight, &bias], &attributes);
        }
        Activation::Silu => {
            let x = nodes.node("Conv", &format!("{output}.conv"), &[input, &weight, &bias], &attributes);
            let gate = nodes.node("Sigmoid", &format!("{output}.sigmoid"), &[&x], &[]);
            nodes.node("Mul", output, &[&x, &gate], &[]);
        }
    }
}
