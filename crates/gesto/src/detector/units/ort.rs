//! ONNX Runtime's way: preprocess on the processor -> session -> threshold, boxes and NMS on the processor.

use std::time::Instant;

use gesto_ort::{OrtNetwork, Rows};

use super::Pipeline;
use crate::detection::{Detections, Timing};
use crate::detector::{HeadInfo, Thresholds};
use crate::error::{Error, ErrorKind, Result};
use crate::frame::Frame;
use crate::geometry::Rect;
use crate::keypoint::KEYPOINTS;
use crate::postprocess::{HeadResults, Postprocessor, Scored};
use crate::preprocess::Preprocessor;
use crate::unit::Provider;

/// Frames through a session, one after the other.
#[derive(Debug)]
pub(in crate::detector) struct Ort {
    network: OrtNetwork,
    preprocessor: Preprocessor,
    /// The picture with 8 bits, before it becomes planes of floats.
    picture: Vec<u8>,
    postprocessor: Postprocessor,
    thresholds: Vec<f32>,
    /// The session computes the best class of each anchor point.
    class_max: bool,
    /// One a head.
    finders: Vec<Finder>,
}

impl Ort {
    pub(in crate::detector) fn new(
        network: OrtNetwork,
        preprocessor: Preprocessor,
        postprocessor: Postprocessor,
        thresholds: Vec<f32>,
        class_max: bool,
    ) -> Self {
        let picture = vec![0; 3 * network.height() * network.width()];
        let finders = network.heads().iter().map(|_| Finder::default()).collect();
        Self { network, preprocessor, picture, postprocessor, thresholds, class_max, finders }
    }
}

impl Pipeline for Ort {
    fn detect(&mut self, frame: &Frame<'_>, out: &mut Detections) -> Result<()> {
        let start = Instant::now();
        let mapping = self.preprocessor.run(frame, &mut self.picture);
        planes(&self.picture, self.network.input_mut());
        let resized = Instant::now();
        let outputs = self.network.run()?;
        let modelled = Instant::now();
        for (head, (finder, &threshold)) in self.finders.iter_mut().zip(&self.thresholds).enumerate() {
            finder.find(&outputs.head(head), threshold, self.class_max);
        }
        let found = modelled.elapsed();
        let heads: Vec<_> = self
            .finders
            .iter()
            .enumerate()
            .map(|(head, finder)| OrtHead { rows: outputs.head(head), found: &finder.found })
            .collect();
        let post = self.postprocessor.run(&heads, &mapping, out);
        out.timing = Timing {
            resize: resized - start,
            model: modelled - resized,
            decode: found + post.decode,
            nms: post.nms,
            total: start.elapsed(),
        };
        Ok(())
    }

    fn set_thresholds(&mut self, thresholds: &Thresholds) {
        thresholds.apply(&mut self.postprocessor, &mut self.thresholds);
    }

    fn size(&self) -> (usize, usize) {
        (self.network.height(), self.network.width())
    }
}

/// Interleaved 8-bit RGB to planes of 0 to 1.
fn planes(pixels: &[u8], planes: &mut [f32]) {
    let pixels = pixels.as_chunks::<3>().0;
    let (red, rest) = planes.split_at_mut(pixels.len());
    let (green, blue) = rest.split_at_mut(pixels.len());
    for (((&[r, g, b], red), green), blue) in pixels.iter().zip(red).zip(green).zip(blue) {
        [*red, *green, *blue] = [r, g, b].map(|v| f32::from(v) / 255.0);
    }
}

/// An anchor point whose best class passed the threshold.
#[derive(Debug, Clone, Copy)]
struct Found {
    anchor: u32,
    class: u32,
    score: f32,
}

/// Finds the anchor points that pass, and keeps its buffers between frames.
#[derive(Debug, Default)]
struct Finder {
    best: Vec<f32>,
    class: Vec<u32>,
    found: Vec<Found>,
}

impl Finder {
    fn find(&mut self, rows: &Rows<'_>, threshold: f32, class_max: bool) {
        self.found.clear();
        match rows.best() {
            Some((best, class)) if class_max => {
                let passed = (0..).zip(best.iter().zip(class)).filter(|&(_, (&score, _))| score >= threshold);
                self.found.extend(passed.map(|(anchor, (&score, &class))| Found {
                    anchor,
                    // A class beyond the last can only come from a broken model.
                    class: (class.max(0) as u32).min(rows.classes() as u32 - 1),
                    score,
                }));
            }
            _ => {
                self.compare(rows);
                let best = (0..).zip(self.best.iter().zip(&self.class));
                let passed = best.filter(|&(_, (&score, _))| score >= threshold);
                self.found.extend(passed.map(|(anchor, (&score, &class))| Found { anchor, class, score }));
            }
        }
    }

    /// The best class of each anchor point; the first of equal ones.
    fn compare(&mut self, rows: &Rows<'_>) {
        self.best.clear();
        self.best.resize(rows.anchors(), f32::NEG_INFINITY);
        self.class.clear();
        self.class.resize(rows.anchors(), 0);
        for class in 0..rows.classes() as u32 {
            let row = rows.row(4 + class as usize);
            // Selects instead of branches: the loop vectorises. NaN is never greater.
            for ((&score, best), number) in row.iter().zip(&mut self.best).zip(&mut self.class) {
                let better = score > *best;
                *best = if better { score } else { *best };
                *number = if better { class } else { *number };
            }
        }
    }
}

/// What passed, and the rows it is read from.
struct OrtHead<'a> {
    rows: Rows<'a>,
    found: &'a [Found],
}

impl HeadResults for OrtHead<'_> {
    fn candidates(&self) -> usize {
        self.found.len()
    }

    fn boxes(&self, out: &mut Vec<Scored>) {
        let [x, y, w, h] = [0, 1, 2, 3].map(|row| self.rows.row(row));
        out.extend(self.found.iter().zip(0..).map(|(found, candidate)| {
            let at = found.anchor as usize;
            let bbox = Rect::new(x[at] - w[at] / 2.0, y[at] - h[at] / 2.0, w[at], h[at]);
            Scored { bbox, score: found.score, class: found.class, candidate }
        }));
    }

    fn keypoints(&self, candidate: u32) -> [(f32, f32, f32); KEYPOINTS] {
        let at = self.found[candidate as usize].anchor as usize;
        let first = 4 + self.rows.classes();
        std::array::from_fn(|i| {
            let [x, y, v] = [0, 1, 2].map(|part| self.rows.row(first + 3 * i + part)[at]);
            (x, y, v)
        })
    }
}

impl From<&gesto_ort::Head> for HeadInfo {
    fn from(head: &gesto_ort::Head) -> Self {
        Self { name: head.name.clone(), classes: head.classes.clone(), keypoints: head.keypoints }
    }
}

impl From<Provider> for gesto_ort::Provider {
    fn from(provider: Provider) -> Self {
        match provider {
            Provider::Cpu => Self::Cpu,
            Provider::Cuda => Self::Cuda,
            Provider::TensorRt => Self::TensorRt,
            Provider::CoreMl => Self::CoreMl,
            Provider::OpenVino => Self::OpenVino,
            Provider::Qnn => Self::Qnn,
            Provider::DirectMl => Self::DirectMl,
        }
    }
}

impl From<gesto_ort::Error> for Error {
    fn from(error: gesto_ort::Error) -> Self {
        use gesto_ort::ErrorKind as Ort;
        let kind = match error.kind() {
            Ort::Library | Ort::Provider => ErrorKind::Unit,
            Ort::Model => ErrorKind::Model,
            _ => ErrorKind::UnitFailed,
        };
        Self::new(kind, error.to_string())
    }
}
