//! Who does which piece of a stage: whoever comes first.
//!
//! Every member begins with pieces of its own, rows whose neighbours lie in its core's cache, and then takes what the others
//! have not begun. So a member that the system runs late, or not at all because another program has its core, costs
//! the others its share of the work instead of their time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};

use super::first::Bands;
use super::flow::Flow;
use super::team::Barrier;
use crate::plan::Plan;
use crate::plan::pieces::pieces;

/// Most members that go on by themselves. To find what waits for what, every piece is compared with those before it: a
/// millisecond for so many members.
const FLOWING: usize = 8;

/// The pieces of one stage in one frame. On cache lines of its own, since members write to it at different times.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Turn {
    pieces: Box<[Piece]>,
    done: AtomicUsize,
}

#[derive(Debug)]
struct Piece {
    owner: usize,
    taken: AtomicBool,
}

/// The pieces of all stages of a frame, for teams of one size. Made once.
#[derive(Debug)]
pub(crate) struct Turns {
    pub(super) size: usize,
    pub(super) fill: Turn,
    /// Those of the first layer, where it goes with the input row by row.
    pub(super) bands: Option<Bands>,
    /// Those of the dense stages before `flow`, or of all.
    pub(super) dense: Vec<Turn>,
    /// The rest of them, where threads go on by themselves.
    pub(super) flow: Option<Flow>,
    pub(super) best: Turn,
    pub(super) select: Turn,
    pub(super) lazy: Vec<Turn>,
}

impl Turns {
    pub(crate) fn new(plan: &Plan, size: usize) -> Self {
        let parts = |steps: usize| Turn::new(steps * size, |piece| piece % size);
        let heads = plan.levels.len();
        let bands = Bands::new(plan, size);
        let first = usize::from(bands.is_some());
        let flows = plan.kernels.has_matrix_unit() && (2..=FLOWING).contains(&size);
        let flow = flows.then(|| Flow::new(pieces(plan, first, size)));
        let stages = if flows { first } else { plan.dense.len() };
        Self {
            size,
            fill: parts(1),
            bands,
            flow,
            dense: plan.dense[..stages].iter().map(|stage| parts(stage.len())).collect(),
            best: parts(heads),
            select: Turn::new(heads, |head| head % size),
            lazy: plan.lazy.iter().map(|stage| parts(stage.len())).collect(),
        }
    }

    /// Before the members of a frame start.
    pub(super) fn reset(&self) {
        for turn in self.dense.iter().chain(&self.lazy).chain([&self.fill, &self.best, &self.select]) {
            turn.reset();
        }
        self.bands.iter().for_each(Bands::reset);
        self.flow.iter().for_each(Flow::reset);
    }
}

impl Turn {
    pub(super) fn new(count: usize, owner: impl Fn(usize) -> usize) -> Self {
        let piece = |at| Piece { owner: owner(at), taken: AtomicBool::new(false) };
        Self { pieces: (0..count).map(piece).collect(), done: AtomicUsize::new(0) }
    }

    pub(super) fn reset(&self) {
        self.pieces.iter().for_each(|piece| piece.taken.store(false, Relaxed));
        self.done.store(0, Relaxed);
    }

    /// Does pieces until none is left, and returns when all are done. The order is that of the pieces for one's own, and the
    /// reverse for those of others, who are most likely at their first.
    pub(super) fn run(&self, index: usize, barrier: &Barrier, mut piece: impl FnMut(usize)) {
        let mut work = |at: usize, own: bool| {
            if (self.pieces[at].owner == index) == own && take(&self.pieces[at].taken) {
                piece(at);
                self.done.fetch_add(1, Release);
            }
        };
        (0..self.pieces.len()).for_each(|at| work(at, true));
        (0..self.pieces.len()).rev().for_each(|at| work(at, false));
        barrier.wait_until(|| self.done.load(Acquire) == self.pieces.len());
    }
}

/// Whether the caller is the first to take something.
pub(super) fn take(taken: &AtomicBool) -> bool {
    !taken.load(Relaxed) && !taken.swap(true, AcqRel)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::team::Team;

    #[test]
    fn every_piece_is_done_once_and_before_anybody_goes_on() {
        for size in 1..=4 {
            let turns = [Turn::new(5, |piece| piece % size), Turn::new(2 * size, |piece| piece / 2)];
            let mut team = Team::new(size);
            for _ in 0..200 {
                turns.iter().for_each(Turn::reset);
                let counts: Vec<AtomicUsize> = (0..5 + 2 * size).map(|_| AtomicUsize::new(0)).collect();
                team.run_whoever_comes(|index, barrier| {
                    turns[0].run(index, barrier, |piece| {
                        counts[piece].fetch_add(1, Relaxed);
                    });
                    turns[1].run(index, barrier, |piece| {
                        assert!(counts[..5].iter().all(|count| count.load(Relaxed) == 1));
                        counts[5 + piece].fetch_add(1, Relaxed);
                    });
                });
                assert!(counts.iter().all(|count| count.load(Relaxed) == 1), "{counts:?}");
            }
        }
    }

    #[test]
    fn a_member_that_does_not_come_is_not_waited_for() {
        // Nobody but the caller of a team of one is there; the other's pieces are done all the same.
        let turn = Turn::new(6, |piece| piece % 2);
        let mut order = Vec::new();
        let mut alone = Team::new(1);
        let seen = std::sync::Mutex::new(&mut order);
        alone.run_whoever_comes(|index, barrier| {
            turn.run(index, barrier, |piece| seen.lock().unwrap().push(piece));
        });
        assert_eq!(order, [0, 2, 4, 5, 3, 1]);
    }
}
