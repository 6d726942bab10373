//! Collects nodes and constants under unique names.

use std::collections::HashSet;

use half::f16;

use crate::error::{Error, ErrorKind, Result};
use crate::proto::{
    AttributeProto, AttributeType, DataType, Dimension, GraphProto, NodeProto, TensorProto, TensorShape,
    TensorType, TypeProto, ValueInfo,
};

/// A graph under construction. Every node has one output, and the node's name is the output's.
#[derive(Debug, Default)]
pub(crate) struct GraphBuilder {
    graph: GraphProto,
}

/// An attribute's value.
#[derive(Debug, Clone)]
pub(crate) enum Attribute {
    Int(i64),
    Ints(Vec<i64>),
    Text(&'static str),
}

impl GraphBuilder {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Declares an f32 input of the file.
    pub(crate) fn input(&mut self, name: &str, shape: &[usize]) {
        self.graph.input.push(value_info(name, shape));
    }

    /// Declares an f32 output of the file; a node of that name gives it.
    pub(crate) fn output(&mut self, name: &str, shape: &[usize]) {
        self.graph.output.push(value_info(name, shape));
    }

    /// Declares an output of 64-bit integers.
    pub(crate) fn output_indices(&mut self, name: &str, shape: &[usize]) {
        self.graph.output.push(typed_value_info(name, shape, DataType::Int64));
    }

    /// Appends a node; gives back `name`, the name of its output.
    pub(crate) fn node(
        &mut self,
        operator: &str,
        name: &str,
        inputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) -> String {
        self.push(operator, name, inputs, attributes, &[name]);
        name.to_owned()
    }

    /// A `Split` along `axis` into parts of the given `lengths`, named `name.0`, `name.1`, ...
    pub(crate) fn split<const N: usize>(
        &mut self,
        name: &str,
        input: &str,
        axis: i64,
        lengths: [i64; N],
    ) -> [String; N] {
        let parts: [String; N] = std::array::from_fn(|i| format!("{name}.{i}"));
        let lengths = self.indices(&format!("{name}.lengths"), &lengths);
        let outputs: Vec<&str> = parts.iter().map(String::as_str).collect();
        self.push("Split", name, &[input, &lengths], &[("axis", Attribute::Int(axis))], &outputs);
        parts
    }

    fn push(
        &mut self,
        operator: &str,
        name: &str,
        inputs: &[&str],
        attributes: &[(&str, Attribute)],
        outputs: &[&str],
    ) {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        self.graph.node.push(NodeProto {
            input: owned(inputs),
            output: owned(outputs),
            name: name.to_owned(),
            op_type: operator.to_owned(),
            attribute: attributes.iter().map(|(name, value)| attribute(name, value)).collect(),
        });
    }

    /// A constant of f32.
    pub(crate) fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, shape, DataType::Float, bytes, values.len())
    }

    /// A constant of 16-bit floats, rounded to nearest even.
    pub(crate) fn halves(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        let bytes = values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect();
        self.constant(name, shape, DataType::Float16, bytes, values.len())
    }

    /// A constant list of integers: shapes, axes, lengths.
    pub(crate) fn indices(&mut self, name: &str, values: &[i64]) -> String {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, &[values.len()], DataType::Int64, bytes, values.len())
    }

    fn constant(
        &mut self,
        name: &str,
        shape: &[usize],
        data_type: DataType,
        raw_data: Vec<u8>,
        count: usize,
    ) -> String {
        assert_eq!(shape.iter().product::<usize>(), count, "{name}: as many numbers as the shape says");
        self.graph.initializer.push(TensorProto {
            dims: shape.iter().map(|&n| n as i64).collect(),
            data_type: data_type.into(),
            name: name.to_owned(),
            raw_data,
        });
        name.to_owned()
    }

    /// The finished graph.
    ///
    /// # Errors
    /// [`ErrorKind::Name`] when two values share a name: names of heads and layers come from the model file.
    pub(crate) fn finish(mut self, name: &str) -> Result<GraphProto> {
        let graph = &self.graph;
        let mut seen = HashSet::new();
        let names = graph.input.iter().map(|input| &input.name);
        let names = names.chain(graph.initializer.iter().map(|constant| &constant.name));
        let mut names = names.chain(graph.node.iter().flat_map(|node| &node.output));
        if let Some(twice) = names.find(|name| name.is_empty() || !seen.insert(name.as_str())) {
            let message = format!(
                "the model's names give an ONNX file two values called {twice:?}, or one without a name"
            );
            return Err(Error::new(ErrorKind::Name, message));
        }
        self.graph.name = name.to_owned();
        Ok(self.graph)
    }
}

fn attribute(name: &str, value: &Attribute) -> AttributeProto {
    let mut proto = AttributeProto { name: name.to_owned(), ..Default::default() };
    match value {
        Attribute::Int(i) => {
            proto.i = Some(*i);
            proto.set_type(AttributeType::Int);
        }
        Attribute::Ints(ints) => {
            proto.ints.clone_from(ints);
            proto.set_type(AttributeType::Ints);
        }
        Attribute::Text(text) => {
            proto.s = Some(text.as_bytes().to_vec());
            proto.set_type(AttributeType::String);
        }
    }
    proto
}

fn value_info(name: &str, shape: &[usize]) -> ValueInfo {
    typed_value_info(name, shape, DataType::Float)
}

fn typed_value_info(name: &str, shape: &[usize], data_type: DataType) -> ValueInfo {
    let dim = shape.iter().map(|&n| Dimension { dim_value: Some(n as i64) }).collect();
    let tensor = TensorType { elem_type: data_type.into(), shape: Some(TensorShape { dim }) };
    ValueInfo { name: name.to_owned(), r#type: Some(TypeProto { tensor_type: Some(tensor) }) }
}
