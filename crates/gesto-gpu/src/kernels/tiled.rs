//! The lines of `conv_tiled.wgsl`: what each thread stages, and the products.

use super::lines::{MatrixLines, repeat};
use crate::plan::layout::BLOCK;
use crate::plan::stage::{Feed, Shape};

const TEXT: &str = include_str!("../shaders/conv_tiled.wgsl");

/// Vectors of four numbers in sixteen channels of a cell, and in a block of 16 x 16 weights.
const VECTORS: usize = 4;
const BLOCK_VECTORS: usize = BLOCK * VECTORS;

/// Steps that lie in workgroup memory at a time.
pub(super) fn slices(shape: Shape) -> usize {
    if shape.feed == Feed::Gathered { shape.depth } else { 9 }
}

/// Workgroup memory besides the sums, as the shader declares it.
pub(super) fn workgroup_bytes(shape: Shape) -> usize {
    let pitch = (slices(shape) * 2 + 1) * 16;
    let (cell, place) = if shape.feed == Feed::Gathered { (pitch, 8) } else { (3 * 16, 4) };
    let channels = shape.columns * shape.across * BLOCK;
    shape.staged * cell + channels * (pitch + 4) + shape.fragments() * BLOCK * place
}

/// A vector that each thread brings into workgroup memory.
struct Load {
    /// Where from.
    from: String,
    /// Where to.
    to: String,
    /// Which threads do, if not all.
    only: Option<String>,
}

/// The shader's text behind the constants.
pub(super) fn body(lines: &MatrixLines, lanes: usize) -> String {
    let shape = lines.shape;
    let threads = shape.teams * lanes;
    let gathered = shape.feed == Feed::Gathered;
    let slices = slices(shape);
    // Slices whose cells are staged one by one.
    let steps = if gathered { slices } else { 1 };
    // Each thread stages the same cells of every slice.
    let cells = shape.staged.max(shape.fragments() * BLOCK);
    let visits = (cells * VECTORS).div_ceil(threads);
    let cell = |visit: usize| format!("(local + {}u) / 4u", visit * threads);
    let origins = repeat(visits, |v| format!("let o{v} = origin(job, tile, {});\n", cell(v)));
    let mut loads = weights(shape, threads, slices);
    for t in 0..steps {
        for v in 0..visits {
            let cell = cell(v);
            loads.push(Load {
                from: format!("maps[(o{v} * e{t}.pitch + e{t}.offset) / 4u + part]"),
                to: format!("cells[{cell} * CELL + {}u + part / 2u][part % 2u]", 2 * t),
                only: ((v + 1) * threads > cells * VECTORS).then(|| format!("{cell} < STAGED")),
            });
        }
    }
    // Each step's place in the maps is asked for a group ahead: it is needed before the cells are.
    let entries = |how: &str, group: &str| {
        repeat(steps, |t| format!("{how}e{t} = step_of(job, {group} * SLICES + {t}u);\n"))
    };
    let load = |how: &str, group: &str| -> String {
        let one = |(i, load): (usize, &Load)| format!("{how}v{i} = {};\n", load.from.replace("GROUP", group));
        loads.iter().enumerate().map(one).collect()
    };
    let put = |(i, Load { to, only, .. }): (usize, &Load)| match only {
        Some(only) => format!("if ({only}) {{\n{to} = v{i};\n}}\n"),
        None => format!("{to} = v{i};\n"),
    };
    let puts: String = loads.iter().enumerate().map(put).collect();
    let (first, now, next) = if shape.ahead > 1 {
        let first = load("var ", "0u") + &entries("", "1u");
        (first, String::new(), load("", "(g + 1u)") + &entries("", "(g + 2u)"))
    } else {
        (String::new(), load("let ", "g"), entries("", "(g + 1u)"))
    };
    let all_products = if lines.parts == 1 {
        repeat(slices, |t| products(lines, gathered, &format!("{t}u")))
    } else {
        // Small matrices make many lines, for which software drivers take minutes.
        format!("for (var t = 0u; t < {slices}u; t++) {{\n{}}}\n", products(lines, gathered, "t"))
    };
    let store = |fragment: usize, block: usize| {
        let cell = fragment * BLOCK;
        format!("store(job, tile.z, lane, mine, row + {cell}u, column / 16u + {block}u);")
    };
    TEXT.replace("//= origins\n", &origins)
        .replace("//= steps\n", &entries("var ", "0u"))
        .replace("//= accumulators\n", &lines.accumulators())
        .replace("//= first loads\n", &first)
        .replace("//= loads\n", &now)
        .replace("//= puts\n", &puts)
        .replace("//= next\n", &next)
        .replace("//= products\n", &all_products)
        .replace("//= stores\n", &lines.passes(store))
}

/// The weights of all slices, row by row of an output channel.
fn weights(shape: Shape, threads: usize, slices: usize) -> Vec<Load> {
    let blocks = shape.columns * shape.across;
    let vectors = slices * blocks * BLOCK_VECTORS;
    let load = |first: usize| {
        let n = format!("(local + {first}u)");
        let (slice, block) = (format!("{n} / {}u", blocks * BLOCK_VECTORS), format!("{n} / 64u % BLOCKS"));
        Load {
            from: format!("weight(job, GROUP * SLICES + {slice}, tile.z + {block}, {n} % 64u)"),
            to: format!(
                "kernel[({block} * 16u + {n} / 4u % 16u) * PITCH + {slice} * 2u + part / 2u][part % 2u]"
            ),
            only: (first + threads > vectors).then(|| format!("{n} < {vectors}u")),
        }
    };
    (0..vectors).step_by(threads).map(load).collect()
}

/// Products of one slice: its matrices of cells and of weights, then every sum.
fn products(lines: &MatrixLines, gathered: bool, slice: &str) -> String {
    let (a, b) = (lines.matrix("f16", "A"), lines.matrix("f16", "B"));
    let products = repeat(lines.parts, |k| {
        // Pairs of vectors.
        let k_at = k * lines.side / 8;
        let weights = |j: usize| {
            let at = format!("(column + {}u) * PITCH + {slice} * 2u + {k_at}u", j * lines.side);
            format!("let b{k}_{j} = coopLoad<{b}>(&kernel[{at}][0], PITCH * 2u);\n")
        };
        let cells = |i: usize| {
            let cell = i * lines.side;
            let at = if gathered {
                format!("(row + {cell}u) * CELL + {slice} * 2u + {k_at}u")
            } else {
                format!("(row + {cell}u + {slice} % 3u + {slice} / 3u * strip) * CELL + {k_at}u")
            };
            format!("let a{k}_{i} = coopLoadT<{a}>(&cells[{at}][0], CELL * 2u);\n")
        };
        repeat(lines.columns(), weights)
            + &repeat(lines.rows(), cells)
            + &lines.each(0..lines.rows(), |i, j| {
                format!("c{i}_{j} = coopMultiplyAdd(a{k}_{i}, b{k}_{j}, c{i}_{j});\n")
            })
    });
    format!("{{\n{products}}}\n")
}
