//! How many messages a stream may send.

use std::time::{Duration, Instant};

/// A bucket that fills with the allowed rate and holds a quarter of a second's worth.
pub(super) struct Rate {
    per_second: f64,
    tokens: f64,
    filled: Instant,
    /// Messages over the rate, one after the other.
    excess: u32,
}

/// A message's standing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Fine,
    /// Over the rate: not looked at.
    Over,
    /// Over the rate for seconds on end: no misunderstanding.
    Flood,
}

/// So many seconds' worth of messages over the rate, without one that fits, are a flood.
const FLOOD_SECONDS: u32 = 3;

impl Rate {
    pub(super) fn new(per_second: u32, now: Instant) -> Self {
        let per_second = f64::from(per_second);
        Self { per_second, tokens: Self::most(per_second), filled: now, excess: 0 }
    }

    fn most(per_second: f64) -> f64 {
        (per_second / 4.0).max(2.0)
    }

    pub(super) fn message(&mut self, now: Instant) -> Verdict {
        let passed: Duration = now.saturating_duration_since(self.filled);
        self.filled = now;
        self.tokens = (self.tokens + passed.as_secs_f64() * self.per_second).min(Self::most(self.per_second));
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            // One that fits forgives a few that did not: twice the rate is merely dropped, many times it is a flood.
            self.excess = self.excess.saturating_sub(4);
            return Verdict::Fine;
        }
        self.excess += 1;
        if f64::from(self.excess) > f64::from(FLOOD_SECONDS) * self.per_second {
            Verdict::Flood
        } else {
            Verdict::Over
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Verdicts of `count` messages that come `per_second`.
    fn run(count: u32, per_second: f64) -> (usize, usize, bool) {
        let start = Instant::now();
        let mut rate = Rate::new(60, start);
        let (mut fine, mut over) = (0, 0);
        for i in 0..count {
            match rate.message(start + Duration::from_secs_f64(f64::from(i) / per_second)) {
                Verdict::Fine => fine += 1,
                Verdict::Over => over += 1,
                Verdict::Flood => return (fine, over, true),
            }
        }
        (fine, over, false)
    }

    #[test]
    fn the_allowed_rate_passes_whole() {
        assert_eq!(run(600, 60.0), (600, 0, false));
        assert_eq!(run(10, 1e6), (10, 0, false), "a short burst");
    }

    #[test]
    fn twice_the_rate_is_halved_and_lives() {
        let (fine, over, flood) = run(1200, 120.0);
        assert!(!flood && (600..620).contains(&fine) && over > 500, "{fine} {over}");
    }

    #[test]
    fn a_flood_ends() {
        let (_, over, flood) = run(100_000, 5000.0);
        assert!(flood && over <= 250, "{over}");
    }
}
