//! The picture into the first layer: each thread fills the rows of the input plane that it is about to convolve.
//!
//! Rows are convolved while they are in the cache, and no thread waits for another to fill the rest. At the seam of two
//! threads' shares one row is read by both: the thread below fills it before anything else, and the one above
//! looks for it when it comes there, at the end of its share.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::*};
use std::time::Instant;

use super::frame::Member;
use super::resample::{self, Cells, Output, Tier};
use super::team::Barrier;
use super::{input, layers};
use crate::plan::{ConvStep, Plan, Share, Step};

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

/// How many of its rows a member has filled in this frame. On a cache line of its own, since others look at it.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Progress(AtomicUsize);

impl Progress {
    /// Before the members start.
    pub(super) fn reset(&self) {
        self.0.store(0, Relaxed);
    }
}

/// Fills the input plane, and runs the first layer with it if that goes row by row; gives the number of stages done.
pub(super) fn run(member: &Member<'_>, input: Input<'_>, progress: &[Progress], barrier: &Barrier) -> usize {
    let &Member { plan, index, size, .. } = member;
    let height = plan.input.grid.height;
    if let Input::Layers { job, taken } = input {
        let start = Instant::now();
        // SAFETY: the plane is the plan's; all members come here, each with an index of its own.
        unsafe { job.run(index, size, barrier, plane(member)) };
        barrier.wait();
        if index == 0 {
            taken.store(start.elapsed().as_nanos() as u64, Relaxed);
        }
        return 0;
    }
    let Some(step) = by_rows(plan, size) else {
        fill(member, input, crate::plan::part(height, index, size));
        return 0;
    };
    let mut rows =
        Rows { member, step, input, progress, barrier, own: own(plan, step, index, size), filled: 0 };
    let share = step.share(index, size, step.tiles.len()).tiles;
    let mut first = share.start;
    while first < share.end {
        // Tiles go row by row.
        let top = row_of(step, first);
        let tiles = step.tiles[first..share.end].iter();
        let count =
            tiles.take_while(|tile| tile.output as usize / step.cells.grid.pitch() < top + ROWS).count();
        let bottom = row_of(step, first + count - 1);
        // A window of three by three around every other row.
        rows.fill_up_to((2 * bottom + 2).min(height));
        let tiles = first..first + count;
        // SAFETY: step, arena and weights are the plan's, and the tiles are the step's; members write other tiles; the rows
        // that these read are filled, those of other members waited for.
        unsafe {
            let share = Share { blocks: 0..step.blocks.len(), tiles };
            let weights = plan.weights.bytes();
            plan.kernels.conv(step, member.arena, weights, &step.tiles, share);
        }
        first += count;
    }
    rows.fill_own();
    1
}

/// The first stage's one convolution, if each member's share of it is a run of rows.
fn by_rows(plan: &Plan, size: usize) -> Option<&ConvStep> {
    let Some([Step::Conv(step)]) = plan.dense.first().map(Vec::as_slice) else { return None };
    let strided = step.window == 3 && step.row == 2 * step.input_cell && step.winograd.is_none();
    let tiles = step.tiles.len();
    let whole = (0..size).all(|index| step.share(index, size, tiles).blocks == (0..step.blocks.len()));
    (strided && whole).then_some(step)
}

fn row_of(step: &ConvStep, tile: usize) -> usize {
    let grid = step.cells.grid;
    step.tiles.get(tile).map_or(grid.height, |tile| tile.output as usize / grid.pitch())
}

/// The input rows that a member fills: from the first that its own tiles read to the first that the next one's do.
fn own(plan: &Plan, step: &ConvStep, index: usize, size: usize) -> Range<usize> {
    let height = plan.input.grid.height;
    let begin = |index: usize| match index {
        0 => 0,
        _ if index == size => height,
        _ => {
            let first = step.share(index, size, step.tiles.len()).tiles.start;
            (2 * row_of(step, first)).saturating_sub(1).min(height)
        }
    };
    begin(index)..begin(index + 1)
}

struct Rows<'a> {
    member: &'a Member<'a>,
    step: &'a ConvStep,
    input: Input<'a>,
    progress: &'a [Progress],
    barrier: &'a Barrier,
    own: Range<usize>,
    /// Of our own rows.
    filled: usize,
}

impl Rows<'_> {
    /// Makes sure that all rows before `end` which our tiles read are there.
    fn fill_up_to(&mut self, end: usize) {
        let Member { plan, index, size, .. } = *self.member;
        let own_end = end.min(self.own.end);
        let next = self.own.start + self.filled;
        if next < own_end {
            fill(self.member, self.input, next..own_end);
            self.filled = own_end - self.own.start;
            self.progress[index].0.store(self.filled, Release);
        }
        for other in index + 1..size {
            let own = own(plan, self.step, other, size);
            if own.start >= end {
                break;
            }
            let need = end.min(own.end) - own.start;
            self.barrier.wait_until(|| self.progress[other].0.load(Acquire) >= need);
        }
    }

    /// Fills what is left of our own rows: others may read it though we do not.
    fn fill_own(&mut self) {
        let next = self.own.start + self.filled;
        if next < self.own.end {
            fill(self.member, self.input, next..self.own.end);
            self.filled = self.own.len();
            self.progress[self.member.index].0.store(self.filled, Release);
        }
    }
}

/// Writes rows of the input plane. Each member calls it with rows of its own.
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
