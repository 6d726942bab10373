//! The operators of resize layers, over tensors of red, green, blue and zero in f32.
//!
//! Every operator writes rows; a team shares them, with a barrier between operators. Sums are made in one order
//! whatever the tier, so that all give the same bits.

use std::ops::Range;

use super::resample::{self, Cells, Output, Tables, Tier};
use super::team::{Barrier, Team};
use crate::isa::Token;
use crate::picture::Picture;
use crate::plan::layout::Format;
use crate::plan::part;
use crate::resample::PAD;
use crate::resample::layers::Plan;

/// Red, green, blue, zero; 0 to 255.
pub(crate) type Cell = [f32; 4];

const GREY: Cell = [PAD as f32, PAD as f32, PAD as f32, 0.0];

/// `height` rows of `width` cells.
#[derive(Debug, Clone)]
pub(crate) struct Tensor {
    width: usize,
    height: usize,
    cells: Vec<Cell>,
}

impl Tensor {
    pub(crate) fn new(width: usize, height: usize) -> Self {
        Self { width, height, cells: vec![[0.0; 4]; width * height] }
    }

    /// Has at least `height` rows from now on.
    pub(crate) fn grow(&mut self, height: usize) {
        self.height = self.height.max(height);
        self.cells.resize(self.width * self.height, [0.0; 4]);
    }
}

/// Two neighbours and the second one's share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lerp {
    pub(crate) first: usize,
    pub(crate) second: usize,
    pub(crate) share: f32,
}

/// A convolution of each colour by itself whose stride is its window.
#[derive(Debug, Clone)]
pub(crate) struct Conv {
    /// Width and height of the window.
    pub(crate) size: [usize; 2],
    /// Columns and rows of zeros before the input.
    pub(crate) before: [usize; 2],
    /// Row by row.
    pub(crate) weights: Vec<f32>,
}

/// One operator. Its input is the tensor of the one before it, or the picture.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// The whole picture as floats.
    Cast(Tables),
    Resize {
        columns: Vec<Lerp>,
        rows: Vec<Lerp>,
    },
    GatherRows(Vec<usize>),
    GatherColumns(Vec<usize>),
    Conv(Conv),
    /// From the picture to the network's input.
    Resample(Tables),
    CastResize {
        cast: Tables,
        columns: Vec<Lerp>,
        rows: Vec<Lerp>,
    },
}

/// One picture on its way through the operators.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job<'a> {
    steps: &'a [Step],
    /// The tensors that steps but the last write.
    tensors: [View<'a>; 2],
    /// A row for each member of the team to work in.
    scratch: View<'a>,
    target: [usize; 4],
    /// Width and height of the network's input.
    size: [usize; 2],
    pub(crate) tier: Tier,
    picture: &'a Picture<'a>,
}

/// A tensor while a team works on it.
#[derive(Debug, Clone, Copy)]
struct View<'a> {
    start: *mut Cell,
    width: usize,
    height: usize,
    owner: std::marker::PhantomData<&'a mut Tensor>,
}

// SAFETY: it points into a tensor that is borrowed for as long; members write disjoint rows of it.
unsafe impl Send for View<'_> {}
// SAFETY: as above.
unsafe impl Sync for View<'_> {}

impl<'a> View<'a> {
    fn of(tensor: Option<&'a mut Tensor>) -> Self {
        let (start, width, height) = match tensor {
            Some(tensor) => (tensor.cells.as_mut_ptr(), tensor.width, tensor.height),
            None => (std::ptr::null_mut(), 0, 0),
        };
        Self { start, width, height, owner: std::marker::PhantomData }
    }

    /// # Safety
    /// Nobody writes the row meanwhile.
    unsafe fn row(&self, y: usize) -> &'a [Cell] {
        assert!(y < self.height);
        // SAFETY: the row lies in the tensor.
        unsafe { std::slice::from_raw_parts(self.start.add(y * self.width), self.width) }
    }

    /// # Safety
    /// Nobody else reads or writes the row meanwhile.
    unsafe fn row_mut(&self, y: usize) -> &'a mut [Cell] {
        assert!(y < self.height);
        // SAFETY: the row lies in the tensor.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(y * self.width), self.width) }
    }
}

impl<'a> Job<'a> {
    pub(crate) fn new(plan: &'a mut Plan, token: Token, picture: &'a Picture<'a>) -> Self {
        let mut tensors = plan.tensors.iter_mut();
        Self {
            steps: &plan.steps,
            tensors: [View::of(tensors.next()), View::of(tensors.next())],
            scratch: View::of(Some(&mut plan.scratch)),
            target: plan.target,
            size: plan.size,
            tier: Tier::of(token),
            picture,
        }
    }

    /// With the kernels of another tier, which give the same bits.
    pub(crate) fn on(self, token: Token) -> Self {
        Self { tier: Tier::of(token), ..self }
    }

    /// Runs all operators into a picture of floats of the network's size.
    pub(crate) fn run_team(&self, team: &mut Team, out: &mut [Cell]) {
        assert_eq!(out.len(), self.size[0] * self.size[1], "the output has the network's size");
        let pitch = self.size[0] * size_of::<Cell>();
        // SAFETY: the output is a whole picture, borrowed for this team alone; each member has an index of its own.
        unsafe {
            let output = Output::new(out.as_mut_ptr().cast(), pitch, Cells::Numbers(Format::F32));
            let size = team.size();
            team.run(|index, barrier| self.run(index, size, barrier, output));
        }
    }

    /// What member `index` of `size` does.
    ///
    /// # Safety
    /// `output` is a picture of the network's size in numbers, which only members with other indexes write to. All members
    /// of the barrier's team call it.
    pub(super) unsafe fn run(&self, index: usize, size: usize, barrier: &Barrier, output: Output) {
        let mut done = 0;
        for step in &self.steps[..self.steps.len() - 1] {
            let to = self.tensors[done];
            let rows = part(to.height, index, size);
            // SAFETY: each member writes rows of its own, and the tensor before it was finished at the barrier.
            unsafe {
                match step {
                    Step::Cast(tables) => self.cast(tables, rows, to),
                    Step::GatherRows(from) => {
                        for y in rows {
                            to.row_mut(y).copy_from_slice(self.tensors[done - 1].row(from[y]));
                        }
                    }
                    other => unreachable!("{other:?} is the last operator"),
                }
            }
            barrier.wait();
            done += 1;
        }
        let rows = part(self.size[1], index, size);
        // SAFETY: as above; the output's rows and the row of scratch are this member's own.
        unsafe {
            let scratch = self.scratch.row_mut(index);
            self.last(done.checked_sub(1).map(|at| self.tensors[at]), rows, output, scratch);
        }
    }

    /// # Safety
    /// Nobody else touches these rows of `to`.
    unsafe fn cast(&self, tables: &Tables, rows: Range<usize>, to: View<'_>) {
        assert!(to.width == tables.width && to.height == tables.height);
        let pitch = to.width * size_of::<Cell>();
        // SAFETY: the tensor has rows of the tables' width.
        unsafe {
            let output = Output::new(to.start.cast(), pitch, Cells::Numbers(Format::F32));
            resample::fill(self.tier, tables, self.picture, rows, output);
        }
    }

    /// The last operator: rows of the network's input.
    ///
    /// # Safety
    /// Nobody else touches these rows of `output`, and nobody writes `from`.
    unsafe fn last(&self, from: Option<View<'_>>, rows: Range<usize>, output: Output, scratch: &mut [Cell]) {
        let Some(step) = self.steps.last() else { return };
        if let Step::Resample(tables) = step {
            // SAFETY: passed on from the caller.
            return unsafe { resample::fill(self.tier, tables, self.picture, rows, output) };
        }
        let [left, top, width, height] = self.target;
        let source = self.picture.upright_size().0;
        // A row of the output, and two rows of the picture as floats.
        let (line, pair) = scratch.split_at_mut(self.size[0]);
        for y in rows {
            if !(top..top + height).contains(&y) {
                line.fill(GREY);
            } else {
                let inner = &mut line[left..left + width];
                let at = y - top;
                // SAFETY: passed on from the caller.
                let row = |y: usize| unsafe { from.as_ref().map_or(&[][..], |from| from.row(y)) };
                match step {
                    Step::Resize { columns, rows } => {
                        let Lerp { first, second, share } = rows[at];
                        resize(self.tier, [row(first), row(second)], share, columns, inner);
                    }
                    Step::GatherColumns(columns) => {
                        let row = row(at);
                        for (to, &x) in inner.iter_mut().zip(columns) {
                            *to = row[x];
                        }
                    }
                    Step::Conv(conv) => {
                        let height = from.as_ref().map_or(0, |from| from.height);
                        convolve(self.tier, conv, at, height, row, inner);
                    }
                    Step::CastResize { cast, columns, rows } => {
                        let Lerp { first, second, share } = rows[at];
                        for (i, y) in [first, second].into_iter().enumerate() {
                            // SAFETY: a row of the tables' width that is ours alone, addressed as row `y` of a picture.
                            unsafe {
                                let start = pair.as_mut_ptr().cast::<u8>();
                                let pitch = source * size_of::<Cell>();
                                let origin = start.wrapping_add(i * pitch).wrapping_sub(y * pitch);
                                let row = Output::new(origin, pitch, Cells::Numbers(Format::F32));
                                resample::fill(self.tier, cast, self.picture, y..y + 1, row);
                            }
                        }
                        let (above, below) = pair.split_at(source);
                        resize(self.tier, [above, below], share, columns, inner);
                    }
                    Step::Cast(_) | Step::GatherRows(_) | Step::Resample(_) => {
                        unreachable!("handled before")
                    }
                }
                line[..left].fill(GREY);
                line[left + width..].fill(GREY);
            }
            // SAFETY: a row of the output.
            unsafe { output.numbers(y, line) };
        }
    }
}

/// Runs one of the plain loops below as compiled for the tier.
macro_rules! by_tier {
    ($tier:expr, $avx2:ident, $avx512:ident, $plain:ident ( $($argument:expr),* )) => {
        match $tier {
            Tier::Plain => $plain($($argument),*),
            // SAFETY: the tier proves the instructions.
            #[cfg(target_arch = "x86_64")]
            Tier::Avx2(_) => unsafe { $avx2($($argument),*) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Tier::Avx512(_) => unsafe { $avx512($($argument),*) },
        }
    };
}

/// One row of `Resize`.
fn resize(tier: Tier, rows: [&[Cell]; 2], share: f32, columns: &[Lerp], out: &mut [Cell]) {
    by_tier!(tier, resize_avx2, resize_avx512, resize_plain(rows, share, columns, out));
}

#[inline(always)]
fn resize_plain([above, below]: [&[Cell]; 2], share: f32, columns: &[Lerp], out: &mut [Cell]) {
    for (to, column) in out.iter_mut().zip(columns) {
        let [a, b] = [&above[column.first], &above[column.second]];
        let [c, d] = [&below[column.first], &below[column.second]];
        for i in 0..4 {
            let (above, below) = (a[i] + (b[i] - a[i]) * column.share, c[i] + (d[i] - c[i]) * column.share);
            to[i] = above + (below - above) * share;
        }
    }
}

/// # Safety
/// The processor has AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn resize_avx2(rows: [&[Cell]; 2], share: f32, columns: &[Lerp], out: &mut [Cell]) {
    resize_plain(rows, share, columns, out);
}

/// # Safety
/// The processor has AVX-512 F and VL.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl")]
unsafe fn resize_avx512(rows: [&[Cell]; 2], share: f32, columns: &[Lerp], out: &mut [Cell]) {
    resize_plain(rows, share, columns, out);
}

/// Row `y` of a convolution of `height` rows.
fn convolve<'a>(
    tier: Tier,
    conv: &Conv,
    y: usize,
    height: usize,
    row: impl Fn(usize) -> &'a [Cell],
    out: &mut [Cell],
) {
    out.fill([0.0; 4]);
    for (ky, weights) in conv.weights.chunks_exact(conv.size[0]).enumerate() {
        let Some(y) = (y * conv.size[1] + ky).checked_sub(conv.before[1]).filter(|&y| y < height) else {
            continue; // a row of zeros
        };
        let row = row(y);
        by_tier!(tier, sum_avx2, sum_avx512, sum_plain(row, conv.before[0], weights, out));
    }
}

#[inline(always)]
fn sum_plain(row: &[Cell], before: usize, weights: &[f32], out: &mut [Cell]) {
    for (x, to) in out.iter_mut().enumerate() {
        let first = x * weights.len();
        for (kx, &weight) in weights.iter().enumerate() {
            let Some(from) = (first + kx).checked_sub(before).and_then(|x| row.get(x)) else { continue };
            for i in 0..4 {
                to[i] += from[i] * weight;
            }
        }
    }
}

/// # Safety
/// The processor has AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn sum_avx2(row: &[Cell], before: usize, weights: &[f32], out: &mut [Cell]) {
    sum_plain(row, before, weights, out);
}

/// # Safety
/// The processor has AVX-512 F and VL.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl")]
unsafe fn sum_avx512(row: &[Cell], before: usize, weights: &[f32], out: &mut [Cell]) {
    sum_plain(row, before, weights, out);
}
