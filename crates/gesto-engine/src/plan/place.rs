//! Which memory each plane has, and when.

use std::ops::Range;

use super::layout::{Places, Plane, PlaneId};
use super::task::{ConvTask, LazyTask, LevelPlanes, Task};

/// The place of a plane that no step writes.
const NOWHERE: usize = usize::MAX;

/// Places for all planes: from the stage that writes a plane to the last that reads it, it has memory of its own.
pub(super) struct Placed {
    /// Byte offset in the arena of each plane's cell (0, 0).
    pub(super) places: Vec<usize>,
    /// Bytes of all of them.
    pub(super) size: usize,
}

impl Placed {
    pub(super) fn new(
        planes: &[Plane],
        input: PlaneId,
        dense: &[Vec<Task>],
        lazy: &[Vec<LazyTask>],
        levels: &[Vec<LevelPlanes>],
    ) -> Self {
        let stages: Vec<Vec<(Vec<PlaneId>, Vec<PlaneId>)>> = dense
            .iter()
            .map(|stage| stage.iter().map(task_planes).collect())
            .chain(lazy.iter().map(|stage| stage.iter().map(|lazy| conv_planes(&lazy.task)).collect()))
            .collect();
        let mut last_read = vec![0; planes.len()];
        for (at, stage) in stages.iter().enumerate() {
            for id in stage.iter().flat_map(|(reads, writes)| reads.iter().chain(writes)) {
                last_read[id.0] = at;
            }
        }
        for level in levels.iter().flatten() {
            for id in level.classes.iter().chain(&level.boxes).chain(&level.keypoints) {
                last_read[id.0] = usize::MAX; // read after the last stage
            }
        }
        last_read[input.0] = usize::MAX; // written before the first stage of the next frame
        let mut pool = Places::default();
        let mut places = vec![NOWHERE; planes.len()];
        places[input.0] = pool.take(planes[input.0]);
        for (at, stage) in stages.iter().enumerate() {
            let written = || stage.iter().flat_map(|(_, writes)| writes);
            for id in written() {
                places[id.0] = pool.take(planes[id.0]);
            }
            // Only now: within a stage tasks run side by side.
            for (id, plane) in planes.iter().enumerate() {
                if last_read[id] == at && places[id] != NOWHERE {
                    pool.give_back(*plane, places[id]);
                }
            }
        }
        Self { places, size: pool.size() }
    }
}

fn conv_planes(task: &ConvTask) -> (Vec<PlaneId>, Vec<PlaneId>) {
    let mut reads: Vec<PlaneId> = task.sources.iter().map(|source| source.plane).collect();
    reads.extend(&task.residual);
    reads.extend(&task.partial);
    (reads, task.outputs.iter().flatten().map(|piece| piece.plane).collect())
}

fn task_planes(task: &Task) -> (Vec<PlaneId>, Vec<PlaneId>) {
    match task {
        Task::Conv(task) => conv_planes(task),
        Task::Pool(task) => (task.input.clone(), task.outputs.iter().flatten().copied().collect()),
    }
}

/// The planes whose borders are not zero. Those that share a place agree in this.
pub(super) fn borders(planes: &[Plane], placed: &Placed) -> Vec<(Range<usize>, u8)> {
    let places = planes.iter().zip(&placed.places);
    let filled = places.filter(|(plane, place)| plane.zero != 0 && **place != NOWHERE);
    let mut borders: Vec<_> = filled.map(|(plane, &place)| (plane.bytes(place), plane.zero)).collect();
    borders.sort_by_key(|(bytes, _)| bytes.start);
    borders.dedup();
    borders
}
