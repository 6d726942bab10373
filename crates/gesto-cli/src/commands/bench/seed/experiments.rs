//! The experiments, as data: what runs where, which part of the way is timed, and the seed's figure.

use gesto::{PostProcessing, Resize};
use gesto_engine::resample::layers::Layers;

use crate::values::Size;

/// One line of the benchmark.
#[derive(Debug, Clone)]
pub(super) struct Experiment {
    /// Number in the seed's table.
    pub(super) row: u32,
    pub(super) name: &'static str,
    pub(super) place: Place,
    pub(super) size: Size,
    /// `None`: what suits the unit.
    pub(super) resize: Option<Resize>,
    pub(super) post: Option<PostProcessing>,
    pub(super) part: Part,
    /// Frames a second of the seed on its telephone (iPhone 13); `None` where it gave the experiment up.
    pub(super) seed_fps: Option<f64>,
}

/// What an experiment runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The processor, by the best kernels it has.
    Cpu,
    /// The processor's vector units alone, by the best of those kernels.
    Vectors,
    /// A graphics processor.
    Gpu,
    /// A unit made for networks: the processor's matrix unit, or an NPU through ONNX Runtime.
    Npu,
}

/// Which part of a frame's way is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Resize,
    /// The resize's layers by themselves, without the network behind them.
    Layers(Layers),
    Model,
    /// Where the resize is a part of what the model's unit runs.
    ResizeAndModel,
    /// Both heads: best class, threshold, boxes, suppression, keypoints.
    PostProcessing,
    Nms,
    /// Suppression alone, of a crowd's boxes.
    NmsOfCrowd,
    /// From the frame in memory to the final detections.
    Everything,
}

/// The two sizes of the seed.
pub(super) const SIZES: [Size; 2] = [Size { height: 320, width: 224 }, Size { height: 256, width: 128 }];

/// All of them, in the order of the seed's table.
pub(super) fn experiments() -> Vec<Experiment> {
    let mut list = List::default();
    let [large, small] = SIZES;
    for (row, size, [cpu, gpu, npu]) in [(1, large, [93.0, 61.0, 370.0]), (2, small, [132.0, 82.0, 550.0])] {
        list.at(row, size);
        list.add("model on the CPU", Place::Vectors, Part::Model, Some(cpu));
        list.add("model on the GPU", Place::Gpu, Part::Model, Some(gpu));
        list.add("model on the NPU or matrix unit", Place::Npu, Part::Model, Some(npu));
    }
    // The seed's figures of rows 3 to 13 name no size: they stand beside both.
    for (row, name, resize, place, part, seed) in [
        (3, "resize on the CPU, bilinear", Resize::CpuBilinear, Place::Cpu, Part::Resize, None),
        (3, "resize on the CPU, nearest", Resize::CpuNearest, Place::Cpu, Part::Resize, None),
        (3, "resize on the CPU, area", Resize::CpuArea, Place::Cpu, Part::Resize, None),
        (4, "resize on the GPU, bilinear", Resize::GpuBilinear, Place::Gpu, Part::Resize, Some(600.0)),
        (
            4,
            "resize on the GPU for the CPU, bilinear",
            Resize::GpuBilinear,
            Place::Cpu,
            Part::Resize,
            Some(600.0),
        ),
        (
            5,
            "resize in the graph, bilinear",
            Resize::GraphBilinear,
            Place::Cpu,
            Part::Layers(Layers::Bilinear),
            Some(270.0),
        ),
        (
            6,
            "resize in the graph, gathers",
            Resize::GraphGather,
            Place::Cpu,
            Part::Layers(Layers::Gather),
            Some(170.0),
        ),
        (
            7,
            "resize in the graph, strided convolution",
            Resize::GraphConv,
            Place::Cpu,
            Part::Layers(Layers::Conv),
            Some(130.0),
        ),
        (
            8,
            "custom resize operator in the graph",
            Resize::CustomOp,
            Place::Cpu,
            Part::Layers(Layers::Custom),
            None,
        ),
        (
            8,
            "custom resize operator, with the network",
            Resize::CustomOp,
            Place::Cpu,
            Part::ResizeAndModel,
            None,
        ),
        (
            8,
            "resize fused into the first layer, with the network",
            Resize::Fused,
            Place::Cpu,
            Part::ResizeAndModel,
            None,
        ),
        // 50 to 100 more than bilinear.
        (9, "resize on the GPU, nearest", Resize::GpuNearest, Place::Gpu, Part::Resize, Some(700.0)),
        (
            9,
            "resize on the GPU for the CPU, nearest",
            Resize::GpuNearest,
            Place::Cpu,
            Part::Resize,
            Some(700.0),
        ),
        (
            10,
            "two models, resize then network",
            Resize::TwoModels,
            Place::Cpu,
            Part::ResizeAndModel,
            Some(130.0),
        ),
        (
            11,
            "one static model, resize and network",
            Resize::OneModel,
            Place::Cpu,
            Part::ResizeAndModel,
            Some(185.0),
        ),
    ] {
        for size in SIZES {
            list.at(row, size);
            list.add(name, place, part, seed);
            list.last().resize = Some(resize);
        }
    }
    for (name, post, place, seed) in [
        ("post-processing on the GPU, two heads", PostProcessing::Gpu, Place::Gpu, 600.0),
        ("post-processing on the CPU, two heads", PostProcessing::Cpu, Place::Cpu, 600.0),
        (
            "post-processing on the CPU, class maximum in the graph, two heads",
            PostProcessing::CpuGraphMax,
            Place::Cpu,
            600.0,
        ),
    ] {
        for size in SIZES {
            list.at(12, size);
            list.add(name, place, Part::PostProcessing, Some(seed));
            list.last().post = Some(post);
        }
    }
    for size in SIZES {
        list.at(13, size);
        list.add("NMS on the CPU, both heads", Place::Cpu, Part::Nms, Some(26_000.0));
        list.add("NMS on the CPU, a crowd: one box an anchor point", Place::Cpu, Part::NmsOfCrowd, None);
    }
    for (size, seed) in SIZES.into_iter().zip([153.0, 197.0]) {
        list.at(14, size);
        list.add("everything, CPU", Place::Cpu, Part::Everything, Some(seed));
        list.add("everything, GPU", Place::Gpu, Part::Everything, Some(seed));
    }
    list.experiments
}

struct List {
    row: u32,
    size: Size,
    experiments: Vec<Experiment>,
}

impl Default for List {
    fn default() -> Self {
        Self { row: 0, size: SIZES[0], experiments: Vec::new() }
    }
}

impl List {
    fn at(&mut self, row: u32, size: Size) {
        (self.row, self.size) = (row, size);
    }

    fn add(&mut self, name: &'static str, place: Place, part: Part, seed_fps: Option<f64>) {
        let Self { row, size, .. } = *self;
        self.experiments.push(Experiment {
            row,
            name,
            place,
            size,
            resize: None,
            post: None,
            part,
            seed_fps,
        });
    }

    fn last(&mut self) -> &mut Experiment {
        self.experiments.last_mut().expect("one was added")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_of_the_seed_is_there_at_both_sizes() {
        let all = experiments();
        let rows: BTreeSet<u32> = all.iter().map(|experiment| experiment.row).collect();
        assert_eq!(rows, (1..=14).collect());
        for row in 3..=14 {
            for size in SIZES {
                assert!(all.iter().any(|e| e.row == row && e.size == size), "row {row} at {size}");
            }
        }
        assert!(all.iter().all(|e| e.resize.is_none_or(Resize::needs_gpu) || e.place != Place::Gpu));
    }

    #[test]
    fn every_resize_and_every_post_processing_is_there() {
        let all = experiments();
        for resize in Resize::ALL {
            assert!(all.iter().any(|experiment| experiment.resize == Some(resize)), "{resize}");
        }
        for post in PostProcessing::ALL {
            assert!(all.iter().any(|experiment| experiment.post == Some(post)), "{post}");
        }
    }
}
