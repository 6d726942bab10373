//! Precision against recall, and what is read off it.

use serde::Serialize;

use crate::matching::Outcome;

/// Recall points that average precision averages over: 0.00, 0.01, ..., 1.00.
pub const RECALLS: usize = 101;

/// How precision falls as recall grows, for one class at one least overlap.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Objects to be found.
    positives: usize,
    /// Scores from the best down, with what became of each detection; those that do not count are left out.
    found: Vec<(f64, bool)>,
}

/// A score to cut detections off at, and what is had with it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct OperatingPoint {
    /// Keep detections of this score and better.
    pub threshold: f64,
    /// Harmonic mean of precision and recall.
    pub f1: f64,
    /// Share of the kept detections that are right.
    pub precision: f64,
    /// Share of the objects that are found.
    pub recall: f64,
}

impl Curve {
    /// From the outcomes of all pictures. Equal scores keep their order.
    pub(crate) fn new(positives: usize, outcomes: impl IntoIterator<Item = (f64, Outcome)>) -> Self {
        let counted = outcomes.into_iter().filter(|(_, outcome)| *outcome != Outcome::Ignored);
        let mut found: Vec<(f64, bool)> =
            counted.map(|(score, outcome)| (score, outcome == Outcome::Hit)).collect();
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        Self { positives, found }
    }

    /// Objects to be found.
    #[must_use]
    pub fn positives(&self) -> usize {
        self.positives
    }

    /// Hits and misses with the first, the first two, ... detections.
    fn totals(&self) -> impl Iterator<Item = (f64, f64)> {
        self.found.iter().scan((0.0, 0.0), |totals: &mut (f64, f64), (_, hit)| {
            *(if *hit { &mut totals.0 } else { &mut totals.1 }) += 1.0;
            Some(*totals)
        })
    }

    /// Share of the objects that all detections together find; `None` without objects.
    #[must_use]
    pub fn recall(&self) -> Option<f64> {
        let hits = self.found.iter().filter(|(_, hit)| *hit).count();
        (self.positives > 0).then(|| hits as f64 / self.positives as f64)
    }

    /// The best precision at each recall of 0.00, 0.01, ..., 1.00 and beyond it; `None` without objects.
    #[must_use]
    pub fn precision(&self) -> Option<[f64; RECALLS]> {
        if self.positives == 0 {
            return None;
        }
        let recalls: Vec<f64> = self.totals().map(|(hits, _)| hits / self.positives as f64).collect();
        let mut precisions: Vec<f64> = self.totals().map(|(hits, misses)| hits / (hits + misses)).collect();
        for i in (1..precisions.len()).rev() {
            precisions[i - 1] = precisions[i - 1].max(precisions[i]);
        }
        Some(std::array::from_fn(|i| {
            // The recall points as NumPy's linspace rounds them.
            let wanted = i as f64 * 0.01;
            let first = recalls.partition_point(|&recall| recall < wanted);
            precisions.get(first).copied().unwrap_or(0.0)
        }))
    }

    /// Mean precision over the recall points; `None` without objects.
    #[must_use]
    pub fn average_precision(&self) -> Option<f64> {
        self.precision().map(|precision| precision.iter().sum::<f64>() / RECALLS as f64)
    }

    /// The threshold of the best F1, the higher of two that are equally good; `None` without objects or hits.
    #[must_use]
    pub fn best_f1(&self) -> Option<OperatingPoint> {
        let mut best: Option<OperatingPoint> = None;
        for (i, (hits, misses)) in self.totals().enumerate() {
            let threshold = self.found[i].0;
            // A threshold keeps all detections of one score or none.
            let splits_a_tie = self.found.get(i + 1).is_some_and(|next| next.0 == threshold);
            let point = operating_point(threshold, hits, misses, self.positives);
            if !splits_a_tie && best.map_or(0.0, |best| best.f1) < point.f1 {
                best = Some(point);
            }
        }
        best
    }

    /// What is had with a threshold.
    #[must_use]
    pub fn at(&self, threshold: f64) -> OperatingPoint {
        let kept = self.found.partition_point(|found| found.0 >= threshold);
        let hits = self.found[..kept].iter().filter(|(_, hit)| *hit).count() as f64;
        operating_point(threshold, hits, kept as f64 - hits, self.positives)
    }
}

fn operating_point(threshold: f64, hits: f64, misses: f64, positives: usize) -> OperatingPoint {
    let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
    OperatingPoint {
        threshold,
        f1: share(2.0 * hits, hits + misses + positives as f64),
        precision: share(hits, hits + misses),
        recall: share(hits, positives as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome::{Hit, Ignored, Miss};
    use super::*;

    #[test]
    fn average_precision_by_hand() {
        // Precision 1 up to recall 1/2, then 2/3 up to recall 1.
        let curve = Curve::new(2, [(0.9, Hit), (0.8, Miss), (0.7, Hit)]);
        let want = (51.0 + 50.0 * 2.0 / 3.0) / 101.0;
        assert!((curve.average_precision().unwrap() - want).abs() < 1e-12);
        assert_eq!(curve.recall(), Some(1.0));
    }

    #[test]
    fn ignored_detections_change_nothing() {
        let some = Curve::new(2, [(0.9, Hit), (0.8, Miss)]);
        assert_eq!(some, Curve::new(2, [(0.95, Ignored), (0.9, Hit), (0.85, Ignored), (0.8, Miss)]));
    }

    #[test]
    fn nothing_to_find_and_nothing_found() {
        assert_eq!(Curve::new(0, [(0.9, Miss)]).average_precision(), None);
        assert_eq!(Curve::new(3, []).average_precision(), Some(0.0));
        assert_eq!(Curve::new(3, []).best_f1(), None);
        assert_eq!(Curve::new(0, [(0.9, Miss)]).best_f1(), None);
    }

    #[test]
    fn the_best_threshold_does_not_split_equal_scores() {
        let curve = Curve::new(2, [(0.9, Hit), (0.5, Hit), (0.5, Miss), (0.1, Miss)]);
        let best = curve.best_f1().unwrap();
        assert_eq!((best.threshold, best.recall, best.precision), (0.5, 1.0, 2.0 / 3.0));
        assert_eq!(curve.at(0.5), best);
        assert_eq!(curve.at(0.6).recall, 0.5);
    }
}
