//! Load on a server: so many clients that each send a 640 x 480 JPEG so many times a second, whether or not the
//! answer has come. Progress goes to standard error, the figures to standard output as JSON.
//!
//! ```sh
//! cargo run --release -p gesto-live --example load -- \
//!     --server target/release/gesto --run 1x60x30 --run 8x15x600 --goals strict samples/fingers-lq.gif -- --threads 2
//! ```
//!
//! The JPEGs halve their chroma both ways, as Chromium's canvas writes them at the page's quality; with `--full-chroma` they
//! do not, and take longer to decode. `--run CLIENTSxFPSxSECONDS` may be repeated; what follows `--` goes to `gesto live`. With `--address` a server that
//! runs already is measured instead of one of its own. With `--goals` the exit code is 1 when a goal is missed.

#![forbid(unsafe_code)]

mod client;
mod report;
mod server;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use report::{Goals, Report};
use server::Server;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "load (--server PROGRAM | --address 127.0.0.1:7860) [--run CLIENTSxFPSxSECONDS]... \
                     [--goals strict|generous] [--full-chroma] CLIP [-- ARGUMENTS OF gesto live]";

const WIDTH: u32 = 640;
const HEIGHT: u32 = 480;
/// The page's.
const QUALITY: u8 = 80;

/// One load.
#[derive(Debug, Clone, Copy)]
struct Run {
    clients: usize,
    fps: f64,
    seconds: u64,
}

impl FromStr for Run {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let parts: Vec<&str> = text.split('x').collect();
        let [clients, fps, seconds] = parts[..] else { return Err(USAGE.into()) };
        let run = Self { clients: clients.parse()?, fps: fps.parse()?, seconds: seconds.parse()? };
        let sound = run.clients > 0 && run.fps > 0.0 && run.seconds > 0;
        sound.then_some(run).ok_or_else(|| USAGE.into())
    }
}

#[derive(Default)]
struct Plan {
    server: Option<String>,
    address: Option<SocketAddr>,
    runs: Vec<Run>,
    goals: Option<Goals>,
    full_chroma: bool,
    clip: String,
    arguments: Vec<String>,
}

fn plan() -> Result<Plan, Failure> {
    let mut plan = Plan::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(USAGE);
        match word.as_str() {
            "--server" => plan.server = Some(value()?),
            "--address" => plan.address = Some(value()?.parse()?),
            "--run" => plan.runs.push(value()?.parse()?),
            "--goals" => {
                plan.goals = Some(match value()?.as_str() {
                    "strict" => Goals::STRICT,
                    "generous" => Goals::GENEROUS,
                    _ => return Err(USAGE.into()),
                });
            }
            "--full-chroma" => plan.full_chroma = true,
            "--" => plan.arguments.extend(words.by_ref()),
            clip if !clip.starts_with('-') => plan.clip = clip.to_owned(),
            _ => return Err(USAGE.into()),
        }
    }
    if plan.runs.is_empty() {
        plan.runs.push(Run { clients: 1, fps: 60.0, seconds: 30 });
    }
    // A tool that sends load sends it to this machine alone.
    let elsewhere = plan.address.is_some_and(|address| !address.ip().is_loopback());
    if plan.clip.is_empty() || elsewhere || plan.server.is_some() == plan.address.is_some() {
        return Err(USAGE.into());
    }
    Ok(plan)
}

/// The clip's frames as a browser would send them.
fn pictures(clip: &str, full_chroma: bool) -> Result<Vec<Bytes>, Failure> {
    let sampling = if full_chroma { SamplingFactor::F_1_1 } else { SamplingFactor::F_2_2 };
    let mut source = gesto_media::source::open(clip, &gesto_media::Limits::default())?;
    let mut pictures = Vec::new();
    while let Some(shot) = source.next_frame()? {
        let (width, height) = (shot.picture.width(), shot.picture.height());
        let picture =
            image::RgbImage::from_raw(width, height, shot.picture.into_pixels()).ok_or("an odd picture")?;
        let picture = image::imageops::resize(&picture, WIDTH, HEIGHT, image::imageops::FilterType::Triangle);
        let mut jpeg = Vec::new();
        let mut encoder = Encoder::new(&mut jpeg, QUALITY);
        encoder.set_sampling_factor(sampling);
        encoder.encode(picture.as_raw(), WIDTH as u16, HEIGHT as u16, ColorType::Rgb)?;
        pictures.push(jpeg.into());
    }
    if pictures.is_empty() { Err("the clip has no frames".into()) } else { Ok(pictures) }
}

/// Runs one load and tells what came of it.
async fn load(
    server: &Server,
    pictures: &Arc<Vec<Bytes>>,
    run: Run,
    goals: Option<Goals>,
) -> Result<Report, Failure> {
    let before = server.latencies().await?;
    let clients = (0..run.clients).map(|i| {
        // Cameras do not tick together.
        let offset = Duration::from_secs_f64(i as f64 / run.clients as f64 / run.fps);
        tokio::spawn(client::run(server.address, Arc::clone(pictures), run, offset))
    });
    let running = futures_util::future::try_join_all(clients.collect::<Vec<_>>());
    tokio::pin!(running);
    let start = Instant::now();
    let mut memory = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_secs((run.seconds / 10).clamp(2, 30)));
    let outcomes = loop {
        tokio::select! {
            outcomes = &mut running => break outcomes?.into_iter().collect::<Result<Vec<_>, _>>()?,
            _ = ticks.tick() => {
                let now = server.memory().await?;
                eprintln!("{:6.1} s  memory {:.1} MB", start.elapsed().as_secs_f64(), now / 1e6);
                memory.push(now);
            }
        }
    };
    memory.push(server.memory().await?);
    let latencies = server.latencies().await?.since(&before);
    Ok(Report::new(run, &outcomes, memory, latencies, goals))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Failure> {
    let plan = plan()?;
    let pictures = Arc::new(pictures(&plan.clip, plan.full_chroma)?);
    let server = match (&plan.server, plan.address) {
        (Some(program), _) => Server::start(program, &plan.arguments)?,
        (None, Some(address)) => Server::at(address),
        (None, None) => return Err(USAGE.into()),
    };
    let mut reports = Vec::new();
    for &run in &plan.runs {
        reports.push(load(&server, &pictures, run, plan.goals).await?);
    }
    let info = server.info().await?;
    let bytes: usize = pictures.iter().map(Bytes::len).sum();
    let figures = serde_json::json!({
        "server": info["server"],
        "settings": info["settings"],
        "arguments": plan.arguments,
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "picture": { "width": WIDTH, "height": HEIGHT, "full_chroma": plan.full_chroma, "jpeg_bytes": bytes / pictures.len() },
        "runs": reports,
    });
    println!("{figures:#}");
    let missed: Vec<&str> = reports.iter().flat_map(Report::missed).collect();
    if missed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("missed: {}", missed.join(", "));
    Ok(ExitCode::FAILURE)
}
