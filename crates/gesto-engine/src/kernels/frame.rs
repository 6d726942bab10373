//! One frame: the steps of a plan, run by a team.

use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use super::best::Best;
use super::first;
use super::memory::{Arena, SharedArena};
use super::select::Selection;
use super::team::{Barrier, Team};
use super::turns::Turns;
use super::{Along, Unit};
use crate::plan::ahead::Schedule;
use crate::plan::pieces::Piece;
use crate::plan::winograd::Winograd;
use crate::plan::{ConvStep, Plan, Share, Step, Tile};

pub(crate) use super::first::Input;

/// What the members of a team share, frame after frame, beside the plan and its arena.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Who does what; made for a team of this size.
    turns: Turns,
    /// One a member.
    ahead: Vec<Schedule>,
    /// For each head the least class logit of a candidate.
    pub(crate) limits: Vec<f32>,
    /// Boxes and keypoints everywhere.
    pub(crate) dense: bool,
    /// One a head, when a step of its own finds the best class of each anchor point.
    best: Option<Vec<Best>>,
    /// The candidates, head by head. Members take turns in writing and reading them; nobody else waits for a lock.
    selections: Vec<RwLock<Selection>>,
}

impl Shared {
    /// For a team of `size`.
    pub(crate) fn new(plan: &Plan, size: usize, dense: bool, class_max: bool) -> Self {
        let selections = plan.levels.iter().enumerate().map(|(head, levels)| {
            let steps = || plan.lazy.iter().flatten().filter(move |lazy| lazy.head == head);
            let reaches = 1 + steps().map(|lazy| lazy.reach).max().unwrap_or(0);
            let tiles = |level| {
                let step = &steps().find(|lazy| lazy.level == level).expect("every level has boxes").step;
                (step.tiles.len(), plan.kernels.reach(step))
            };
            RwLock::new(Selection::new(levels, reaches, plan.kernels.filters_lists(), tiles))
        });
        Self {
            turns: Turns::new(plan, size),
            ahead: (0..size).map(|index| Schedule::new(plan, index, size)).collect(),
            limits: vec![0.0; plan.levels.len()],
            dense,
            best: class_max.then(|| plan.levels.iter().map(|levels| Best::new(levels)).collect()),
            selections: selections.collect(),
        }
    }

    /// Whether a step of its own finds the best class of each anchor point.
    pub(crate) fn class_max(&self) -> bool {
        self.best.is_some()
    }

    /// The candidates that the last frame left for a head.
    pub(crate) fn selection(&self, head: usize) -> RwLockReadGuard<'_, Selection> {
        self.selections[head].read().unwrap_or_else(|broken| broken.into_inner())
    }

    /// Before the members of a frame start.
    fn reset(&self, plan: &Plan, arena: &Arena, team: &Team) {
        assert!(arena.len() >= plan.arena_size_for(team.size()), "the arena was made for this plan and team");
        assert!(self.selections.len() == plan.levels.len() && self.limits.len() == plan.levels.len());
        assert!(self.turns.size == team.size());
        self.turns.reset();
    }
}

/// Runs all steps; afterwards `arena` holds the raw maps and `shared` the candidates.
pub(crate) fn run(plan: &Plan, arena: &mut Arena, team: &mut Team, shared: &Shared, input: Input<'_>) {
    shared.reset(plan, arena, team);
    let (size, arena) = (team.size(), arena.shared());
    if let Input::Layers { job, taken } = input {
        let start = Instant::now();
        // SAFETY: all members come, each with an index of its own.
        team.run(|index, barrier| unsafe {
            first::run_layers(&Member::new(plan, arena, index, size), job, barrier);
        });
        taken.store(start.elapsed().as_nanos() as u64, Relaxed);
    }
    let turns = &shared.turns;
    team.run_whoever_comes(|index, barrier| {
        let member = Member::new(plan, arena, index, size);
        let done = first::run(&member, input, turns, barrier);
        let mut ahead = shared.ahead[index].steps();
        for (number, (stage, turn)) in plan.dense.iter().zip(&turns.dense).enumerate() {
            if number >= done {
                turn.run(index, barrier, |piece| {
                    let (step, part) = (piece / size, piece % size);
                    // What this member fetches for itself goes with its own pieces.
                    let ahead = ahead.get(step).filter(|_| part == index);
                    member.step(&stage[step], part, ahead.map_or(&[], Vec::as_slice));
                });
            }
            ahead = ahead.get(stage.len()..).unwrap_or_default();
        }
        if let Some(flow) = &turns.flow {
            flow.run(index, barrier, |piece, publish| {
                let ahead = ahead.get(piece.number).filter(|_| piece.part == index);
                member.piece(piece, ahead.map_or(&[], Vec::as_slice), publish);
            });
        }
        member.select(shared, barrier);
        for (stage, turn) in plan.lazy.iter().zip(&turns.lazy) {
            turn.run(index, barrier, |piece| {
                let lazy = &stage[piece / size];
                let selection = shared.selection(lazy.head);
                if let Some(filter) = &lazy.step.winograd {
                    let squares = selection.squares(lazy.level, lazy.reach);
                    member.filter(&lazy.step, filter, squares, piece % size);
                } else {
                    let tiles = selection.tiles(lazy.level, lazy.reach).unwrap_or(&lazy.step.tiles);
                    member.conv(&lazy.step, tiles, piece % size, &[]);
                }
            });
        }
    });
}

/// The end of the dense stages alone: candidates from the class maps in `arena`.
pub(crate) fn select(plan: &Plan, arena: &mut Arena, team: &mut Team, shared: &Shared) {
    shared.reset(plan, arena, team);
    let (size, arena) = (team.size(), arena.shared());
    team.run_whoever_comes(|index, barrier| {
        Member::new(plan, arena, index, size).select(shared, barrier);
    });
}

/// Runs every convolution and pool alone, in order, everywhere, and gives each one's time. `arena` holds a frame's maps.
pub(crate) fn profile(
    plan: &Plan,
    arena: &mut Arena,
    team: &mut Team,
    mut report: impl FnMut(usize, Duration),
) {
    assert!(arena.len() >= plan.arena_size_for(team.size()), "the arena was made for this plan and team");
    let (size, arena) = (team.size(), arena.shared());
    let mut time = |at: usize, work: &(dyn Fn(&Member<'_>) + Sync)| {
        let start = Instant::now();
        team.run(|index, _| work(&Member::new(plan, arena, index, size)));
        report(at, start.elapsed());
    };
    let dense = plan.dense.iter().flatten().enumerate();
    for (at, step) in dense {
        time(at, &|member| member.step(step, member.index, &[]));
    }
    let before = plan.dense.iter().flatten().count();
    for (at, lazy) in plan.lazy.iter().flatten().enumerate() {
        time(before + at, &|member| match &lazy.step.winograd {
            Some(filter) => member.filter(&lazy.step, filter, None, member.index),
            None => member.conv(&lazy.step, &lazy.step.tiles, member.index, &[]),
        });
    }
}

/// One thread of a team at work on a frame.
pub(super) struct Member<'a> {
    pub(super) plan: &'a Plan,
    pub(super) arena: SharedArena<'a>,
    pub(super) index: usize,
    pub(super) size: usize,
    pub(super) unit: Unit,
}

impl<'a> Member<'a> {
    pub(super) fn new(plan: &'a Plan, arena: SharedArena<'a>, index: usize, size: usize) -> Self {
        Self { plan, arena, index, size, unit: Unit::default() }
    }

    /// The candidates of each head. The class maps are complete.
    fn select(&self, shared: &Shared, barrier: &Barrier) {
        let Shared { turns, limits, best, .. } = shared;
        if let Some(best) = best {
            turns.best.run(self.index, barrier, |piece| {
                let (head, part) = (piece / self.size, piece % self.size);
                // SAFETY: the levels are the plan's, and nobody writes class planes after the dense stages.
                unsafe {
                    best[head].find(&self.plan.levels[head], self.arena, limits[head], part, self.size)
                };
            });
        }
        turns.select.run(self.index, barrier, |head| {
            let best = best.as_ref().map(|best| &best[head]);
            let mut selection = shared.selections[head].write().unwrap_or_else(|broken| broken.into_inner());
            let levels = &self.plan.levels[head];
            // SAFETY: the levels are the plan's, and nobody writes class planes after the dense stages.
            unsafe { selection.collect(levels, self.arena, limits[head], shared.dense, best) };
        });
    }

    /// A piece of a dense step. `ahead` as for [`step`](Self::step); `publish` tells others that its early tiles are written.
    pub(super) fn piece(&self, piece: &Piece, ahead: &[Range<usize>], publish: &dyn Fn()) {
        match &self.plan.dense[piece.stage][piece.step] {
            Step::Conv(step) => {
                let share = Share { blocks: piece.blocks.clone(), tiles: 0..piece.tiles.len() };
                let along = Along { unit: &self.unit, ahead, early: piece.early, publish };
                self.share(step, &piece.tiles, share, &along);
            }
            step @ Step::Pool(_) => self.step(step, piece.part, &[]),
        }
    }

    /// Part `part` of as many as the team has members. `ahead`: parts of the weights of later steps, to fetch on the way.
    fn step(&self, step: &Step, part: usize, ahead: &[Range<usize>]) {
        match step {
            Step::Conv(step) => match &step.winograd {
                Some(filter) => self.filter(step, filter, None, part),
                None => self.conv(step, &step.tiles, part, ahead),
            },
            Step::Pool(step) => {
                for planes in step.planes.iter().skip(part).step_by(self.size) {
                    // SAFETY: the planes are the plan's, and those of other parts are others. Pieces of other stages that
                    // touch these wait for this one or it for them.
                    unsafe { self.plan.kernels.pool(step, self.arena, planes) };
                }
            }
        }
    }

    /// `list`: the squares to run, or all.
    fn filter(&self, step: &ConvStep, filter: &Winograd, list: Option<&[u32]>, part: usize) {
        let share = step.share_squares(list.map_or(filter.squares(), <[u32]>::len), part, self.size);
        let scratch = self.plan.arena_size + self.index * self.plan.scratch_size;
        // SAFETY: step, arena and weights are the plan's; squares are the step's own, or some of them from `Selection`; the
        // arena has scratch for every member behind the planes; other parts are of other squares or other chunks, and a
        // stage's steps write other planes.
        unsafe {
            let weights = self.plan.weights.bytes();
            self.plan.kernels.winograd(step, self.arena, weights, scratch, share, list);
        }
    }

    fn conv(&self, step: &ConvStep, tiles: &[Tile], part: usize, ahead: &[Range<usize>]) {
        let share = step.share(part, self.size, tiles.len());
        self.share(step, tiles, share, &Along { ahead, ..Along::only(&self.unit) });
    }

    fn share(&self, step: &ConvStep, tiles: &[Tile], share: Share, along: &Along<'_>) {
        // SAFETY: step, arena and weights are the plan's; tiles are the step's own, or `Selection`'s, which begin in the
        // run and end within it; other parts are of other tiles or other chunks. What else is written meanwhile: a stage's
        // steps write other planes, and pieces of other stages that touch this one's bytes wait for it or it for them.
        unsafe {
            let weights = self.plan.weights.bytes();
            self.plan.kernels.conv(step, self.arena, weights, tiles, share, along);
        }
    }
}
