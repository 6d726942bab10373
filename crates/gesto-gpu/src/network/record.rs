//! The commands of one submission.

use super::GpuNetwork;
use crate::kernels::Kernels;
use crate::options::Output;
use crate::plan::stage::Shape;
use crate::slot::{Slot, TIMESTAMPS};

/// One dispatch.
#[derive(Debug, Clone)]
pub(crate) struct Dispatch {
    /// `None` for pools.
    pub(crate) shape: Option<Shape>,
    pub(crate) tiles: wgpu::BindGroup,
    pub(crate) groups: (u32, u32),
}

/// What a recorded submission does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recipe {
    pub(super) slot: usize,
    pub(super) pictures: usize,
    /// Starts from new frames, not from the pictures that are there.
    pub(super) upload: bool,
}

/// What a pass may hold.
#[derive(Clone, Copy)]
enum Part {
    Resize,
    Network,
    Decode,
}

impl GpuNetwork {
    /// Records a submission. None of its commands depends on the frames' contents.
    pub(super) fn encode(&self, recipe: Recipe) -> wgpu::CommandBuffer {
        let Recipe { slot, pictures, upload } = recipe;
        let slot = &self.slots[slot];
        let mut encoder = self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.clear_buffer(&slot.counters, 0, None);
        if let (true, Some(p), Some(from)) = (upload, &self.preprocess, &slot.upload) {
            encoder.copy_buffer_to_buffer(from, 0, &p.frames, 0, (pictures * p.picture_bytes()) as u64);
        }
        // Timestamps are taken between passes; without them one pass holds everything.
        let parts: &[&[Part]] = if slot.queries.is_some() {
            &[&[Part::Resize], &[Part::Network], &[Part::Decode]]
        } else {
            &[&[Part::Resize, Part::Network, Part::Decode]]
        };
        for (i, parts) in parts.iter().enumerate() {
            let writes = slot.queries.as_ref().map(|q| wgpu::ComputePassTimestampWrites {
                query_set: &q.set,
                beginning_of_pass_write_index: Some(2 * i as u32),
                end_of_pass_write_index: Some(2 * i as u32 + 1),
            });
            let mut pass = encoder
                .begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes: writes });
            for part in *parts {
                match part {
                    Part::Resize if upload => self.record_resize(&mut pass, pictures),
                    Part::Resize => {}
                    Part::Network => self.record_network(&mut pass),
                    Part::Decode => self.record_decode(&mut pass, slot),
                }
            }
        }
        let counters = slot.counters.size();
        encoder.copy_buffer_to_buffer(&slot.counters, 0, &slot.readback, 0, counters);
        let stamps = if slot.queries.is_some() { 8 * u64::from(TIMESTAMPS) } else { 0 };
        let quick = slot.readback.size() - counters - stamps;
        let raw = if self.output == Output::Candidates { 0 } else { self.raw.size() };
        if raw > 0 {
            encoder.copy_buffer_to_buffer(&self.raw, 0, &slot.readback, counters, raw);
        }
        if quick > raw {
            encoder.copy_buffer_to_buffer(&slot.records, 0, &slot.readback, counters + raw, quick - raw);
        }
        if let Some(q) = &slot.queries {
            encoder.resolve_query_set(&q.set, 0..TIMESTAMPS, &q.resolved, 0);
            encoder.copy_buffer_to_buffer(&q.resolved, 0, &slot.readback, counters + quick, stamps);
        }
        encoder.finish()
    }

    fn record_resize(&self, pass: &mut wgpu::ComputePass<'_>, pictures: usize) {
        let Some(p) = &self.preprocess else { return };
        pass.set_pipeline(&self.kernels.resize.pipelines[usize::from(p.nearest())]);
        pass.set_bind_group(0, &p.bind, &[]);
        let [x, y] = [self.width.div_ceil(16), self.height.div_ceil(8)].map(|n| n as u32);
        pass.dispatch_workgroups(x, y, pictures as u32);
    }

    fn record_network(&self, pass: &mut wgpu::ComputePass<'_>) {
        for dispatch in &self.dispatches {
            record(&self.kernels, &self.conv_bind, &self.pool_bind, dispatch, pass);
        }
    }

    fn record_decode(&self, pass: &mut wgpu::ComputePass<'_>, slot: &Slot) {
        match self.output {
            Output::Candidates => pass.set_pipeline(&self.kernels.decode),
            Output::Maps => return,
            Output::MapsAndBest => pass.set_pipeline(&self.kernels.classes_only),
        }
        pass.set_bind_group(0, &slot.decode, &[]);
        let anchors = self.head_entries.iter().map(|h| h.anchors).max().unwrap_or(0);
        pass.dispatch_workgroups(anchors.div_ceil(64), self.heads.len() as u32, self.batch as u32);
    }
}

/// Records one dispatch of the network.
pub(crate) fn record(
    kernels: &Kernels,
    conv: &wgpu::BindGroup,
    pool: &wgpu::BindGroup,
    dispatch: &Dispatch,
    pass: &mut wgpu::ComputePass<'_>,
) {
    match dispatch.shape {
        Some(shape) => {
            pass.set_pipeline(kernels.conv(shape));
            pass.set_bind_group(0, conv, &[]);
        }
        None => {
            pass.set_pipeline(&kernels.pool);
            pass.set_bind_group(0, pool, &[]);
        }
    }
    pass.set_bind_group(1, &dispatch.tiles, &[]);
    pass.dispatch_workgroups(dispatch.groups.0, dispatch.groups.1, 1);
}
