//! What one frame in flight has to itself: its way in, its results and its way back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::device::Gpu;
use crate::error::Result;

/// How far a mapping is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mapping {
    state: Arc<AtomicU8>,
    /// The last submission that uses the buffer.
    after: Option<wgpu::SubmissionIndex>,
}

const PENDING: u8 = 0;
const DONE: u8 = 1;
const FAILED: u8 = 2;

impl Mapping {
    pub(crate) fn done() -> Self {
        Self { state: Arc::new(AtomicU8::new(DONE)), after: None }
    }

    /// Asks for a buffer to be mapped once the GPU is through with it.
    pub(crate) fn ask(buffer: &wgpu::Buffer, mode: wgpu::MapMode, after: wgpu::SubmissionIndex) -> Self {
        let mapping = Self { state: Arc::new(AtomicU8::new(PENDING)), after: Some(after) };
        let state = Arc::clone(&mapping.state);
        buffer.slice(..).map_async(mode, move |result| {
            state.store(if result.is_ok() { DONE } else { FAILED }, Ordering::Release);
        });
        mapping
    }

    /// Waits, spinning or asleep.
    pub(crate) fn wait(&self, gpu: &Gpu, spin: bool) -> Result<()> {
        loop {
            match self.state.load(Ordering::Acquire) {
                DONE => return Ok(()),
                FAILED => {
                    gpu.check()?;
                    return Err(gpu.map_failed(&"the device gave up"));
                }
                _ if spin => gpu.poll(wgpu::PollType::Poll)?,
                _ => {
                    gpu.poll(wgpu::PollType::Wait { submission_index: self.after.clone(), timeout: None })?
                }
            }
        }
    }
}

/// The buffers of one frame in flight.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Rows on their way in; made for a geometry, mapped while the host writes.
    pub(crate) upload: Option<wgpu::Buffer>,
    pub(crate) upload_mapped: Mapping,
    pub(crate) counters: wgpu::Buffer,
    pub(crate) records: wgpu::Buffer,
    /// Counters, then the records that come back at once, then timestamps.
    pub(crate) readback: wgpu::Buffer,
    pub(crate) readback_mapped: Mapping,
    pub(crate) decode: wgpu::BindGroup,
    pub(crate) queries: Option<Queries>,
}

/// Timestamps of a frame.
#[derive(Debug)]
pub(crate) struct Queries {
    pub(crate) set: wgpu::QuerySet,
    pub(crate) resolved: wgpu::Buffer,
}

/// Beginning and end of resize, network and decoding.
pub(crate) const TIMESTAMPS: u32 = 6;
