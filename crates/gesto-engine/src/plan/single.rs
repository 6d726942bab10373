//! Plans of a single step, for tests that hold one kernel against its scalar reference.

use super::build::Builder;
use super::layout::{Places, Plane, PlaneId};
use super::place::Placed;
use super::task::Task;
use super::{Plan, Step};
use crate::isa::Token;
use crate::kernels::Kernels;
use crate::model::{Model, Quantization};

/// A plan whose only step is `task`, and the places of `planes` in its arena. Plane 0 is the picture's.
pub(crate) fn plan(
    model: &Model,
    token: Token,
    planes: &[Plane],
    quantizations: &[Quantization],
    task: &Task,
    everywhere: bool,
) -> (Plan, Vec<usize>) {
    let mut pool = Places::default();
    let places = planes.iter().map(|&plane| pool.take(plane)).collect();
    let placed = Placed { places, size: pool.size() };
    let mut builder = Builder::new(model, Kernels::new(token), planes, quantizations, &placed);
    let step = match task {
        Task::Conv(task) => Step::Conv(builder.conv(task, everywhere)),
        Task::Pool(_) => builder.step(task),
    };
    let plan = builder.finish(PlaneId(0), vec![vec![step]], Vec::new(), Vec::new());
    (plan, placed.places)
}

/// The planes that `PlaneId`s of a hand-made task stand for.
pub(crate) fn add(planes: &mut Vec<Plane>, plane: Plane) -> PlaneId {
    planes.push(plane);
    PlaneId(planes.len() - 1)
}
