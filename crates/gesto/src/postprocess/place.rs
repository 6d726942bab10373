//! Where post-processing happens.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};

/// Who turns the network's maps into candidates: the best class of each anchor point, its threshold, boxes, keypoints.
/// Suppression is always the processor's. The detections are the same, up to the rounding of the unit's arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum PostProcessing {
    /// All on the processor: every class of every anchor point is compared there.
    #[serde(rename = "cpu")]
    Cpu,
    /// All on the graphics processor that ran the network; only candidates come back. Needs a unit `gpu`.
    #[serde(rename = "gpu")]
    Gpu,
    /// The best class of each anchor point is found by the network's plan, the rest on the processor.
    #[serde(rename = "cpu+graph-max")]
    CpuGraphMax,
}

impl PostProcessing {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Gpu, Self::CpuGraphMax];

    /// Its name: `cpu`, `gpu` or `cpu+graph-max`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
            Self::CpuGraphMax => "cpu+graph-max",
        }
    }
}

impl fmt::Display for PostProcessing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for PostProcessing {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let names = Self::ALL.map(Self::name).join(", ");
        let unknown = || Error::new(ErrorKind::Config, format!("post-processing is one of {names}"));
        Self::ALL.into_iter().find(|place| place.name() == text).ok_or_else(unknown)
    }
}
