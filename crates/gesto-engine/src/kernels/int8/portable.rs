//! Plain Rust, for machines that have no instruction for sums of products of bytes.

use super::scalar::{self, Added, Channel, Steps};
use super::{WEIGHT_TILE, lists};
use crate::kernels::memory::SharedArena;
use crate::kernels::portable::CELLS;
use crate::plan::layout::LINE;
use crate::plan::{ConvStep, Share, Tile};

/// One thread's share of a convolution.
///
/// # Safety
/// As [`Kernels::conv`](crate::kernels::Kernels).
pub(in crate::kernels) unsafe fn conv(
    step: &ConvStep,
    arena: SharedArena<'_>,
    weights: &[u8],
    tiles: &[Tile],
    share: Share,
) {
    for block in &step.blocks[share.blocks] {
        assert!(block.chunks.len() == 1, "blocks of this tier have one chunk");
        for tile in &tiles[share.tiles.clone()] {
            let mut sums = [[0i32; 16]; CELLS];
            let from = (tile.input as usize * step.input_cell) as isize;
            let rows = weights[block.weights..].chunks_exact(WEIGHT_TILE);
            for (tap, rows) in step.taps.iter().zip(rows) {
                let line = arena.at_signed(tap.bytes + from);
                for (quad, row) in
                    rows.as_chunks::<LINE>().0.iter().enumerate().take(tap.lanes.div_ceil(4) as usize)
                {
                    for (p, sums) in sums.iter_mut().enumerate() {
                        // SAFETY: the plan checked that the tile's lines lie in the arena.
                        let a = unsafe { line.add(p * step.row + 4 * quad).cast::<[u8; 4]>().read() };
                        for (sum, w) in sums.iter_mut().zip(row.as_chunks::<4>().0) {
                            for k in 0..4 {
                                *sum = sum.wrapping_add(i32::from(a[k]) * i32::from(w[k] as i8));
                            }
                        }
                    }
                }
            }
            // SAFETY: passed on from the caller.
            unsafe { finish(step, arena, weights, block.chunks.start, tile, &sums) };
        }
    }
}

/// Stores one chunk of a tile's cells.
///
/// # Safety
/// As [`conv`]; `tile` and `chunk` are among the step's.
unsafe fn finish(
    step: &ConvStep,
    arena: SharedArena<'_>,
    weights: &[u8],
    chunk: usize,
    tile: &Tile,
    sums: &[[i32; 16]; CELLS],
) {
    let list = |list: usize, lane: usize| {
        let at = lists(step, chunk)[list] + 4 * lane;
        f32::from_le_bytes(weights[at..at + 4].try_into().expect("four bytes"))
    };
    let place = &step.chunks[chunk];
    let steps = Steps::of(step, place);
    let inside = step.cells.inside(tile.output as usize);
    for (p, sums) in sums.iter().enumerate().take(tile.count as usize) {
        let cell = tile.output as usize + p;
        let is_inside = inside >> p & 1 == 1;
        for (lane, &sum) in sums.iter().enumerate() {
            let channel = Channel { bias: list(0, lane), scale: list(1, lane) };
            // SAFETY: the plan checked output, residual and partial sums for all cells of the run.
            unsafe {
                let added = Added {
                    partial: place.partial.map(|at| {
                        let low = step.cells.halved[cell] as usize;
                        arena.at(at + low * LINE + 4 * lane).cast::<f32>().read()
                    }),
                    residual: place.residual.map(|at| arena.at(at + cell * place.cell + lane).read()),
                };
                if let Some(curve) = step.curves.get(chunk) {
                    let byte = scalar::curved(sum, channel, added, curve);
                    let byte = if is_inside { byte } else { place.quantization.zero };
                    arena.at(place.output + cell * place.cell + lane).write(byte);
                    continue;
                }
                let number = scalar::number(sum, channel, added, step.activation, steps);
                if step.full_precision {
                    let number = if is_inside { number } else { 0.0 };
                    arena.at(place.output + cell * place.cell + 4 * lane).cast::<f32>().write(number);
                } else {
                    let byte = if is_inside { scalar::byte(number, added) } else { place.quantization.zero };
                    arena.at(place.output + cell * place.cell + lane).write(byte);
                }
            }
        }
    }
}
