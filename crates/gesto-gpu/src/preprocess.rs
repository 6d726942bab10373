//! The frame's way to the GPU: which rows travel, and the resize kernel's tables.

use rayon::prelude::*;

use crate::device::Gpu;
use crate::error::{Error, ErrorKind, Result};
use crate::frame::{Fit, Frame, PixelFormat, Placement, Resize, Tap, Turn, taps};
use crate::network::View;
use crate::plan::layout::Plane;

/// Everything about a frame that decides the tables; frames that agree in it share one preparation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    width: usize,
    height: usize,
    format: PixelFormat,
    turn: Turn,
    mirror: bool,
    view: View,
}

impl Geometry {
    pub(crate) fn of(frame: &Frame<'_>, view: &View) -> Self {
        let Frame { width, height, format, turn, mirror, .. } = *frame;
        Self { width, height, format, turn, mirror, view: *view }
    }
}

/// The uniform of `resize.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Uniform {
    pitch: u32,
    pixel: u32,
    at: [u32; 3],
    stride: u32,
    turned: u32,
    x: u32,
    y: u32,
    width: u32,
    height: u32,
    fill: f32,
    pictures: u32,
    out_width: u32,
    out_height: u32,
    out_row: u32,
    out_image: u32,
    out_base: u32,
    pair: u32,
    padding: u32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct GpuTap {
    first: u32,
    second: u32,
    share: f32,
}

/// A prepared geometry: tables on the GPU, and the rows to copy.
#[derive(Debug)]
pub(crate) struct Preprocess {
    pub(crate) geometry: Geometry,
    pub(crate) bind: wgpu::BindGroup,
    pub(crate) frames: wgpu::Buffer,
    /// Stored rows that some output pixel reads, ascending.
    rows: Vec<usize>,
    /// Bytes of an uploaded row, and of one plane's pixels in it.
    pitch: usize,
    row_bytes: usize,
}

impl Preprocess {
    pub(crate) fn new(
        gpu: &Gpu,
        layout: &wgpu::BindGroupLayout,
        into: &wgpu::Buffer,
        picture: Plane,
        batch: usize,
        geometry: Geometry,
    ) -> Result<Self> {
        let Geometry { width, height, format, turn, mirror, view } = geometry;
        let turned = matches!(turn, Turn::Quarter | Turn::ThreeQuarters);
        let upright = if turned { (height, width) } else { (width, height) };
        let placement = Placement::new(view.fit, upright, (picture.width, picture.height));
        // The stored coordinate falls while the upright one rises.
        let (across_falls, down_falls) = match turn {
            Turn::None => (false, false),
            Turn::Quarter => (true, false),
            Turn::Half => (true, true),
            Turn::ThreeQuarters => (false, true),
        };
        let mut across = taps(view.resize, upright.0, placement.width, across_falls != mirror);
        let mut down = taps(view.resize, upright.1, placement.height, down_falls);
        let rows = keep_rows(if turned { &mut across } else { &mut down });
        let row_bytes = width * format.bytes();
        let samples = format.samples(width);
        // A row of NV12 takes its chroma row along.
        let uploaded = if format == PixelFormat::Nv12 { 2 * row_bytes } else { row_bytes };
        // Pieces of the upload buffer are mapped on 8 bytes.
        let pitch = uploaded.next_multiple_of(8);
        let bytes = batch as u64 * rows.len() as u64 * pitch as u64;
        // Byte offsets within a picture are 32-bit in the shader.
        if u32::try_from(rows.len() * pitch).is_err() {
            return Err(Error::new(ErrorKind::Input, format!("a frame of {width} x {height} is too large")));
        }
        let table: Vec<GpuTap> = across
            .iter()
            .chain(&down)
            .map(|tap| GpuTap { first: tap.first, second: tap.second, share: tap.share })
            .collect();
        let fill = match view.fit {
            Fit::Stretch => 0,
            Fit::Letterbox(fill) => fill,
        };
        let uniform = Uniform {
            pitch: pitch as u32,
            pixel: samples.pixel,
            at: samples.at,
            stride: (rows.len() * pitch / 4) as u32,
            turned: u32::from(turned),
            x: placement.x as u32,
            y: placement.y as u32,
            width: placement.width as u32,
            height: placement.height as u32,
            fill: f32::from(fill),
            pictures: batch as u32,
            out_width: picture.width as u32,
            out_height: picture.height as u32,
            out_row: picture.row as u32,
            out_image: picture.image() as u32,
            out_base: picture.base as u32,
            pair: samples.pair,
            padding: 0,
        };
        let storage = wgpu::BufferUsages::STORAGE;
        let frames = gpu.buffer("frames", bytes, storage | wgpu::BufferUsages::COPY_DST, false)?;
        let uniform = gpu.filled("frame description", &[uniform], wgpu::BufferUsages::UNIFORM)?;
        let table = gpu.filled("resize taps", &table, storage)?;
        let bind = gpu.bind(layout, &[into, &frames, &uniform, &table]);
        gpu.check()?;
        Ok(Self { geometry, bind, frames, rows, pitch, row_bytes })
    }

    /// Bytes that one picture uploads.
    pub(crate) fn picture_bytes(&self) -> usize {
        self.rows.len() * self.pitch
    }

    pub(crate) fn nearest(&self) -> bool {
        self.geometry.view.resize == Resize::Nearest
    }

    /// Copies the frames' needed rows one after the other, in parallel where there is a pool.
    pub(crate) fn copy_frames(
        &self,
        gpu: &Gpu,
        frames: &[Frame<'_>],
        to: &wgpu::Buffer,
        pool: Option<&rayon::ThreadPool>,
    ) -> Result<()> {
        let pieces = pool.map_or(1, |pool| pool.current_num_threads().div_ceil(frames.len()));
        let rows = self.rows.len().div_ceil(pieces).max(1);
        let jobs = frames.iter().flat_map(|frame| self.rows.chunks(rows).map(move |rows| (frame, rows)));
        let mut start = 0;
        let jobs: Vec<_> = jobs
            .map(|(frame, rows)| {
                let first = start;
                start += (rows.len() * self.pitch) as u64;
                (frame, rows, first..start)
            })
            .collect();
        let copy = |(frame, rows, range): &(&Frame<'_>, &[usize], std::ops::Range<u64>)| {
            let mut view = to.slice(range.clone()).get_mapped_range_mut().map_err(|e| gpu.map_failed(&e))?;
            self.copy_rows(frame, rows, view.slice(..));
            Ok(())
        };
        match pool {
            Some(pool) => pool.install(|| jobs.par_iter().with_max_len(1).try_for_each(copy)),
            None => jobs.iter().try_for_each(copy),
        }
    }

    /// Copies some rows of a frame, neighbouring ones in one piece.
    fn copy_rows(&self, frame: &Frame<'_>, rows: &[usize], mut to: wgpu::WriteOnly<'_, [u8]>) {
        if frame.format == PixelFormat::Nv12 {
            let bytes = self.row_bytes;
            for (i, &row) in rows.iter().enumerate() {
                let start = i * self.pitch;
                let mut put = |plane: &[u8], from: usize, start: usize| {
                    to.slice(start..start + bytes).copy_from_slice(&plane[from..from + bytes]);
                };
                put(frame.data, row * frame.pitch, start);
                put(frame.chroma.data, row / 2 * frame.chroma.pitch, start + bytes);
            }
            return;
        }
        let gapless = frame.pitch == self.pitch;
        let mut done = 0;
        while done < rows.len() {
            let first = rows[done];
            let mut count = 1;
            while gapless && done + count < rows.len() && rows[done + count] == first + count {
                count += 1;
            }
            let bytes = (count - 1) * self.pitch + self.row_bytes;
            let from = first * frame.pitch;
            let start = done * self.pitch;
            to.slice(start..start + bytes).copy_from_slice(&frame.data[from..from + bytes]);
            done += count;
        }
    }
}

/// Threads that copy frames; none for one, which is the caller's.
pub(crate) fn copiers(threads: usize) -> Result<Option<rayon::ThreadPool>> {
    let failed = |why: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Input, format!("{threads} threads for copying could not be started: {why}"))
    };
    match threads {
        0 => Err(failed(&"at least 1 is needed")),
        1 => Ok(None),
        _ => rayon::ThreadPoolBuilder::new().num_threads(threads).build().map(Some).map_err(|e| failed(&e)),
    }
}

/// The rows that taps read, ascending; the taps then count those.
fn keep_rows(taps: &mut [Tap]) -> Vec<usize> {
    // A second tap without a share is not read for its value.
    for tap in taps.iter_mut() {
        if tap.share == 0.0 {
            tap.second = tap.first;
        }
    }
    let mut rows: Vec<usize> = taps.iter().flat_map(|t| [t.first as usize, t.second as usize]).collect();
    rows.sort_unstable();
    rows.dedup();
    let place = |row: u32| rows.binary_search(&(row as usize)).expect("every tap's row is kept") as u32;
    for tap in taps {
        (tap.first, tap.second) = (place(tap.first), place(tap.second));
    }
    rows
}
