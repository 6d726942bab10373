//! What the runtime hands a model to.

use ort::ep::{self, ExecutionProvider, ExecutionProviderDispatch};

use crate::error::{Error, ErrorKind, Result};
use crate::library::{Library, environment};

/// A provider of ONNX Runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Provider {
    /// The runtime's own kernels for processors.
    #[default]
    Cpu,
    /// NVIDIA graphics processors.
    Cuda,
    /// NVIDIA graphics processors through TensorRT, with 16-bit arithmetic.
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
    /// Every provider.
    pub const ALL: [Self; 7] =
        [Self::Cpu, Self::Cuda, Self::TensorRt, Self::CoreMl, Self::OpenVino, Self::Qnn, Self::DirectMl];

    /// The runtime's own name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => ep::CPU::NAME,
            Self::Cuda => ep::CUDA::NAME,
            Self::TensorRt => ep::TensorRT::NAME,
            Self::CoreMl => ep::CoreML::NAME,
            Self::OpenVino => ep::OpenVINO::NAME,
            Self::Qnn => ep::QNN::NAME,
            Self::DirectMl => ep::DirectML::NAME,
        }
    }

    /// Which package of the runtime has it.
    fn source(self) -> &'static str {
        match self {
            Self::Cpu => "every one",
            Self::Cuda | Self::TensorRt => "onnxruntime-gpu",
            Self::CoreMl => "the one for macOS and iOS",
            Self::OpenVino => "onnxruntime-openvino",
            Self::Qnn => "onnxruntime-qnn",
            Self::DirectMl => "onnxruntime-directml for Windows",
        }
    }

    /// Checks that the library was built with this provider; its driver may still be missing.
    ///
    /// # Errors
    /// [`ErrorKind::Library`] when there is no library, [`ErrorKind::Provider`] when it lacks the provider.
    pub fn check(self, library: &Library) -> Result<()> {
        environment(library)?;
        let available = match self {
            Self::Cpu => ep::CPU::is_available(),
            Self::Cuda => ep::CUDA::is_available(),
            Self::TensorRt => ep::TensorRT::is_available(),
            Self::CoreMl => ep::CoreML::is_available(),
            Self::OpenVino => ep::OpenVINO::is_available(),
            Self::Qnn => ep::QNN::is_available(),
            Self::DirectMl => ep::DirectML::is_available(),
        };
        match available {
            Ok(true) => Ok(()),
            Ok(false) => {
                let message = format!(
                    "this library of ONNX Runtime was built without {}; the package that has it is {}",
                    self.name(),
                    self.source()
                );
                Err(Error::new(ErrorKind::Provider, message))
            }
            Err(why) => Err(Error::new(ErrorKind::Provider, format!("ONNX Runtime does not answer: {why}"))),
        }
    }

    /// Settings that suit one small network of fixed shape, frame after frame.
    pub(crate) fn dispatch(self) -> Option<ExecutionProviderDispatch> {
        let provider = match self {
            // Always registered, behind the others.
            Self::Cpu => return None,
            Self::Cuda => ep::CUDA::default().build(),
            Self::TensorRt => ep::TensorRT::default().with_fp16(true).build(),
            Self::CoreMl => ep::CoreML::default().with_static_input_shapes(true).build(),
            Self::OpenVino => ep::OpenVINO::default().build(),
            Self::Qnn => {
                let library = if cfg!(windows) { "QnnHtp.dll" } else { "libQnnHtp.so" };
                ep::QNN::default().with_backend_path(library).build()
            }
            Self::DirectMl => ep::DirectML::default().build(),
        };
        // Without this the runtime would quietly use the processor instead.
        Some(provider.error_on_failure())
    }
}
