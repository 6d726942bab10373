//! `gesto live`: a web page that shows gestures and people in a camera's picture as they move.

mod address;
mod source;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use gesto::{Detector, Fit, Resize, Unit};
use gesto_engine::MAX_THREADS;
use gesto_live::engine::{DetectorBackend, Offer};
use gesto_live::settings::Thresholds;
use gesto_live::{Access, Config, ConfigErrorKind, Limits, Server, SourceConfig, Token};

use crate::console::{self, Console};
use crate::unit::UnitArgs;
use crate::values::{Size, fraction, threads};

/// Show gestures and people live in a browser
///
/// Starts a web server, on this machine only unless told otherwise, and prints its address. The page asks for the
/// browser's camera; with --source it shows a camera, stream or clip of this machine instead. The same server offers an
/// HTTP and WebSocket interface (see /v1/openapi.json).
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Address and port to listen on, or a port of this machine; anything beyond it needs --token or --insecure
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:7860", value_parser = address::listen)]
    listen: SocketAddr,

    /// Whose picture: the `browser`'s camera, or /dev/video0, rtsp://..., or a file of this machine
    #[arg(long, value_name = "SOURCE", default_value = "browser")]
    source: String,

    /// The source is a mirror image, as some cameras deliver it
    #[arg(long)]
    source_mirrored: bool,

    /// Open the page in the browser
    #[arg(long)]
    open: bool,

    /// Network input; both sides are multiples of 32
    #[arg(long, value_name = "HxW", default_value = "320x224", help_heading = "Network")]
    size: Size,

    /// How the picture is fitted to the network input
    #[arg(long, value_parser = ["letterbox", "stretch"], default_value = "letterbox", help_heading = "Network")]
    fit: String,

    /// How the picture is resized, and where (`gesto detect --help` lists the names); streams may choose another
    /// [default: what suits the unit]
    #[arg(long, value_name = "NAME", help_heading = "Network")]
    resize: Option<Resize>,

    /// Threads that share a frame, up to 256 [default: one for each core]
    #[arg(long, value_name = "N", value_parser = threads, help_heading = "Network")]
    threads: Option<usize>,

    /// Frames that are worked on at the same time, each with threads of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256), help_heading = "Network")]
    workers: u16,

    /// Model file (safetensors) instead of the embedded one
    #[arg(long, value_name = "FILE", help_heading = "Network")]
    model: Option<PathBuf>,

    #[command(flatten)]
    unit: UnitArgs,

    /// Least probability of a gesture
    #[arg(long, value_name = "P", default_value = "0.3", value_parser = fraction, help_heading = "Thresholds")]
    conf_hand: f32,

    /// Least probability of a person
    #[arg(long, value_name = "P", default_value = "0.5", value_parser = fraction, help_heading = "Thresholds")]
    conf_body: f32,

    /// Overlap (IoU) above which the weaker of two equal gestures is dropped
    #[arg(long, value_name = "IOU", default_value = "0.4", value_parser = fraction, help_heading = "Thresholds")]
    iou_hand: f32,

    /// Overlap (IoU) above which the weaker of two people is dropped
    #[arg(long, value_name = "IOU", default_value = "0.3", value_parser = fraction, help_heading = "Thresholds")]
    iou_body: f32,

    /// Token that everybody has to show; `auto` makes one [default: the environment's GESTO_TOKEN]
    #[arg(long, value_name = "TOKEN", help_heading = "Access")]
    token: Option<String>,

    /// Listen beyond this machine without a token
    #[arg(long, help_heading = "Access")]
    insecure: bool,

    /// Another name under which the server may be reached, such as a proxy's (repeatable)
    #[arg(long, value_name = "NAME", help_heading = "Access")]
    allow_host: Vec<String>,

    /// An origin whose pages may use the server, such as https://example.org (repeatable)
    #[arg(long, value_name = "ORIGIN", help_heading = "Access")]
    allow_origin: Vec<String>,

    /// Most streams at the same time
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=4096), help_heading = "Limits")]
    max_streams: u16,

    /// Most connections at the same time
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Limits")]
    max_connections: u16,

    /// Most frames a second of one stream
    #[arg(long, value_name = "N", default_value_t = 120, value_parser = clap::value_parser!(u16).range(1..=1000), help_heading = "Limits")]
    max_fps: u16,

    /// Largest body of a request in MiB
    #[arg(long, value_name = "MIB", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Limits")]
    max_body: u16,

    /// Seconds after which a stream that sends nothing is closed
    #[arg(long, value_name = "S", default_value_t = 120, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Limits")]
    idle: u16,
}

pub(crate) fn run(args: &Args, console: &Console) -> anyhow::Result<ExitCode> {
    let config = config(args)?;
    let backend = backend(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // The network's threads do the work; the sockets need little.
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the server's threads")?;
    runtime.block_on(async {
        let token = config.access.token.clone();
        let server = Server::bind(config, Arc::new(backend)).await.map_err(|error| anyhow!("{error}"))?;
        let pages = address::pages(server.address(), token.as_ref());
        // Standard output: `gesto live | head -1` gives scripts the address.
        for page in &pages {
            if let Err(error) = console::print(format_args!("gesto live: {page}")) {
                // The page is there all the same.
                console.problem(format!("the page's address went nowhere: {error}"));
                break;
            }
        }
        if let Some(states) = server.source() {
            // It ends with the server.
            tokio::spawn(source::tell(states, *console));
        }
        if args.open && open::that_detached(&pages[0].url).is_err() {
            console.problem("no browser could be opened; open the address above yourself");
        }
        server.run(ended()).await;
        Ok(ExitCode::SUCCESS)
    })
}

fn config(args: &Args) -> anyhow::Result<Config> {
    // The environment is not in the list of processes, as arguments are.
    let from_environment = match std::env::var("GESTO_TOKEN") {
        Ok(text) => Some(text).filter(|text| !text.is_empty()),
        Err(std::env::VarError::NotPresent) => None,
        // Whoever set it wants a token: to go on without one would open the door.
        Err(std::env::VarError::NotUnicode(_)) => anyhow::bail!("GESTO_TOKEN is not text"),
    };
    let token = match args.token.as_deref().or(from_environment.as_deref()) {
        None => None,
        Some("auto") => Some(Token::random()),
        Some(text) => Some(Token::new(text).context("--token")?),
    };
    let source =
        source::input(&args.source)?.map(|input| SourceConfig { input, mirrored: args.source_mirrored });
    let limits = Limits {
        streams: args.max_streams.into(),
        connections: args.max_connections.into(),
        fps: args.max_fps.into(),
        body_bytes: usize::from(args.max_body) << 20,
        idle: std::time::Duration::from_secs(args.idle.into()),
        ..Limits::default()
    };
    let access = Access {
        token,
        insecure: args.insecure,
        hosts: args.allow_host.clone(),
        origins: args.allow_origin.clone(),
    };
    let config = Config { listen: args.listen, access, limits, source, workers: args.workers.into() };
    config.check().map_err(|error| match error.kind() {
        ConfigErrorKind::Open => anyhow!(
            "{} can be reached from other machines: add --token auto, or --insecure to let everybody in",
            args.listen.ip()
        ),
        ConfigErrorKind::Origin => anyhow!("--allow-origin: {error}"),
        ConfigErrorKind::Host => anyhow!("--allow-host: {error}"),
        _ => anyhow!("{error}"),
    })?;
    Ok(config)
}

/// Sizes that the page offers beside the chosen one: the seed's two, and one for people far away.
const SIZES: [[u32; 2]; 3] = [[320, 224], [256, 128], [640, 448]];

fn backend(args: &Args) -> anyhow::Result<DetectorBackend> {
    let side = |side: usize| u32::try_from(side).context("--size is too large");
    let mut sizes = vec![[side(args.size.height)?, side(args.size.width)?]];
    sizes.extend(SIZES);
    let cores = std::thread::available_parallelism().map_or(1, Into::into);
    let threads = args.threads.unwrap_or(cores.div_ceil(args.workers.into()).min(MAX_THREADS));
    // Where boxes are decoded is a matter of the chosen unit alone; streams may choose another unit.
    let unit = UnitArgs { post: None, ..args.unit.clone() };
    let template = Detector::builder().model(crate::weights::load(args.model.as_deref())?).threads(threads);
    let template = unit.apply(template);
    let (units, missing) = units(&args.unit);
    let fit = if args.fit == "stretch" { Fit::Stretch } else { Fit::Letterbox };
    let thresholds = Thresholds {
        conf_hand: args.conf_hand,
        conf_body: args.conf_body,
        iou_hand: args.iou_hand,
        iou_body: args.iou_body,
    };
    let offer = Offer {
        sizes,
        units,
        missing,
        fit,
        resize: args.resize,
        post_processing: args.unit.post,
        thresholds,
    };
    DetectorBackend::new(template, offer).map_err(|error| anyhow!("{error}"))
}

/// The units that streams may choose, the one of the command line first, and those that this machine lacks.
fn units(args: &UnitArgs) -> (Vec<Unit>, BTreeMap<String, String>) {
    let mut units = vec![args.unit.clone()];
    let mut missing = BTreeMap::new();
    let entries = super::units::inventory(args.ort_library.as_deref());
    let only_adapter =
        entries.iter().filter(|entry| entry.available && entry.unit.starts_with("gpu")).count() == 1;
    for entry in &entries {
        // Kernel tiers are one unit, adapters with a choice have numbers, and what is missing altogether has a bare name.
        let name = match entry.unit.split_once(':') {
            Some(("gpu", _)) if only_adapter => "gpu",
            Some(("ort", "...")) => "ort",
            _ => entry.unit.as_str(),
        };
        if name == "cpu" && !entry.available {
            continue;
        }
        if !entry.available {
            missing.insert(name.to_owned(), entry.detail.clone());
        } else if let Ok(unit) = name.parse::<Unit>()
            && !units.contains(&unit)
        {
            units.push(unit);
        }
    }
    (units, missing)
}

/// Waits for Ctrl-C or the system's wish that we end.
async fn ended() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
            return;
        }
    }
    // Without a handler for signals the server runs until it is killed.
    if interrupted.await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn parse(flags: &[&str]) -> Args {
        let line = ["gesto", "live"].iter().chain(flags);
        match Cli::try_parse_from(line).unwrap().command {
            Command::Live(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn beyond_this_machine_a_token_is_asked_for() {
        assert!(config(&parse(&[])).is_ok());
        let error = config(&parse(&["--listen", "0.0.0.0:7860"])).unwrap_err().to_string();
        assert!(error.contains("--token") && error.contains("--insecure"), "{error}");
        assert!(config(&parse(&["--listen", "0.0.0.0:7860", "--insecure"])).is_ok());
        assert!(config(&parse(&["--listen", "0.0.0.0:7860", "--token", "auto"])).is_ok());
        assert!(config(&parse(&["--token", "short"])).is_err());
        assert!(config(&parse(&["--source", "/no/such/clip.mp4"])).is_err());
    }

    #[test]
    fn a_mistake_names_its_flag() {
        for (flag, value) in [("--allow-origin", "example.org"), ("--allow-host", "http://camera")] {
            let error = config(&parse(&[flag, value])).unwrap_err().to_string();
            assert!(error.starts_with(flag) && !error.contains("--token"), "{error}");
        }
    }
}
