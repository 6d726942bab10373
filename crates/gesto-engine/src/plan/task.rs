//! Steps over planes that have no place yet.

use super::layout::{Format, Grid, LINE, Plane, PlaneId};
use crate::model::{Activation, ConvId};

/// Some channels of a map: one plane, of which `channels` are used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece {
    pub(crate) plane: PlaneId,
    pub(crate) channels: usize,
    /// Numbers in a cell of the plane.
    pub(crate) lanes: usize,
    /// The plane is read as if every cell stood twice in each direction.
    pub(crate) upsampled: bool,
}

/// Input channels `first..first + channels` of a convolution, and where they lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source {
    pub(crate) plane: PlaneId,
    pub(crate) first: usize,
    pub(crate) channels: usize,
}

/// One or more convolutions that read the same input with the same window.
#[derive(Debug, Clone)]
pub(crate) struct ConvTask {
    pub(crate) convs: Vec<ConvId>,
    pub(crate) sources: Vec<Source>,
    /// Planes written, convolution by convolution; each convolution begins a new plane.
    pub(crate) outputs: Vec<Vec<Piece>>,
    /// Added after the activation, plane by plane.
    pub(crate) residual: Vec<PlaneId>,
    /// Sums to begin with instead of the bias, at half the resolution.
    pub(crate) partial: Vec<PlaneId>,
    pub(crate) activation: Activation,
    /// Sums only: no bias, no activation. The bias comes with the other part.
    pub(crate) is_partial: bool,
    /// Written as f32 whatever the plan's format is.
    pub(crate) full_precision: bool,
    /// Numbers 0 to 255 are read; the weights take the factor 1/255.
    pub(crate) reads_bytes: bool,
}

/// Max pools in a row, as spatial pyramid pooling has them: `outputs[i]` pools what came before it.
#[derive(Debug, Clone)]
pub(crate) struct PoolTask {
    pub(crate) size: usize,
    pub(crate) input: Vec<PlaneId>,
    pub(crate) outputs: Vec<Vec<PlaneId>>,
}

#[derive(Debug, Clone)]
pub(crate) enum Task {
    Conv(ConvTask),
    Pool(PoolTask),
}

/// A task that runs only where a head has candidates.
#[derive(Debug, Clone)]
pub(crate) struct LazyTask {
    pub(crate) head: usize,
    pub(crate) level: usize,
    /// Cells around a candidate that later tasks of the branch read.
    pub(crate) reach: usize,
    pub(crate) task: ConvTask,
}

/// Planes with one level's raw result, 16 channels of f32 each.
#[derive(Debug, Clone)]
pub(crate) struct LevelPlanes {
    pub(crate) grid: Grid,
    pub(crate) classes: Vec<PlaneId>,
    pub(crate) boxes: Vec<PlaneId>,
    pub(crate) keypoints: Vec<PlaneId>,
}

/// The taps of a convolution in the order in which kernels sum them: one entry for each cache line read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tap {
    /// The plane read.
    pub(crate) plane: PlaneId,
    /// Cells and bytes from the tile's first input cell.
    pub(crate) cells: isize,
    pub(crate) bytes: isize,
    /// For each number of the line: which weight it meets.
    pub(crate) lanes: Vec<Option<Weight>>,
}

/// Coordinates of a weight, but for its output channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weight {
    pub(crate) channel: usize,
    pub(crate) ky: usize,
    pub(crate) kx: usize,
}

/// Cuts a convolution's window into cache lines. Along a row the cells of a plane are neighbours, so a row of the
/// window is one run of bytes; narrow cells share lines.
pub(crate) fn taps(task: &ConvTask, kernel: usize, planes: &[Plane], format: Format) -> Vec<Tap> {
    let half = (kernel / 2) as isize;
    let mut taps = Vec::new();
    for source in &task.sources {
        let Plane { grid, cell, .. } = planes[source.plane.0];
        for ky in 0..kernel {
            for line in 0..(kernel * cell).div_ceil(LINE) {
                let lanes = (0..format.lanes())
                    .map(|lane| {
                        let byte = line * LINE + lane * format.bytes();
                        let (kx, channel) = (byte / cell, byte % cell / format.bytes());
                        (kx < kernel && channel < source.channels).then(|| Weight {
                            channel: source.first + channel,
                            ky,
                            kx,
                        })
                    })
                    .collect();
                taps.push(Tap {
                    plane: source.plane,
                    cells: (ky as isize - half) * grid.pitch() as isize - half,
                    bytes: (line * LINE) as isize,
                    lanes,
                });
            }
        }
    }
    taps
}
