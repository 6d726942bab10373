//! From pending frames to detections: a fair queue of newest frames, worker threads, and the detectors they run.

mod backend;
mod detector;
mod job;
mod queue;
mod worker;

pub use backend::{Backend, Detect};
pub use detector::{DetectorBackend, Offer};
pub(crate) use job::{Answer, Job, Payload, Reply};
pub(crate) use queue::{LaneId, Policy, Queue, Submitted};
pub(crate) use worker::Workers;
