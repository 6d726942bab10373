//! Compute units: what may run the network.
//!
//! Units have names, which every program of the project takes: `cpu`, `gpu`, `gpu:NAME` or `gpu:NUMBER`, and
//! `ort:PROVIDER` for a provider of ONNX Runtime.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::{Error, ErrorKind};
use crate::preprocess::Resize;

/// What runs the network.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Unit {
    /// The processor, by the kernels of `gesto-engine`.
    #[default]
    Cpu,
    /// A graphics processor, by the shaders of `gesto-gpu` (Vulkan, Metal, DX12). Needs the feature `gpu`.
    Gpu(Adapter),
    /// A provider of ONNX Runtime, whose library is found and loaded at run time. Needs the feature `ort`.
    Ort(Provider),
}

/// Which graphics processor.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Adapter {
    /// The fastest kind present; a software rasteriser only if nothing else is there.
    #[default]
    Best,
    /// The first whose name contains this text, whatever the case.
    Named(String),
    /// By its position among the machine's, from 0 (`gesto units` numbers them).
    Number(usize),
}

#[cfg(feature = "gpu")]
impl From<&Adapter> for gesto_gpu::AdapterChoice {
    fn from(adapter: &Adapter) -> Self {
        match adapter {
            Adapter::Best => Self::Best,
            Adapter::Named(name) => Self::Named(name.clone()),
            Adapter::Number(number) => Self::Number(*number),
        }
    }
}

/// A provider of ONNX Runtime: what that runtime hands the network to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Provider {
    /// The runtime's own kernels for processors.
    Cpu,
    /// NVIDIA graphics processors.
    Cuda,
    /// NVIDIA graphics processors through TensorRT.
    TensorRt,
    /// Apple's graphics processors and Neural Engine.
    CoreMl,
    /// Intel's processors, graphics processors and NPUs.
    OpenVino,
    /// Qualcomm's NPUs.
    Qnn,
    /// Any DirectX 12 device of Windows.
    DirectMl,
}

impl Provider {
    /// Every provider that has a name here.
    pub const ALL: [Self; 7] =
        [Self::Cpu, Self::Cuda, Self::TensorRt, Self::CoreMl, Self::OpenVino, Self::Qnn, Self::DirectMl];

    /// The name behind `ort:`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::TensorRt => "tensorrt",
            Self::CoreMl => "coreml",
            Self::OpenVino => "openvino",
            Self::Qnn => "qnn",
            Self::DirectMl => "directml",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Unit {
    /// The resize that a detector on this unit uses unless told otherwise.
    #[must_use]
    pub fn default_resize(&self) -> Resize {
        match self {
            Self::Cpu => Resize::default(),
            Self::Gpu(_) => Resize::GpuBilinear,
            Self::Ort(_) => Resize::CpuBilinear,
        }
    }

    /// Whether a detector on this unit can resize so.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] with the reason.
    pub fn check_resize(&self, resize: Resize) -> Result<(), Error> {
        let on_processor = matches!(resize, Resize::CpuBilinear | Resize::CpuNearest | Resize::CpuArea);
        let names = match self {
            Self::Cpu => return resize.check(),
            Self::Gpu(_) if on_processor || resize.needs_gpu() => return Ok(()),
            Self::Ort(_) if on_processor => return Ok(()),
            Self::Gpu(_) => "gpu-bilinear, gpu-nearest, cpu-bilinear, cpu-nearest and cpu-area do",
            Self::Ort(_) => "cpu-bilinear, cpu-nearest and cpu-area do",
        };
        let message = format!("the resize {resize} does not exist on unit {self}; {names}");
        Err(Error::new(ErrorKind::Unsupported, message))
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.pad("cpu"),
            Self::Gpu(Adapter::Best) => f.pad("gpu"),
            Self::Gpu(Adapter::Named(name)) => f.pad(&format!("gpu:{name}")),
            Self::Gpu(Adapter::Number(number)) => f.pad(&format!("gpu:{number}")),
            Self::Ort(provider) => f.pad(&format!("ort:{provider}")),
        }
    }
}

impl FromStr for Unit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let unknown = |what: String| Error::new(ErrorKind::Config, what);
        let (kind, rest) = match text.split_once(':') {
            Some((kind, rest)) => (kind, Some(rest.trim())),
            None => (text, None),
        };
        match (kind.trim().to_ascii_lowercase().as_str(), rest) {
            ("cpu", None) => Ok(Self::Cpu),
            ("gpu", None) => Ok(Self::Gpu(Adapter::Best)),
            ("gpu", Some(which)) if !which.is_empty() => Ok(Self::Gpu(match which.parse() {
                Ok(number) => Adapter::Number(number),
                Err(_) => Adapter::Named(which.to_owned()),
            })),
            ("ort", provider) => {
                let name = provider.unwrap_or_default().to_ascii_lowercase();
                let found = Provider::ALL.into_iter().find(|provider| provider.name() == name);
                let names = Provider::ALL.map(Provider::name).join(", ");
                found.map(Self::Ort).ok_or_else(|| unknown(format!("ort: is followed by one of {names}")))
            }
            _ => Err(unknown(
                "a unit is cpu, gpu, gpu:NAME (a part of an adapter's name, or its number) or ort:PROVIDER"
                    .to_owned(),
            )),
        }
    }
}

/// As its name.
impl Serialize for Unit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Unit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        let mut units = vec![
            ("cpu", Unit::Cpu),
            ("gpu", Unit::Gpu(Adapter::Best)),
            ("gpu:1", Unit::Gpu(Adapter::Number(1))),
            ("gpu:NVIDIA H200", Unit::Gpu(Adapter::Named("NVIDIA H200".to_owned()))),
        ];
        let providers =
            ["ort:cpu", "ort:cuda", "ort:tensorrt", "ort:coreml", "ort:openvino", "ort:qnn", "ort:directml"];
        units.extend(providers.into_iter().zip(Provider::ALL.map(Unit::Ort)));
        for (name, unit) in units {
            assert_eq!(name.parse::<Unit>().unwrap(), unit);
            assert_eq!(unit.to_string(), name);
        }
        assert_eq!("ORT:CUDA".parse::<Unit>().unwrap(), Unit::Ort(Provider::Cuda));
    }

    #[test]
    fn other_names_are_refused() {
        for name in ["", "npu", "gpu:", "cpu:0", "ort", "ort:", "ort:cpu2", ":"] {
            assert_eq!(name.parse::<Unit>().unwrap_err().kind(), ErrorKind::Config, "{name:?}");
        }
    }
}
