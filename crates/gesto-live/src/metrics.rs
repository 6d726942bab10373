//! Counters and histograms for `/metrics`, in the OpenMetrics text that Prometheus reads.

use std::sync::atomic::AtomicI64;
use std::time::Duration;

use gesto::Timing;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::wire::DropReason;

/// Upper bounds in seconds: from a stage of microseconds to a client that hardly reads.
const BUCKETS: [f64; 15] =
    [5e-6, 2e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3, 8e-3, 16e-3, 33e-3, 0.1, 0.25, 1.0, 5.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Stage {
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Arrived {
    from: &'static str,
}

/// Where a frame came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A client's stream.
    Stream,
    /// A request for detection.
    Request,
    /// The server's own source.
    Source,
}

impl Origin {
    const ALL: [Self; 3] = [Self::Stream, Self::Request, Self::Source];

    fn label(self) -> Arrived {
        let from = match self {
            Self::Stream => "stream",
            Self::Request => "request",
            Self::Source => "source",
        };
        Arrived { from }
    }
}

/// Why a request or connection is turned away, as [`Metrics::denied`] is told.
const DENIALS: [&str; 6] = ["host", "origin", "token", "connections", "streams", "requests"];
/// Results that a client does not read.
const SLOW_CLIENT: &str = "slow_client";
const STAGES: [&str; 7] = ["queue", "unpack", "resize", "model", "decode", "nms", "total"];

/// All metrics of one server.
pub(crate) struct Metrics {
    registry: Registry,
    frames: Counter,
    drops: Family<Reason, Counter>,
    stages: Family<Stage, Histogram, fn() -> Histogram>,
    /// Frames that could not be read or that the server failed on.
    pub(crate) refused: Counter,
    /// From a frame's arrival to the moment its result was handed on.
    latency: Family<Arrived, Histogram, fn() -> Histogram>,
    /// Requests for detection that are read, wait or are worked on.
    pub(crate) requests: Gauge<i64, AtomicI64>,
    /// Open streams.
    pub(crate) streams: Gauge<i64, AtomicI64>,
    /// Open connections of any kind.
    pub(crate) connections: Gauge<i64, AtomicI64>,
    /// Requests and connections that a check turned away.
    denied: Family<Reason, Counter>,
    memory: Gauge<i64, AtomicI64>,
}

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("gesto");
        let (frames, refused) = (Counter::default(), Counter::default());
        let (drops, denied): (Family<Reason, Counter>, Family<Reason, Counter>) = Default::default();
        let stages: Family<Stage, Histogram, fn() -> Histogram> = Family::new_with_constructor(histogram);
        let latency: Family<Arrived, Histogram, fn() -> Histogram> = Family::new_with_constructor(histogram);
        // A series that first appears with its first event has no rate at that moment: all start at zero.
        for reason in DropReason::ALL.map(DropReason::name).into_iter().chain([SLOW_CLIENT]) {
            drop(drops.get_or_create(&Reason { reason }));
        }
        for reason in DENIALS {
            drop(denied.get_or_create(&Reason { reason }));
        }
        for stage in STAGES {
            drop(stages.get_or_create(&Stage { stage }));
        }
        for origin in Origin::ALL {
            drop(latency.get_or_create(&origin.label()));
        }
        let (requests, streams, connections, memory): (Gauge, Gauge, Gauge, Gauge) = Default::default();
        registry.register("frames", "Frames looked at", frames.clone());
        registry.register("dropped_frames", "Frames dropped, by reason", drops.clone());
        registry.register("refused_frames", "Frames that could not be read", refused.clone());
        registry.register_with_unit("stage", "Time of each stage of a frame", Unit::Seconds, stages.clone());
        registry.register_with_unit(
            "latency",
            "From a frame received to its result sent, by where it came from",
            Unit::Seconds,
            latency.clone(),
        );
        registry.register("requests", "Requests for detection under way", requests.clone());
        registry.register("streams", "Open streams", streams.clone());
        registry.register("connections", "Open connections", connections.clone());
        registry.register("denied", "Requests and connections turned away, by reason", denied.clone());
        registry.register_with_unit(
            "resident_memory",
            "Resident memory of the process",
            Unit::Bytes,
            memory.clone(),
        );
        Self {
            registry,
            frames,
            drops,
            stages,
            refused,
            latency,
            requests,
            streams,
            connections,
            denied,
            memory,
        }
    }

    /// One frame was looked at. A stage of no time at all happened within another (a fused resize, a unit that makes
    /// boxes itself) or elsewhere (a request's picture is unpacked before its turn): it is no sample.
    pub(crate) fn frame(&self, queue: Duration, unpack: Duration, timing: &Timing) {
        self.frames.inc();
        let Timing { resize, model, decode, nms, total } = *timing;
        for (stage, time) in STAGES.into_iter().zip([queue, unpack, resize, model, decode, nms, total]) {
            if !time.is_zero() {
                self.stages.get_or_create(&Stage { stage }).observe(time.as_secs_f64());
            }
        }
    }

    /// One frame was dropped.
    pub(crate) fn dropped(&self, reason: DropReason) {
        self.drops.get_or_create(&Reason { reason: reason.name() }).inc();
    }

    /// A result was dropped because its client does not read.
    pub(crate) fn dropped_for_slow_client(&self, count: u64) {
        self.drops.get_or_create(&Reason { reason: SLOW_CLIENT }).inc_by(count);
    }

    /// A result was handed on this long after its frame came: to the operating system for a stream, to the connection
    /// for a request, to the viewers for the source.
    pub(crate) fn sent_after(&self, origin: Origin, latency: Duration) {
        self.latency.get_or_create(&origin.label()).observe(latency.as_secs_f64());
    }

    /// A request or connection was turned away, for one of [`DENIALS`].
    pub(crate) fn denied(&self, reason: &'static str) {
        debug_assert!(DENIALS.contains(&reason), "{reason} has no series that starts at zero");
        self.denied.get_or_create(&Reason { reason }).inc();
    }

    /// The text that a scraper reads.
    pub(crate) fn to_text(&self) -> String {
        if let Some(bytes) = resident_bytes() {
            self.memory.set(bytes);
        }
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

/// Resident memory of this process, where the system tells (Linux).
fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
