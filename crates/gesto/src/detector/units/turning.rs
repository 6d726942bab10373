//! Two networks, one for frames that are taller than wide and one for the others, whatever the unit.

use gesto_engine::Isa;

use super::Pipeline;
use crate::detection::Detections;
use crate::detector::Thresholds;
use crate::error::Result;
use crate::frame::Frame;

/// The same network planned twice, with the sides of its input swapped: a letterboxed frame fills the one that lies as it
/// does, and less than half of the other.
#[derive(Debug)]
pub(in crate::detector) struct Turning {
    tall: Box<dyn Pipeline>,
    wide: Box<dyn Pipeline>,
    /// The last frame went to `wide`; before the first one, the size that was asked for.
    last_wide: bool,
    /// Square frames go there too.
    default_wide: bool,
}

impl Turning {
    /// `given` has the size that was asked for, `turned` the other one; their sides differ.
    pub(in crate::detector) fn new(given: Box<dyn Pipeline>, turned: Box<dyn Pipeline>) -> Self {
        let (height, width) = given.size();
        let given_wide = width > height;
        let (tall, wide) = if given_wide { (turned, given) } else { (given, turned) };
        Self { tall, wide, last_wide: given_wide, default_wide: given_wide }
    }

    fn lies_wide(&self, frame: &Frame<'_>) -> bool {
        let (width, height) = frame.upright_size();
        if width == height { self.default_wide } else { width > height }
    }

    fn of(&mut self, frame: &Frame<'_>) -> &mut dyn Pipeline {
        self.last_wide = self.lies_wide(frame);
        if self.last_wide { &mut *self.wide } else { &mut *self.tall }
    }
}

impl Pipeline for Turning {
    fn detect(&mut self, frame: &Frame<'_>, out: &mut Detections) -> Result<()> {
        self.of(frame).detect(frame, out)
    }

    fn wake(&mut self) {
        // Frames of one source lie alike.
        if self.last_wide { self.wide.wake() } else { self.tall.wake() }
    }

    fn detect_batch(&mut self, frames: &[Frame<'_>]) -> Result<Vec<Detections>> {
        let (wide, tall): (Vec<_>, Vec<_>) = frames.iter().partition(|frame| self.lies_wide(frame));
        let mut wide = self.wide.detect_batch(&wide)?.into_iter();
        let mut tall = self.tall.detect_batch(&tall)?.into_iter();
        if let Some(last) = frames.last() {
            self.last_wide = self.lies_wide(last);
        }
        let in_order =
            frames.iter().map(|frame| if self.lies_wide(frame) { wide.next() } else { tall.next() });
        Ok(in_order.map(|found| found.expect("a batch has a result for each frame")).collect())
    }

    fn network_input(&mut self, frame: &Frame<'_>) -> Result<Option<Vec<[f32; 3]>>> {
        self.of(frame).network_input(frame)
    }

    fn set_thresholds(&mut self, thresholds: &Thresholds) {
        self.tall.set_thresholds(thresholds);
        self.wide.set_thresholds(thresholds);
    }

    fn isa(&self) -> Option<Isa> {
        // Both have it from the same settings.
        self.tall.isa()
    }

    fn size(&self) -> (usize, usize) {
        if self.last_wide { self.wide.size() } else { self.tall.size() }
    }
}
