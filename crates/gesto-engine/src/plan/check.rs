//! What the kernels' safety rests on: no step reads or writes outside the arena and the weights.

use super::layout::{Format, LINE};
use super::winograd::Winograd;
use super::{Chunk, ConvStep, Level, Plan, PoolStep, Step};

impl Plan {
    /// Holds every offset against the arena and the weights.
    ///
    /// # Panics
    /// When one lies outside.
    pub(super) fn check(&self) {
        for step in self.convs() {
            self.check_inputs(step);
            self.check_outputs(step);
            self.check_weights(step);
            if let Some(filter) = &step.winograd {
                self.check_squares(step, filter);
            }
        }
        for step in self.dense.iter().flatten() {
            if let Step::Pool(PoolStep { grid, cell, planes, .. }) = step {
                for &place in planes.iter().flatten() {
                    assert!(place + grid.run() * cell <= self.arena_size, "a pool leaves the arena");
                }
            }
        }
        let cell = 4 * self.kernels.format().bytes();
        let input = self.input.place + self.input.grid.run() * cell;
        assert!(input <= self.arena_size, "the input leaves the arena");
        for Level { grid, classes, boxes, keypoints } in self.levels.iter().flatten() {
            for &place in classes.iter().chain(boxes).chain(keypoints) {
                assert!(place + grid.run() * LINE <= self.arena_size, "a result leaves the arena");
            }
        }
    }

    fn check_inputs(&self, step: &ConvStep) {
        let name = &step.name;
        let (reach, cells) = (self.kernels.reach(step), step.cells.grid.run());
        let last_input = step.tiles.iter().map(|tile| tile.input as usize).max().unwrap_or(0);
        // Lazy tiles begin at any cell of the run, and then read the same cell of the same grid.
        let last_input = if step.row == step.input_cell { last_input.max(cells - 1) } else { last_input };
        let last = last_input * step.input_cell + (reach - 1) * step.row + step.jump as usize + LINE;
        for tap in &step.taps {
            let inside = tap.bytes >= 0 && tap.bytes + last as isize <= self.arena_size as isize;
            assert!(inside, "{name}: a tap leaves the arena");
        }
    }

    fn check_outputs(&self, step: &ConvStep) {
        let name = &step.name;
        let (reach, cells) = (self.kernels.reach(step), step.cells.grid.run());
        for tile in &step.tiles {
            // The border between the halves of a folded tile.
            let more = usize::from(step.tiling.folded && tile.count as usize > reach / 2);
            let last = (tile.output + tile.count) as usize + more;
            assert!(last <= cells && tile.count as usize <= reach, "{name}: a tile leaves its map");
            assert!(
                !step.tiling.folded || 2 * step.cells.grid.width == reach,
                "{name}: a tile is not two rows"
            );
        }
        let number = if step.full_precision { Format::F32 } else { self.kernels.format() }.bytes();
        let last_halved = step.cells.halved.iter().copied().max().unwrap_or(0) as usize;
        for chunk in &step.chunks {
            assert!(chunk.cell >= 16 * number, "{name}: a cell is too narrow for its numbers");
            for place in [Some(chunk.output), chunk.residual].into_iter().flatten() {
                assert!(place + cells * chunk.cell <= self.arena_size, "{name}: an output leaves the arena");
            }
            if let Some(place) = chunk.partial {
                assert!(
                    place + (last_halved + 1) * LINE <= self.arena_size,
                    "{name}: a sum leaves the arena"
                );
            }
        }
    }

    fn check_weights(&self, step: &ConvStep) {
        let (name, weights) = (&step.name, self.weights.bytes().len());
        let lists = if self.kernels.format() == Format::U8 { 2 } else { 1 };
        assert!(step.bias + lists * step.chunks.len() * LINE <= weights, "{name}: no bias");
        for block in &step.blocks {
            let size = self.kernels.block_bytes(step, block);
            assert!(block.weights + size <= weights, "{name}: too few weights");
            assert!(block.chunks.end <= step.chunks.len(), "{name}: too few chunks");
        }
    }

    fn check_squares(&self, step: &ConvStep, filter: &Winograd) {
        let name = &step.name;
        // From the cell above and before the first square to two rows and cells past the last.
        let pitch = step.cells.grid.pitch();
        let last = (2 * filter.rows + 1) * pitch + 2 * filter.columns + 2;
        for &place in &filter.planes {
            let inside = place >= (pitch + 1) * LINE && place + last * LINE <= self.arena_size;
            assert!(inside, "{name}: a square leaves the arena");
        }
        let whole = |chunk: &Chunk| chunk.cell == LINE || self.kernels.format() != Format::F32;
        let plain = |chunk: &Chunk| whole(chunk) && chunk.partial.is_none();
        assert!(step.chunks.iter().all(plain), "{name}: a chunk that no filtering kernel writes");
    }
}
