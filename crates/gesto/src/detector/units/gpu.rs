//! The graphics processor's way: one submission from the frame's bytes to candidates, NMS on the processor.
//!
//! Frames that the shaders do not read (gigantic ones), and every frame when the resize is one of the processor's, are
//! resized here first; the picture that travels then has the network's size.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use gesto_gpu::{Candidate, GpuNetwork, Turn, View, Waiting};

use super::Pipeline;
use super::gpu_maps::MapsHead;
use crate::detection::{Detections, Timing};
use crate::detector::Thresholds;
use crate::error::{Error, ErrorKind, Result};
use crate::frame::{Frame, PixelFormat, Rotation};
use crate::geometry::Rect;
use crate::keypoint::KEYPOINTS;
use crate::postprocess::{HeadResults, Postprocessor, Scored};
use crate::preprocess::{Fit, Mapping, PAD, Preprocessor};

/// Pixels beyond which a frame is resized by the processor: its rows might not fit one buffer of the device.
const MAX_PIXELS: u64 = 1 << 25;

/// Frames on a graphics processor, one after the other; a batch keeps two of them under way.
pub(in crate::detector) struct Gpu {
    network: GpuNetwork,
    /// Where and how the shaders resize.
    view: View,
    fit: Fit,
    /// For frames that the processor resizes, with the picture it makes.
    preprocessor: Preprocessor,
    picture: Vec<u8>,
    /// The processor resizes every frame.
    always_staged: bool,
    postprocessor: Postprocessor,
    thresholds: Vec<f32>,
    /// The device decodes; otherwise its raw maps come back.
    decodes: bool,
    /// What is needed again when a submission's candidates arrive, oldest first.
    under_way: VecDeque<Submitted>,
}

/// A frame under way.
#[derive(Debug)]
struct Submitted {
    mapping: Mapping,
    started: Instant,
    /// Time that the processor spent on resizing.
    staging: Duration,
}

/// What surrounds a network on the graphics processor.
pub(in crate::detector) struct Parts {
    pub(in crate::detector) fit: Fit,
    /// The shaders' resize.
    pub(in crate::detector) resize: gesto_gpu::Resize,
    /// The processor's resize, and whether it does every frame.
    pub(in crate::detector) preprocessor: Preprocessor,
    pub(in crate::detector) always_staged: bool,
    pub(in crate::detector) postprocessor: Postprocessor,
    pub(in crate::detector) thresholds: Vec<f32>,
    /// The network gives candidates, not maps.
    pub(in crate::detector) decodes: bool,
}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gpu")
            .field("network", &self.network)
            .field("view", &self.view)
            .finish_non_exhaustive()
    }
}

impl Gpu {
    pub(in crate::detector) fn new(mut network: GpuNetwork, parts: Parts) -> Self {
        let Parts { fit, resize, preprocessor, always_staged, postprocessor, thresholds, decodes } = parts;
        // A wake-up costs as much as several layers; a software adapter needs the core for its own work.
        let software = network.adapter().kind == "software";
        network.set_waiting(if software { Waiting::Block } else { Waiting::Spin });
        let view = view(fit, resize);
        let picture = vec![0; network.height() * network.width() * 3];
        let under_way = VecDeque::new();
        Self {
            network,
            view,
            fit,
            preprocessor,
            picture,
            always_staged,
            postprocessor,
            thresholds,
            decodes,
            under_way,
        }
    }

    /// Sends a frame on its way.
    fn submit(&mut self, frame: &Frame<'_>) -> Result<()> {
        let started = Instant::now();
        let (height, width) = self.size();
        let direct = if self.always_staged { None } else { shader_frame(frame) };
        let (mapping, staging) = if let Some(frame_on_gpu) = direct {
            self.network.submit(&[frame_on_gpu], &self.view, &self.thresholds)?;
            // Both sides were bounded when the network was planned.
            (Mapping::new(frame, self.fit, height as u32, width as u32), Duration::ZERO)
        } else {
            let mapping = self.preprocessor.run(frame, &mut self.picture);
            let staging = started.elapsed();
            let picture = gesto_gpu::Frame::packed(&self.picture, width, height, gesto_gpu::PixelFormat::Rgb);
            let as_it_is = View { fit: gesto_gpu::Fit::Stretch, resize: gesto_gpu::Resize::Nearest };
            self.network.submit(&[picture], &as_it_is, &self.thresholds)?;
            (mapping, staging)
        };
        self.under_way.push_back(Submitted { mapping, started, staging });
        Ok(())
    }

    /// The detections of the frame that has been under way longest.
    fn finish(&mut self, out: &mut Detections) -> Result<()> {
        let arrived = |pending: Option<Submitted>| {
            let nothing =
                || Error::new(ErrorKind::UnitFailed, "no frame is under way on the graphics processor");
            pending.map(|submitted| (submitted, Instant::now())).ok_or_else(nothing)
        };
        let (submitted, arrival, times, decoding, post);
        if self.decodes {
            let found = self.network.wait();
            (submitted, arrival) = arrived(self.under_way.pop_front())?;
            let found = found?;
            let heads: Vec<_> =
                (0..self.thresholds.len()).map(|head| GpuHead(found.candidates(0, head))).collect();
            post = self.postprocessor.run(&heads, &submitted.mapping, out);
            (times, decoding) = (*found.times(), Duration::ZERO);
        } else {
            let maps = self.network.wait_maps();
            (submitted, arrival) = arrived(self.under_way.pop_front())?;
            let maps = maps?;
            let heads = self.thresholds.iter().enumerate();
            let heads: Vec<_> =
                heads.map(|(head, &threshold)| MapsHead::new(&maps, head, threshold)).collect();
            decoding = arrival.elapsed();
            post = self.postprocessor.run(&heads, &submitted.mapping, out);
            times = *maps.times();
        }
        let total = submitted.started.elapsed();
        let on_device = times.decode.unwrap_or_default();
        let resize = submitted.staging + times.copy + times.resize.unwrap_or_default();
        let decode = on_device + decoding + post.decode;
        // What is left between the call and the arrival: the network, and the way there and back.
        let model = (arrival - submitted.started).saturating_sub(resize + on_device);
        out.timing = Timing { resize, model, decode, nms: post.nms, total };
        Ok(())
    }

    fn detect_all(&mut self, frames: &[Frame<'_>], results: &mut Vec<Detections>) -> Result<()> {
        for frame in frames {
            if self.under_way.len() == IN_FLIGHT {
                results.push(self.next()?);
            }
            self.submit(frame)?;
        }
        while !self.under_way.is_empty() {
            results.push(self.next()?);
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Detections> {
        let mut out = Detections::default();
        self.finish(&mut out)?;
        Ok(out)
    }

    /// Forgets what is under way after an error.
    fn drain(&mut self) {
        self.network.discard();
        self.under_way.clear();
    }
}

impl Pipeline for Gpu {
    fn detect(&mut self, frame: &Frame<'_>, out: &mut Detections) -> Result<()> {
        let done = self.submit(frame).and_then(|()| self.finish(out));
        if done.is_err() {
            self.drain();
        }
        done
    }

    fn detect_batch(&mut self, frames: &[Frame<'_>]) -> Result<Vec<Detections>> {
        let mut results = Vec::with_capacity(frames.len());
        let done = self.detect_all(frames, &mut results);
        if done.is_err() {
            self.drain();
        }
        done.map(|()| results)
    }

    fn set_thresholds(&mut self, thresholds: &Thresholds) {
        thresholds.apply(&mut self.postprocessor, &mut self.thresholds);
    }

    fn size(&self) -> (usize, usize) {
        (self.network.height(), self.network.width())
    }
}

/// How the shaders place and sample a frame.
pub(super) fn view(fit: Fit, resize: gesto_gpu::Resize) -> View {
    let fit = match fit {
        Fit::Letterbox => gesto_gpu::Fit::Letterbox(PAD),
        Fit::Stretch => gesto_gpu::Fit::Stretch,
    };
    View { fit, resize }
}

/// Frames under way in a batch: the next one is uploaded while the device works on the one before.
pub(in crate::detector) const IN_FLIGHT: usize = 2;

/// The frame as the shaders read it; `None` when they do not.
pub(super) fn shader_frame<'a>(frame: &Frame<'a>) -> Option<gesto_gpu::Frame<'a>> {
    use gesto_gpu::PixelFormat as Shader;
    let format = match frame.format() {
        PixelFormat::Rgb8 => Shader::Rgb,
        PixelFormat::Bgr8 => Shader::Bgr,
        PixelFormat::Rgba8 => Shader::Rgba,
        PixelFormat::Bgra8 => Shader::Bgra,
        PixelFormat::Gray8 => Shader::Gray,
        PixelFormat::Nv12 => Shader::Nv12,
        PixelFormat::Yuyv => Shader::Yuyv,
        // The list may grow; what the shaders do not read, the processor prepares.
        _ => return None,
    };
    let (width, height) = (frame.width(), frame.height());
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return None;
    }
    let orientation = frame.orientation();
    // Here the mirror image is undone before the turn, there after it: a turn changes its sense on the other side.
    let turn = match (orientation.rotation, orientation.mirrored) {
        (Rotation::None, _) => Turn::None,
        (Rotation::Cw180, _) => Turn::Half,
        (Rotation::Cw90, false) | (Rotation::Cw270, true) => Turn::Quarter,
        (Rotation::Cw270, false) | (Rotation::Cw90, true) => Turn::ThreeQuarters,
    };
    let plane = frame.planes()[0];
    let chroma = frame.planes().get(1).map_or_else(gesto_gpu::Chroma::default, |plane| gesto_gpu::Chroma {
        data: plane.data,
        pitch: plane.stride,
    });
    Some(gesto_gpu::Frame {
        data: plane.data,
        width: width as usize,
        height: height as usize,
        pitch: plane.stride,
        format,
        turn,
        mirror: orientation.mirrored,
        chroma,
    })
}

/// Candidates that the device has decoded.
struct GpuHead<'a>(&'a [Candidate]);

impl HeadResults for GpuHead<'_> {
    fn candidates(&self) -> usize {
        self.0.len()
    }

    fn boxes(&self, out: &mut Vec<Scored>) {
        out.extend(self.0.iter().zip(0..).map(|(found, candidate)| {
            let [left, top, right, bottom] = found.bbox;
            let bbox = Rect::new(left, top, right - left, bottom - top);
            Scored { bbox, score: found.score, class: found.class, candidate }
        }));
    }

    fn keypoints(&self, candidate: u32) -> [(f32, f32, f32); KEYPOINTS] {
        let points = &self.0[candidate as usize].keypoints;
        std::array::from_fn(|i| points.get(i).map_or((0.0, 0.0, 0.0), |&[x, y, v]| (x, y, v)))
    }
}

impl From<gesto_gpu::Error> for Error {
    fn from(error: gesto_gpu::Error) -> Self {
        use gesto_gpu::ErrorKind as Gpu;
        let kind = match error.kind() {
            Gpu::NoAdapter | Gpu::Unsupported => ErrorKind::Unit,
            Gpu::Shape | Gpu::Input => ErrorKind::Config,
            _ => ErrorKind::UnitFailed,
        };
        Self::new(kind, error.to_string())
    }
}
