//! `--show-timing`: how long each stage took over a run.

use std::fmt::Write;
use std::time::Duration;

use gesto::Timing;

/// Frames after which no more are kept: half a day of a camera's.
const MOST: usize = 1_000_000;

const STAGES: [&str; 5] = ["resize", "model", "decode", "nms", "total"];

/// Times of each stage, frame after frame, in milliseconds.
#[derive(Debug, Default)]
pub(crate) struct StageTimes {
    samples: [Vec<f32>; STAGES.len()],
}

impl StageTimes {
    pub(crate) fn add(&mut self, timing: &Timing) {
        if self.samples[0].len() == MOST {
            return;
        }
        let Timing { resize, model, decode, nms, total, .. } = *timing;
        for (samples, time) in self.samples.iter_mut().zip([resize, model, decode, nms, total]) {
            samples.push(milliseconds(time));
        }
    }

    /// A table: median, 99th percentile and frames per second at the median.
    pub(crate) fn table(mut self) -> String {
        let mut table = format!("{:8} {:>10} {:>10} {:>12}", "stage", "median ms", "p99 ms", "fps");
        for (stage, samples) in STAGES.iter().zip(&mut self.samples) {
            samples.sort_unstable_by(f32::total_cmp);
            let (median, p99) = (percentile(samples, 0.5), percentile(samples, 0.99));
            let fps = if median > 0.0 { format!("{:.0}", 1e3 / median) } else { "-".to_owned() };
            let row = write!(table, "\n{stage:8} {median:>10.3} {p99:>10.3} {fps:>12}");
            row.expect("a string takes any text");
        }
        table
    }
}

fn milliseconds(time: Duration) -> f32 {
    time.as_secs_f32() * 1e3
}

/// The least sample that at least this part of the sorted samples does not exceed (nearest rank).
fn percentile(sorted: &[f32], part: f64) -> f32 {
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let samples: Vec<f32> = (1..=200).map(|n| n as f32).collect();
        assert_eq!(percentile(&samples, 0.5), 100.0);
        assert_eq!(percentile(&samples, 0.99), 198.0);
        assert_eq!(percentile(&samples[..1], 0.99), 1.0);
        assert_eq!(percentile(&[], 0.5), 0.0);
    }

    #[test]
    fn the_table_has_a_row_for_each_stage() {
        let mut times = StageTimes::default();
        times.add(&Timing { model: Duration::from_micros(500), ..Timing::default() });
        let table = times.table();
        assert_eq!(table.lines().count(), 1 + STAGES.len());
        assert!(table.contains("model         0.500      0.500         2000"), "{table}");
    }
}
