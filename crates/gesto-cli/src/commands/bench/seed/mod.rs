//! `gesto bench seed`: every experiment of the seed on this machine, its figure beside ours.

mod chart;
mod crowd;
mod experiments;
mod measure;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use gesto::unit::Adapter;
use gesto_engine::isa::{Detected, Wish};
use serde::Serialize;

use super::frame::CameraFrame;
use crate::console::{self, Console};
use crate::interrupt::{self, EXIT_INTERRUPTED};
use crate::json;
use crate::machine::Machine;
use crate::output::{self, OutputFile};
use crate::values;
use crate::weights;
use experiments::{Experiment, experiments};
use measure::{Bench, Figure, Outcome};

/// Run every experiment of the seed, the iPhone system that gesto rebuilds, its figures beside ours
///
/// The seed is a published system: a two-head network in the style of YOLOv8n on the CPU, GPU and NPU of an iPhone 13, whose
/// experiments are repeated here.
///
/// From a 1080 x 1920 BGRA frame in memory, the same on every machine, stretched to the network's input. What a row times is
/// in its name: one stage, or everything to the final detections. `fps` is 1000 over the median. Rows that this machine
/// cannot run say why. Ctrl-C ends it after the row at work, and keeps what was measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Threads that share a frame, the seed's processor having two fast cores
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = values::threads)]
    threads: usize,

    /// Frames to time for each figure
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(3..=1_000_000))]
    frames: u32,

    /// A few frames for each figure: shows that everything runs, and little more
    #[arg(long, conflicts_with = "frames")]
    quick: bool,

    /// Only these rows of the seed's table
    #[arg(long, value_name = "ROW", num_args = 1.., value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=14))]
    rows: Vec<u32>,

    /// The graphics processor: a part of its name, or its number in `gesto units` [default: the fastest kind]
    #[arg(long, value_name = "ADAPTER")]
    gpu: Option<String>,

    /// Try the variants of a GPU's kernels before each of its figures, and keep the fastest; takes up to half a minute each
    #[arg(long)]
    tune: bool,

    /// Measure a graphics processor that is software on the CPU, too
    #[arg(long)]
    software_gpu: bool,

    /// ONNX Runtime's library [default: what ORT_DYLIB_PATH names, else beside the program or in the usual folders]
    #[arg(long, value_name = "FILE")]
    ort_library: Option<PathBuf>,

    /// Model to measure instead of the embedded one
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,

    /// Write the rows as JSON to a file, or `-` for standard output instead of the table
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,

    /// Write a bar chart: SVG, or PNG by the file's ending
    #[arg(long, value_name = "FILE.svg|png")]
    chart: Option<PathBuf>,
}

/// One row of the result.
#[derive(Debug, Serialize)]
struct Row {
    row: u32,
    name: &'static str,
    unit: String,
    /// Height and width of the network's input.
    size: String,
    fps: Option<f64>,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    seed_fps: Option<f64>,
    /// Why this machine cannot run it.
    skipped: Option<String>,
}

impl Row {
    fn new(experiment: &Experiment, figure: Figure) -> Self {
        let (times, skipped) = match figure.outcome {
            Outcome::Measured(samples) => {
                (Some((samples.percentile_ms(0.5), samples.percentile_ms(0.99))), None)
            }
            Outcome::Skipped(why) => (None, Some(why)),
        };
        // A stage shorter than the clock's tick has no rate.
        let fps = times.map(|(median, _)| 1e3 / median.max(1e-6));
        Self {
            row: experiment.row,
            name: experiment.name,
            unit: figure.unit,
            size: experiment.size.to_string(),
            fps,
            p50_ms: times.map(|(median, _)| median),
            p99_ms: times.map(|(_, p99)| p99),
            seed_fps: experiment.seed_fps,
            skipped,
        }
    }
}

/// The JSON file.
#[derive(Debug, Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    /// Height x width of the frame, and its format.
    frame: &'static str,
    threads: usize,
    frames: usize,
    /// Whether all rows that were asked for are there; not after Ctrl-C or an error.
    complete: bool,
    rows: &'a [Row],
}

/// No figure takes longer than this many seconds.
const LIMIT: f64 = 3.0;

pub(crate) fn run(args: &Args, console: &Console) -> anyhow::Result<ExitCode> {
    let written: Vec<_> = json::file(args.json.as_deref()).into_iter().chain(args.chart.as_deref()).collect();
    output::ensure_distinct(&written)?;
    let read: Vec<_> = args.model.iter().chain(&args.ort_library).cloned().collect();
    output::refuse_overwriting(&written, &read)?;
    let json = json::Report::open(args.json.as_deref())?;
    let chart = args.chart.as_deref().map(Chart::open).transpose()?;
    let wish = Wish::from_env()?;
    // A tier that is forced and missing is an error, as for every command.
    Detected::get().best(&wish)?;
    let adapter = adapter(args.gpu.as_deref());
    let machine = Machine::new(&adapter);
    let bench = Bench {
        camera: CameraFrame::new()?,
        model: weights::load(args.model.as_deref())?,
        threads: args.threads,
        frames: if args.quick { 3 } else { args.frames as usize },
        limit: Duration::from_secs_f64(if args.quick { 0.2 } else { LIMIT }),
        tune: args.tune,
        software_gpu: args.software_gpu,
        adapter,
        ort_library: args.ort_library.clone(),
        wish,
    };
    interrupt::install()?;
    let mut rows = Vec::new();
    let measured = measure(args, &bench, &mut rows);
    // What was measured is written, whatever stopped the rest and whatever becomes of the other file.
    let written = if rows.is_empty() && measured.is_err() {
        Ok(())
    } else {
        let report = Report {
            machine: &machine,
            frame: "1920x1080 BGRA",
            threads: args.threads,
            frames: bench.frames,
            complete: measured.is_ok() && !interrupt::requested(),
            rows: &rows,
        };
        let written = json.write(&report);
        chart.map_or(Ok(()), |chart| chart.write(&report, console)).and(written)
    };
    measured?;
    written?;
    Ok(if interrupt::requested() { ExitCode::from(EXIT_INTERRUPTED) } else { ExitCode::SUCCESS })
}

/// Runs the experiments that are asked for, until Ctrl-C, and prints each.
fn measure(args: &Args, bench: &Bench, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let table = !json::on_stdout(args.json.as_deref());
    // Printed before the first row, so that nothing stands on standard output when nothing can be measured.
    let mut head = table.then(head);
    for experiment in experiments() {
        if interrupt::requested() {
            break;
        }
        if !args.rows.is_empty() && !args.rows.contains(&experiment.row) {
            continue;
        }
        rows.push(Row::new(&experiment, bench.run(&experiment)?));
        head.take().map(console::print).transpose()?;
        if table {
            rows.last().map(|row| console::print(line(row))).transpose()?;
        }
    }
    Ok(())
}

/// The chart's file.
struct Chart {
    file: OutputFile,
    png: bool,
}

impl Chart {
    /// Fails when it is no picture by its name, or cannot be written.
    fn open(path: &Path) -> anyhow::Result<Self> {
        Ok(Self { png: format_of(path)?, file: OutputFile::check(path)? })
    }

    fn write(&self, report: &Report<'_>, console: &Console) -> anyhow::Result<()> {
        let titles = [
            format!("The iPhone system's experiments: 1080 x 1920 BGRA frame, {} threads", report.threads),
            report.machine.to_string(),
        ];
        self.file.write(&chart::draw(&titles, report.rows, self.png)?)?;
        console.detail(format!("{}: {} rows", self.file.path().display(), report.rows.len()));
        Ok(())
    }
}

/// Whether a chart's file is PNG; SVG otherwise, by its ending.
fn format_of(path: &Path) -> anyhow::Result<bool> {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    match ending.as_deref() {
        Some("svg") => Ok(false),
        Some("png") => Ok(true),
        _ => anyhow::bail!("--chart {}: the chart's name ends in .svg or .png", path.display()),
    }
}

fn adapter(name: Option<&str>) -> Adapter {
    match name {
        None => Adapter::Best,
        Some(name) => name.parse().map_or_else(|_| Adapter::Named(name.to_owned()), Adapter::Number),
    }
}

/// Widths: name, unit.
const NAME: usize = 66;
const UNIT: usize = 16;

fn head() -> String {
    format!(
        "row  {:NAME$} {:UNIT$} {:8} {:>9} {:>9} {:>9} {:>8} {:>7}",
        "experiment", "unit", "size", "p50 ms", "p99 ms", "fps", "seed", "ratio"
    )
}

fn line(row: &Row) -> String {
    let Row { row: number, name, unit, size, .. } = row;
    let start = format!("{number:>3}  {name:NAME$} {unit:UNIT$} {size:8}");
    let seed = row.seed_fps.map_or("-".to_owned(), |fps| format!("{fps:.0}"));
    match (row.p50_ms, row.p99_ms, row.fps) {
        (Some(p50), Some(p99), Some(fps)) => {
            let ratio = row.seed_fps.map_or("-".to_owned(), |seed| format!("{:.1}", fps / seed));
            format!("{start} {p50:>9.4} {p99:>9.4} {fps:>9.0} {seed:>8} {ratio:>7}")
        }
        _ => format!("{start} {:>29} {seed:>8}  skipped: {}", "", row.skipped.as_deref().unwrap_or("?")),
    }
}
