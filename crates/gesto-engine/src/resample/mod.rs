//! Resizing: from a stored picture of any format and orientation to the network's input.
//!
//! A [`Resampler`] keeps the tables of one kind of picture, so that a clip's frames cost no allocation after the first. It
//! fills an 8-bit picture by itself ([`Resampler::run`]), or, inside a network, the first layer's own plane
//! ([`Network::run_picture`](crate::Network::run_picture)), which takes the same samples.

pub(crate) mod axis;
pub mod layers;

use std::sync::Mutex;

use crate::isa::{Detected, Isa, Token, Wish};
use crate::kernels::resample::area::{Mean, Scratch};
use crate::kernels::resample::{self, Blend, Pick, Sampling, Tables, Tier};
use crate::picture::{Orientation, Picture, PixelFormat};
use axis::{Axis, Turn};

/// Grey of what the picture leaves free, as in training.
pub const PAD: u8 = 114;

/// How samples are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// The four pixels around each output pixel's centre, weighted by nearness; no antialiasing, edges repeat.
    Bilinear,
    /// The one pixel under each output pixel's centre.
    Nearest,
    /// The mean over each output pixel's area.
    Area,
}

/// Resizes pictures into network inputs of one size.
#[derive(Debug)]
pub struct Resampler {
    method: Method,
    height: usize,
    width: usize,
    tier: Tier,
    /// What the tables were made for.
    kind: Option<Kind>,
    tables: Option<Tables>,
    /// One a thread; only means need it.
    scratch: Vec<Mutex<Scratch>>,
}

/// Everything that decides the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind {
    format: PixelFormat,
    width: usize,
    height: usize,
    stride: usize,
    orientation: Orientation,
    target: [u32; 4],
}

impl Kind {
    fn of(picture: &Picture<'_>, target: [u32; 4]) -> Self {
        Self {
            format: picture.format(),
            width: picture.width(),
            height: picture.height(),
            stride: picture.plane(0).stride,
            orientation: picture.orientation(),
            target,
        }
    }
}

/// The best kernels that the machine has and `GESTO_ISA` allows; plain ones when it cannot be read.
fn best() -> Token {
    let detected = Detected::get();
    let best = Wish::from_env().and_then(|wish| detected.best(&wish));
    best.unwrap_or_else(|_| detected.token(Isa::Portable).expect("every machine runs plain code"))
}

/// Tables that read a whole picture upright, pixel by pixel.
fn whole(picture: &Picture<'_>) -> Tables {
    let turn = Turn::of(picture.orientation());
    let (width, height) = picture.upright_size();
    let columns = Axis { from: width, to: width, flip: turn.flip_x };
    let rows = Axis { from: height, to: height, flip: turn.flip_y };
    let sampling = Sampling::Nearest(Pick::new(picture, turn, columns, rows));
    Tables { width, height, target: [0, 0, width, height], sampling }
}

impl Clone for Resampler {
    fn clone(&self) -> Self {
        Self { kind: self.kind, tables: self.tables.clone(), scratch: Vec::new(), ..*self }
    }
}

impl Resampler {
    /// For network inputs of `height` x `width` pixels, with the best kernels that the machine has and `GESTO_ISA`
    /// allows.
    #[must_use]
    pub fn new(method: Method, height: usize, width: usize) -> Self {
        Self::with_token(method, height, width, best())
    }

    /// The same with the kernels of one tier.
    #[must_use]
    pub fn with_token(method: Method, height: usize, width: usize, token: Token) -> Self {
        let tier = Tier::of(token);
        Self { method, height, width, tier, kind: None, tables: None, scratch: Vec::new() }
    }

    /// How samples are taken.
    #[must_use]
    pub fn method(&self) -> Method {
        self.method
    }

    /// Height and width of the network's input.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    /// Writes `picture` upright into `target` (x, y, width, height) of `out`, and grey around it. `out` holds
    /// `height * width` pixels of 8-bit RGB, row by row.
    ///
    /// # Panics
    /// When `out` has another length, or `target` is empty or leaves the network's input.
    pub fn run(&mut self, picture: &Picture<'_>, target: [u32; 4], out: &mut [u8]) {
        assert_eq!(out.len(), 3 * self.height * self.width, "the output has the network's size");
        self.prepare(picture, target, 1);
        self.job(picture).run(out);
    }

    /// Makes the tables for this kind of picture unless they are there, and scratch for as many threads.
    pub(crate) fn prepare(&mut self, picture: &Picture<'_>, target: [u32; 4], threads: usize) {
        let kind = Kind::of(picture, target);
        if self.kind != Some(kind) {
            self.tables = Some(self.tabulate(picture, target.map(|side| side as usize)));
            self.kind = Some(kind);
        }
        if self.method == Method::Area && self.scratch.len() < threads {
            self.scratch.resize_with(threads, Mutex::default);
        }
    }

    fn tabulate(&self, picture: &Picture<'_>, target: [usize; 4]) -> Tables {
        let [left, top, width, height] = target;
        assert!(
            width > 0 && height > 0 && left + width <= self.width && top + height <= self.height,
            "the target lies in the network's input"
        );
        let turn = Turn::of(picture.orientation());
        let (w, h) = picture.upright_size();
        let columns = Axis { from: w, to: width, flip: turn.flip_x };
        let rows = Axis { from: h, to: height, flip: turn.flip_y };
        let sampling = match self.method {
            Method::Bilinear => Sampling::Bilinear(Blend::new(picture, turn, columns, rows)),
            Method::Nearest => Sampling::Nearest(Pick::new(picture, turn, columns, rows)),
            Method::Area => {
                let (along, down) = if turn.swapped { (rows, columns) } else { (columns, rows) };
                let stored = |axis: Axis| Axis { flip: false, ..axis };
                Sampling::Area(Mean { turn, along: stored(along), down: stored(down) })
            }
        };
        Tables { width: self.width, height: self.height, target, sampling }
    }

    /// What a team does for one picture.
    pub(crate) fn job<'a>(&'a self, picture: &'a Picture<'a>) -> resample::Job<'a> {
        let tables = self.tables.as_ref().expect("tables are made first");
        resample::Job { tier: self.tier, tables, picture, scratch: &self.scratch }
    }
}
