//! Decoding on the processor what a graphics processor left as raw maps.

use gesto_engine::model::DFL_BINS;
use gesto_gpu::{LevelMaps, Maps};

use crate::keypoint::KEYPOINTS;
use crate::postprocess::decode::{Cell, decode_box, decode_keypoint, sigmoid};
use crate::postprocess::{HeadResults, Scored};

/// An anchor point whose best class passed the threshold.
#[derive(Debug, Clone, Copy)]
struct Found {
    level: usize,
    /// Cell within the level.
    cell: usize,
    class: u32,
    logit: f32,
}

/// One head's candidates, and the maps they are read from.
pub(super) struct MapsHead<'a> {
    levels: Vec<LevelMaps<'a>>,
    found: Vec<Found>,
}

impl<'a> MapsHead<'a> {
    /// Anchor points whose best class reaches `threshold`; the maps tell the best class, or every class is compared here.
    pub(super) fn new(maps: &'a Maps, head: usize, threshold: f32) -> Self {
        let levels: Vec<LevelMaps<'a>> = maps.levels(0, head).collect();
        let limit = (f64::from(threshold) / (1.0 - f64::from(threshold))).ln() as f32;
        let mut found = Vec::new();
        let mut keep = |level, cell, class, logit: f32| {
            if logit >= limit {
                found.push(Found { level, cell, class, logit });
            }
        };
        let cells = levels
            .iter()
            .enumerate()
            .flat_map(|(level, maps)| (0..maps.height * maps.width).map(move |cell| (level, cell)));
        match maps.best(0, head) {
            Some(best) => cells.zip(best).for_each(|((level, cell), (class, logit))| {
                keep(level, cell, class, logit);
            }),
            None => cells.for_each(|(level, cell)| {
                let (class, logit) = best_class(levels[level].classes.cell(cell));
                keep(level, cell, class, logit);
            }),
        }
        Self { levels, found }
    }

    fn place(&self, found: &Found) -> Cell {
        let level = &self.levels[found.level];
        let (x, y) = (found.cell % level.width, found.cell / level.width);
        Cell { x: x as f32, y: y as f32, stride: level.stride }
    }
}

/// The first of the largest logits; NaN is never larger.
fn best_class(logits: &[f32]) -> (u32, f32) {
    let mut best = (0, f32::NEG_INFINITY);
    for (class, &logit) in (0..).zip(logits) {
        if logit > best.1 {
            best = (class, logit);
        }
    }
    best
}

impl HeadResults for MapsHead<'_> {
    fn candidates(&self) -> usize {
        self.found.len()
    }

    fn boxes(&self, out: &mut Vec<Scored>) {
        out.extend(self.found.iter().zip(0..).map(|(found, candidate)| {
            let mut logits = [0.0; 4 * DFL_BINS];
            logits.copy_from_slice(self.levels[found.level].boxes.cell(found.cell));
            let bbox = decode_box(self.place(found), &logits);
            Scored { bbox, score: sigmoid(found.logit), class: found.class, candidate }
        }));
    }

    fn keypoints(&self, candidate: u32) -> [(f32, f32, f32); KEYPOINTS] {
        let found = &self.found[candidate as usize];
        let raw = self.levels[found.level].keypoints.cell(found.cell).as_chunks::<3>().0;
        std::array::from_fn(|i| decode_keypoint(self.place(found), raw[i]))
    }
}
