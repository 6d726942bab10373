//! One frame's way: preprocess -> network -> decode -> NMS, with every buffer kept between frames.

use std::time::Instant;

use gesto_engine::{Network, Outputs};

use crate::decode::{decode_box, decode_keypoint, sigmoid};
use crate::detection::{Detections, Hand, Label, Person};
use crate::frame::Frame;
use crate::gesture::Gesture;
use crate::keypoint::{KEYPOINTS, Keypoint, KeypointName};
use crate::nms::{Scored, suppress};
use crate::preprocess::{Mapping, Preprocessor};

/// What a head's results become.
#[derive(Debug, Clone)]
pub(crate) enum HeadKind {
    /// [`Hand`]s, with the name of each class.
    Hands(Vec<(Gesture, Label)>),
    /// [`Person`]s.
    People,
}

/// How to treat one head of the network.
#[derive(Debug, Clone)]
pub(crate) struct HeadPlan {
    pub(crate) kind: HeadKind,
    pub(crate) iou: f32,
    pub(crate) strides: Vec<usize>,
}

/// A planned network with all that surrounds it.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) network: Network,
    pub(crate) preprocessor: Preprocessor,
    pub(crate) heads: Vec<HeadPlan>,
    pub(crate) thresholds: Vec<f32>,
    pub(crate) max_detections: usize,
    /// Candidates of each head on their way to detections.
    pub(crate) boxes: Vec<Vec<Scored>>,
}

impl Pipeline {
    pub(crate) fn detect(&mut self, frame: &Frame<'_>, out: &mut Detections) {
        out.hands.clear();
        out.people.clear();
        let start = Instant::now();
        let mapping = self.preprocessor.run(frame, self.network.input_mut());
        let resized = Instant::now();
        let outputs = self.network.run(&self.thresholds);
        let modelled = Instant::now();
        for (h, (plan, boxes)) in self.heads.iter().zip(&mut self.boxes).enumerate() {
            decode(&outputs, h, plan, boxes);
        }
        let decoded = Instant::now();
        for (plan, boxes) in self.heads.iter().zip(&mut self.boxes) {
            suppress(boxes, plan.iou, self.max_detections);
        }
        let suppressed = Instant::now();
        for (h, (plan, boxes)) in self.heads.iter().zip(&self.boxes).enumerate() {
            finish(&outputs, h, plan, boxes, frame, &mapping, out);
        }
        let end = Instant::now();
        let timing = &mut out.timing;
        timing.resize = resized - start;
        timing.model = modelled - resized;
        timing.nms = suppressed - decoded;
        timing.decode = (decoded - modelled) + (end - suppressed);
        timing.total = end - start;
    }
}

/// Boxes of one head's candidates, in pixels of the network's input.
fn decode(outputs: &Outputs<'_>, head: usize, plan: &HeadPlan, boxes: &mut Vec<Scored>) {
    let output = outputs.head(head);
    boxes.clear();
    for (i, candidate) in output.candidates().iter().enumerate() {
        let stride = plan.strides[candidate.level as usize];
        let bbox = decode_box(candidate, stride, &output.box_logits(candidate));
        let finite = [bbox.x, bbox.y, bbox.w, bbox.h].iter().all(|v| v.is_finite());
        if finite {
            let score = sigmoid(candidate.logit);
            boxes.push(Scored { bbox, score, class: candidate.class, candidate: i as u32 });
        }
    }
}

/// Survivors to detections in pixels of the stored frame; keypoints are decoded for them alone.
fn finish(
    outputs: &Outputs<'_>,
    head: usize,
    plan: &HeadPlan,
    boxes: &[Scored],
    frame: &Frame<'_>,
    mapping: &Mapping,
    out: &mut Detections,
) {
    let (width, height) = (frame.width() as f32, frame.height() as f32);
    let output = outputs.head(head);
    for found in boxes {
        let bbox = mapping.rect_to_frame(&found.bbox).clipped(width, height);
        match &plan.kind {
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
                let candidate = &output.candidates()[found.candidate as usize];
                let stride = plan.strides[candidate.level as usize];
                let mut raw = [0.0; 3 * KEYPOINTS];
                output.keypoints(candidate, &mut raw);
                let raw = raw.as_chunks::<3>().0;
                let keypoints = KeypointName::ALL.map(|name| {
                    let (point, score) = decode_keypoint(candidate, stride, raw[name.index()]);
                    let (x, y) = mapping.point_to_frame(point);
                    Keypoint { name, x, y, score }
                });
                out.people.push(Person { score: found.score, bbox, keypoints });
            }
        }
    }
}
