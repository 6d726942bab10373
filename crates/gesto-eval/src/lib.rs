//! How good detections are: COCO's figures, and what helps to act on them.
//!
//! The way of the data: [`GroundTruth`] and [`Detections`] (COCO JSON, checked) -> overlaps (IoU or OKS) -> matches ->
//! [`Evaluation`] -> [`Report`] and [`charts`]. Pure functions; nothing here runs a network or opens a picture.
//!
//! Average precision is computed as by [pycocotools](https://github.com/cocodataset/cocoapi): ten overlaps from 0.50 to
//! 0.95, 101 recall points, annotations with `iscrowd` ignored (a detection on one counts neither way).
//!
//! ```
//! use gesto_eval::{Detections, GroundTruth, Task, evaluate};
//!
//! let truth = GroundTruth::from_json(
//!     r#"{"images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 100}],
//!         "categories": [{"id": 1, "name": "like"}],
//!         "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 40, 40], "area": 1600, "iscrowd": 0}]}"#,
//! )?;
//! let found = Detections::from_json(
//!     r#"[{"image_id": 1, "category_id": 1, "bbox": [10, 10, 40, 32], "score": 0.9}]"#,
//!     &truth,
//! )?;
//! let figures = evaluate(&truth, &found, Task::Boxes);
//! assert_eq!(figures.average_precision(|_| true, Some(0.5)), Some(1.0));
//! assert_eq!(figures.average_precision(|_| true, Some(0.85)), Some(0.0)); // the overlap is 0.8
//! # Ok::<(), gesto_eval::Error>(())
//! ```

#![forbid(unsafe_code)]

pub mod charts;
mod coco;
mod confusion;
mod curve;
mod error;
mod evaluation;
mod false_gestures;
mod matching;
mod overlap;
mod report;

pub use coco::{Annotation, Category, Detection, Detections, GroundTruth, Image};
pub use confusion::Confusion;
pub use curve::{Curve, OperatingPoint, RECALLS};
pub use error::{Error, ErrorKind, Result};
pub use evaluation::{AreaRange, BoxSummary, CategoryFigures, Evaluation, KeypointSummary, Task, evaluate};
pub use false_gestures::FalseGestures;
pub use overlap::KEYPOINT_SIGMAS;
pub use report::{ClassReport, HandsReport, IDLE, MeanPrecision, PeopleReport, Report};
