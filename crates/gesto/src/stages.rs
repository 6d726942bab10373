//! Each stage of a frame's way by itself, for benchmarks.
//!
//! ```
//! use gesto::stages::Stages;
//! use gesto::{Detector, Frame};
//!
//! let pixels = vec![90; 48 * 36 * 3];
//! let frame = Frame::rgb8(&pixels, 48, 36)?;
//! let mut stages = Stages::new(Detector::builder().size(64, 64).threads(1), &frame)?;
//! let (resize, model) = (stages.resize(&frame)?, stages.model());
//! let post = stages.post_processing();
//! println!("{resize:?} {model:?} {:?} {:?}", post.decode, post.nms);
//! # Ok::<(), gesto::Error>(())
//! ```

use std::time::{Duration, Instant};

use crate::detection::Detections;
use crate::detector::{DetectorBuilder, Lane};
use crate::error::Result;
use crate::frame::Frame;
use crate::postprocess::PostTiming;

/// The stages of a detector on the processor, which can be repeated one by one.
#[derive(Debug)]
pub struct Stages {
    lane: Lane,
    out: Detections,
}

impl Stages {
    /// Plans what `builder` describes, whatever its unit, and runs `frame` through it, so that each stage finds what the
    /// one before it leaves.
    ///
    /// # Errors
    /// As [`DetectorBuilder::build`].
    pub fn new(builder: DetectorBuilder, frame: &Frame<'_>) -> Result<Self> {
        let mut stages = Self { lane: builder.lane()?, out: Detections::default() };
        stages.resize(frame)?;
        stages.everything(frame)?;
        Ok(stages)
    }

    /// The whole way of a frame.
    ///
    /// # Errors
    /// [`ErrorKind::UnitFailed`](crate::ErrorKind::UnitFailed) when a graphics processor was to resize, and failed.
    pub fn everything(&mut self, frame: &Frame<'_>) -> Result<&Detections> {
        self.lane.detect(frame, &mut self.out)?;
        Ok(&self.out)
    }

    /// The resize alone, on all threads: for ways that are part of the network, as a pass of its own that takes the same
    /// samples; for a graphics processor's, with the way there and back.
    ///
    /// # Errors
    /// As [`everything`](Self::everything).
    pub fn resize(&mut self, frame: &Frame<'_>) -> Result<Duration> {
        let start = Instant::now();
        self.lane.resize(frame)?;
        Ok(start.elapsed())
    }

    /// The network alone, on the samples that the last [`resize`](Self::resize) left: an 8-bit picture, or of ways that
    /// are layers a tensor. Before the first, those of the frame given to [`new`](Self::new).
    pub fn model(&mut self) -> Duration {
        let start = Instant::now();
        self.lane.model();
        start.elapsed()
    }

    /// Everything after the network's maps for the last frame: in `decode` the best class of each anchor point, thresholds,
    /// boxes, keypoints, and pixels of the frame; in `nms` suppression.
    pub fn post_processing(&mut self) -> PostTiming {
        self.lane.post_processing(&mut self.out)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::detector::Detector;
    use crate::preprocess::{Fit, Resize};

    /// Two people, one of them showing a gesture.
    const PICTURE: &[u8] = include_bytes!("../../gesto-engine/tests/golden/two-people-320x224.png");

    #[test]
    fn the_network_by_itself_sees_the_frame_whatever_the_resize() {
        let mut decoder = png::Decoder::new(Cursor::new(PICTURE));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        let frame = Frame::rgb8(&pixels, info.width, info.height).unwrap();
        for resize in Resize::ALL.into_iter().filter(|resize| !resize.needs_gpu()) {
            let builder = Detector::builder().fit(Fit::Stretch).resize(resize).threads(1);
            let mut stages = Stages::new(builder, &frame).unwrap();
            let whole = stages.everything(&frame).unwrap().clone();
            assert!(whole.people.len() == 2 && !whole.hands.is_empty(), "{resize}: {whole:?}");
            for resized in [false, true] {
                if resized {
                    stages.resize(&frame).unwrap();
                }
                stages.model();
                stages.post_processing();
                let found = |out: &Detections| (out.people.len(), out.hands.len());
                assert_eq!(found(&stages.out), found(&whole), "{resize}, resized again: {resized}");
            }
        }
    }
}
