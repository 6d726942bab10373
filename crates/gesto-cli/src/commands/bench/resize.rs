//! `gesto bench resize`: every way to resize alone, from a camera's frame in memory to the network's input.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use gesto::stages::Stages;
use gesto::{Detector, Fit, Frame, PixelFormat, Resize};
use serde::Serialize;

use crate::commands::detect::FitArg;
use crate::console::Console;
use crate::values::{FrameSize, Size};

/// Time every way to resize alone, on the processor
///
/// Frames are BGRA of 8 bits in memory, noise in them: no way's time depends on the pixels. The way `fused` has no time of
/// its own inside the network; its samples are timed as a pass.
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
    #[arg(long, value_name = "N", default_values_t = [1, 2], num_args = 1.., value_delimiter = ',')]
    threads: Vec<usize>,

    /// Ways to measure [default: all that the processor has]
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',')]
    resize: Vec<Resize>,

    /// Frames to time for each figure
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    frames: u32,

    /// Write one JSON line for each figure to a file, or `-` for standard output instead of the table
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,
}

/// One line of the result.
#[derive(Debug, Serialize)]
struct Figure {
    resize: Resize,
    frame: String,
    size: String,
    threads: usize,
    median_us: f64,
    p99_us: f64,
    fps: f64,
}

pub(crate) fn run(args: &Args, console: &Console) -> anyhow::Result<ExitCode> {
    let mut out: Box<dyn Write> = match &args.json {
        Some(path) if path.as_os_str() == "-" => Box::new(io::stdout().lock()),
        Some(path) => {
            Box::new(File::create(path).with_context(|| format!("cannot write {}", path.display()))?)
        }
        None => Box::new(io::sink()),
    };
    let table = args.json.as_ref().is_none_or(|path| path.as_os_str() != "-");
    if table {
        println!(
            "{:15} {:>10} {:>8} {:>7} {:>11} {:>11} {:>9}",
            "resize", "frame", "size", "threads", "median", "p99", "frames/s"
        );
    }
    let ways = if args.resize.is_empty() { Resize::ALL.to_vec() } else { args.resize.clone() };
    for size in &args.frame {
        let bytes = noise(size.height * size.width * 4);
        let frame = Frame::new(PixelFormat::Bgra8, &bytes, size.width as u32, size.height as u32)?;
        for &resize in &ways {
            if let Err(why) = resize.check() {
                console.note(format!("{resize} skipped: {why}"));
                continue;
            }
            for &threads in &args.threads {
                let times = times(args, resize, threads, &frame)?;
                let micros = |time: Duration| time.as_secs_f64() * 1e6;
                let figure = Figure {
                    resize,
                    frame: format!("{}x{}", size.height, size.width),
                    size: args.size.to_string(),
                    threads,
                    median_us: micros(times[times.len() / 2]),
                    p99_us: micros(times[(times.len() * 99).div_ceil(100) - 1]),
                    fps: 1.0 / times[times.len() / 2].as_secs_f64(),
                };
                serde_json::to_writer(&mut out, &figure).map_err(io::Error::from)?;
                writeln!(out)?;
                if table {
                    println!(
                        "{:15} {:>10} {:>8} {:>7} {:>8.1} us {:>8.1} us {:>9.0}",
                        figure.resize,
                        figure.frame,
                        figure.size,
                        threads,
                        figure.median_us,
                        figure.p99_us,
                        figure.fps
                    );
                }
            }
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Sorted times, after a tenth as many to warm up.
fn times(args: &Args, resize: Resize, threads: usize, frame: &Frame<'_>) -> gesto::Result<Vec<Duration>> {
    let fit: Fit = args.fit.into();
    let builder =
        Detector::builder().size(args.size.height, args.size.width).fit(fit).resize(resize).threads(threads);
    let mut stages = Stages::new(builder, frame)?;
    for _ in 0..args.frames.div_ceil(10) {
        stages.resize(frame);
    }
    let mut times: Vec<_> = (0..args.frames).map(|_| stages.resize(frame)).collect();
    times.sort();
    Ok(times)
}

fn noise(len: usize) -> Vec<u8> {
    (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}
