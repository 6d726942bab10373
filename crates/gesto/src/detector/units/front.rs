//! What stands before the network on the processor: the chosen way to resize.

use std::time::{Duration, Instant};

use gesto_engine::resample::layers::{Layers, ResizeModel};
use gesto_engine::{Network, Outputs};

#[cfg(feature = "gpu")]
use super::gpu_resize::GpuResize;
use crate::error::Result;
use crate::frame::Frame;
use crate::preprocess::{Fit, Mapping, Preprocessor, Resize};
use crate::unit::Adapter;

/// Brings frames into a network.
#[derive(Debug, Clone)]
pub(in crate::detector) struct Front {
    fit: Fit,
    way: Way,
    /// What a model of its own gives.
    tensor: Vec<[f32; 4]>,
}

#[derive(Debug, Clone)]
enum Way {
    /// The first layer samples the frame.
    Fused(Preprocessor),
    /// A pass of its own, on all of the network's threads.
    Pass(Preprocessor),
    /// Layers in front of the network's own.
    Layers(ResizeModel),
    /// A model of its own, and its output.
    Model(ResizeModel),
    /// A pass of its own on the graphics processor.
    #[cfg(feature = "gpu")]
    Gpu(GpuResize),
}

/// A frame's way into the network and through it.
pub(super) struct Run<'n> {
    pub(super) mapping: Mapping,
    /// Time of the resize, where it is a stage or a step of its own.
    pub(super) resize: Duration,
    pub(super) outputs: Outputs<'n>,
}

impl Front {
    /// `threads` are the processor's.
    pub(in crate::detector) fn new(
        height: u32,
        width: u32,
        fit: Fit,
        resize: Resize,
        #[cfg_attr(
            not(feature = "gpu"),
            allow(unused_variables, reason = "only copies to a device need it")
        )]
        threads: usize,
        #[cfg_attr(not(feature = "gpu"), allow(unused_variables, reason = "there is no device"))]
        adapter: &Adapter,
    ) -> Result<Self> {
        let model = |layers| ResizeModel::new(layers, height as usize, width as usize);
        let way = match resize {
            Resize::Fused => Way::Fused(Preprocessor::new(height, width, fit, resize)?),
            Resize::GraphBilinear => Way::Layers(model(Layers::Bilinear)),
            Resize::GraphGather => Way::Layers(model(Layers::Gather)),
            Resize::GraphConv => Way::Layers(model(Layers::Conv)),
            Resize::CustomOp => Way::Layers(model(Layers::Custom)),
            Resize::OneModel => Way::Layers(model(Layers::Folded)),
            Resize::TwoModels => Way::Model(model(Layers::Bilinear)),
            #[cfg(feature = "gpu")]
            Resize::GpuBilinear | Resize::GpuNearest => {
                Way::Gpu(GpuResize::new(height, width, fit, resize, threads, adapter)?)
            }
            _ => Way::Pass(Preprocessor::new(height, width, fit, resize)?),
        };
        Ok(Self { fit, way, tensor: Vec::new() })
    }

    /// Runs `network` on `frame`; only a graphics processor's resize fails.
    pub(super) fn run<'n>(
        &mut self,
        network: &'n mut Network,
        frame: &Frame<'_>,
        thresholds: &[f32],
    ) -> Result<Run<'n>> {
        let picture = frame.picture();
        let (height, width) = (network.height() as u32, network.width() as u32);
        let mapping = Mapping::new(frame, self.fit, height, width);
        let target = mapping.target();
        let start = Instant::now();
        Ok(match &mut self.way {
            Way::Fused(pass) => {
                let outputs = network.run_picture(pass.resampler(), &picture, target, thresholds);
                Run { mapping, resize: Duration::ZERO, outputs }
            }
            Way::Layers(model) if model.layers() == Layers::Conv => {
                let (mapping, blocks) = Mapping::blocks(frame, self.fit, height, width);
                let outputs = network.run_layers(model, &picture, mapping.target(), Some(blocks), thresholds);
                Run { mapping, resize: outputs.resize_time(), outputs }
            }
            Way::Layers(model) => {
                let outputs = network.run_layers(model, &picture, target, None, thresholds);
                Run { mapping, resize: outputs.resize_time(), outputs }
            }
            // A stage of its own, then the network.
            _ => {
                self.resize(network, frame)?;
                let resize = start.elapsed();
                Run { mapping, resize, outputs: self.model(network, thresholds) }
            }
        })
    }

    /// The resize alone, into the network's 8-bit picture or a tensor of its own; only a graphics processor's fails.
    pub(super) fn resize(&mut self, network: &mut Network, frame: &Frame<'_>) -> Result<()> {
        let picture = frame.picture();
        let (height, width) = (network.height() as u32, network.width() as u32);
        let target = Mapping::new(frame, self.fit, height, width).target();
        match &mut self.way {
            Way::Fused(pass) | Way::Pass(pass) => network.resample(pass.resampler(), &picture, target),
            Way::Layers(model) if model.layers() == Layers::Conv => {
                let (mapping, blocks) = Mapping::blocks(frame, self.fit, height, width);
                network.resize_by(model, &picture, mapping.target(), Some(blocks), &mut self.tensor);
            }
            Way::Layers(model) | Way::Model(model) => {
                network.resize_by(model, &picture, target, None, &mut self.tensor);
            }
            #[cfg(feature = "gpu")]
            Way::Gpu(resizer) => resizer.run(frame, network.input_mut())?,
        }
        Ok(())
    }

    /// The network alone, on what [`resize`](Self::resize) left.
    pub(super) fn model<'n>(&self, network: &'n mut Network, thresholds: &[f32]) -> Outputs<'n> {
        match self.way {
            Way::Layers(_) | Way::Model(_) => network.run_tensor(&self.tensor, thresholds),
            _ => network.run(thresholds),
        }
    }
}
