//! Plans of a single step, for tests that hold one kernel against its scalar reference.

use super::layout::{Places, Plane, PlaneId};
use super::lower::Task;
use super::*;

/// A plan whose only step is `task`, and the places of `planes` in its arena. Plane 0 is the picture's.
pub(crate) fn plan(
    model: &Model,
    token: Token,
    planes: &[Plane],
    quantizations: &[Quantization],
    task: &Task,
    everywhere: bool,
) -> (Plan, Vec<usize>) {
    let kernels = Kernels::new(token);
    let mut pool = Places::default();
    let places: Vec<usize> = planes.iter().map(|&plane| pool.take(plane)).collect();
    let mut builder = Builder {
        model,
        kernels,
        planes,
        quantizations,
        places: &places,
        cells: HashMap::new(),
        packer: pack::Packer::new(model, kernels.format()),
    };
    let step = match task {
        Task::Conv(task) => Step::Conv(builder.conv(task, everywhere)),
        Task::Pool(_) => builder.step(task),
    };
    let mut plan = Plan {
        kernels,
        input: InputPlane { grid: planes[0].grid, place: places[0] },
        dense: vec![vec![step]],
        lazy: Vec::new(),
        levels: Vec::new(),
        weights: builder.packer.finish(),
        borders: borders(planes, &places),
        arena_size: pool.size()
            + planes.iter().map(|plane| (2 * plane.grid.pitch() + 64) * LINE).max().unwrap_or(0),
        scratch_size: 0,
    };
    let squares = kernels.winograd_squares();
    let scratch =
        |step: &ConvStep| step.winograd.as_ref().map(|filter| filter.scratch(step.chunks.len(), squares));
    plan.scratch_size = plan.convs().filter_map(scratch).max().unwrap_or(0);
    plan.check();
    (plan, places)
}

/// The planes that `PlaneId`s of a hand-made task stand for.
pub(crate) fn add(planes: &mut Vec<Plane>, plane: Plane) -> PlaneId {
    planes.push(plane);
    PlaneId(planes.len() - 1)
}
