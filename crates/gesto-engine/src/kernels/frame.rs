//! One frame: the steps of a plan, run by a team.

use std::ops::Range;
use std::sync::RwLock;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::best::Best;
use super::first;
use super::memory::{Arena, SharedArena};
use super::select::Selection;
use super::team::{Barrier, Team};
use super::turns::Turns;
use crate::plan::ahead::Schedule;
use crate::plan::winograd::Winograd;
use crate::plan::{ConvStep, Plan, Step, Tile};

pub(crate) use super::first::Input;

/// What a frame is computed from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) input: Input<'a>,
    /// Who does what; made for a team of this size.
    pub(crate) turns: &'a Turns,
    /// One a member, or none.
    pub(crate) ahead: &'a [Schedule],
    /// For each head the least class logit of a candidate.
    pub(crate) limits: &'a [f32],
    /// Boxes and keypoints everywhere.
    pub(crate) dense: bool,
    /// One a head, when the plan finds the best class of each anchor point.
    pub(crate) best: Option<&'a [Best]>,
}

/// Runs all steps; afterwards `arena` holds the raw maps and `selections` the candidates.
pub(crate) fn run(
    plan: &Plan,
    arena: &mut Arena,
    team: &mut Team,
    selections: &[RwLock<Selection>],
    job: Job<'_>,
) {
    assert!(arena.len() >= plan.arena_size_for(team.size()), "the arena was made for this plan and team");
    assert!(selections.len() == plan.levels.len() && job.limits.len() == plan.levels.len());
    let (size, arena) = (team.size(), arena.shared());
    let turns = job.turns;
    assert!(turns.size == size);
    turns.reset();
    if let Input::Layers { job, taken } = job.input {
        let start = Instant::now();
        // SAFETY: all members come, each with an index of its own.
        team.run(|index, barrier| unsafe {
            first::run_layers(&Member { plan, arena, index, size }, job, barrier);
        });
        taken.store(start.elapsed().as_nanos() as u64, Relaxed);
    }
    team.run_whoever_comes(|index, barrier| {
        let member = Member { plan, arena, index, size };
        let done = first::run(&member, job.input, turns, barrier);
        let mut ahead = job.ahead.get(index).map(Schedule::steps).unwrap_or_default();
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
        member.select(selections, job, barrier);
        for (stage, turn) in plan.lazy.iter().zip(&turns.lazy) {
            turn.run(index, barrier, |piece| {
                let lazy = &stage[piece / size];
                let selection = selections[lazy.head].read().unwrap_or_else(|broken| broken.into_inner());
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
pub(crate) fn select(
    plan: &Plan,
    arena: &mut Arena,
    team: &mut Team,
    selections: &[RwLock<Selection>],
    job: Job<'_>,
) {
    assert!(arena.len() >= plan.arena_size_for(team.size()), "the arena was made for this plan and team");
    assert!(selections.len() == plan.levels.len() && job.limits.len() == plan.levels.len());
    let (size, arena) = (team.size(), arena.shared());
    assert!(job.turns.size == size);
    job.turns.reset();
    team.run_whoever_comes(|index, barrier| {
        Member { plan, arena, index, size }.select(selections, job, barrier);
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
        team.run(|index, _| work(&Member { plan, arena, index, size }));
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
}

impl Member<'_> {
    /// The candidates of each head. The class maps are complete.
    fn select(&self, selections: &[RwLock<Selection>], job: Job<'_>, barrier: &Barrier) {
        if let Some(best) = job.best {
            job.turns.best.run(self.index, barrier, |piece| {
                let (head, part) = (piece / self.size, piece % self.size);
                // SAFETY: the levels are the plan's, and nobody writes class planes after the dense stages.
                unsafe {
                    best[head].find(&self.plan.levels[head], self.arena, job.limits[head], part, self.size)
                };
            });
        }
        job.turns.select.run(self.index, barrier, |head| {
            let best = job.best.map(|best| &best[head]);
            let mut selection = selections[head].write().unwrap_or_else(|broken| broken.into_inner());
            // SAFETY: the levels are the plan's, and nobody writes class planes after the dense stages.
            unsafe {
                selection.collect(&self.plan.levels[head], self.arena, job.limits[head], job.dense, best)
            };
        });
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
                    // SAFETY: the planes are the plan's, and those of other parts are others.
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
        // SAFETY: step, arena and weights are the plan's; tiles are the step's own, or `Selection`'s, which begin in the
        // run and end within it; other parts are of other tiles or other chunks, and a stage's steps write other planes.
        unsafe {
            let weights = self.plan.weights.bytes();
            self.plan.kernels.conv_fetching(step, self.arena, weights, tiles, share, ahead);
        }
    }
}
