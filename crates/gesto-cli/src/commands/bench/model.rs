//! `gesto bench model`: the network alone, from an 8-bit picture at its size to raw candidates.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use gesto_engine::isa::Detected;
use gesto_engine::{HeadMode, Isa, Model, Network, Options};
use serde::Serialize;

use super::layers::{self, Layer};
use crate::console::{self, Console};
use crate::json;
use crate::output;
use crate::values::{self, Size};
use crate::weights;

/// A webcam frame with two people, one of them showing a gesture, at 320 x 224. Boxes and keypoints are computed only
/// around what is found, so the picture matters.
const PICTURE: &[u8] = include_bytes!("../../../../gesto-engine/tests/golden/two-people-320x224.png");

/// Thresholds of the hand and the body head, as `gesto detect` has them.
const DETECTOR_THRESHOLD: f32 = 0.3;
const POSE_THRESHOLD: f32 = 0.5;

/// Time the network alone
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Network inputs to measure
    #[arg(long, value_name = "HxW", default_values = ["320x224", "256x128"], num_args = 1.., value_delimiter = ',')]
    size: Vec<Size>,

    /// Numbers of threads to measure
    #[arg(long, value_name = "N", default_values_t = [1, 2], num_args = 1.., value_delimiter = ',', value_parser = values::threads)]
    threads: Vec<usize>,

    /// Kernel tiers to measure; default: the best, or what GESTO_ISA says
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',')]
    isa: Vec<Isa>,

    /// One frame split over the threads, or one frame a thread
    #[arg(long, value_enum, default_value_t = Mode::Latency)]
    mode: Mode,

    /// Compute boxes and keypoints at every anchor point
    #[arg(long)]
    dense: bool,

    /// Model to measure instead of the embedded one
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,

    /// Frames to time for each figure
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    frames: u32,

    /// Also give each layer's time and its share of the ceiling, computed everywhere on one thread
    #[arg(long)]
    layers: bool,

    /// Write one JSON line for each figure to a file, or `-` for standard output instead of the table
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// One frame at a time, split over the threads
    Latency,
    /// As many frames at a time as threads
    Throughput,
}

/// One line of the result.
#[derive(Debug, Serialize)]
struct Figure {
    isa: Isa,
    threads: usize,
    size: String,
    mode: Mode,
    dense: bool,
    frames: usize,
    median_ms: f64,
    p99_ms: f64,
    fps: f64,
    /// Work really done, lazy branches counted where they ran.
    gflops: f64,
    /// Of what the same threads do with multiply instructions on registers alone, measured before and after.
    percent_of_ceiling: f64,
    candidates: usize,
    /// With `--layers`: those of this tier and size.
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<Vec<Layer>>,
}

pub(crate) fn run(args: &Args, console: &Console) -> anyhow::Result<ExitCode> {
    output::refuse_overwriting(json::file(args.json.as_deref()).as_slice(), args.model.as_slice())?;
    let model = weights::load(args.model.as_deref())?;
    let tiers = tiers(&args.isa, console)?;
    let json = args.json.as_deref();
    let mut lines = json::Lines::open(json)?;
    let table = !json::on_stdout(json);
    // Printed before the first row, so that nothing stands on standard output when nothing can be measured.
    let mut head = table.then(head);
    for &isa in &tiers {
        for &size in &args.size {
            let layers = args.layers.then(|| layers(&model, args, size, isa)).transpose()?;
            for &threads in &args.threads {
                let mut figure = measure(&model, args, size, threads, isa)?;
                figure.layers.clone_from(&layers);
                lines.push(&figure)?;
                if table {
                    head.take().map(console::print).transpose()?;
                    console::print(row(&figure))?;
                }
            }
            if table {
                let time = startup(args, size, isa)?.as_secs_f64() * 1e3;
                console::print(format_args!(
                    "{:12} {:>10} start to first result {time:.1} ms, one thread",
                    "",
                    size.to_string()
                ))?;
                layers.map(|layers| layers::print(&layers, size)).transpose()?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Those of the chosen tiers that this machine has, the others being named; `None` leaves the choice to the engine.
fn tiers(chosen: &[Isa], console: &Console) -> anyhow::Result<Vec<Option<Isa>>> {
    if chosen.is_empty() {
        return Ok(vec![None]);
    }
    let lacks = |isa: Isa| Detected::get().missing(isa).map(|why| format!("{isa} skipped: {why}"));
    let skipped: Vec<String> = chosen.iter().copied().filter_map(lacks).collect();
    ensure!(skipped.len() < chosen.len(), "nothing to measure: {}", skipped.join("; "));
    skipped.iter().for_each(|why| console.note(why));
    Ok(chosen.iter().copied().filter(|isa| lacks(*isa).is_none()).map(Some).collect())
}

fn head() -> String {
    format!(
        "{:12} {:>10} {:>7} {:>9} {:>9} {:>9} {:>9} {:>10}",
        "kernels", "size", "threads", "median", "p99", "frames/s", "GFLOP/s", "of ceiling"
    )
}

fn row(figure: &Figure) -> String {
    format!(
        "{:12} {:>10} {:>7} {:>6.3} ms {:>6.3} ms {:>9.0} {:>9.0} {:>8.0} %",
        figure.isa.name(),
        figure.size,
        figure.threads,
        figure.median_ms,
        figure.p99_ms,
        figure.fps,
        figure.gflops,
        figure.percent_of_ceiling
    )
}

fn network(
    model: &Model,
    args: &Args,
    size: Size,
    threads: usize,
    isa: Option<Isa>,
) -> anyhow::Result<Network> {
    let mut options = Options::default();
    options.threads = threads;
    options.isa = isa;
    options.heads = if args.dense { HeadMode::Dense } else { HeadMode::Lazy };
    let mut network = Network::new(model, size.height, size.width, &options)?;
    fill(&mut network)?;
    Ok(network)
}

/// From the model's bytes to the first result: read, planned, packed, one frame.
fn startup(args: &Args, size: Size, isa: Option<Isa>) -> anyhow::Result<Duration> {
    let begin = Instant::now();
    let model = weights::load(args.model.as_deref())?;
    let mut network = network(&model, args, size, 1, isa)?;
    let thresholds = thresholds(&network);
    network.run(&thresholds);
    Ok(begin.elapsed())
}

/// Puts the picture into a network, nearest neighbour where the size differs.
fn fill(network: &mut Network) -> anyhow::Result<()> {
    let mut decoder = png::Decoder::new(io::Cursor::new(PICTURE));
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info()?;
    let mut picture = vec![0; reader.output_buffer_size().context("the picture is too large")?];
    let info = reader.next_frame(&mut picture)?;
    let (from_height, from_width) = (info.height as usize, info.width as usize);
    let (height, width) = (network.height(), network.width());
    for (i, to) in network.input_mut().as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let (y, x) = (i / width * from_height / height, i % width * from_width / width);
        *to = picture.as_chunks::<3>().0[y * from_width + x];
    }
    Ok(())
}

fn measure(
    model: &Model,
    args: &Args,
    size: Size,
    threads: usize,
    isa: Option<Isa>,
) -> anyhow::Result<Figure> {
    let team = if args.mode == Mode::Latency { threads } else { 1 };
    let mut network = network(model, args, size, team, isa)?;
    let thresholds = thresholds(&network);
    let before = ceiling(&network, threads);
    let frames = args.frames as usize;
    let (mut times, wall) = match args.mode {
        Mode::Latency => time(&mut network, &thresholds, frames, None),
        Mode::Throughput => throughput(&mut network, &thresholds, frames, threads)?,
    };
    let after = ceiling(&network, threads);
    times.sort();
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let median = millis(times[times.len() / 2]);
    let fps = match args.mode {
        Mode::Latency => 1e3 / median,
        Mode::Throughput => times.len() as f64 / wall.as_secs_f64(),
    };
    let candidates = {
        let outputs = network.run(&thresholds);
        (0..thresholds.len()).map(|head| outputs.head(head).candidates().len()).sum()
    };
    let flops = fps * 2.0 * network.macs_of_last_frame() as f64;
    Ok(Figure {
        isa: network.isa(),
        threads,
        size: size.to_string(),
        mode: args.mode,
        dense: args.dense,
        frames: times.len(),
        median_ms: median,
        p99_ms: millis(times[(times.len() * 99).div_ceil(100) - 1]),
        fps,
        gflops: flops * 1e-9,
        percent_of_ceiling: 100.0 * flops / ((before + after) / 2.0),
        candidates,
        layers: None,
    })
}

/// One a head.
fn thresholds(network: &Network) -> Vec<f32> {
    let heads = network.heads().iter();
    heads.map(|head| if head.keypoints == 0 { DETECTOR_THRESHOLD } else { POSE_THRESHOLD }).collect()
}

/// Frames one after the other, after a tenth as many to warm up. `start` is passed before the first counted one.
fn time(
    network: &mut Network,
    thresholds: &[f32],
    frames: usize,
    start: Option<&Barrier>,
) -> (Vec<Duration>, Duration) {
    for _ in 0..frames.div_ceil(10) {
        network.run(thresholds);
    }
    if let Some(start) = start {
        start.wait();
    }
    let begin = Instant::now();
    let times = (0..frames)
        .map(|_| {
            let start = Instant::now();
            network.run(thresholds);
            start.elapsed()
        })
        .collect();
    (times, begin.elapsed())
}

/// `threads` networks that share their weights, each with frames of its own.
fn throughput(
    network: &mut Network,
    thresholds: &[f32],
    frames: usize,
    threads: usize,
) -> anyhow::Result<(Vec<Duration>, Duration)> {
    let mut forks = (1..threads).map(|_| network.fork(1)).collect::<Vec<_>>();
    forks.iter_mut().try_for_each(fill)?;
    let start = Barrier::new(threads);
    let results = std::thread::scope(|scope| {
        let workers: Vec<_> = forks
            .iter_mut()
            .chain([network])
            .map(|network| scope.spawn(|| time(network, thresholds, frames, Some(&start))))
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("a benchmark thread panicked"))
            .collect::<Vec<_>>()
    });
    let wall = results.iter().map(|(_, wall)| *wall).max().unwrap_or_default();
    Ok((results.into_iter().flat_map(|(times, _)| times).collect(), wall))
}

/// Operations a second of `threads` cores at once.
fn ceiling(network: &Network, threads: usize) -> f64 {
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| network.ceiling())).collect();
        workers.into_iter().map(|worker| worker.join().expect("a benchmark thread panicked")).sum()
    })
}

/// Each step alone.
fn layers(model: &Model, args: &Args, size: Size, isa: Option<Isa>) -> anyhow::Result<Vec<Layer>> {
    Ok(layers::measure(&mut network(model, args, size, 1, isa)?))
}
