//! Measures the GPU unit: `cargo run -p gesto-gpu --release --example bench_gpu -- --batch 64 --json -`.
//!
//! What is timed: a 1080 x 1920 BGRA frame in ordinary host memory to candidates in host memory, everything included but
//! non-maximum suppression, which runs on the CPU. Rows with `network` leave the frame's way to the GPU and the resize out.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use gesto_engine::{Model, reference};
use gesto_gpu::{
    AdapterChoice, Arithmetic, Detections, Error, Fit, Frame, GpuNetwork, GpuOptions, PixelFormat, Resize,
    Timing, View, Waiting,
};
use serde_json::{Value, json};

#[derive(Parser)]
#[command(about = "Measures the GPU unit of gesto")]
struct Arguments {
    /// Weights in safetensors.
    #[arg(long, default_value = "models/multi-n.safetensors")]
    model: PathBuf,
    /// Network input, height x width.
    #[arg(long, default_value = "320x224")]
    size: String,
    /// Pictures in a submission.
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Part of the adapter's name; otherwise the best one.
    #[arg(long)]
    adapter: Option<String>,
    /// auto, f32, f16 or matrix.
    #[arg(long, default_value = "auto")]
    arithmetic: String,
    /// Seconds for each row.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Raw BGRA bytes of a 1080 x 1920 frame; otherwise a made-up picture.
    #[arg(long)]
    frame: Option<PathBuf>,
    /// Threads that copy the frame.
    #[arg(long, default_value_t = 1)]
    copy_threads: usize,
    /// Choose each layer's kernel by rule of thumb instead of measuring.
    #[arg(long)]
    no_tune: bool,
    /// Use one kernel for every convolution that it can do, by its number.
    #[arg(long)]
    kernel: Option<usize>,
    /// First compare every feature map with the plain CPU evaluation, on this very device.
    #[arg(long)]
    check: bool,
    /// List every dispatch with its GPU time.
    #[arg(long)]
    layers: bool,
    /// Where the JSON goes; `-` is standard output.
    #[arg(long)]
    json: Option<PathBuf>,
}

const FRAME: (usize, usize) = (1080, 1920);
const THRESHOLDS: [f32; 2] = [0.3, 0.5];

fn main() {
    if let Err(message) = run(&Arguments::parse()) {
        eprintln!("bench_gpu: {message}");
        std::process::exit(2);
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let (height, width) = arguments
        .size
        .split_once('x')
        .and_then(|(h, w)| Some((h.parse().ok()?, w.parse().ok()?)))
        .ok_or("--size is HEIGHTxWIDTH, such as 320x224")?;
    let bytes = std::fs::read(&arguments.model).map_err(|e| format!("{}: {e}", arguments.model.display()))?;
    let model = Model::from_bytes(bytes).map_err(|e| text(&e))?;
    let pixels = match &arguments.frame {
        Some(path) => std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?,
        None => made_up(),
    };
    let mut options = GpuOptions::default();
    options.arithmetic = match arguments.arithmetic.as_str() {
        "auto" => Arithmetic::Auto,
        "f32" => Arithmetic::F32,
        "f16" => Arithmetic::F16,
        "matrix" => Arithmetic::Matrix,
        other => return Err(format!("--arithmetic {other:?} is none of auto, f32, f16, matrix")),
    };
    if let Some(name) = &arguments.adapter {
        options.adapter = AdapterChoice::Named(name.clone());
    }
    options.batch = arguments.batch;
    options.copy_threads = arguments.copy_threads;
    options.waiting = Waiting::Spin;
    options.tune = !arguments.no_tune;
    options.kernel = arguments.kernel;
    // Matrix units are the point of measuring here.
    options.experimental = gesto_engine::matrix_units();

    let bench = Bench { model: &model, height, width, pixels: &pixels, seconds: arguments.seconds };
    let mut report = bench.all(&options, arguments.layers).map_err(|e| text(&e))?;
    if arguments.check {
        report["check"] = bench.check(&options).map_err(|e| text(&e))?;
    }
    let json = serde_json::to_string_pretty(&report).map_err(|e| text(&e))?;
    match &arguments.json {
        Some(path) if path.as_os_str() != "-" => {
            std::fs::write(path, json).map_err(|e| format!("{}: {e}", path.display()))?;
        }
        _ => println!("{json}"),
    }
    Ok(())
}

struct Bench<'a> {
    model: &'a Model,
    height: usize,
    width: usize,
    pixels: &'a [u8],
    seconds: f64,
}

impl Bench<'_> {
    fn all(&self, options: &GpuOptions, layers: bool) -> Result<Value, Error> {
        let batch = options.batch;
        let frames = vec![Frame::packed(self.pixels, FRAME.0, FRAME.1, PixelFormat::Bgra); batch];
        let stretch = |resize| View { fit: Fit::Stretch, resize };
        let bilinear = stretch(Resize::Bilinear);
        let mut rows = Vec::new();

        let made = Instant::now();
        let mut two = options.clone();
        two.in_flight = 2;
        let mut network = self.network(&two)?;
        let construction = made.elapsed();
        let first = network.detect(&frames, &bilinear, &THRESHOLDS)?;
        for (name, resize) in
            [("everything, gpu-bilinear", Resize::Bilinear), ("everything, gpu-nearest", Resize::Nearest)]
        {
            let view = stretch(resize);
            rows.push(self.latency(name, batch, || network.detect(&frames, &view, &THRESHOLDS))?);
        }
        rows.push(self.latency("network and decoding", batch, || {
            network.resubmit(&THRESHOLDS)?;
            network.wait()
        })?);
        rows.push(self.throughput("everything, two in flight", &mut network, batch, |n| {
            n.submit(&frames, &bilinear, &THRESHOLDS)
        })?);
        rows.push(self.throughput("network and decoding, two in flight", &mut network, batch, |n| {
            n.resubmit(&THRESHOLDS)
        })?);
        let description = network.describe();
        let tried = if layers { network.tried() } else { Vec::new() };
        let profile = if layers { network.profile()? } else { Vec::new() };
        let adapter = network.adapter().clone();
        let arithmetic = format!("{:?}", network.arithmetic());
        drop(network);

        let mut timed = options.clone();
        timed.timing = Timing::Stages;
        let mut network = self.network(&timed)?;
        let stages = self.stages(|| network.detect(&frames, &bilinear, &THRESHOLDS))?;

        let layers: Vec<Value> = description
            .iter()
            .enumerate()
            .map(|(i, line)| {
                let us = |d: &Duration| d.as_secs_f64() * 1e6;
                let tried = tried.get(i).into_iter().flatten().map(|(kernel, d)| json!([us(d), kernel]));
                json!({"dispatch": line, "us": profile.get(i).map(us), "tried": tried.collect::<Vec<_>>()})
            })
            .collect();
        Ok(json!({
            "adapter": {"name": adapter.name, "backend": adapter.backend, "kind": adapter.kind, "driver": adapter.driver, "lacks": adapter.lacks},
            "arithmetic": arithmetic,
            "size": format!("{}x{}", self.height, self.width),
            "batch": batch,
            "copy_threads": options.copy_threads,
            "frame": "1080x1920 BGRA in host memory; candidates before non-maximum suppression",
            "dispatches": description.len(),
            "construction_ms": construction.as_secs_f64() * 1e3,
            "candidates": [first.candidates(0, 0).len(), first.candidates(0, 1).len()],
            "rows": rows,
            "stages_us": stages,
            "layers": layers,
        }))
    }

    /// The batch's last picture: the map that differs most from the CPU's, in units of its own root mean square.
    fn check(&self, options: &GpuOptions) -> Result<Value, Error> {
        let mut options = options.clone();
        options.inspect = true;
        let mut network = self.network(&options)?;
        let rgb: Vec<u8> = self.pixels.iter().copied().take(self.height * self.width * 3).collect();
        let frame = Frame::packed(&rgb, self.width, self.height, PixelFormat::Rgb);
        network.detect(&vec![frame; options.batch], &View::default(), &THRESHOLDS)?;
        let wanted = reference::run(self.model, &rgb, self.height, self.width, reference::exact);
        let values = &self.model.graph().values;
        let mut worst = (0.0, "");
        let mut compared = 0;
        // The first value is the picture itself.
        for ((got, wanted), value) in
            network.feature_maps(options.batch - 1)?.iter().zip(&wanted).zip(values).skip(1)
        {
            let Some(got) = got else { continue };
            let rms = (wanted.data.iter().map(|v| v * v).sum::<f32>() / wanted.data.len() as f32).sqrt();
            let error = got.data.iter().zip(&wanted.data).map(|(a, b)| (a - b).abs() / rms);
            let error = error.fold(0.0, |most: f32, e| if e > most || e.is_nan() { e } else { most });
            compared += 1;
            if error > worst.0 || error.is_nan() {
                worst = (error, value.name.as_str());
            }
        }
        eprintln!(
            "{compared} feature maps compared with the CPU's; the worst, {}, is off by {:.1e}",
            worst.1, worst.0
        );
        Ok(json!({"maps": compared, "worst": worst.1, "error": worst.0}))
    }

    fn network(&self, options: &GpuOptions) -> Result<GpuNetwork, Error> {
        GpuNetwork::new(self.model, self.height, self.width, options)
    }

    /// One submission after the other.
    fn latency(
        &self,
        name: &str,
        batch: usize,
        mut call: impl FnMut() -> Result<Detections, Error>,
    ) -> Result<Value, Error> {
        for _ in 0..10 {
            call()?;
        }
        let mut times = Vec::new();
        let started = Instant::now();
        while started.elapsed().as_secs_f64() < self.seconds || times.len() < 20 {
            let one = Instant::now();
            call()?;
            times.push(one.elapsed());
        }
        times.sort_unstable();
        let (p50, p99) = (milliseconds(times[times.len() / 2]), milliseconds(times[times.len() * 99 / 100]));
        Ok(row(name, batch as f64 / p50 * 1e3, json!(p50), json!(p99), times.len()))
    }

    /// The next submission prepared while the last is under way.
    fn throughput(
        &self,
        name: &str,
        network: &mut GpuNetwork,
        batch: usize,
        mut submit: impl FnMut(&mut GpuNetwork) -> Result<(), Error>,
    ) -> Result<Value, Error> {
        let frames = vec![Frame::packed(self.pixels, FRAME.0, FRAME.1, PixelFormat::Bgra); batch];
        for _ in 0..3 {
            network.detect(&frames, &View::default(), &THRESHOLDS)?;
        }
        let (mut done, started) = (0usize, Instant::now());
        submit(network)?;
        while started.elapsed().as_secs_f64() < self.seconds || done < 20 {
            submit(network)?;
            network.wait()?;
            done += 1;
        }
        network.wait()?;
        let fps = ((done + 1) * batch) as f64 / started.elapsed().as_secs_f64();
        Ok(row(name, fps, Value::Null, Value::Null, done + 1))
    }

    /// Medians of each stage.
    fn stages(&self, mut call: impl FnMut() -> Result<Detections, Error>) -> Result<Value, Error> {
        let mut all: [Vec<f64>; 6] = Default::default();
        for _ in 0..100 {
            let found = call()?;
            let t = found.times();
            let stages = [Some(t.copy), Some(t.record), t.resize, t.network, t.decode, Some(t.total)];
            for (list, time) in all.iter_mut().zip(stages) {
                list.extend(time.map(|t| t.as_secs_f64() * 1e6));
            }
        }
        let median = |list: &mut Vec<f64>| {
            list.sort_by(f64::total_cmp);
            list.get(list.len() / 2).copied()
        };
        let [copy, record, resize, network, decode, total] = all.each_mut().map(median);
        Ok(
            json!({"host copy": copy, "host record and submit": record, "gpu resize": resize, "gpu network": network, "gpu decode": decode, "total": total}),
        )
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn row(name: &str, fps: f64, p50: Value, p99: Value, runs: usize) -> Value {
    let ms = |v: &Value| v.as_f64().map_or("-".to_owned(), |v| format!("{v:.3}"));
    let (shown50, shown99) = (ms(&p50), ms(&p99));
    eprintln!("{name:36} {fps:9.0} frames/s  p50 {shown50:>8} ms  p99 {shown99:>8} ms  {runs} submissions");
    json!({"name": name, "fps": fps, "p50_ms": p50, "p99_ms": p99, "submissions": runs})
}

/// A picture with smooth colours and some noise.
fn made_up() -> Vec<u8> {
    let mut state = 1u32;
    (0..FRAME.1)
        .flat_map(|y| (0..FRAME.0).map(move |x| (x, y)))
        .flat_map(|(x, y)| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (state >> 28) as u8;
            [(x / 5) as u8 ^ noise, (y / 8) as u8 ^ noise, ((x + y) / 12) as u8, 255]
        })
        .collect()
}
