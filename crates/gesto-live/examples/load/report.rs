//! From samples to figures and goals.

use serde::Serialize;

use crate::Run;
use crate::client::{Outcome, Sample};
use crate::server::Latencies;

/// Bounds of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Goals {
    /// One client: 99th percentile from a frame's arrival to its result, milliseconds.
    server_p99_ms: f64,
    /// One client: share of the results sent later than 8 ms after their frame's arrival.
    late: f64,
    /// The round trip's median in the last quarter against the first: times this ...
    growth_factor: f64,
    /// ... plus this many milliseconds.
    growth_ms: f64,
    /// Growth of the resident memory after the warm-up.
    memory_bytes: f64,
}

impl Goals {
    /// Those of docs/live.md, for two cores that do nothing else.
    pub(crate) const STRICT: Self =
        Self { server_p99_ms: 8.0, late: 0.01, growth_factor: 1.25, growth_ms: 1.0, memory_bytes: 5e6 };
    /// What holds on a slow or busy machine too: a queue that grows or a leak misses them all the same.
    pub(crate) const GENEROUS: Self =
        Self { server_p99_ms: 500.0, late: 1.0, growth_factor: 2.0, growth_ms: 50.0, memory_bytes: 16e6 };
}

/// The part of a run in which buffers and detectors are made: memory is judged from its end on.
const WARM_UP: f64 = 0.2;

#[derive(Serialize)]
struct Milliseconds {
    p50: f64,
    p99: f64,
    most: f64,
}

impl Milliseconds {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let index = ((values.len() as f64 * part).ceil() as usize).clamp(1, values.len().max(1)) - 1;
            values.get(index).map_or(f64::NAN, |value| (value * 1e3).round() / 1e3)
        };
        Self { p50: at(0.5), p99: at(0.99), most: at(1.0) }
    }
}

#[derive(Serialize)]
struct Goal {
    name: &'static str,
    value: f64,
    limit: f64,
    met: bool,
}

/// The figures of one run.
#[derive(Serialize)]
pub(crate) struct Report {
    clients: usize,
    fps: f64,
    seconds: u64,
    frames_sent: usize,
    results: usize,
    dropped: usize,
    refused: usize,
    /// From a frame's arrival to its result, told by the server in each result.
    server_ms: Milliseconds,
    /// Of that: JPEG decode.
    unpack_ms: Milliseconds,
    /// Of that: resize, network, decode, NMS.
    detector_ms: Milliseconds,
    /// Results handed to the operating system within 8 ms of their frame's arrival, by the server's histogram.
    sent_within_8_ms: f64,
    round_trip_ms: Milliseconds,
    /// Medians of the four quarters of the run: latency that grows shows here.
    round_trip_p50_by_quarter: [f64; 4],
    memory_bytes: Vec<f64>,
    memory_growth_bytes: f64,
    goals: Vec<Goal>,
}

impl Report {
    pub(crate) fn new(
        run: Run,
        outcomes: &[Outcome],
        memory: Vec<f64>,
        latencies: Latencies,
        goals: Option<Goals>,
    ) -> Self {
        let sum = |count: fn(&Outcome) -> usize| outcomes.iter().map(count).sum::<usize>();
        let all = || outcomes.iter().flat_map(|outcome| &outcome.samples);
        let of = |what: fn(&Sample) -> f64| Milliseconds::of(all().map(what));
        let quarter = run.seconds as f64 * 250.0;
        let quarters = [0.0, 1.0, 2.0, 3.0].map(|i| {
            let until = if i < 3.0 { (i + 1.0) * quarter } else { f64::MAX };
            let within = all().filter(|sample| (i * quarter..until).contains(&sample.at));
            Milliseconds::of(within.map(|sample| sample.round_trip)).p50
        });
        let warm = memory[((memory.len() as f64 * WARM_UP).ceil() as usize).min(memory.len() - 1)];
        let growth = memory[memory.len() - 1] - warm;
        let mut report = Self {
            clients: run.clients,
            fps: run.fps,
            seconds: run.seconds,
            frames_sent: sum(|outcome| outcome.sent),
            results: sum(|outcome| outcome.samples.len()),
            dropped: sum(|outcome| outcome.dropped),
            refused: sum(|outcome| outcome.refused),
            server_ms: of(|sample| sample.server),
            unpack_ms: of(|sample| sample.unpack),
            detector_ms: of(|sample| sample.detector),
            sent_within_8_ms: latencies.within_8_ms / latencies.count,
            round_trip_ms: of(|sample| sample.round_trip),
            round_trip_p50_by_quarter: quarters,
            memory_bytes: memory,
            memory_growth_bytes: growth,
            goals: Vec::new(),
        };
        if let Some(goals) = goals {
            report.judge(goals);
        }
        report
    }

    fn judge(&mut self, goals: Goals) {
        let [first, .., last] = self.round_trip_p50_by_quarter;
        // NaN, a quarter without any result, meets no goal.
        let mut goal = |name, value: f64, limit: f64| {
            self.goals.push(Goal { name, value, limit, met: value <= limit });
        };
        goal("frames refused", self.refused as f64, 0.0);
        if self.clients == 1 {
            goal("server p99, ms", self.server_ms.p99, goals.server_p99_ms);
            goal("results sent later than 8 ms, share", 1.0 - self.sent_within_8_ms, goals.late);
        }
        goal("round trip of the last quarter, ms", last, first.mul_add(goals.growth_factor, goals.growth_ms));
        goal("memory growth, bytes", self.memory_growth_bytes, goals.memory_bytes);
    }

    /// Goals that were not reached.
    pub(crate) fn missed(&self) -> impl Iterator<Item = &'static str> {
        self.goals.iter().filter(|goal| !goal.met).map(|goal| goal.name)
    }
}
