//! Times of a run, sorted.

use std::time::Duration;

/// Times of one thing, frame after frame.
#[derive(Debug, Default, Clone)]
pub(super) struct Samples {
    sorted: Vec<Duration>,
}

impl Samples {
    pub(super) fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self { sorted: times }
    }

    /// The least time, in milliseconds, that at least this part of them does not exceed (nearest rank).
    pub(super) fn percentile_ms(&self, part: f64) -> f64 {
        let rank = (part * self.sorted.len() as f64).ceil() as usize;
        self.sorted.get(rank.saturating_sub(1)).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let samples = Samples::new((1..=200).rev().map(Duration::from_millis).collect());
        assert_eq!(samples.percentile_ms(0.5), 100.0);
        assert_eq!(samples.percentile_ms(0.99), 198.0);
        assert_eq!(Samples::default().percentile_ms(0.5), 0.0);
    }
}
