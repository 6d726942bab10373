//! Max pools: exact, so the same bits on every tier.

use proptest::prelude::*;

use super::{Numbers, on_tier, runner, stored};
use crate::isa::{Isa, Token};
use crate::kernels::Kernels;
use crate::model::{Model, Quantization};
use crate::plan::layout::{Format, Grid, Plane};
use crate::plan::task::{PoolTask, Task};
use crate::plan::{self, single};

#[test]
fn pools_give_the_scalar_numbers() {
    for isa in Isa::ALL {
        on_tier(isa, |token, cases| {
            let (height, width, reach) = if cfg!(miri) { (3usize, 5usize, 2usize) } else { (11, 24, 7) };
            let shapes = (1..=height, 1..=width, 0..=reach, 1usize..=3, any::<bool>(), any::<u64>());
            let result =
                runner(cases.div_ceil(4)).run(&shapes, |(height, width, reach, pools, narrow, seed)| {
                    check(token, Grid { height, width }, 2 * reach + 1, pools, narrow, seed);
                    Ok(())
                });
            result.unwrap_or_else(|e| panic!("{isa}: {e}"));
        });
    }
}

fn check(token: Token, grid: Grid, size: usize, pools: usize, narrow: bool, seed: u64) {
    let kernels = Kernels::new(token);
    let format = kernels.format();
    let lanes = if narrow { 16 } else { format.lanes() };
    let zero = if format == Format::U8 { 9 } else { 0 };
    let plane = Plane { grid, cell: lanes * format.bytes(), zero };
    let picture = Plane { grid: Grid { height: 1, width: 1 }, cell: 4 * format.bytes(), zero: 0 };
    let mut planes = vec![picture];
    let input = vec![single::add(&mut planes, plane)];
    let outputs = (0..pools).map(|_| vec![single::add(&mut planes, plane)]).collect();
    let quantizations = vec![Quantization::IDENTITY; planes.len()];
    let task = Task::Pool(PoolTask { size, input, outputs });
    let (plan, places) =
        single::plan(&Model::of_convolutions(Vec::new()), token, &planes, &quantizations, &task, true);
    let plan::Step::Pool(step) = &plan.dense[0][0] else { unreachable!("the task is a pool") };

    let mut numbers = Numbers::new(seed);
    let mut arena = plan.arena(1);
    let at = |plane: usize, y: usize, x: usize, lane: usize| {
        places[plane] + (y * grid.pitch() + x) * lanes * format.bytes() + lane * format.bytes()
    };
    let mut map = vec![0.0; grid.height * grid.width * lanes];
    for (i, number) in map.iter_mut().enumerate() {
        *number = stored(format, 3.0 * numbers.number());
        let (y, x, lane) = (i / lanes / grid.width, i / lanes % grid.width, i % lanes);
        super::write(format, &mut super::conv::whole(&mut arena)[at(1, y, x, lane)..], *number);
    }
    for planes in &step.planes {
        // SAFETY: step and arena are the plan's; this is the only thread.
        unsafe { kernels.pool(step, arena.shared(), planes) };
    }
    let bytes = super::conv::whole(&mut arena);
    for pool in 0..pools {
        let mut pooled = map.clone();
        for (i, best) in pooled.iter_mut().enumerate() {
            let (y, x, lane) = (i / lanes / grid.width, i / lanes % grid.width, i % lanes);
            let around = |c: usize, end: usize| c.saturating_sub(size / 2)..(c + size / 2 + 1).min(end);
            for v in around(y, grid.height) {
                for u in around(x, grid.width) {
                    *best = best.max(map[(v * grid.width + u) * lanes + lane]);
                }
            }
            let got = super::read(format, &bytes[at(2 + pool, y, x, lane)..]);
            assert_eq!(got, *best, "pool {pool} of {size}x{size} at {y}, {x}, lane {lane} of {grid:?}");
        }
        for y in 0..grid.height {
            let border = at(2 + pool, y, grid.width, 0);
            assert!(
                bytes[border..border + plane.cell].iter().all(|&byte| byte == zero),
                "the border of row {y}"
            );
        }
        map = pooled;
    }
}
