//! `gesto model info`: the network layer by layer, and the kernel that runs each here.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use gesto_engine::model::{Graph, Op, ValueId};
use gesto_engine::network::StepInfo;
use gesto_engine::{Model, Network, Options};
use serde::Serialize;

use crate::console::{self, counted};
use crate::values::Size;
use crate::weights;

/// Print layers, shapes, multiply-accumulates, parameters and kernels
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Model to look into instead of the embedded one
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,

    /// Network input for which shapes and work are given
    #[arg(long, value_name = "HxW", default_value = "320x224", allow_hyphen_values = true)]
    size: Size,

    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let model = weights::load(args.model.as_deref())?;
    let network = Network::new(&model, args.size.height, args.size.width, &Options::default())?;
    let info = Info::new(&model, args.size, &network);
    let mut out = console::stdout();
    if args.json {
        serde_json::to_writer(&mut out, &info).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        info.print(&mut out)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What is known of a model at one input size.
#[derive(Debug, Serialize)]
struct Info<'a> {
    height: usize,
    width: usize,
    parameters: usize,
    /// Multiply-accumulates of one frame with every branch computed everywhere.
    macs: usize,
    anchor_points: usize,
    /// The instruction set whose kernels run.
    isa: &'static str,
    /// Maps with a scale for 8-bit kernels; 0 when the model is not quantised.
    scaled_maps: usize,
    heads: Vec<HeadInfo<'a>>,
    metadata: BTreeMap<&'a str, &'a str>,
    layers: Vec<Layer<'a>>,
}

#[derive(Debug, Serialize)]
struct HeadInfo<'a> {
    name: &'a str,
    classes: &'a [String],
    keypoints: usize,
}

/// One operation of the graph.
#[derive(Debug, Serialize)]
struct Layer<'a> {
    name: &'a str,
    op: String,
    /// Channels, height, width of each map read.
    inputs: Vec<[usize; 3]>,
    /// Channels, height, width of the map written.
    output: [usize; 3],
    parameters: usize,
    macs: usize,
    /// What runs it; none for a view into another map and for work done within a neighbour's kernel.
    kernel: Option<String>,
    /// Computed only around anchor points whose class passes its threshold.
    lazy: bool,
}

impl<'a> Info<'a> {
    fn new(model: &'a Model, size: Size, network: &Network) -> Self {
        let graph = model.graph();
        let steps = network.steps();
        let Size { height, width } = size;
        // What is told elsewhere: the heads, and one scale for each map.
        let told = ["heads", "activation_scales"];
        let metadata = model.metadata().iter().filter(|(key, _)| !told.contains(&key.as_str()));
        Self {
            height,
            width,
            parameters: graph.parameters(),
            macs: graph.macs(height, width),
            anchor_points: graph.anchor_points(height, width),
            isa: network.isa().name(),
            scaled_maps: model.activation_scales().map_or(0, |scales| scales.len()),
            heads: graph
                .heads
                .iter()
                .map(|head| HeadInfo { name: &head.name, classes: &head.classes, keypoints: head.keypoints })
                .collect(),
            metadata: metadata.map(|(key, value)| (key.as_str(), value.as_str())).collect(),
            layers: graph.ops.iter().map(|op| Layer::new(graph, op, size, &steps)).collect(),
        }
    }

    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let width = self.layers.iter().map(|layer| layer.name.len()).max().unwrap_or(0);
        writeln!(
            out,
            "{:width$}  {:14} {:>14} {:>14} {:>10} {:>12}  kernel",
            "layer", "op", "input", "output", "parameters", "MACs"
        )?;
        for layer in &self.layers {
            let input = match layer.inputs.as_slice() {
                [one] => shape(*one),
                many => format!("{} maps", many.len()),
            };
            writeln!(
                out,
                "{:width$}  {:14} {input:>14} {:>14} {:>10} {:>12}  {}{}",
                layer.name,
                layer.op,
                shape(layer.output),
                layer.parameters,
                layer.macs,
                layer.kernel.as_deref().unwrap_or("-"),
                if layer.lazy { ", lazy" } else { "" }
            )?;
        }
        writeln!(
            out,
            "\n-: a view into another map, or done within a neighbour's kernel; lazy: only around anchor points whose class \
             passes its threshold\n"
        )?;
        for head in &self.heads {
            write!(out, "head {}: {}", head.name, counted(head.classes.len() as u64, "class", "classes"))?;
            if head.keypoints > 0 {
                write!(out, ", {} keypoints", head.keypoints)?;
            }
            writeln!(out, " ({})", head.classes.join(", "))?;
        }
        writeln!(
            out,
            "{} x {}: {:.3} GMAC a frame, {} anchor points, {:.3} M parameters, {} kernels",
            self.height,
            self.width,
            self.macs as f64 / 1e9,
            self.anchor_points,
            self.parameters as f64 / 1e6,
            self.isa
        )?;
        match self.scaled_maps {
            0 => writeln!(out, "not quantised: `gesto model quantize` finds scales for 8-bit kernels"),
            maps => writeln!(
                out,
                "quantised: {maps} maps have scales for 8-bit kernels (--isa amx-int8, avx512-vnni)"
            ),
        }
    }
}

impl<'a> Layer<'a> {
    fn new(graph: &'a Graph, op: &Op, size: Size, steps: &[StepInfo]) -> Self {
        let shape = |id: ValueId| {
            let value = graph.value(id);
            [value.channels, size.height / value.stride, size.width / value.stride]
        };
        let output = shape(op.output());
        let (text, inputs, parameters, macs) = match op {
            Op::Conv { conv, input, .. } => {
                let conv = graph.conv(*conv);
                let text = format!("conv {0}x{0} /{1}", conv.kernel, conv.stride);
                let macs = conv.macs_per_cell() * output[1] * output[2];
                (text, vec![shape(*input)], conv.parameters(), macs)
            }
            Op::Add { a, b, .. } => ("add".to_owned(), vec![shape(*a), shape(*b)], 0, 0),
            Op::Slice { input, start, .. } => (format!("slice from {start}"), vec![shape(*input)], 0, 0),
            Op::Concat { inputs, .. } => {
                ("concat".to_owned(), inputs.iter().map(|&id| shape(id)).collect(), 0, 0)
            }
            Op::Upsample { input, .. } => ("upsample x2".to_owned(), vec![shape(*input)], 0, 0),
            Op::MaxPool { size, input, .. } => (format!("max pool {size}x{size}"), vec![shape(*input)], 0, 0),
        };
        let name = graph.value(op.output()).name.as_str();
        let (kernel, lazy) = match op {
            Op::Conv { .. } => kernel(steps, name),
            // The plan runs a chain of pools as one step.
            Op::MaxPool { .. } => (steps.iter().find(|s| s.macs == 0).map(|s| s.kernel.clone()), false),
            _ => (None, false),
        };
        Self { name, op: text, inputs, output, parameters, macs, kernel, lazy }
    }
}

/// The kernel of a convolution. A step may compute several convolutions at once, and one over a concatenation may be
/// several steps, one for each part.
fn kernel(steps: &[StepInfo], name: &str) -> (Option<String>, bool) {
    let mut steps = steps.iter().filter(|step| step.name.split(" + ").any(|part| part == name)).peekable();
    let lazy = steps.peek().is_some_and(|step| step.lazy);
    let mut kernels: Vec<&str> = steps.map(|step| step.kernel.as_str()).collect();
    kernels.dedup();
    (Some(kernels.join(" + ")).filter(|kernels| !kernels.is_empty()), lazy)
}

fn shape([channels, height, width]: [usize; 3]) -> String {
    format!("{channels}x{height}x{width}")
}
