//! The picture into the first layer: bands of rows are filled and then convolved while they are in the cache.
//!
//! The last row of a band's outputs reads the first row of the next band's inputs, so that one is filled before as well, by
//! whoever comes there first.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};

use super::frame::Member;
use super::resample::{self, Cells, Output, Tier};
use super::team::Barrier;
use super::turns::{Turn, Turns, take};
use super::{Along, input, layers};
use crate::plan::{Plan, Share, Step, Tile};

/// Output rows convolved at a time: the input rows of so many fit the second-level cache beside the weights.
const ROWS: usize = 8;

/// Where the network's input comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Input<'a> {
    /// 8-bit RGB at the network's size.
    Rgb(&'a [u8]),
    /// A picture of any size, sampled on the way.
    Picture(resample::Job<'a>),
    /// A picture that layers resize before anything else.
    Layers {
        job: layers::Job<'a>,
        /// Receives the nanoseconds that they took.
        taken: &'a AtomicU64,
    },
    /// Red, green, blue and zero of each pixel, 0 to 255: the output of a model of its own.
    Tensor(&'a [layers::Cell]),
}

/// The first layer cut into bands of [`ROWS`] rows, and how far they are in a frame.
#[derive(Debug)]
pub(super) struct Bands {
    bands: Box<[Band]>,
    turn: Turn,
}

#[derive(Debug)]
struct Band {
    /// Tiles of the first layer.
    tiles: Range<usize>,
    /// Rows of the input: from the first that these tiles read to the first that the next band's do.
    rows: Range<usize>,
    taken: AtomicBool,
    filled: AtomicBool,
}

impl Bands {
    /// Those of the first stage's one convolution, if its windows of three by three go around every other row. Members of a
    /// team of `size` own neighbouring ones.
    pub(super) fn new(plan: &Plan, size: usize) -> Option<Self> {
        let Some([Step::Conv(step)]) = plan.dense.first().map(Vec::as_slice) else { return None };
        if step.window != 3 || step.row != 2 * step.input_cell || step.winograd.is_some() {
            return None;
        }
        let height = plan.input.grid.height;
        let row_of = |tile: &Tile| tile.output as usize / step.cells.grid.pitch();
        let count = step.cells.grid.height.div_ceil(ROWS);
        let first_row = |band: usize| match band {
            0 => 0,
            _ if band == count => height,
            _ => (2 * ROWS * band - 1).min(height),
        };
        let band = |band: usize| {
            // Tiles go row by row.
            let tile = |band: usize| step.tiles.partition_point(|tile| row_of(tile) < ROWS * band);
            Band {
                tiles: tile(band)..tile(band + 1),
                rows: first_row(band)..first_row(band + 1),
                taken: AtomicBool::new(false),
                filled: AtomicBool::new(false),
            }
        };
        let owner = |band: usize| (band * size + size - 1) / count.max(1);
        Some(Self { bands: (0..count).map(band).collect(), turn: Turn::new(count, owner) })
    }

    pub(super) fn reset(&self) {
        for band in &self.bands {
            band.taken.store(false, Relaxed);
            band.filled.store(false, Relaxed);
        }
        self.turn.reset();
    }
}

/// Fills the input plane, and runs the first layer with it if that goes row by row; gives the number of stages done.
pub(super) fn run(member: &Member<'_>, input: Input<'_>, turns: &Turns, barrier: &Barrier) -> usize {
    let &Member { plan, index, size, .. } = member;
    if let Input::Layers { .. } = input {
        return 0; // they have filled it
    }
    let (Some(bands), Some([Step::Conv(step)])) = (&turns.bands, plan.dense.first().map(Vec::as_slice))
    else {
        let rows = |part| crate::plan::part(plan.input.grid.height, part, size);
        turns.fill.run(index, barrier, |part| fill(member, input, rows(part)));
        return 0;
    };
    bands.turn.run(index, barrier, |at| {
        for band in bands.bands[at..].iter().take(2) {
            if take(&band.taken) {
                fill(member, input, band.rows.clone());
                band.filled.store(true, Release);
            } else {
                barrier.wait_until(|| band.filled.load(Acquire));
            }
        }
        let share = Share { blocks: 0..step.blocks.len(), tiles: bands.bands[at].tiles.clone() };
        // SAFETY: step, arena and weights are the plan's, and the tiles are the step's; others write other tiles; the rows
        // that these read are filled.
        unsafe {
            let along = Along::only(&member.unit);
            plan.kernels.conv(step, member.arena, plan.weights.bytes(), &step.tiles, share, &along);
        }
    });
    1
}

/// Runs the layers that fill the input plane. All members of a team call it.
///
/// # Safety
/// Nobody else touches the plane meanwhile; each member has an index of its own.
pub(super) unsafe fn run_layers(member: &Member<'_>, job: layers::Job<'_>, barrier: &Barrier) {
    // SAFETY: the plane is the plan's; the rest is passed on from the caller.
    unsafe { job.run(member.index, member.size, barrier, plane(member)) };
}

/// Writes rows of the input plane. Nobody else writes or reads them meanwhile.
fn fill(member: &Member<'_>, input: Input<'_>, rows: Range<usize>) {
    let grid = member.plan.input.grid;
    let (place, format) = (member.plan.input, member.plan.kernels.format());
    let tier = Tier::of(member.plan.kernels.token());
    match input {
        // SAFETY: the plane is the plan's, and each member fills other rows.
        Input::Rgb(rgb) => unsafe { input::fill(tier, place, format, member.arena, rgb, rows) },
        Input::Picture(job) => {
            assert!(job.tables.width == grid.width && job.tables.height == grid.height);
            // SAFETY: the plane has rows of the tables' width, and each member fills other rows.
            unsafe { resample::fill(job.tier, job.tables, job.picture, rows, plane(member)) };
        }
        Input::Tensor(cells) => {
            assert!(cells.len() == grid.width * grid.height);
            let output = plane(member);
            for y in rows {
                // SAFETY: a row of the plane's width, and each member fills other rows.
                unsafe { output.numbers(y, &cells[y * grid.width..(y + 1) * grid.width]) };
            }
        }
        Input::Layers { .. } => unreachable!("layers fill the plane as a whole"),
    }
}

/// The input plane as a resize's output.
fn plane(member: &Member<'_>) -> Output {
    let (plane, format) = (member.plan.input, member.plan.kernels.format());
    let pitch = plane.grid.pitch() * 4 * format.bytes();
    // SAFETY: the plan keeps rows of the grid's width there; who writes them is the callers' argument.
    unsafe { Output::new(member.arena.at(plane.place), pitch, Cells::Numbers(format)) }
}
