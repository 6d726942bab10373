//! `gesto bench stages`: one frame's time line on each unit.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use gesto::unit::{Adapter, Provider};
use gesto::{Detections, Detector, ErrorKind, Fit, Isa, Resize, Timing, Unit};
use serde::Serialize;

use super::frame::CameraFrame;
use super::samples::Samples;
use crate::console::{self, Console};
use crate::json;
use crate::output;
use crate::unit;
use crate::values::{self, Size};
use crate::weights;

/// Show where one frame's time goes on each unit
///
/// From a 1080 x 1920 BGRA frame in memory to the final detections. On a graphics processor `resize` contains the way there,
/// and `model` the submission and the way back. Stages are medians; what lies between them is `rest`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Units to show [default: cpu, and of gpu and ort:cpu those that this machine has]
    #[arg(long, value_name = "UNIT", num_args = 1.., value_delimiter = ',')]
    unit: Vec<Unit>,

    /// Network inputs
    #[arg(long, value_name = "HxW", default_values = ["320x224", "256x128"], num_args = 1.., value_delimiter = ',')]
    size: Vec<Size>,

    /// Threads that share a frame
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = values::threads)]
    threads: usize,

    /// Frames to time
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(3..=1_000_000))]
    frames: u32,

    /// Try the variants of a GPU's kernels first, and keep the fastest; takes up to half a minute
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

    /// Write JSON to a file, or `-` for standard output instead of the bars
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,
}

/// One unit at one size.
#[derive(Debug, Serialize)]
struct Line {
    unit: String,
    /// The graphics processor by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    adapter: Option<String>,
    /// Whether that is a program on the processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    software: Option<bool>,
    /// The kernel tier on the processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    isa: Option<&'static str>,
    size: String,
    /// How the frame became the network's input; a fused resize is a part of the model's time.
    #[serde(skip_serializing_if = "Option::is_none")]
    resize: Option<&'static str>,
    stages: Vec<Stage>,
    total_p50_ms: Option<f64>,
    total_p99_ms: Option<f64>,
    /// Why this machine cannot run it.
    skipped: Option<String>,
}

/// A stage; the time line is their order.
#[derive(Debug, Serialize)]
struct Stage {
    stage: &'static str,
    /// Sum of the medians before it.
    start_ms: f64,
    p50_ms: f64,
    p99_ms: f64,
}

const STAGES: [&str; 5] = ["resize", "model", "decode", "nms", "rest"];

/// No unit takes longer for a size, however few frames that leaves.
const LIMIT: Duration = Duration::from_secs(5);

pub(crate) fn run(args: &Args, _: &Console) -> anyhow::Result<ExitCode> {
    let read: Vec<_> = args.model.iter().chain(&args.ort_library).cloned().collect();
    output::refuse_overwriting(json::file(args.json.as_deref()).as_slice(), &read)?;
    let json = json::Report::open(args.json.as_deref())?;
    let camera = CameraFrame::new()?;
    let chosen = !args.unit.is_empty();
    let units = if chosen {
        args.unit.clone()
    } else {
        vec![Unit::Cpu, Unit::Gpu(Adapter::Best), Unit::Ort(Provider::Cpu)]
    };
    let table = !json::on_stdout(args.json.as_deref());
    let mut lines = Vec::new();
    let measured = units.iter().try_for_each(|unit| {
        args.size.iter().try_for_each(|&size| {
            lines.push(measure(args, &camera, unit, size)?);
            if table {
                lines.last().map(print).transpose()?;
            }
            anyhow::Ok(())
        })
    });
    // What was measured is written, whatever stopped the rest.
    if measured.is_ok() || !lines.is_empty() {
        let report =
            serde_json::json!({ "frame": "1920x1080 BGRA", "threads": args.threads, "units": lines });
        json.write(&report)?;
    }
    measured?;
    // Units that were asked for by name and are all missing: nothing was done.
    let mut missing: Vec<_> =
        lines.iter().filter_map(|line| Some(format!("{}: {}", line.unit, line.skipped.as_ref()?))).collect();
    if chosen && missing.len() == lines.len() {
        // A unit is missing at every size.
        missing.dedup();
        bail!("nothing was measured: {}", missing.join("; "));
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(args: &Args, camera: &CameraFrame, chosen: &Unit, size: Size) -> anyhow::Result<Line> {
    let (adapter, unmeasured) = match chosen {
        Unit::Gpu(choice) => (unit::adapter(choice), unit::software_adapter(choice, args.software_gpu)),
        _ => (None, None),
    };
    let software = adapter.as_ref().map(|found| found.software);
    let adapter = adapter.map(|found| found.to_string());
    let skip = |why: String| Line {
        unit: chosen.to_string(),
        adapter: adapter.clone(),
        software,
        isa: None,
        size: size.to_string(),
        resize: None,
        stages: Vec::new(),
        total_p50_ms: None,
        total_p99_ms: None,
        skipped: Some(why),
    };
    if let Some(why) = unmeasured {
        return Ok(skip(why));
    }
    let mut builder = Detector::builder()
        .model(weights::load(args.model.as_deref())?)
        .unit(chosen.clone())
        .size(size.height, size.width)
        .fit(Fit::Stretch)
        .tune(args.tune)
        .threads(args.threads);
    if let Some(library) = &args.ort_library {
        builder = builder.ort_library(library);
    }
    let mut detector = match builder.build() {
        Ok(detector) => detector,
        Err(error) if matches!(error.kind(), ErrorKind::Unit | ErrorKind::Unsupported) => {
            return Ok(skip(error.to_string()));
        }
        Err(error) => return Err(error.into()),
    };
    let frame = camera.frame()?;
    let mut out = Detections::default();
    for _ in 0..args.frames.div_ceil(10) {
        detector.detect_into(&frame, &mut out)?;
    }
    let mut times: [Vec<Duration>; STAGES.len() + 1] = Default::default();
    let started = std::time::Instant::now();
    while times[0].len() < args.frames as usize && (times[0].len() < 3 || started.elapsed() < LIMIT) {
        detector.detect_into(&frame, &mut out)?;
        let Timing { resize, model, decode, nms, total, .. } = out.timing;
        let rest = total.saturating_sub(resize + model + decode + nms);
        for (times, time) in times.iter_mut().zip([resize, model, decode, nms, rest, total]) {
            times.push(time);
        }
    }
    let mut start_ms = 0.0;
    let samples = times.map(Samples::new);
    let stages = STAGES.iter().zip(&samples).map(|(stage, samples)| {
        let p50_ms = samples.percentile_ms(0.5);
        let stage = Stage { stage, start_ms, p50_ms, p99_ms: samples.percentile_ms(0.99) };
        start_ms += p50_ms;
        stage
    });
    let stages = stages.collect();
    let [.., total] = &samples;
    let (p50, p99) = (total.percentile_ms(0.5), total.percentile_ms(0.99));
    Ok(Line {
        unit: chosen.to_string(),
        adapter,
        software,
        isa: detector.isa().map(Isa::name),
        size: size.to_string(),
        resize: Some(detector.resize().name()),
        stages,
        total_p50_ms: Some(p50),
        total_p99_ms: Some(p99),
        skipped: None,
    })
}

/// Characters of a time line.
const WIDTH: f64 = 60.0;

fn print(line: &Line) -> io::Result<()> {
    let Line { unit, adapter, isa, size, resize, stages, total_p50_ms, total_p99_ms, skipped, .. } = line;
    let what = adapter.as_deref().or(*isa);
    let unit = what.map_or_else(|| unit.clone(), |what| format!("{unit} ({what})"));
    if let Some(why) = skipped {
        return console::print(format_args!("{unit}, {size}: skipped: {why}\n"));
    }
    let (p50, p99) = (total_p50_ms.unwrap_or(0.0), total_p99_ms.unwrap_or(0.0));
    let fps = 1e3 / p50.max(1e-6);
    console::print(format_args!("{unit}, {size}: {p50:.3} ms a frame, p99 {p99:.3} ms, {fps:.0} fps"))?;
    let whole = stages.last().map_or(0.0, |stage| stage.start_ms + stage.p50_ms).max(1e-9);
    for Stage { stage, start_ms, p50_ms, p99_ms } in stages {
        let (from, to) = ((start_ms / whole * WIDTH), ((start_ms + p50_ms) / whole * WIDTH));
        let (from, to) = (from.round() as usize, to.round() as usize);
        // A stage too short for a character still shows where it is.
        let bar = if to > from { "#".repeat(to - from) } else { "|".to_owned() };
        let indent = " ".repeat(from);
        let fused = *stage == "resize" && *resize == Some(Resize::Fused.name());
        let note = if fused { " (in the first layer)" } else { "" };
        console::print(format_args!(
            "  {stage:7} {p50_ms:>8.4} ms  p99 {p99_ms:>8.4} ms  {indent}{bar}{note}"
        ))?;
    }
    console::print("")
}
