//! The ways to resize a frame, by name.

use std::fmt;
use std::str::FromStr;

use gesto_engine::resample::Method;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};

/// How pixels of the frame become pixels of the network's input, and where that happens.
///
/// Names, as command lines take them, are those of [`name`](Self::name): `fused`, `cpu-bilinear` and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Resize {
    /// Inside the network's first layer: each thread samples the rows that it is about to convolve straight into the
    /// layer's number format. The numbers are those of [`CpuBilinear`](Self::CpuBilinear).
    #[default]
    Fused,
    /// The four pixels around each output pixel's centre, weighted by nearness; no antialiasing, edges repeat.
    /// The shipped network was trained on pictures sampled so (`grid_sample` with `align_corners = false`).
    CpuBilinear,
    /// The one pixel under each output pixel's centre.
    CpuNearest,
    /// The mean over each output pixel's area: antialiased, and reads the whole frame.
    CpuArea,
    /// As [`CpuBilinear`](Self::CpuBilinear), by a kernel of the graphics processor: in front of the network's own on a
    /// unit `gpu`; by itself, with the picture read back, on the unit `cpu`.
    GpuBilinear,
    /// As [`CpuNearest`](Self::CpuNearest), in the same places as [`GpuBilinear`](Self::GpuBilinear).
    GpuNearest,
    /// Layers in front of the network: the whole frame as a tensor of floats, then a bilinear resize of it.
    GraphBilinear,
    /// Layers in front of the network: the whole frame as a tensor of floats, then a gather by index along each axis,
    /// which makes nearest neighbours.
    GraphGather,
    /// Layers in front of the network: the whole frame as a tensor of floats, then a strided convolution whose weights
    /// average blocks of a whole number of pixels.
    GraphConv,
    /// One operator of our own in the network's plan, from the 8-bit frame to the network's input.
    CustomOp,
    /// A model that resizes, planned by itself, whose output is handed to the network.
    TwoModels,
    /// The layers of [`GraphBilinear`](Self::GraphBilinear) and the network as one static plan for one kind of frame,
    /// the conversion of the frame folded into the resize.
    OneModel,
}

impl Resize {
    /// Every way.
    pub const ALL: [Self; 12] = [
        Self::Fused,
        Self::CpuBilinear,
        Self::CpuNearest,
        Self::CpuArea,
        Self::GpuBilinear,
        Self::GpuNearest,
        Self::GraphBilinear,
        Self::GraphGather,
        Self::GraphConv,
        Self::CustomOp,
        Self::TwoModels,
        Self::OneModel,
    ];

    /// Its name: where it happens, a dash, what it does.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fused => "fused",
            Self::CpuBilinear => "cpu-bilinear",
            Self::CpuNearest => "cpu-nearest",
            Self::CpuArea => "cpu-area",
            Self::GpuBilinear => "gpu-bilinear",
            Self::GpuNearest => "gpu-nearest",
            Self::GraphBilinear => "graph-bilinear",
            Self::GraphGather => "graph-gather",
            Self::GraphConv => "graph-conv",
            Self::CustomOp => "custom-op",
            Self::TwoModels => "two-models",
            Self::OneModel => "one-model",
        }
    }

    /// Whether it needs a graphics processor.
    #[must_use]
    pub fn needs_gpu(self) -> bool {
        matches!(self, Self::GpuBilinear | Self::GpuNearest)
    }

    /// Whether a unit `cpu` can do it, as this library was built. Whether there is a graphics processor, where one is
    /// needed, turns out when it is opened.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] with the reason.
    pub fn check(self) -> Result<(), Error> {
        if self.needs_gpu() && !cfg!(feature = "gpu") {
            let message = format!("the resize {self} is not part of this program: it was built without gpu");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        Ok(())
    }

    /// How samples are taken, for the ways that are a pass of their own, or take the same samples as one.
    pub(crate) fn method(self) -> Result<Method, Error> {
        match self {
            Self::Fused | Self::CpuBilinear => Ok(Method::Bilinear),
            Self::CpuNearest => Ok(Method::Nearest),
            Self::CpuArea => Ok(Method::Area),
            other => {
                let message = format!("the resize {other} is no pass of its own on the processor");
                Err(Error::new(ErrorKind::Unsupported, message))
            }
        }
    }
}

impl fmt::Display for Resize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Resize {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|resize| resize.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::new(ErrorKind::Config, format!("a resize is one of {names}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for resize in Resize::ALL {
            assert_eq!(resize.name().parse::<Resize>().unwrap(), resize);
            assert_eq!(serde_json::to_string(&resize).unwrap(), format!("\"{resize}\""));
        }
        assert_eq!("bilinear".parse::<Resize>().unwrap_err().kind(), ErrorKind::Config);
    }
}
