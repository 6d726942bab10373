//! How a network is planned.

use crate::isa::Isa;

/// How to plan a [`Network`](super::Network).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// Threads that share one frame, the caller's included; at least 1.
    pub threads: usize,
    /// Which anchor points get boxes and keypoints.
    pub heads: HeadMode,
    /// The kernel tier, also of resizes that the network runs; `None` takes the best that the machine has and `GESTO_ISA`
    /// allows.
    pub isa: Option<Isa>,
    /// The plan ends with a step that finds the best class of each anchor point on all threads; what selects candidates
    /// then reads one number for each instead of all classes. The candidates are the same.
    pub class_max: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { threads: 1, heads: HeadMode::Lazy, isa: None, class_max: false }
    }
}

/// Which anchor points get boxes and keypoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HeadMode {
    /// Only those whose best class passes the threshold, with the receptive field they need.
    #[default]
    Lazy,
    /// All of them.
    Dense,
}
