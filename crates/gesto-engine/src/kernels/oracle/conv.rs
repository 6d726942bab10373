//! Convolutions: every tier, whole maps on a team of threads and tiles that begin anywhere.

use std::ops::Range;

use proptest::test_runner::TestCaseError;

use super::case::{Case, Kind, Map, cases, filtered_cases};
use super::scalar::{Expected, Reference};
use super::{Numbers, bytes, on_tier, read, runner, write};
use crate::isa::{Isa, Token};
use crate::kernels::memory::Arena;
use crate::kernels::team::Team;
use crate::kernels::{Along, Kernels, Unit, frame};
use crate::plan::layout::{Format, Plane, PlaneId};
use crate::plan::task::Task;
use crate::plan::{self, ConvStep, Plan, Share, Tile, single};

#[test]
fn portable_gives_the_scalar_numbers() {
    on_tier(Isa::Portable, convolutions);
}

#[test]
fn avx2_f32_gives_the_scalar_numbers() {
    on_tier(Isa::Avx2F32, convolutions);
}

#[test]
fn avx512_f32_gives_the_scalar_numbers() {
    on_tier(Isa::Avx512F32, convolutions);
}

#[test]
fn avx512_bf16_gives_the_scalar_numbers() {
    on_tier(Isa::Avx512Bf16, convolutions);
}

#[test]
fn amx_bf16_gives_the_scalar_numbers() {
    on_tier(Isa::AmxBf16, convolutions);
}

#[test]
fn portable_int8_gives_the_scalar_bytes() {
    on_tier(Isa::PortableInt8, convolutions);
}

#[test]
fn avx512_vnni_gives_the_scalar_bytes() {
    on_tier(Isa::Avx512Vnni, convolutions);
}

#[test]
fn amx_int8_gives_the_scalar_bytes() {
    on_tier(Isa::AmxInt8, convolutions);
}

#[test]
fn minimal_filtering_gives_the_scalar_numbers() {
    for isa in [Isa::Portable, Isa::Avx2F32, Isa::Avx512F32, Isa::Avx512Bf16] {
        on_tier(isa, |token, cases| {
            if cfg!(miri) {
                return super::skipped(&format!("minimal filtering on {isa}"), "too slow under Miri");
            }
            let least = if Kernels::new(token).format() == Format::F32 { 13 } else { 5 };
            let result = runner(cases.div_ceil(8)).run(
                &filtered_cases(least, Kernels::new(token).filters_lists()),
                |case| {
                    let filtered = check(&case, token)?;
                    assert!(filtered, "{case:?} is large enough for minimal filtering");
                    Ok(())
                },
            );
            result.unwrap_or_else(|e| panic!("{isa}: {e}"));
        });
    }
}

fn convolutions(token: Token, count: u32) {
    let result = runner(count).run(&cases(), |case| check(&case, token).map(drop));
    result.unwrap_or_else(|e| panic!("{}: {e}", token.isa()));
}

/// Runs a case and compares every byte of the arena; tells whether minimal filtering ran.
fn check(case: &Case, token: Token) -> Result<bool, TestCaseError> {
    let kernels = Kernels::new(token);
    let format = kernels.format();
    let step = case.step(format);
    let task = Task::Conv(step.task.clone());
    let (plan, places) =
        single::plan(&step.model, token, &step.planes, &step.quantizations, &task, !case.anywhere);
    let plan::Step::Conv(conv) = &plan.dense[0][0] else { unreachable!("the task is a convolution") };
    let filtered = conv.winograd.is_some();

    let threads = if case.anywhere { 1 } else { case.threads };
    let mut arena = plan.arena(threads);
    let mut garbage = Numbers::new(!case.seed);
    let bytes = whole(&mut arena);
    if case.kind != Kind::Picture {
        for source in &step.task.sources {
            let plane = Place::new(&step.planes, &places, source.plane);
            plane.fill(
                bytes,
                format,
                &step.input,
                source.first..source.first + source.channels,
                &mut garbage,
            );
        }
    }
    let added = step.residual.iter().map(|added| (added, format));
    for ((map, ids), format) in added.chain(step.partial.iter().map(|sums| (sums, Format::F32))) {
        let mut first = 0;
        for &id in ids {
            let place = Place::new(&step.planes, &places, id);
            let last = (first + place.plane.cell / format.bytes()).min(map.channels);
            place.fill(bytes, format, map, first..last, &mut garbage);
            first = last;
        }
    }
    // What lies where the step writes does not matter, but on borders, which are zero from the start.
    let out_format = if step.task.full_precision { Format::F32 } else { format };
    for piece in step.task.outputs.iter().flatten() {
        let nothing = Map { grid: case.grid(), channels: 0, data: Vec::new() };
        Place::new(&step.planes, &places, piece.plane).fill(bytes, out_format, &nothing, 0..0, &mut garbage);
    }
    let before = bytes.to_vec();

    let squares = (case.anywhere && filtered).then(|| squares_anywhere(conv, &mut garbage));
    let tiles = (case.anywhere && !filtered).then(|| tiles_anywhere(conv, kernels, &mut garbage));
    match (&tiles, &squares) {
        (None, Some(list)) => {
            let share = Share { blocks: 0..conv.blocks.len(), tiles: 0..list.len() };
            // SAFETY: step, arena and weights are the plan's, with scratch for one behind the planes; the squares are the
            // step's; this is the only thread.
            unsafe {
                let (arena, weights) = (arena.shared(), plan.weights.bytes());
                kernels.winograd(conv, arena, weights, plan.arena_size, share, Some(list));
            }
        }
        (Some(tiles), _) => {
            let share = Share { blocks: 0..conv.blocks.len(), tiles: 0..tiles.len() };
            let unit = Unit::default();
            // SAFETY: step, arena and weights are the plan's; the tiles begin in the run and end within it; this is the
            // only thread.
            unsafe {
                let along = Along::only(&unit);
                kernels.conv(conv, arena.shared(), plan.weights.bytes(), tiles, share, &along);
            };
        }
        _ => run(&plan, &mut arena, threads, &step.rgb),
    }

    let after = whole(&mut arena);
    let computed = |cell: usize| {
        let holds = |tile: &Tile| (tile.output..tile.output + tile.count).contains(&(cell as u32));
        let (y, x) = (cell / case.grid().pitch() / 2, cell % case.grid().pitch() / 2);
        let square = (y * case.width.div_ceil(2) + x) as u32;
        tiles.as_ref().is_none_or(|tiles| tiles.iter().any(holds))
            && squares.as_ref().is_none_or(|list| x < case.width.div_ceil(2) && list.contains(&square))
    };
    let reference: Box<dyn Fn(usize, usize, usize, usize) -> Expected> = if format == Format::U8 {
        let reference = bytes::Reference::new(case, &step);
        Box::new(move |conv, channel, y, x| reference.at(conv, channel, y, x))
    } else {
        let reference = Reference::new(case, &step, token.isa(), format, filtered);
        Box::new(move |conv, channel, y, x| reference.at(conv, channel, y, x))
    };
    let mut written: Vec<Range<usize>> = Vec::new();
    for (c, pieces) in step.task.outputs.iter().enumerate() {
        let mut first = 0;
        for piece in pieces {
            let place = Place::new(&step.planes, &places, piece.plane);
            let grid = place.plane.grid;
            for cell in 0..grid.run() {
                let at = place.cell(cell);
                let (y, x) = (cell / grid.pitch(), cell % grid.pitch());
                if !computed(cell) || (filtered && x == grid.width) {
                    assert_eq!(after[at.clone()], before[at], "{case:?}: cell {cell} is not asked for");
                    continue;
                }
                if x == grid.width {
                    let zero = place.plane.zero;
                    assert!(after[at].iter().all(|&byte| byte == zero), "{case:?}: the border at row {y}");
                    continue;
                }
                for lane in 0..piece.lanes {
                    let got = f64::from(read(out_format, &after[at.start + lane * out_format.bytes()..]));
                    if lane >= piece.channels {
                        assert!(got.is_finite(), "{case:?}: lane {lane} only fills the plane");
                        continue;
                    }
                    let want = reference(c, first + lane, y, x);
                    assert!(
                        (got - want.value).abs() <= want.tolerance,
                        "{case:?}: channel {} of convolution {c} at {y}, {x} is {got}, not {want:?}",
                        first + lane
                    );
                }
            }
            written.push(place.cell(0).start..place.cell(grid.run()).start);
            first += piece.channels;
        }
    }
    // The picture is put into its plane by the frame.
    let picture = Place::new(&step.planes, &places, PlaneId(0));
    written.push(picture.cell(0).start..picture.cell(picture.plane.grid.run()).start);
    written.push(plan.arena_size..after.len());
    written.sort_by_key(|range| range.start);
    let mut from = 0;
    for range in written {
        assert!(after[from..range.start] == before[from..range.start], "{case:?}: wrote elsewhere");
        from = range.end;
    }
    Ok(filtered)
}

/// The whole step on a team of threads.
fn run(plan: &Plan, arena: &mut Arena, threads: usize, rgb: &[u8]) {
    let shared = frame::Shared::new(plan, threads, true, false);
    frame::run(plan, arena, &mut Team::new(threads), &shared, frame::Input::Rgb(rgb));
}

/// Some tiles of the run, with gaps, as candidates of a head would have them.
fn tiles_anywhere(step: &ConvStep, kernels: Kernels, numbers: &mut Numbers) -> Vec<Tile> {
    let (run, most) = (step.cells.grid.run(), kernels.reach(step));
    let mut tiles = Vec::new();
    let mut from = numbers.below(run.min(20));
    while from < run {
        let count = most.min(run - from);
        tiles.push(Tile { input: from as u32, output: from as u32, count: count as u32 });
        from += count + numbers.below(24);
    }
    tiles
}

/// Some squares, with gaps.
fn squares_anywhere(step: &ConvStep, numbers: &mut Numbers) -> Vec<u32> {
    let filter = step.winograd.as_ref().expect("the step has squares");
    (0..filter.squares() as u32).filter(|_| numbers.below(3) > 0).collect()
}

/// All bytes of an arena that nobody else uses.
pub(super) fn whole(arena: &mut Arena) -> &mut [u8] {
    let len = arena.len();
    let start = arena.shared().at(0);
    // SAFETY: the arena has `len` bytes, borrowed exclusively.
    unsafe { std::slice::from_raw_parts_mut(start, len) }
}

/// A plane in its place.
struct Place {
    plane: Plane,
    place: usize,
}

impl Place {
    fn new(planes: &[Plane], places: &[usize], id: PlaneId) -> Self {
        Self { plane: planes[id.0], place: places[id.0] }
    }

    /// Bytes of a cell, numbered through.
    fn cell(&self, cell: usize) -> Range<usize> {
        let from = self.place + cell * self.plane.cell;
        from..from + self.plane.cell
    }

    /// Writes some channels of a map; the other numbers of each cell are garbage, the borders stay.
    fn fill(
        &self,
        bytes: &mut [u8],
        format: Format,
        map: &Map,
        channels: Range<usize>,
        garbage: &mut Numbers,
    ) {
        let grid = self.plane.grid;
        for y in 0..grid.height {
            for x in 0..grid.width {
                let at = self.cell(y * grid.pitch() + x);
                for (lane, number) in bytes[at].chunks_mut(format.bytes()).enumerate() {
                    let channel = channels.start + lane;
                    let value =
                        if channel < channels.end { map.at(y, x, channel) } else { 100.0 * garbage.number() };
                    write(format, number, value);
                }
            }
        }
    }
}
