//! The decoding kernel's tables, and the buffers that its records come back through.

use gesto_engine::Model;
use gesto_engine::model::{Head, ValueId};

use crate::detections::RECORD_HEAD;
use crate::device::Gpu;
use crate::error::Result;
use crate::kernels::Kernels;
use crate::options::Output;
use crate::plan::lower::Lowered;
use crate::slot::{Mapping, Queries, Slot, TIMESTAMPS};

/// The decoding kernel's head; the same fields stand in `decode.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct HeadEntry {
    pub(super) first_level: u32,
    pub(super) levels: u32,
    pub(super) classes: u32,
    pub(super) keypoints: u32,
    pub(super) anchors: u32,
    pub(super) record: u32,
    pub(super) quick: u32,
    pub(super) quick_base: u32,
    pub(super) rest_base: u32,
    pub(super) counter: u32,
    pub(super) limit: f32,
    pub(super) padding: u32,
}

/// The decoding kernel's level; the same fields stand in `decode.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct LevelEntry {
    pub(super) classes: [u32; 2],
    pub(super) boxes: [u32; 2],
    pub(super) points: [u32; 2],
    pub(super) first: u32,
    pub(super) height: u32,
    pub(super) width: u32,
    pub(super) stride: f32,
}

/// Sizes of the result buffers, in words.
pub(super) struct Results {
    pub(super) counters: usize,
    pub(super) quick: usize,
    pub(super) all: usize,
    /// Best class and logit of each anchor point.
    pub(super) best: usize,
}

pub(super) fn head_tables(
    model: &Model,
    lowered: &Lowered,
    height: usize,
    width: usize,
    batch: usize,
    readback: usize,
) -> (Vec<HeadEntry>, Vec<LevelEntry>, Results) {
    let graph = model.graph();
    let anchors = graph.anchor_points(height, width);
    let quick = readback.min(anchors);
    let record = |head: &Head| RECORD_HEAD + 3 * head.keypoints;
    let quick_words: usize = graph.heads.iter().map(|head| batch * quick * record(head)).sum();
    let (mut heads, mut levels) = (Vec::new(), Vec::new());
    let (mut quick_base, mut rest_base) = (0, quick_words);
    for (h, head) in graph.heads.iter().enumerate() {
        heads.push(HeadEntry {
            first_level: levels.len() as u32,
            levels: head.levels.len() as u32,
            classes: head.classes.len() as u32,
            keypoints: head.keypoints as u32,
            anchors: anchors as u32,
            record: record(head) as u32,
            quick: quick as u32,
            quick_base: quick_base as u32,
            rest_base: rest_base as u32,
            counter: (h * batch) as u32,
            limit: 0.0,
            padding: 0,
        });
        quick_base += batch * quick * record(head);
        rest_base += batch * (anchors - quick) * record(head);
        let mut first = 0;
        for level in &head.levels {
            let place = |id: ValueId| {
                let plane = lowered.raw[&id];
                [plane.base as u32, plane.pitch as u32]
            };
            let plane = lowered.raw[&level.classes];
            levels.push(LevelEntry {
                classes: place(level.classes),
                boxes: place(level.boxes),
                points: level.keypoints.map_or([0, 0], place),
                first,
                height: plane.height as u32,
                width: plane.width as u32,
                stride: level.stride as f32,
            });
            first += (plane.height * plane.width) as u32;
        }
    }
    let results = Results {
        counters: (graph.heads.len() * batch).next_multiple_of(4),
        quick: quick_words,
        all: rest_base,
        best: 2 * graph.heads.len() * batch * anchors,
    };
    (heads, levels, results)
}

pub(super) fn make_slot(
    gpu: &Gpu,
    kernels: &Kernels,
    inputs: &[&wgpu::Buffer; 3],
    results: &Results,
    timed: bool,
    output: Output,
) -> Result<Slot> {
    use wgpu::BufferUsages as U;
    let counters =
        gpu.buffer("counters", 4 * results.counters as u64, U::STORAGE | U::COPY_SRC | U::COPY_DST, false)?;
    let records = gpu.buffer("records", 4 * results.all as u64, U::STORAGE | U::COPY_SRC, false)?;
    let stamps = if timed { 8 * u64::from(TIMESTAMPS) } else { 0 };
    let quick = match output {
        Output::Candidates => 4 * results.quick as u64,
        Output::Maps => inputs[0].size(),
        Output::MapsAndBest => inputs[0].size() + 4 * results.best as u64,
    };
    let readback = gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("read-back"),
        size: counters.size() + quick + stamps,
        usage: U::MAP_READ | U::COPY_DST,
        mapped_at_creation: false,
    });
    let queries = timed.then(|| Queries {
        set: gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
            label: None,
            ty: wgpu::QueryType::Timestamp,
            count: TIMESTAMPS,
        }),
        resolved: gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("timestamps"),
            size: stamps,
            usage: U::QUERY_RESOLVE | U::COPY_SRC,
            mapped_at_creation: false,
        }),
    });
    let decode = gpu.bind(&kernels.decode_layout, &[inputs[0], inputs[1], inputs[2], &counters, &records]);
    gpu.check()?;
    Ok(Slot {
        upload: None,
        upload_mapped: Mapping::done(),
        counters,
        records,
        readback,
        readback_mapped: Mapping::default(),
        decode,
        queries,
    })
}
