//! The resize kernel by itself, for a network that runs elsewhere.

use crate::adapter::{self, AdapterSummary};
use crate::device::Gpu;
use crate::error::{Error, ErrorKind, Result};
use crate::frame::Frame;
use crate::kernels::ResizeKernels;
use crate::network::{MAX_PIXELS, View};
use crate::options::{Arithmetic, GpuOptions, Timing, Waiting};
use crate::plan::layout::Plane;
use crate::preprocess::{Geometry, Preprocess, copiers};
use crate::slot::Mapping;

/// Resizes frames on a GPU and gives the pixels back to the host: the kernel that a
/// [`GpuNetwork`](crate::GpuNetwork) has in front of its layers, for networks that run on another unit.
///
/// One submission a frame: its needed rows go up, the resized picture (`height * width * 4` bytes) comes back. Buffers are
/// made once for each kind of frame.
pub struct GpuResizer {
    gpu: Gpu,
    summary: AdapterSummary,
    kernels: ResizeKernels,
    height: usize,
    width: usize,
    waiting: Waiting,
    copiers: Option<rayon::ThreadPool>,
    /// The resized picture on the GPU, a word for each pixel, and its way back.
    picture: wgpu::Buffer,
    readback: wgpu::Buffer,
    prepared: Option<Prepared>,
}

/// Tables and buffers for one kind of frame.
struct Prepared {
    preprocess: Preprocess,
    upload: wgpu::Buffer,
    upload_mapped: Mapping,
}

impl std::fmt::Debug for GpuResizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GpuResizer")
            .field("adapter", &self.summary.name)
            .field("height", &self.height)
            .field("width", &self.width)
            .finish_non_exhaustive()
    }
}

impl GpuResizer {
    /// For pictures of `height` x `width`. Of the options, the adapter, the copying threads and the way of waiting count;
    /// the kernel needs no optional feature of the adapter.
    ///
    /// # Errors
    /// [`ErrorKind::NoAdapter`] when no adapter fits the options, [`ErrorKind::Shape`] when a side is 0 or the picture too
    /// large, [`ErrorKind::Input`] when the number of copying threads is out of range, [`ErrorKind::OutOfMemory`],
    /// [`ErrorKind::DeviceLost`] and [`ErrorKind::Device`] as the driver reports them.
    pub fn new(height: usize, width: usize, options: &GpuOptions) -> Result<Self> {
        if height == 0 || width == 0 || height.saturating_mul(width) > MAX_PIXELS {
            let message = format!("a picture of {height} x {width} is not possible");
            return Err(Error::new(ErrorKind::Shape, message));
        }
        let mut plain = options.clone();
        (plain.arithmetic, plain.timing, plain.tune) = (Arithmetic::F32, Timing::Host, false);
        let opened = adapter::open(&plain)?;
        let gpu = Gpu::new(&opened);
        let kernels = ResizeKernels::to_bytes(&gpu)?;
        let bytes = (height * width * 4) as u64;
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
        let picture = gpu.buffer("resized picture", bytes, usage, false)?;
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let readback = gpu.buffer("read-back", bytes, usage, false)?;
        Ok(Self {
            gpu,
            summary: opened.summary,
            kernels,
            height,
            width,
            waiting: options.waiting,
            copiers: copiers(options.copy_threads)?,
            picture,
            readback,
            prepared: None,
        })
    }

    /// The adapter it runs on.
    #[must_use]
    pub fn adapter(&self) -> &AdapterSummary {
        &self.summary
    }

    /// How the host waits from the next call on.
    pub fn set_waiting(&mut self, waiting: Waiting) {
        self.waiting = waiting;
    }

    /// Resizes a frame into `rgb`: `height * width` pixels of red, green and blue, row by row.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when the frame does not fit its bytes or `rgb` has another length; device errors as in
    /// [`new`](Self::new).
    pub fn run(&mut self, frame: &Frame<'_>, view: &View, rgb: &mut [u8]) -> Result<()> {
        frame.check()?;
        if rgb.len() != self.height * self.width * 3 {
            let message =
                format!("{} bytes do not hold a picture of {} x {}", rgb.len(), self.height, self.width);
            return Err(Error::new(ErrorKind::Input, message));
        }
        self.gpu.check()?;
        let geometry = Geometry::of(frame, view);
        let prepared = match self.prepared.take() {
            Some(prepared) if prepared.preprocess.geometry == geometry => self.prepared.insert(prepared),
            _ => {
                let made = self.prepare(geometry)?;
                self.prepared.insert(made)
            }
        };
        let (gpu, spin) = (&self.gpu, self.waiting == Waiting::Spin);
        prepared.upload_mapped.wait(gpu, spin)?;
        let preprocess = &prepared.preprocess;
        preprocess.copy_frames(gpu, &[*frame], &prepared.upload, self.copiers.as_ref())?;
        prepared.upload.unmap();

        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let uploaded = preprocess.picture_bytes() as u64;
        encoder.copy_buffer_to_buffer(&prepared.upload, 0, &preprocess.frames, 0, uploaded);
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(&self.kernels.pipelines[usize::from(preprocess.nearest())]);
            pass.set_bind_group(0, &preprocess.bind, &[]);
            let [x, y] = [self.width.div_ceil(16), self.height.div_ceil(8)].map(|n| n as u32);
            pass.dispatch_workgroups(x, y, 1);
        }
        encoder.copy_buffer_to_buffer(&self.picture, 0, &self.readback, 0, self.readback.size());
        let after = gpu.queue.submit([encoder.finish()]);
        let arrived = Mapping::ask(&self.readback, wgpu::MapMode::Read, after.clone());
        prepared.upload_mapped = Mapping::ask(&prepared.upload, wgpu::MapMode::Write, after);
        let read = gpu.check().and_then(|()| arrived.wait(gpu, spin)).and_then(|()| {
            let view = self.readback.slice(..).get_mapped_range().map_err(|e| gpu.map_failed(&e))?;
            for (to, from) in rgb.as_chunks_mut::<3>().0.iter_mut().zip(view.as_chunks::<4>().0) {
                to.copy_from_slice(&from[..3]);
            }
            Ok(())
        });
        self.readback.unmap();
        read
    }

    fn prepare(&self, geometry: Geometry) -> Result<Prepared> {
        let Self { gpu, height, width, .. } = self;
        let plane = Plane { base: 0, pitch: 1, height: *height, width: *width, row: *width };
        let preprocess = Preprocess::new(gpu, &self.kernels.layout, &self.picture, plane, 1, geometry)?;
        let usage = wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC;
        let upload = gpu.buffer("frame upload", preprocess.picture_bytes() as u64, usage, true)?;
        Ok(Prepared { preprocess, upload, upload_mapped: Mapping::done() })
    }
}
