//! One frame: the steps of a plan, run by a team.

use std::ops::Range;
use std::sync::RwLock;
use std::time::{Duration, Instant};

use super::best::Best;
use super::first;
use super::memory::{Arena, SharedArena};
use super::select::Selection;
use super::team::{Barrier, Team};
use crate::plan::ahead::Schedule;
use crate::plan::{ConvStep, Plan, Step, Tile};

pub(crate) use super::first::{Input, Progress};

/// What a frame is computed from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) input: Input<'a>,
    /// One a member: which rows of the input are there.
    pub(crate) progress: &'a [Progress],
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
    assert!(job.progress.len() == size);
    job.progress.iter().for_each(Progress::reset);
    team.run(|index, barrier| {
        let member = Member { plan, arena, index, size };
        let done = first::run(&member, job.input, job.progress, barrier);
        let mut ahead = job.ahead.get(index).map(Schedule::steps).unwrap_or_default().iter();
        for stage in &plan.dense[..done] {
            ahead.by_ref().take(stage.len()).for_each(drop);
        }
        for stage in &plan.dense[done..] {
            barrier.wait();
            for step in stage {
                member.step(step, ahead.next().map_or(&[], Vec::as_slice));
            }
        }
        barrier.wait();
        member.select(selections, job, barrier);
        for stage in &plan.lazy {
            barrier.wait();
            for lazy in stage {
                let selection = selections[lazy.head].read().unwrap_or_else(|broken| broken.into_inner());
                let tiles = selection.tiles(lazy.level, lazy.reach).unwrap_or(&lazy.step.tiles);
                member.conv(&lazy.step, tiles);
            }
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
    team.run(|index, barrier| Member { plan, arena, index, size }.select(selections, job, barrier));
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
        time(at, &|member| member.step(step, &[]));
    }
    let before = plan.dense.iter().flatten().count();
    for (at, lazy) in plan.lazy.iter().flatten().enumerate() {
        time(before + at, &|member| member.conv(&lazy.step, &lazy.step.tiles));
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
    /// The candidates of each head, heads side by side. The class maps are complete.
    fn select(&self, selections: &[RwLock<Selection>], job: Job<'_>, barrier: &Barrier) {
        for (head, best) in job.best.into_iter().flatten().enumerate() {
            // SAFETY: the levels are the plan's, and nobody writes class planes after the dense stages.
            unsafe {
                best.find(&self.plan.levels[head], self.arena, job.limits[head], self.index, self.size)
            };
        }
        if job.best.is_some() {
            barrier.wait();
        }
        for (head, selection) in selections.iter().enumerate().skip(self.index).step_by(self.size) {
            let best = job.best.map(|best| &best[head]);
            let mut selection = selection.write().unwrap_or_else(|broken| broken.into_inner());
            // SAFETY: the levels are the plan's, and nobody writes class planes after the dense stages.
            unsafe {
                selection.collect(&self.plan.levels[head], self.arena, job.limits[head], job.dense, best)
            };
        }
    }

    /// `ahead`: parts of the weights of later steps, to fetch on the way.
    fn step(&self, step: &Step, ahead: &[Range<usize>]) {
        match step {
            Step::Conv(step) => match &step.winograd {
                Some(filter) => {
                    let share = step.share_squares(filter, self.index, self.size);
                    let scratch = self.plan.arena_size + self.index * self.plan.scratch_size;
                    // SAFETY: step, arena and weights are the plan's; the arena has scratch for every member behind the
                    // planes; members take other squares or other chunks, and a stage's steps write other planes.
                    unsafe {
                        let weights = self.plan.weights.bytes();
                        self.plan.kernels.winograd(step, filter, self.arena, weights, scratch, share);
                    }
                }
                None => self.conv_fetching(step, &step.tiles, ahead),
            },
            Step::Pool(step) => {
                for planes in step.planes.iter().skip(self.index).step_by(self.size) {
                    // SAFETY: the planes are the plan's, and each member takes other ones.
                    unsafe { self.plan.kernels.pool(step, self.arena, planes) };
                }
            }
        }
    }

    fn conv(&self, step: &ConvStep, tiles: &[Tile]) {
        self.conv_fetching(step, tiles, &[]);
    }

    fn conv_fetching(&self, step: &ConvStep, tiles: &[Tile], ahead: &[Range<usize>]) {
        let share = step.share(self.index, self.size, tiles.len());
        // SAFETY: step, arena and weights are the plan's; tiles are the step's own, or `Selection`'s, which begin in the
        // run and end within it; members write other tiles or other chunks, and a stage's steps other planes.
        unsafe {
            let weights = self.plan.weights.bytes();
            self.plan.kernels.conv_fetching(step, self.arena, weights, tiles, share, ahead);
        }
    }
}
