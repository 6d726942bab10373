//! A resize by the graphics processor in front of a network on the processor.

use std::sync::{Arc, Mutex, PoisonError};

use gesto_gpu::{GpuOptions, GpuResizer, View, Waiting};

use super::gpu::{shader_frame, view};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::preprocess::{Fit, Preprocessor, Resize};
use crate::unit::Adapter;

/// Resizes frames on an adapter. Clones take turns on the device.
#[derive(Debug, Clone)]
pub(super) struct GpuResize {
    resizer: Arc<Mutex<GpuResizer>>,
    view: View,
    /// The same samples by the processor, for frames that the shaders do not read (gigantic ones).
    preprocessor: Preprocessor,
}

impl GpuResize {
    pub(super) fn new(
        height: u32,
        width: u32,
        fit: Fit,
        resize: Resize,
        threads: usize,
        adapter: &Adapter,
    ) -> Result<Self> {
        let (shader, processor) = match resize {
            Resize::GpuNearest => (gesto_gpu::Resize::Nearest, Resize::CpuNearest),
            _ => (gesto_gpu::Resize::Bilinear, Resize::CpuBilinear),
        };
        let mut options = GpuOptions::default();
        options.adapter = adapter.into();
        options.copy_threads = threads.clamp(1, 4);
        let mut resizer = GpuResizer::new(height as usize, width as usize, &options).map_err(|error| {
            let error = Error::from(error);
            Error::new(error.kind(), format!("the resize {resize} needs a graphics processor: {error}"))
        })?;
        // As for a whole network there: a software adapter needs the core for its own work.
        let software = resizer.adapter().kind == "software";
        resizer.set_waiting(if software { Waiting::Block } else { Waiting::Spin });
        Ok(Self {
            resizer: Arc::new(Mutex::new(resizer)),
            view: view(fit, shader),
            preprocessor: Preprocessor::new(height, width, fit, processor)?,
        })
    }

    /// Writes `frame` into `input`: pixels of 8-bit RGB, row by row.
    pub(super) fn run(&mut self, frame: &Frame<'_>, input: &mut [u8]) -> Result<()> {
        match shader_frame(frame) {
            Some(shaders) => {
                // A panic elsewhere leaves the device as usable as an error does.
                let mut resizer = self.resizer.lock().unwrap_or_else(PoisonError::into_inner);
                resizer.run(&shaders, &self.view, input)?;
            }
            None => {
                self.preprocessor.run(frame, input);
            }
        }
        Ok(())
    }
}
