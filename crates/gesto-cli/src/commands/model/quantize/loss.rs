//! How the detections of two models differ on the same pictures.

use std::fmt;

use gesto::{Detector, Fit, Isa, Model, Rect};
use gesto_media::Picture;
use gesto_media::source::Input;

use crate::values::Size;

/// Overlap from which a detection counts as the same object.
const SAME: f32 = 0.5;

/// How both models run.
pub(super) struct Setup {
    pub(super) size: Size,
    pub(super) fit: Fit,
}

/// Detections of the second model set against those of the first.
#[derive(Debug, Default)]
pub(super) struct Loss {
    /// Score and overlap of each pair.
    pairs: Vec<Pair>,
    /// Found by the first alone, by the second alone.
    lost: usize,
    new: usize,
}

#[derive(Debug)]
struct Pair {
    score_before: f32,
    score_after: f32,
    overlap: f32,
}

/// A detection of either head.
struct Found {
    class: String,
    score: f32,
    bbox: Rect,
}

/// Runs both models, each on its tier, on every picture.
pub(super) fn measure(
    before: (Model, Isa),
    after: (Model, Isa),
    setup: &Setup,
    pictures: &[&Input],
) -> anyhow::Result<Loss> {
    let detector = |(model, isa): (Model, Isa)| {
        let builder = Detector::builder().size(setup.size.height, setup.size.width).fit(setup.fit);
        builder.model(model).isa(isa).build()
    };
    let (mut before, mut after) = (detector(before)?, detector(after)?);
    let mut loss = Loss::default();
    for input in pictures {
        let picture = super::read(input)?;
        loss.add(found(&mut before, &picture)?, found(&mut after, &picture)?);
    }
    Ok(loss)
}

fn found(detector: &mut Detector, picture: &Picture) -> anyhow::Result<Vec<Found>> {
    let found = detector.detect(&picture.as_frame()?)?;
    let hands = found.hands.iter().map(|hand| Found {
        class: hand.label.as_str().to_owned(),
        score: hand.score,
        bbox: hand.bbox,
    });
    let people = found.people.iter().map(|person| Found {
        class: "person".to_owned(),
        score: person.score,
        bbox: person.bbox,
    });
    Ok(hands.chain(people).collect())
}

impl Loss {
    /// Pairs the detections of one picture, best ones first.
    fn add(&mut self, before: Vec<Found>, mut after: Vec<Found>) {
        for one in before {
            let candidates = after.iter().enumerate().filter(|(_, other)| other.class == one.class);
            let best = candidates
                .map(|(i, other)| (i, other.bbox.iou(&one.bbox)))
                .max_by(|a, b| a.1.total_cmp(&b.1))
                .filter(|(_, overlap)| *overlap >= SAME);
            let Some((i, overlap)) = best else {
                self.lost += 1;
                continue;
            };
            let other = after.swap_remove(i);
            self.pairs.push(Pair { score_before: one.score, score_after: other.score, overlap });
        }
        self.new += after.len();
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pairs, before) = (self.pairs.len(), self.pairs.len() + self.lost);
        let share = if before == 0 { 100.0 } else { 100.0 * pairs as f64 / before as f64 };
        writeln!(
            f,
            "detections  {before}; found again {pairs} ({share:.1} %), lost {}, new {}",
            self.lost, self.new
        )?;
        if pairs == 0 {
            return Ok(());
        }
        let mean = |of: &dyn Fn(&Pair) -> f32| {
            self.pairs.iter().map(|pair| f64::from(of(pair))).sum::<f64>() / pairs as f64
        };
        let most = |of: &dyn Fn(&Pair) -> f32| self.pairs.iter().map(of).fold(0.0, f32::max);
        let off = |pair: &Pair| (pair.score_after - pair.score_before).abs();
        let moved = |pair: &Pair| 1.0 - pair.overlap;
        let shift = mean(&|pair| pair.score_after - pair.score_before);
        writeln!(
            f,
            "score       off by {:.3} on average ({shift:+.3}), {:.3} at most",
            mean(&off),
            most(&off)
        )?;
        writeln!(
            f,
            "box         overlap {:.3} on average, {:.3} at least",
            1.0 - mean(&moved),
            1.0 - most(&moved)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(class: &str, score: f32, x: f32) -> Found {
        Found { class: class.to_owned(), score, bbox: Rect { x, y: 0.0, w: 10.0, h: 10.0 } }
    }

    #[test]
    fn detections_are_paired_by_class_and_place() {
        let mut loss = Loss::default();
        loss.add(
            vec![at("like", 0.9, 0.0), at("like", 0.8, 50.0), at("ok", 0.7, 100.0)],
            vec![at("like", 0.6, 51.0), at("like", 0.8, 0.0), at("fist", 0.5, 100.0)],
        );
        assert_eq!((loss.pairs.len(), loss.lost, loss.new), (2, 1, 1));
        let text = loss.to_string();
        assert!(text.contains("3; found again 2 (66.7 %), lost 1, new 1"), "{text}");
        assert!(text.contains("off by 0.150 on average (-0.150), 0.200 at most"), "{text}");
        assert!(text.contains("overlap 0.909 on average, 0.818 at least"), "{text}");
    }
}
