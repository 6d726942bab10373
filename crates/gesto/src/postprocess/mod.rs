//! From a network's raw results to detections: decode, suppress, map back to the frame.
//!
//! Boxes are decoded for all candidates, keypoints only for those that suppression leaves.

pub mod decode;
pub mod nms;
mod place;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use crate::detection::{Detections, Hand, Label, Person};
use crate::geometry::Rect;
use crate::gesture::Gesture;
use crate::keypoint::{KEYPOINTS, Keypoint, KeypointName};
use crate::preprocess::Mapping;
pub use nms::{Nms, Scored};
pub use place::PostProcessing;

/// One head's results for one frame, whoever computed them. Coordinates are pixels of the network's input.
pub trait HeadResults: Sync {
    /// How many candidates passed the threshold.
    fn candidates(&self) -> usize;

    /// Appends a box for each candidate, in anchor order.
    fn boxes(&self, out: &mut Vec<Scored>);

    /// Place and probability of the keypoints of one of these boxes, by its [`Scored::candidate`].
    fn keypoints(&self, candidate: u32) -> [(f32, f32, f32); KEYPOINTS];
}

/// What a head's results become.
#[derive(Debug, Clone)]
pub enum HeadKind {
    /// [`Hand`]s, with the gesture and the name of each class.
    Hands(Vec<(Gesture, Label)>),
    /// [`Person`]s.
    People,
}

/// Settings of one head.
#[derive(Debug, Clone)]
pub struct HeadPlan {
    /// What it finds.
    pub kind: HeadKind,
    /// Overlap above which the weaker of two boxes of one class is dropped.
    pub iou: f32,
}

/// Time spent on each part.
#[derive(Debug, Clone, Copy, Default)]
pub struct PostTiming {
    /// Boxes and keypoints, to pixels of the frame.
    pub decode: Duration,
    /// Suppression.
    pub nms: Duration,
}

/// Decoder and suppressor of a network's heads, with the buffers they keep between frames.
#[derive(Debug, Clone)]
pub struct Postprocessor {
    heads: Vec<HeadState>,
    max_detections: usize,
}

#[derive(Debug, Clone)]
struct HeadState {
    plan: HeadPlan,
    boxes: Vec<Scored>,
    nms: Nms,
}

/// Candidates of every head from which a second thread is worth its start (some 30 us, and an allocation). Ordinary
/// frames have some twenty, which take less than that one after the other.
const WORTH_A_THREAD: usize = 1000;

/// Boxes beyond this (in network pixels) come from a broken model.
const FAR: f32 = 1e7;

impl Postprocessor {
    /// For heads in the network's order; at most `max_detections` for each.
    #[must_use]
    pub fn new(heads: Vec<HeadPlan>, max_detections: usize) -> Self {
        let state = |plan| HeadState { plan, boxes: Vec::new(), nms: Nms::default() };
        Self { heads: heads.into_iter().map(state).collect(), max_detections }
    }

    /// The heads' settings.
    pub fn plans(&self) -> impl Iterator<Item = &HeadPlan> {
        self.heads.iter().map(|head| &head.plan)
    }

    /// The heads' settings, to change between frames.
    pub fn plans_mut(&mut self) -> impl Iterator<Item = &mut HeadPlan> {
        self.heads.iter_mut().map(|head| &mut head.plan)
    }

    /// Turns `results`, one for each head, into detections in pixels of the frame that `mapping` belongs to.
    ///
    /// `out.hands` and `out.people` are replaced; `out.timing` is left alone.
    ///
    /// # Panics
    /// When `results` has another length than the heads.
    pub fn run<R: HeadResults>(
        &mut self,
        results: &[R],
        mapping: &Mapping,
        out: &mut Detections,
    ) -> PostTiming {
        assert_eq!(results.len(), self.heads.len(), "one result for each head");
        let most = self.max_detections;
        let start = Instant::now();
        let crowded = results.iter().all(|result| result.candidates() >= WORTH_A_THREAD);
        each(&mut self.heads, results, crowded, &|head, result| {
            head.boxes.clear();
            result.boxes(&mut head.boxes);
            head.boxes.retain(is_sound);
        });
        let decoded = Instant::now();
        each(&mut self.heads, results, crowded, &|head, _| {
            head.nms.suppress(&mut head.boxes, head.plan.iou, most);
        });
        let suppressed = Instant::now();
        out.hands.clear();
        out.people.clear();
        for (head, result) in self.heads.iter().zip(results) {
            head.finish(result, mapping, out);
        }
        let nms = suppressed - decoded;
        PostTiming { decode: start.elapsed() - nms, nms }
    }
}

impl HeadState {
    /// Survivors to detections.
    fn finish(&self, result: &impl HeadResults, mapping: &Mapping, out: &mut Detections) {
        for found in &self.boxes {
            let bbox = mapping.clip(&mapping.rect_to_frame(&found.bbox));
            match &self.plan.kind {
                HeadKind::Hands(classes) => {
                    let (gesture, label) = &classes[found.class as usize];
                    out.hands.push(Hand {
                        gesture: *gesture,
                        class: found.class as u16,
                        label: label.clone(),
                        score: found.score,
                        bbox,
                    });
                }
                HeadKind::People => {
                    let raw = result.keypoints(found.candidate);
                    let keypoints = KeypointName::ALL.map(|name| {
                        let (x, y, score) = raw[name.index()];
                        let sound = x.abs() < FAR && y.abs() < FAR && !score.is_nan();
                        // A point that a broken model put nowhere: in the box, and not visible.
                        let (point, score) = if sound { ((x, y), score) } else { (found.bbox.center(), 0.0) };
                        let (x, y) = mapping.point_to_frame(point);
                        Keypoint { name, x, y, score }
                    });
                    out.people.push(Person { score: found.score, bbox, keypoints });
                }
            }
        }
    }
}

/// Weights are finite, yet a hostile model's activations may overflow.
fn is_sound(found: &Scored) -> bool {
    let Rect { x, y, w, h } = found.bbox;
    !found.score.is_nan() && [x, y, w, h].iter().all(|v| v.abs() < FAR)
}

/// Runs `work` on each head; the two halves at once if `parallel`.
fn each<R: HeadResults>(
    heads: &mut [HeadState],
    results: &[R],
    parallel: bool,
    work: &(impl Fn(&mut HeadState, &R) + Sync),
) {
    match heads {
        [] => {}
        [head] => work(head, &results[0]),
        heads => {
            let half = heads.len() / 2;
            let (a, b) = heads.split_at_mut(half);
            let (ra, rb) = results.split_at(half);
            join(parallel, || each(a, ra, parallel, work), || each(b, rb, parallel, work));
        }
    }
}

/// Runs two closures, the second on a thread of its own if `parallel`.
fn join(parallel: bool, a: impl FnOnce(), b: impl FnOnce() + Send) {
    if parallel {
        std::thread::scope(|scope| {
            scope.spawn(b);
            a();
        });
    } else {
        a();
        b();
    }
}
