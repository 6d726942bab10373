//! Thresholds that change between frames.

use super::Detector;
use crate::error::Result;
use crate::postprocess::{HeadKind, Postprocessor};

/// What a detector keeps; see the setters of the same names in [`DetectorBuilder`](super::DetectorBuilder).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Least probability of a hand, 0 to 1. At 1 no hand is kept, and little is computed for hands.
    pub confidence_hand: f32,
    /// Least probability of a person, 0 to 1. At 1 nobody is kept, and little is computed for people.
    pub confidence_body: f32,
    /// Overlap above which the weaker of two hands of one class is dropped, 0 to 1.
    pub iou_hand: f32,
    /// Overlap above which the weaker of two people is dropped, 0 to 1.
    pub iou_body: f32,
}

impl Detector {
    /// Changes the thresholds from the next frame on; nothing is planned anew.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for a value outside 0 to 1; nothing has changed then.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) -> Result<()> {
        let mut settings = self.settings.clone();
        settings.confidence_hand = thresholds.confidence_hand;
        settings.confidence_body = thresholds.confidence_body;
        settings.iou_hand = thresholds.iou_hand;
        settings.iou_body = thresholds.iou_body;
        settings.check()?;
        self.settings = settings;
        self.pipeline.set_thresholds(&thresholds);
        Ok(())
    }
}

impl Thresholds {
    /// Hands each head what is meant for its kind: the overlap to `postprocessor`, the probability to `confidences`.
    pub(super) fn apply(&self, postprocessor: &mut Postprocessor, confidences: &mut [f32]) {
        for (plan, confidence) in postprocessor.plans_mut().zip(confidences) {
            (*confidence, plan.iou) = match plan.kind {
                HeadKind::Hands(_) => (self.confidence_hand, self.iou_hand),
                HeadKind::People => (self.confidence_body, self.iou_body),
            };
        }
    }
}
