//! Real-time hand gestures and people with their keypoints, from one network, on the CPU, on a GPU, or through ONNX Runtime.
//!
//! The way of the data: [`Frame`] -> [`preprocess`] -> network (`gesto-engine`) -> [`postprocess`] (decode,
//! NMS) -> [`Detections`]. [`Detector`] owns all of it:
//!
//! ```
//! use gesto::{Detector, Frame};
//!
//! let mut detector = Detector::builder().size(64, 64).threads(2).build()?;
//!
//! let pixels = vec![128; 48 * 36 * 3]; // a camera's picture
//! let out = detector.detect(&Frame::rgb8(&pixels, 48, 36)?)?;
//!
//! for hand in &out.hands {
//!     println!("{} {:.2} at {:?}", hand.gesture, hand.score, hand.bbox);
//! }
//! for person in &out.people {
//!     for point in person.keypoints.iter().filter(|point| point.score > 0.5) {
//!         println!("{} at {:.0}, {:.0}", point.name, point.x, point.y);
//!     }
//! }
//! println!("{:?} in all", out.timing.total);
//! # assert!(out.hands.is_empty() && out.people.is_empty(), "plain grey shows nobody");
//! # Ok::<(), gesto::Error>(())
//! ```
//!
//! # Coordinates
//! Everything that comes back is in pixels of the frame as it is stored, whatever its rotation, mirroring and the
//! network's size. Coordinates are continuous: the top left pixel covers `0..1`, the right edge is `width`. Boxes
//! are clipped to the frame and at least one pixel wide and high; keypoints are not clipped.

#![forbid(unsafe_code)]

pub mod detection;
pub mod detector;
pub mod error;
pub mod frame;
pub mod geometry;
pub mod gesture;
pub mod keypoint;
pub mod model;
pub mod postprocess;
pub mod preprocess;
pub mod record;
pub mod stages;
pub mod unit;

pub use detection::{Detections, Hand, Label, Person, Timing};
pub use detector::{Detector, DetectorBuilder, HeadInfo, Thresholds};
pub use error::{Error, ErrorKind, Result};
pub use frame::{Frame, Orientation, PixelFormat, Plane, Rotation};
pub use geometry::Rect;
pub use gesto_engine::{HeadMode, Isa, Model};
pub use gesture::Gesture;
pub use keypoint::{KEYPOINTS, Keypoint, KeypointName, SKELETON};
pub use postprocess::PostProcessing;
pub use preprocess::{Fit, Resize};
pub use unit::Unit;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
