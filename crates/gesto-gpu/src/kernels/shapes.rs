//! The shapes in which the convolution kernels come. Each was the fastest for some layer of some batch on an H200.

use crate::options::Arithmetic;
use crate::plan::stage::{Feed, Shape};

/// Of the kernel that stages cells: teams, of them across, rows, columns, depth.
const STAGED: &[[usize; 5]] = &[
    [8, 1, 2, 4, 2],
    [4, 2, 4, 4, 2],
    [4, 1, 2, 4, 1],
    [4, 2, 2, 4, 2],
    [4, 2, 2, 2, 4],
    [4, 2, 2, 2, 2],
    [4, 1, 2, 2, 1],
];

/// Of the kernel that stages cells and weights, one range of cells for nine taps: teams, of them across, rows, columns, ahead,
/// passed.
const RANGE: &[[usize; 6]] = &[
    [8, 2, 2, 2, 1, 1],
    [8, 2, 2, 2, 2, 1],
    [8, 1, 2, 2, 1, 1],
    [8, 1, 2, 2, 2, 1],
    [8, 1, 2, 4, 1, 1],
    [4, 1, 4, 4, 1, 1],
    [4, 2, 4, 2, 1, 1],
    [4, 1, 2, 4, 1, 1],
    [4, 2, 2, 2, 1, 1],
    [4, 1, 2, 2, 1, 1],
    [4, 1, 2, 2, 1, 2],
];

/// Likewise with each step's cells by themselves: teams, of them across, rows, columns, steps, ahead, passed.
const GATHERED: &[[usize; 7]] = &[
    [4, 2, 2, 2, 1, 1, 1],
    [4, 2, 2, 2, 1, 2, 1],
    [4, 2, 2, 2, 1, 1, 2],
    [4, 2, 2, 2, 1, 2, 2],
    [4, 2, 2, 2, 2, 1, 1],
    [4, 2, 2, 2, 2, 2, 1],
    [4, 2, 2, 2, 3, 1, 1],
    [4, 2, 2, 2, 3, 2, 1],
    [4, 2, 2, 2, 4, 2, 1],
    [4, 2, 2, 4, 2, 1, 1],
    [4, 2, 2, 2, 3, 2, 2],
    [2, 1, 2, 4, 1, 1, 1],
    [2, 1, 2, 2, 1, 1, 1],
    [2, 1, 2, 4, 3, 1, 1],
    [8, 1, 1, 1, 3, 1, 1],
    [4, 1, 2, 2, 1, 1, 1],
    [4, 1, 2, 2, 1, 1, 2],
    [4, 1, 2, 2, 2, 1, 2],
    [8, 1, 2, 2, 3, 1, 1],
    [4, 1, 2, 2, 3, 1, 1],
    [4, 1, 2, 2, 3, 2, 2],
    [4, 1, 2, 1, 3, 1, 1],
    [4, 1, 1, 1, 3, 1, 1],
    [4, 1, 4, 1, 3, 1, 1],
    [4, 2, 1, 2, 4, 2, 1],
    [4, 2, 1, 1, 9, 1, 1],
];

/// Of the kernel that reads the maps: teams, split, rows, columns, ahead; the least split ones first.
const READING: &[[usize; 5]] = &[
    [4, 1, 2, 4, 1],
    [4, 1, 2, 2, 1],
    [4, 1, 2, 2, 3],
    [4, 1, 1, 2, 5],
    [4, 2, 1, 2, 5],
    [4, 4, 1, 2, 5],
    [4, 4, 1, 2, 9],
    [8, 8, 2, 2, 1],
    [8, 8, 1, 2, 3],
    [8, 8, 1, 1, 5],
];

/// Every shape, staging ones first, then those that split the steps least.
pub(super) fn all(arithmetic: Arithmetic) -> Vec<Shape> {
    let reading = |teams, split, rows, columns, ahead| Shape {
        teams,
        split,
        rows,
        columns,
        across: 1,
        feed: Feed::Buffers,
        depth: 0,
        ahead,
        passed: columns,
        staged: 0,
    };
    if arithmetic != Arithmetic::Matrix {
        return [1, 2, 4, 8].iter().map(|&split| reading(split, split, 2, 2, 1)).collect();
    }
    let staged = STAGED.iter().map(|&[teams, across, rows, columns, depth]| Shape {
        across,
        feed: Feed::Cells,
        depth,
        passed: columns.min(2),
        ..reading(teams, 1, rows, columns, 1)
    });
    let range = RANGE.iter().map(|&[teams, across, rows, columns, ahead, passed]| Shape {
        across,
        feed: Feed::Range,
        depth: 1,
        passed,
        ..reading(teams, 1, rows, columns, ahead)
    });
    let gathered = GATHERED.iter().map(|&[teams, across, rows, columns, depth, ahead, passed]| Shape {
        across,
        feed: Feed::Gathered,
        depth,
        passed,
        ..reading(teams, 1, rows, columns, ahead)
    });
    let reading = READING
        .iter()
        .map(|&[teams, split, rows, columns, ahead]| reading(teams, split, rows, columns, ahead));
    range.chain(gathered).chain(staged).chain(reading).collect()
}
