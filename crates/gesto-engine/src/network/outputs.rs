//! What a frame gives, read where the last steps left it.

use std::sync::RwLockReadGuard;
use std::time::Duration;

use super::Network;
use crate::kernels::select::Selection;
use crate::model::DFL_BINS;
use crate::plan::Level;
use crate::plan::layout::LINE;

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
#[derive(Debug, Clone, Copy)]
pub struct Outputs<'a> {
    pub(super) network: &'a Network,
}

/// The raw result of one head.
#[derive(Debug)]
pub struct HeadOutput<'a> {
    network: &'a Network,
    head: usize,
    selection: RwLockReadGuard<'a, Selection>,
}

impl Network {
    /// The planes of a candidate's level, and where its cell lies in each.
    fn level(&self, head: usize, candidate: &Candidate) -> (&Level, usize) {
        let level = &self.plan.levels[head][candidate.level as usize];
        let (y, x) = (candidate.y as usize, candidate.x as usize);
        assert!(y < level.grid.height && x < level.grid.width, "a candidate of this network");
        (level, (y * level.grid.pitch() + x) * LINE)
    }
}

impl<'a> Outputs<'a> {
    /// [`Network::resize_time`] of this frame.
    #[must_use]
    pub fn resize_time(&self) -> Duration {
        self.network.resize_time()
    }

    /// The result of one head, by its position in [`Network::heads`].
    ///
    /// # Panics
    /// When there is no such head.
    #[must_use]
    pub fn head(&self, head: usize) -> HeadOutput<'a> {
        HeadOutput { network: self.network, head, selection: self.network.shared.selection(head) }
    }
}

impl HeadOutput<'_> {
    /// Anchor points that passed the threshold, in anchor order.
    #[must_use]
    pub fn candidates(&self) -> &[Candidate] {
        &self.selection.candidates
    }

    /// Distribution logits of a candidate's box sides: left, top, right, bottom, [`DFL_BINS`] each.
    #[must_use]
    pub fn box_logits(&self, candidate: &Candidate) -> [f32; 4 * DFL_BINS] {
        let (level, cell) = self.network.level(self.head, candidate);
        let mut logits = [0.0; 4 * DFL_BINS];
        for (to, &plane) in logits.as_chunks_mut::<16>().0.iter_mut().zip(&level.boxes) {
            *to = self.network.arena.f32x16(plane + cell);
        }
        logits
    }

    /// Writes a candidate's raw `x, y, visibility` of each keypoint into `out`, whose length is three times the
    /// head's keypoints.
    pub fn keypoints(&self, candidate: &Candidate, out: &mut [f32]) {
        let (level, cell) = self.network.level(self.head, candidate);
        for (to, &plane) in out.chunks_mut(16).zip(&level.keypoints) {
            to.copy_from_slice(&self.network.arena.f32x16(plane + cell)[..to.len()]);
        }
    }
}
