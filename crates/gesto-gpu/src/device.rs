//! The device with its faults caught: wgpu reports errors through callbacks, whose default is to panic.

use std::sync::{Arc, Mutex, OnceLock};

use wgpu::util::DeviceExt;

use crate::adapter::Opened;
use crate::error::{Error, ErrorKind, Result};

#[derive(Debug)]
pub(crate) struct Gpu {
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    pub(crate) limits: wgpu::Limits,
    name: String,
    fault: Arc<Mutex<Option<Error>>>,
    lost: Arc<OnceLock<Error>>,
}

impl Gpu {
    pub(crate) fn new(opened: &Opened) -> Self {
        let (device, name) = (opened.device.clone(), opened.summary.name.clone());
        let fault = Arc::new(Mutex::new(None));
        let (slot, label) = (Arc::clone(&fault), name.clone());
        device.on_uncaptured_error(Arc::new(move |error| {
            let (kind, what) = match &error {
                wgpu::Error::OutOfMemory { .. } => (ErrorKind::OutOfMemory, "has too little memory"),
                wgpu::Error::Validation { .. } => (ErrorKind::Device, "refused a command"),
                wgpu::Error::Internal { .. } => (ErrorKind::Device, "failed"),
            };
            keep_first(&slot, Error::new(kind, format!("the GPU {label:?} {what}: {error}")));
        }));
        let lost = Arc::new(OnceLock::new());
        let (slot, label) = (Arc::clone(&lost), name.clone());
        device.set_device_lost_callback(move |_, message| {
            let why = if message.is_empty() { "its driver gave no reason" } else { message.as_str() };
            // Only the first loss counts.
            let _ = slot.set(Error::new(ErrorKind::DeviceLost, format!("the GPU {label:?} was lost: {why}")));
        });
        Self { limits: device.limits(), device, queue: opened.queue.clone(), name, fault, lost }
    }

    /// The first fault since the last call, if any; a lost device stays lost.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(error) = self.lost.get() {
            return Err(error.clone());
        }
        match self.fault.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// A buffer of at least `size` bytes, zeroed.
    pub(crate) fn buffer(
        &self,
        label: &str,
        size: u64,
        usage: wgpu::BufferUsages,
        mapped: bool,
    ) -> Result<wgpu::Buffer> {
        let size = size.next_multiple_of(16).max(16);
        let most = if usage.contains(wgpu::BufferUsages::STORAGE) {
            self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size)
        } else {
            self.limits.max_buffer_size
        };
        if size > most {
            let message = format!(
                "the {label} need {} MB in one buffer, the GPU {:?} allows {} MB: choose a smaller batch or input",
                size >> 20,
                self.name,
                most >> 20
            );
            return Err(Error::new(ErrorKind::OutOfMemory, message));
        }
        let desc = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: mapped };
        let buffer = self.device.create_buffer(&desc);
        self.check()?;
        Ok(buffer)
    }

    /// A storage buffer that holds `data`.
    pub(crate) fn filled<T: bytemuck::NoUninit>(
        &self,
        label: &str,
        data: &[T],
        usage: wgpu::BufferUsages,
    ) -> Result<wgpu::Buffer> {
        let mut bytes = bytemuck::cast_slice(data).to_vec();
        bytes.resize(bytes.len().next_multiple_of(16).max(16), 0);
        if usage.contains(wgpu::BufferUsages::STORAGE)
            && bytes.len() as u64 > self.limits.max_storage_buffer_binding_size
        {
            let message =
                format!("the {label} of {} MB exceed what the GPU {:?} allows", bytes.len() >> 20, self.name);
            return Err(Error::new(ErrorKind::OutOfMemory, message));
        }
        let desc = wgpu::util::BufferInitDescriptor { label: Some(label), contents: &bytes, usage };
        let buffer = self.device.create_buffer_init(&desc);
        self.check()?;
        Ok(buffer)
    }

    /// Whole buffers bound in order.
    pub(crate) fn bind(&self, layout: &wgpu::BindGroupLayout, buffers: &[&wgpu::Buffer]) -> wgpu::BindGroup {
        let entries: Vec<wgpu::BindGroupEntry<'_>> = buffers
            .iter()
            .enumerate()
            .map(|(i, buffer)| wgpu::BindGroupEntry {
                binding: i as u32,
                resource: buffer.as_entire_binding(),
            })
            .collect();
        self.device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries })
    }

    /// Lets callbacks run.
    pub(crate) fn poll(&self, how: wgpu::PollType) -> Result<()> {
        let polled = self.device.poll(how);
        self.check()?;
        polled.map(|_| ()).map_err(|e| {
            Error::new(ErrorKind::DeviceLost, format!("the GPU {:?} does not answer: {e}", self.name))
        })
    }

    /// Copies a buffer's first `size` bytes to the host; slow, for construction and inspection.
    pub(crate) fn read(&self, buffer: &wgpu::Buffer, offset: u64, size: u64) -> Result<Vec<u8>> {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = self.buffer("read-back", size, usage, false)?;
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(buffer, offset, &staging, 0, size.next_multiple_of(4));
        self.queue.submit([encoder.finish()]);
        staging.slice(..).map_async(wgpu::MapMode::Read, |_| ());
        self.poll(wgpu::PollType::wait_indefinitely())?;
        let view = staging.slice(..).get_mapped_range().map_err(|e| self.map_failed(&e))?;
        Ok(view[..size as usize].to_vec())
    }

    /// Why memory could not be mapped: the device's fault if it has one.
    pub(crate) fn map_failed(&self, why: &dyn std::fmt::Display) -> Error {
        // The device's callbacks run while it is polled.
        let _ = self.device.poll(wgpu::PollType::Poll);
        if let Err(error) = self.check() {
            return error;
        }
        Error::new(
            ErrorKind::DeviceLost,
            format!("memory of the GPU {:?} could not be mapped: {why}", self.name),
        )
    }
}

fn keep_first(slot: &Mutex<Option<Error>>, error: Error) {
    slot.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(error);
}
