//! Times pure-Rust ONNX runtimes on one network, batch 1, in the keys of `gesto bench model`.
//!
//! One JSON line per peer. Only the network is timed: the input is ready as f32, and nothing is decoded.

mod input;
mod measure;
mod rten_peer;
mod tract_peer;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use serde::Serialize;

use crate::input::Input;
use crate::measure::{Times, measure};

#[derive(Parser)]
#[command(about = "Times rten and tract on an ONNX file; one JSON line per peer")]
struct Args {
    /// Network with f32 weights, input 1x3xHxW, outputs `hand` and `body`.
    model: PathBuf,
    /// Runtimes to time.
    #[arg(long, value_delimiter = ',', default_values = ["rten", "tract"])]
    peer: Vec<Peer>,
    /// Threads of each runtime.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Network height x width.
    #[arg(long, default_value = "320x224", value_parser = input::parse_size)]
    size: (usize, usize),
    /// PNG of exactly the network's size (default: random pixels).
    #[arg(long)]
    image: Option<PathBuf>,
    /// Timed runs.
    #[arg(long, default_value_t = 80)]
    runs: usize,
    /// Runs before the clock starts.
    #[arg(long, default_value_t = 20)]
    warmup: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Peer {
    Rten,
    Tract,
}

/// A runtime with the network loaded: each call runs it once and returns the `hand` and `body` outputs.
type Network = Box<dyn FnMut() -> Result<[Vec<f32>; 2]>>;

#[derive(Serialize)]
struct Report {
    peer: &'static str,
    isa: &'static str,
    threads: usize,
    size: String,
    #[serde(flatten)]
    times: Times,
    /// Highest class probabilities: runtimes that compute the same network agree on them.
    hand_best: f32,
    body_best: f32,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let (height, width) = args.size;
    let input = match &args.image {
        Some(path) => Input::from_png(path, height, width)?,
        None => Input::random(height, width),
    };
    for peer in &args.peer {
        let (name, mut network) = match peer {
            Peer::Rten => ("rten", rten_peer::load(&args.model, &input, args.threads)),
            Peer::Tract => ("tract", tract_peer::load(&args.model, &input, args.threads)),
        };
        let network = network.as_mut().map_err(|e| anyhow::anyhow!("{name}: {e:#}"))?;
        let [hand, body] = network().context(name)?;
        let anchors = input::anchors(height, width);
        let times = measure(args.warmup, args.runs, || network().map(drop)).context(name)?;
        let report = Report {
            peer: name,
            isa: measure::widest_isa(),
            threads: args.threads,
            size: format!("{height}x{width}"),
            times,
            hand_best: input::best(&hand, anchors, 4..23)?,
            body_best: input::best(&body, anchors, 4..5)?,
        };
        println!("{}", serde_json::to_string(&report)?);
    }
    Ok(())
}
