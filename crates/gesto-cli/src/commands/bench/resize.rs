//! `gesto bench resize`: every way to resize alone, from a camera's frame in memory to the network's input.

use std::fmt::Display;
use std::hint::black_box;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::ensure;
use gesto::preprocess::Mapping;
use gesto::stages::Stages;
use gesto::unit::Adapter;
use gesto::{Detector, ErrorKind, Fit, Frame, PixelFormat, Resize};
use serde::Serialize;

use super::samples::Samples;
use crate::commands::detect::FitArg;
use crate::console::{self, Console};
use crate::json;
use crate::unit;
use crate::values::{self, FrameSize, Size};

/// Time every way to resize alone, in front of a network on the processor
///
/// Frames are BGRA of 8 bits in memory, noise in them: no way's time depends on the pixels. The way `fused` has no time of
/// its own inside the network; its samples are timed as a pass. Those of a graphics processor include the way there and back.
/// The first line of a frame is the floor of a bilinear resize on one core: reading the rows that it needs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Network input; both sides are multiples of 32
    #[arg(long, value_name = "HxW", default_value = "320x224")]
    size: Size,

    /// Frames to resize from
    #[arg(long, value_name = "HxW", default_values = ["1920x1080", "1080x1920"], num_args = 1.., value_delimiter = ',')]
    frame: Vec<FrameSize>,

    /// How the frame is fitted to the network input
    #[arg(long, value_enum, default_value_t = FitArg::Stretch)]
    fit: FitArg,

    /// Numbers of threads to measure
    #[arg(long, value_name = "N", default_values_t = [1, 2], num_args = 1.., value_delimiter = ',', value_parser = values::threads)]
    threads: Vec<usize>,

    /// Ways to measure [default: all that this machine has]
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',')]
    resize: Vec<Resize>,

    /// Frames to time for each figure
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    frames: u32,

    /// Measure the ways of a graphics processor that is software on the CPU, too
    #[arg(long)]
    software_gpu: bool,

    /// Write one JSON line for each figure to a file, or `-` for standard output instead of the table
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,
}

/// One line of the result.
#[derive(Debug, Serialize)]
struct Figure {
    resize: Resize,
    /// The graphics processor that resizes.
    #[serde(skip_serializing_if = "Option::is_none")]
    adapter: Option<String>,
    /// Whether that is a program on the processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    software: Option<bool>,
    frame: String,
    size: String,
    threads: usize,
    median_us: f64,
    p99_us: f64,
    fps: f64,
}

pub(crate) fn run(args: &Args, console: &Console) -> anyhow::Result<ExitCode> {
    args.frame.iter().try_for_each(check)?;
    let ways = if args.resize.is_empty() { &Resize::ALL[..] } else { &args.resize };
    let json = args.json.as_deref();
    let mut lines = json::Lines::open(json)?;
    let table = !json::on_stdout(json);
    // Printed before the first row, so that nothing stands on standard output when nothing can be measured.
    let mut above = Vec::new();
    if table {
        above.push(format!(
            "{:15} {:>10} {:>8} {:>7} {:>11} {:>11} {:>9}",
            "resize", "frame", "size", "threads", "median", "p99", "frames/s"
        ));
    }
    let (mut measured, mut skipped) = (0, Vec::new());
    // The one that the library takes for itself. To ask for it takes a driver some time.
    let gpu = ways.iter().any(|way| way.needs_gpu()).then(|| unit::adapter(&Adapter::Best)).flatten();
    let mut skip = |resize, why: &dyn Display| {
        let why = format!("{resize} skipped: {why}");
        // It is the same for every frame.
        if !skipped.contains(&why) {
            skipped.push(why);
        }
    };
    for size in &args.frame {
        let bytes = noise(size.height * size.width * 4);
        let frame = Frame::new(PixelFormat::Bgra8, &bytes, size.width as u32, size.height as u32)?;
        if table {
            let (bytes_read, time) = reading(args, &frame, &bytes);
            above.push(format!(
                "{:15} {:>10} {:>8} {:>7} {:>8.1} us {:>14} {:.1} MB, {:.0} GB/s",
                "(its bytes)",
                format!("{}x{}", size.height, size.width),
                args.size.to_string(),
                1,
                time.as_secs_f64() * 1e6,
                "",
                bytes_read as f64 * 1e-6,
                bytes_read as f64 / time.as_secs_f64() * 1e-9
            ));
        }
        for &resize in ways {
            if let Err(why) = resize.check() {
                skip(resize, &why);
                continue;
            }
            let adapter = gpu.as_ref().filter(|_| resize.needs_gpu());
            if resize.needs_gpu()
                && let Some(why) = unit::software_adapter(&Adapter::Best, args.software_gpu)
            {
                skip(resize, &why);
                continue;
            }
            for &threads in &args.threads {
                let times = match times(args, resize, threads, &frame) {
                    Err(error) if error.kind() == ErrorKind::Unit => {
                        skip(resize, &error);
                        break;
                    }
                    times => times?,
                };
                let median_us = 1e3 * times.percentile_ms(0.5);
                let figure = Figure {
                    resize,
                    adapter: adapter.map(|found| found.name.clone()),
                    software: adapter.map(|found| found.software),
                    frame: format!("{}x{}", size.height, size.width),
                    size: args.size.to_string(),
                    threads,
                    median_us,
                    p99_us: 1e3 * times.percentile_ms(0.99),
                    fps: 1e6 / median_us,
                };
                lines.push(&figure)?;
                measured += 1;
                above.drain(..).try_for_each(console::print)?;
                if table {
                    let on = adapter.map_or(String::new(), |found| format!("  ({found})"));
                    console::print(format_args!(
                        "{:15} {:>10} {:>8} {:>7} {:>8.1} us {:>8.1} us {:>9.0}{on}",
                        figure.resize,
                        figure.frame,
                        figure.size,
                        threads,
                        figure.median_us,
                        figure.p99_us,
                        figure.fps
                    ))?;
                }
            }
        }
    }
    ensure!(measured > 0, "nothing was measured: {}", skipped.join("; "));
    skipped.iter().for_each(|why| console.note(why));
    Ok(ExitCode::SUCCESS)
}

/// Most pixels of a frame to resize from: 16 times 4K.
const MAX_PIXELS: usize = 16 * 3840 * 2160;

/// Fails for a frame without pixels or with too many.
fn check(&FrameSize { height, width }: &FrameSize) -> anyhow::Result<()> {
    let pixels = height.saturating_mul(width);
    let fits = (1..=MAX_PIXELS).contains(&pixels);
    ensure!(fits, "--frame {height}x{width}: frames of 1 to {MAX_PIXELS} pixels can be measured");
    Ok(())
}

/// Times of every frame, after a tenth as many to warm up.
fn times(args: &Args, resize: Resize, threads: usize, frame: &Frame<'_>) -> gesto::Result<Samples> {
    let fit: Fit = args.fit.into();
    let builder =
        Detector::builder().size(args.size.height, args.size.width).fit(fit).resize(resize).threads(threads);
    let mut stages = Stages::new(builder, frame)?;
    for _ in 0..args.frames.div_ceil(10) {
        stages.resize(frame)?;
    }
    Ok(Samples::new((0..args.frames).map(|_| stages.resize(frame)).collect::<gesto::Result<_>>()?))
}

/// The floor of a bilinear resize on one core: reading the rows that it needs, and nothing else. Bytes, and the median time.
fn reading(args: &Args, frame: &Frame<'_>, bytes: &[u8]) -> (usize, Duration) {
    let mapping = Mapping::new(frame, args.fit.into(), args.size.height as u32, args.size.width as u32);
    let (from, to) = (f64::from(frame.height()), f64::from(mapping.target()[3]));
    let mut rows: Vec<usize> = (0..mapping.target()[3])
        .map(|y| (((f64::from(y) + 0.5) * from / to - 0.5).max(0.0)) as usize)
        .flat_map(|first| [first, (first + 1).min(frame.height() as usize - 1)])
        .collect();
    rows.dedup();
    let stride = 4 * frame.width() as usize;
    let times: Vec<Duration> = (0..args.frames)
        .map(|_| {
            let start = Instant::now();
            let sum = rows.iter().fold(0_u64, |sum, &y| {
                let words = bytes[y * stride..(y + 1) * stride].as_chunks::<8>().0;
                words.iter().fold(sum, |sum, &word| sum.wrapping_add(u64::from_le_bytes(word)))
            });
            black_box(sum);
            start.elapsed()
        })
        .collect();
    let median = Samples::new(times).percentile_ms(0.5);
    (rows.len() * stride, Duration::from_secs_f64(median * 1e-3))
}

fn noise(len: usize) -> Vec<u8> {
    (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}
