//! The steps of a plan and what they cost.

use std::time::Duration;

use super::Network;
use crate::kernels::{ceiling, frame};
use crate::plan::layout::Grid;
use crate::plan::{ConvStep, Step};

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct StepInfo {
    /// The layers it computes, named after their tensors.
    pub name: String,
    /// The kernel that runs it: `{tier}-{shape}`.
    pub kernel: String,
    /// Rows of the map written.
    pub height: usize,
    /// Columns of the map written.
    pub width: usize,
    /// Multiply-accumulates when computed at every cell.
    pub macs: usize,
    /// Computed only around candidates.
    pub lazy: bool,
}

impl Network {
    /// The steps of the plan, in order: what `gesto model info` and profiles show.
    #[must_use]
    pub fn steps(&self) -> Vec<StepInfo> {
        let isa = self.isa().name();
        let conv = |step: &ConvStep, lazy| {
            let grid = step.cells.grid;
            StepInfo {
                name: step.name.clone(),
                kernel: format!("{isa}-{}", step.kernel_name()),
                height: grid.height,
                width: grid.width,
                macs: step.macs_per_cell * grid.height * grid.width,
                lazy,
            }
        };
        let dense = self.plan.dense.iter().flatten().map(|step| match step {
            Step::Conv(step) => conv(step, false),
            Step::Pool(step) => StepInfo {
                name: format!("{} max pools", step.planes[0].len() - 1),
                kernel: format!("{isa}-pool{0}x{0}", step.size),
                height: step.grid.height,
                width: step.grid.width,
                macs: 0,
                lazy: false,
            },
        });
        dense.chain(self.plan.lazy.iter().flatten().map(|lazy| conv(&lazy.step, true))).collect()
    }

    /// Runs each step of [`steps`](Self::steps) alone, at every anchor point, on the maps of the last frame, and gives its
    /// time to `report` by position.
    pub fn profile(&mut self, report: impl FnMut(usize, Duration)) {
        frame::profile(&self.plan, &mut self.arena, &mut self.team, report);
    }

    /// Floating point operations a second that one core can do with this tier's multiply instruction; measured now, for
    /// about a tenth of a second.
    #[must_use]
    pub fn ceiling(&self) -> f64 {
        ceiling::flops(self.plan.kernels)
    }

    /// Multiply-accumulates that the last frame took: lazy steps count the tiles or squares they ran, as if each output
    /// took all of its products.
    #[must_use]
    pub fn macs_of_last_frame(&self) -> usize {
        let dense: usize = self.steps().iter().filter(|step| !step.lazy).map(|step| step.macs).sum();
        let lazy = self.plan.lazy.iter().flatten().map(|lazy| {
            let selection = self.shared.selection(lazy.head);
            if let Some(filter) = &lazy.step.winograd {
                let Grid { height, width } = lazy.step.cells.grid;
                let cells = |number: usize| {
                    let (row, column) = (number / filter.columns, number % filter.columns);
                    (height - 2 * row).min(2) * (width - 2 * column).min(2)
                };
                let cells: usize = match selection.squares(lazy.level, lazy.reach) {
                    Some(list) => list.iter().map(|&number| cells(number as usize)).sum(),
                    None => height * width,
                };
                return cells * lazy.step.macs_per_cell;
            }
            let tiles = selection.tiles(lazy.level, lazy.reach).unwrap_or(&lazy.step.tiles);
            tiles.iter().map(|tile| tile.count as usize * lazy.step.macs_per_cell).sum::<usize>()
        });
        dense + lazy.sum::<usize>()
    }
}
