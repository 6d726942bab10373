//! From a stored picture to rows of the network's input: sampled, turned upright, in RGB, in the input's number format.
//!
//! A row goes through two kernels, by way of a few hundred pixels on the stack: one samples the picture, one writes the
//! samples as 8-bit RGB or as cells of the first layer's plane. Both have a plain version, which defines the
//! arithmetic, and versions for AVX2 and AVX-512 with the same bits.

pub(crate) mod area;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod bilinear;
mod emit;
#[cfg(target_arch = "x86_64")]
mod lanes;
mod nearest;
mod read;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Mutex;

use area::{Mean, Scratch};
pub(crate) use bilinear::Blend;
pub(crate) use emit::Cells;
pub(super) use emit::{emit, emit_pixels, spread};
pub(crate) use nearest::Pick;

use super::team::Team;
use crate::isa::{Isa, Token};
use crate::picture::Picture;
use crate::plan::part;
use crate::resample::PAD;

/// Pixels sampled before they are written: a row of common networks, and no more than the first-level cache likes.
pub(crate) const CHUNK: usize = 512;

/// The kernels of one tier. Holding one is proof that the machine runs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tier {
    Plain,
    #[cfg(target_arch = "x86_64")]
    Avx2(Proof),
    #[cfg(target_arch = "x86_64")]
    Avx512(Proof),
}

/// Made from a token only.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Proof(());

impl Tier {
    /// The best that a token proves.
    pub(crate) fn of(token: Token) -> Self {
        match token.isa() {
            #[cfg(target_arch = "x86_64")]
            Isa::AmxBf16 | Isa::AmxInt8 | Isa::Avx512F32 | Isa::Avx512Bf16 | Isa::Avx512Vnni => {
                Self::Avx512(Proof(()))
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2F32 => Self::Avx2(Proof(())),
            _ => Self::Plain,
        }
    }
}

/// Where rows go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// Row 0.
    start: *mut u8,
    /// Bytes from one row to the next.
    pitch: usize,
    cells: Cells,
}

// SAFETY: it is an address; who writes through it promises that nobody else touches those rows.
unsafe impl Send for Output {}
// SAFETY: as above.
unsafe impl Sync for Output {}

impl Output {
    /// # Safety
    /// Rows of the tables' width in these cells may be written at `start`, `pitch` bytes apart, as long as the value is
    /// used.
    pub(crate) unsafe fn new(start: *mut u8, pitch: usize, cells: Cells) -> Self {
        Self { start, pitch, cells }
    }

    /// Writes numbers (red, green, blue, zero; 0 to 255) as the cells of row `y`.
    ///
    /// # Safety
    /// The row has as many cells, and no other thread touches it.
    pub(super) unsafe fn numbers(self, y: usize, line: &[[f32; 4]]) {
        // SAFETY: passed on from the caller.
        unsafe { emit::numbers(self.cells, line, self.start.wrapping_add(y * self.pitch)) };
    }
}

/// How one pixel of the output is sampled.
#[derive(Debug, Clone)]
pub(crate) enum Sampling {
    Bilinear(Blend),
    Nearest(Pick),
    Area(Mean),
}

/// Everything that depends on the kind of picture: made once, used for each row.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    /// Width of the network's input.
    pub(crate) width: usize,
    /// Height of the network's input.
    pub(crate) height: usize,
    /// Part of it that the picture fills: x, y, width, height.
    pub(crate) target: [usize; 4],
    pub(crate) sampling: Sampling,
}

/// One picture to resize.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) tier: Tier,
    /// Made for this kind of picture.
    pub(crate) tables: &'a Tables,
    pub(crate) picture: &'a Picture<'a>,
    /// At least one a thread when means are taken.
    pub(crate) scratch: &'a [Mutex<Scratch>],
}

impl Job<'_> {
    /// With the kernels of another tier, which give the same bits.
    pub(crate) fn on(self, token: Token) -> Self {
        Self { tier: Tier::of(token), ..self }
    }

    /// Writes the network's input as 8-bit RGB.
    pub(crate) fn run(&self, out: &mut [u8]) {
        let output = self.rgb8(out);
        // SAFETY: the output is a whole picture, borrowed for us alone.
        unsafe { self.share(0, 1, output) };
    }

    /// The same on all threads of a team.
    pub(crate) fn run_team(&self, team: &mut Team, out: &mut [u8]) {
        let (output, size) = (self.rgb8(out), team.size());
        // SAFETY: the output is a whole picture, borrowed for this team alone; each member has an index of its own.
        team.run(|index, _| unsafe { self.share(index, size, output) });
    }

    fn rgb8(&self, out: &mut [u8]) -> Output {
        assert_eq!(
            out.len(),
            3 * self.tables.width * self.tables.height,
            "the output has the network's size"
        );
        Output { start: out.as_mut_ptr(), pitch: 3 * self.tables.width, cells: Cells::Rgb8 }
    }

    /// What member `index` of `size` does.
    ///
    /// # Safety
    /// `output` is a whole picture of 8-bit RGB that only members with other indexes write to.
    unsafe fn share(&self, index: usize, size: usize, output: Output) {
        let rows = part(self.tables.height, index, size);
        // SAFETY: passed on from the caller; members take other rows.
        unsafe { fill(self.tier, self.tables, self.picture, rows, output) };
        if let Sampling::Area(mean) = &self.tables.sampling {
            let mut scratch = self.scratch[index].lock().unwrap_or_else(|broken| broken.into_inner());
            let lines = part(mean.down.to, index, size);
            // SAFETY: passed on from the caller; members take other lines, and `fill` writes outside the target only.
            unsafe { area::fill(self.tier, self.tables, mean, self.picture, lines, &mut scratch, output) };
        }
    }
}

/// Writes `rows` of the network's input; when means are taken, only what lies outside the target.
///
/// # Safety
/// `output` has these rows, of the tables' width, and no other thread touches them.
pub(crate) unsafe fn fill(
    tier: Tier,
    tables: &Tables,
    picture: &Picture<'_>,
    rows: Range<usize>,
    output: Output,
) {
    let [left, top, width, height] = tables.target;
    assert!(rows.end <= tables.height && left + width <= tables.width && top + height <= tables.height);
    let mut line = [[0; 4]; CHUNK];
    for y in rows {
        let to = output.start.wrapping_add(y * output.pitch);
        let cell = output.cells.bytes();
        // SAFETY: the columns lie in the row.
        let grey = |columns: Range<usize>| unsafe {
            emit::grey(output.cells, columns.len(), to.add(columns.start * cell));
        };
        if !(top..top + height).contains(&y) {
            grey(0..tables.width);
            continue;
        }
        grey(0..left);
        grey(left + width..tables.width);
        if matches!(tables.sampling, Sampling::Area(_)) {
            continue;
        }
        for first in (0..width).step_by(CHUNK) {
            let line = &mut line[..CHUNK.min(width - first)];
            match &tables.sampling {
                Sampling::Bilinear(blend) => blend.sample(tier, picture, y - top, first, line),
                Sampling::Nearest(pick) => pick.sample(tier, picture, y - top, first, line),
                Sampling::Area(_) => {}
            }
            // SAFETY: as above.
            unsafe { emit::emit(tier, output.cells, line, to.add((left + first) * cell)) };
        }
    }
}

/// A grey pixel.
const GREY: [u8; 4] = [PAD, PAD, PAD, 0];
