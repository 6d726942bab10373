//! What the server needs of a detector, and who makes one.

use gesto::{Detections, Frame};

use crate::settings::{Network, Settings, Thresholds};
use crate::wire::Choices;

/// Finds hands and people in frames.
pub trait Detect: Send {
    /// A frame is about to come: it is being unpacked.
    fn wake(&mut self) {}

    /// Looks at one frame and replaces what `out` held.
    ///
    /// # Errors
    /// One sentence when the unit failed.
    fn detect(
        &mut self,
        frame: &Frame<'_>,
        thresholds: &Thresholds,
        out: &mut Detections,
    ) -> Result<(), String>;
}

/// Makes detectors for the settings that streams choose.
pub trait Backend: Send + Sync + 'static {
    /// What streams may choose.
    fn choices(&self) -> &Choices;

    /// Settings of a new stream; one of the choices.
    fn defaults(&self) -> &Settings;

    /// Names of the hand classes, in the order of their numbers.
    fn gestures(&self) -> Vec<String>;

    /// Makes a detector. Called on a worker thread, now and then: the few last used are kept.
    ///
    /// # Errors
    /// One sentence, such as a unit that this machine lacks.
    fn build(&self, network: &Network) -> Result<Box<dyn Detect>, String>;
}
