//! A network planned for one input size, ready to run frame after frame.

use crate::error::{Error, ErrorKind, Result};
use crate::model::{DFL_BINS, Head, Model};
use crate::reference::{self, Map};

/// How to plan a [`Network`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// Threads that share one frame, the caller's included; at least 1.
    pub threads: usize,
    /// Which anchor points get boxes and keypoints.
    pub heads: HeadMode,
}

impl Default for Options {
    fn default() -> Self {
        Self { threads: 1, heads: HeadMode::Lazy }
    }
}

/// Which anchor points get boxes and keypoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HeadMode {
    /// Only those whose best class passes the threshold, with the receptive field they need.
    #[default]
    Lazy,
    /// All of them.
    Dense,
}

/// An anchor point whose best class passed the threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Position among all anchor points: finest stride first, then row by row.
    pub anchor: u32,
    /// Level (index of the stride) and cell that the anchor point is the centre of.
    pub level: u32,
    /// Row of the cell.
    pub y: u32,
    /// Column of the cell.
    pub x: u32,
    /// The best class; the first of several equal ones.
    pub class: u32,
    /// Its logit; the probability is `sigmoid(logit)`.
    pub logit: f32,
}

/// What one frame gave, head by head. Borrowed from the network until the next frame.
#[derive(Debug)]
pub struct Outputs<'a> {
    network: &'a Network,
}

/// The raw result of one head.
#[derive(Debug, Clone, Copy)]
pub struct HeadOutput<'a> {
    network: &'a Network,
    head: usize,
}

/// A network planned for one input size.
#[derive(Debug)]
pub struct Network {
    model: Model,
    height: usize,
    width: usize,
    input: Vec<u8>,
    maps: Vec<Map>,
    candidates: Vec<Vec<Candidate>>,
}

/// The largest accepted input, in pixels: four times 4K.
const MAX_PIXELS: usize = 4 * 3840 * 2160;

impl Network {
    /// Plans `model` for pictures of `height` x `width`.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when a side is 0, not a multiple of the coarsest stride (32), or the picture is too large;
    /// [`ErrorKind::Config`] when `threads` is 0.
    pub fn new(model: &Model, height: usize, width: usize, options: &Options) -> Result<Self> {
        let stride = model.graph().max_stride();
        if height == 0 || width == 0 || height % stride != 0 || width % stride != 0 {
            let message = format!(
                "a network input of {height} x {width} is not possible: both sides must be multiples of {stride}"
            );
            return Err(Error::new(ErrorKind::Shape, message));
        }
        if height.saturating_mul(width) > MAX_PIXELS {
            let message =
                format!("a network input of {height} x {width} is too large: at most {MAX_PIXELS} pixels");
            return Err(Error::new(ErrorKind::Shape, message));
        }
        if options.threads == 0 {
            return Err(Error::new(ErrorKind::Config, "at least one thread is needed"));
        }
        Ok(Self {
            model: model.clone(),
            height,
            width,
            input: vec![0; height * width * 3],
            maps: Vec::new(),
            candidates: vec![Vec::new(); model.graph().heads.len()],
        })
    }

    /// Height of the network input in pixels.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Width of the network input in pixels.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// The heads, in file order.
    #[must_use]
    pub fn heads(&self) -> &[Head] {
        &self.model.graph().heads
    }

    /// The picture that [`run`](Self::run) reads: `height * width` pixels of 8-bit RGB, row by row.
    pub fn input_mut(&mut self) -> &mut [u8] {
        &mut self.input
    }

    /// Runs the network on the picture in [`input_mut`](Self::input_mut).
    ///
    /// `thresholds` holds one probability for each head: anchor points whose best class reaches it become
    /// [candidates](HeadOutput::candidates).
    ///
    /// # Panics
    /// When `thresholds` has another length than [`heads`](Self::heads).
    pub fn run(&mut self, thresholds: &[f32]) -> Outputs<'_> {
        assert_eq!(thresholds.len(), self.heads().len(), "one threshold for each head");
        self.maps = reference::run(&self.model, &self.input, self.height, self.width, reference::exact);
        for (h, &threshold) in thresholds.iter().enumerate() {
            let head = &self.model.graph().heads[h];
            let limit = (threshold / (1.0 - threshold)).ln();
            self.candidates[h].clear();
            let mut anchor = 0;
            for (level, maps) in head.levels.iter().enumerate() {
                let map = &self.maps[maps.classes.index()];
                for y in 0..map.height {
                    for x in 0..map.width {
                        let (mut class, mut logit) = (0, f32::NEG_INFINITY);
                        for (c, &v) in map.cell(y, x).iter().enumerate() {
                            if v > logit {
                                (class, logit) = (c as u32, v);
                            }
                        }
                        if logit >= limit {
                            self.candidates[h].push(Candidate {
                                anchor,
                                level: level as u32,
                                y: y as u32,
                                x: x as u32,
                                class,
                                logit,
                            });
                        }
                        anchor += 1;
                    }
                }
            }
        }
        Outputs { network: self }
    }
}

impl<'a> Outputs<'a> {
    /// The result of one head, by its position in [`Network::heads`].
    ///
    /// # Panics
    /// When there is no such head.
    #[must_use]
    pub fn head(&self, head: usize) -> HeadOutput<'a> {
        assert!(head < self.network.heads().len(), "head {head} exists");
        HeadOutput { network: self.network, head }
    }
}

impl<'a> HeadOutput<'a> {
    /// Anchor points that passed the threshold, in anchor order.
    #[must_use]
    pub fn candidates(&self) -> &'a [Candidate] {
        &self.network.candidates[self.head]
    }

    /// Distribution logits of a candidate's box sides: left, top, right, bottom, [`DFL_BINS`] each.
    #[must_use]
    pub fn box_logits(&self, candidate: &Candidate) -> [f32; 4 * DFL_BINS] {
        let level = &self.network.heads()[self.head].levels[candidate.level as usize];
        let map = &self.network.maps[level.boxes.index()];
        map.cell(candidate.y as usize, candidate.x as usize).try_into().expect("a box has 64 logits")
    }

    /// Writes a candidate's raw `x, y, visibility` of each keypoint into `out`, whose length is three times the
    /// head's keypoints.
    pub fn keypoints(&self, candidate: &Candidate, out: &mut [f32]) {
        let level = &self.network.heads()[self.head].levels[candidate.level as usize];
        if let Some(id) = level.keypoints {
            out.copy_from_slice(
                self.network.maps[id.index()].cell(candidate.y as usize, candidate.x as usize),
            );
        }
    }
}
