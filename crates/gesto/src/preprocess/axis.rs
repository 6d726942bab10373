//! Which pixels along one axis of the frame make each pixel of the output, and with which weights.

use std::ops::Range;

use super::Resize;
use super::rows::CHANNELS;

/// One axis of a resize, tabulated.
#[derive(Debug, Clone, Default)]
pub(super) struct Axis {
    /// Source pixels.
    side: u32,
    /// First (or only) source pixel of each output pixel.
    first: Vec<u32>,
    /// Weights of the first pixel and the one after it in 1/65536, each once for every channel, so that a blend is
    /// one flat loop. Bilinear only.
    weights: Vec<[u16; 2 * CHANNELS]>,
    /// Where each output pixel begins along the source, in pixels; one more entry for the end. Area only.
    edges: Vec<f32>,
}

impl Axis {
    /// Tabulates a resize from `from` to `to` pixels.
    pub(super) fn plan(&mut self, resize: Resize, from: u32, to: u32) {
        self.side = from;
        self.first.clear();
        self.weights.clear();
        self.edges.clear();
        // f64: exact for every side that a frame may have.
        let scale = f64::from(from) / f64::from(to);
        let last = from - 1;
        for i in 0..to {
            let center = (f64::from(i) + 0.5) * scale;
            match resize {
                Resize::CpuBilinear => {
                    let at = (center - 0.5).clamp(0.0, f64::from(last));
                    let first = (at as u32).min(last);
                    let second = ((at - f64::from(first)) * 65536.0).round().min(65535.0) as u16;
                    self.first.push(first);
                    let [f, s] = [!second, second];
                    self.weights.push([f, f, f, f, s, s, s, s]);
                }
                Resize::CpuNearest => self.first.push((center as u32).min(last)),
                Resize::CpuArea => {
                    self.first.push((f64::from(i) * scale) as u32);
                    self.edges.push((f64::from(i) * scale) as f32);
                }
                other => unreachable!("{other} is refused when a detector is built"),
            }
        }
        if resize == Resize::CpuArea {
            self.edges.push(from as f32);
        }
    }

    /// Output pixels.
    pub(super) fn len(&self) -> usize {
        self.first.len()
    }

    pub(super) fn first(&self) -> &[u32] {
        &self.first
    }

    pub(super) fn weights(&self) -> &[[u16; 2 * CHANNELS]] {
        &self.weights
    }

    /// First and second source pixel of output pixel `i` and the second's weight in 1/65536; edges repeat.
    pub(super) fn tap(&self, i: usize) -> (u32, u32, u16) {
        let first = self.first[i];
        (first, (first + 1).min(self.side - 1), self.weights[i][CHANNELS])
    }

    /// The stretch of the source that output pixel `i` covers, in pixels.
    pub(super) fn span(&self, i: usize) -> Range<f32> {
        self.edges[i]..self.edges[i + 1]
    }
}
