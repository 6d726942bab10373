//! What stands before the network on the processor: the chosen way to resize.

use std::time::{Duration, Instant};

use gesto_engine::resample::layers::{Layers, ResizeModel};
use gesto_engine::{Network, Outputs};

use crate::error::Result;
use crate::frame::Frame;
use crate::preprocess::{Fit, Mapping, Preprocessor, Resize};

/// Brings frames into a network.
#[derive(Debug, Clone)]
pub(in crate::detector) struct Front {
    fit: Fit,
    way: Way,
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
    Model(ResizeModel, Vec<[f32; 4]>),
}

/// A frame's way into the network and through it.
pub(super) struct Run<'n> {
    pub(super) mapping: Mapping,
    /// Time of the resize, where it is a stage of its own.
    pub(super) resize: Duration,
    pub(super) outputs: Outputs<'n>,
}

impl Front {
    pub(in crate::detector) fn new(height: u32, width: u32, fit: Fit, resize: Resize) -> Result<Self> {
        let model = |layers| ResizeModel::new(layers, height as usize, width as usize);
        let way = match resize {
            Resize::Fused => Way::Fused(Preprocessor::new(height, width, fit, resize)?),
            Resize::GraphBilinear => Way::Layers(model(Layers::Bilinear)),
            Resize::GraphGather => Way::Layers(model(Layers::Gather)),
            Resize::GraphConv => Way::Layers(model(Layers::Conv)),
            Resize::CustomOp => Way::Layers(model(Layers::Custom)),
            Resize::OneModel => Way::Layers(model(Layers::Folded)),
            Resize::TwoModels => Way::Model(model(Layers::Bilinear), Vec::new()),
            _ => Way::Pass(Preprocessor::new(height, width, fit, resize)?),
        };
        Ok(Self { fit, way })
    }

    /// Runs `network` on `frame`.
    pub(super) fn run<'n>(
        &mut self,
        network: &'n mut Network,
        frame: &Frame<'_>,
        thresholds: &[f32],
    ) -> Run<'n> {
        let picture = frame.picture();
        let (height, width) = (network.height() as u32, network.width() as u32);
        let mapping = Mapping::new(frame, self.fit, height, width);
        let target = mapping.target();
        let start = Instant::now();
        match &mut self.way {
            Way::Fused(pass) => {
                let outputs = network.run_picture(pass.resampler(), &picture, target, thresholds);
                Run { mapping, resize: Duration::ZERO, outputs }
            }
            Way::Pass(pass) => {
                network.resample(pass.resampler(), &picture, target);
                let resize = start.elapsed();
                Run { mapping, resize, outputs: network.run(thresholds) }
            }
            Way::Layers(model) if model.layers() == Layers::Conv => {
                let (mapping, blocks) = Mapping::blocks(frame, self.fit, height, width);
                let outputs = network.run_layers(model, &picture, mapping.target(), Some(blocks), thresholds);
                Run { mapping, resize: Duration::ZERO, outputs }
            }
            Way::Layers(model) => {
                let outputs = network.run_layers(model, &picture, target, None, thresholds);
                Run { mapping, resize: Duration::ZERO, outputs }
            }
            Way::Model(model, tensor) => {
                network.resize_by(model, &picture, target, None, tensor);
                let resize = start.elapsed();
                Run { mapping, resize, outputs: network.run_tensor(tensor, thresholds) }
            }
        }
    }
}
