//! The lines of the matrix kernels that depend on the number of accumulators and on the side of the hardware's matrices.

use crate::plan::layout::BLOCK;
use crate::plan::stage::Shape;

pub(super) fn repeat(count: usize, f: impl Fn(usize) -> String) -> String {
    (0..count).map(f).collect()
}

/// Lines of a matrix kernel. Addresses in maps, staged cells and sums count vectors of four numbers.
pub(super) struct MatrixLines {
    pub(super) shape: Shape,
    /// Side of the hardware's matrices.
    pub(super) side: usize,
    /// Matrices along the side of a block.
    pub(super) parts: usize,
}

impl MatrixLines {
    /// Matrices along a team's cells.
    pub(super) fn rows(&self) -> usize {
        self.shape.rows * self.parts
    }

    /// Matrices along a team's output channels.
    pub(super) fn columns(&self) -> usize {
        self.shape.columns * self.parts
    }

    pub(super) fn matrix(&self, number: &str, role: &str) -> String {
        format!("coop_mat{0}x{0}<{number}, {role}>", self.side)
    }

    pub(super) fn each(&self, rows: std::ops::Range<usize>, f: impl Fn(usize, usize) -> String) -> String {
        rows.flat_map(|i| (0..self.columns()).map(move |j| (i, j))).map(|(i, j)| f(i, j)).collect()
    }

    /// The sums, from zero on.
    pub(super) fn accumulators(&self) -> String {
        let c = self.matrix("f32", "C");
        self.each(0..self.rows(), |i, j| format!("var c{i}_{j}: {c};\n"))
    }

    /// One matrix of weights, part `k` of the step's inputs, from the step's blocks at `w`.
    fn weights(&self, name: &str, w: &str, first_block: &str, k: usize, j: usize) -> String {
        // Past the last block the numbers are thrown away.
        let block = format!("min({first_block} + {}u, job.output_blocks - 1u)", j / self.parts);
        let within = j % self.parts * self.side * BLOCK + k * self.side;
        let b = self.matrix("f16", "B");
        format!("let {name} = coopLoad<{b}>(&weights[({w} + {block} * 256u + {within}u) / 4u], 4u);\n")
    }

    fn store(&self, i: usize, j: usize, row: usize, column: usize) -> String {
        let column = column * self.side / 4;
        format!("coopStoreT(c{i}_{j}, &sums[mine + {row}u * LINE + {column}u], LINE);\n")
    }

    /// Loads, products and stores of the kernel that reads the maps.
    pub(super) fn reading(&self) -> (String, String, String) {
        let (a, side, parts) = (self.matrix("f16", "A"), self.side, self.parts);
        let loads = repeat(self.shape.ahead, |n| {
            let cells = |k: usize, i: usize| {
                let (fragment, within) = (i / parts, i % parts * side);
                let at = format!("(i{fragment} * step{n}.pitch + step{n}.offset) / 4u + {within}u * next{n}");
                format!("let a{n}_{k}_{i} = coopLoadT<{a}>(&maps[{at} + {}u], next{n});\n", k * side / 4)
            };
            format!(
                "let s{n} = min(s + {n}u, last - 1u);\nlet step{n} = steps[job.first_step + s{n}];\n\
                 let next{n} = job.stride * step{n}.pitch / 4u;\n\
                 let w{n} = {};\n",
                // Past the last step come the zeros at the table's start: a branch around the products would have to be uniform.
                match n {
                    0 => "job.weights + s0 * job.output_blocks * 256u".to_owned(),
                    _ =>
                        format!("select(0u, job.weights + s{n} * job.output_blocks * 256u, s + {n}u < last)"),
                }
            ) + &repeat(parts, |k| {
                repeat(self.rows(), |i| cells(k, i))
                    + &repeat(self.columns(), |j| {
                        self.weights(&format!("b{n}_{k}_{j}"), &format!("w{n}"), "tile.z", k, j)
                    })
            })
        });
        let products = repeat(self.shape.ahead, |n| {
            repeat(parts, |k| {
                self.each(0..self.rows(), |i, j| {
                    format!("c{i}_{j} = coopMultiplyAdd(a{n}_{k}_{i}, b{n}_{k}_{j}, c{i}_{j});\n")
                })
            })
        });
        (loads, products, self.each(0..self.rows(), |i, j| self.store(i, j, i * side, j)))
    }

    /// Products and stores of the staging kernel.
    pub(super) fn staging(&self) -> (String, String, String) {
        let (a, side, parts) = (self.matrix("f16", "A"), self.side, self.parts);
        let tap = |x: &str| {
            let cells = |k: usize, i: usize| {
                let (fragment, within) = (i / parts, i % parts * side);
                let at = format!("at + {fragment}u * apart * CELL + {within}u * next + {}u", k * side / 4);
                format!("let a{k}_{i} = coopLoadT<{a}>(&staged[{at}], next);\n")
            };
            let products = repeat(parts, |k| {
                repeat(self.columns(), |j| self.weights(&format!("b{k}_{j}"), "w", "block", k, j))
                    + &repeat(self.rows(), |i| cells(k, i))
                    + &self.each(0..self.rows(), |i, j| {
                        format!("c{i}_{j} = coopMultiplyAdd(a{k}_{i}, b{k}_{j}, c{i}_{j});\n")
                    })
            });
            format!(
                "{{\nlet at = top + (y * strip + {x}) * CELL + d * 4u;\n\
                 let w = job.weights + ((chunk + d) * taps + y * job.side + {x}) * job.output_blocks * 256u;\n\
                 {products}}}\n"
            )
        };
        let all = |row: String| {
            format!(
                "for (var d = 0u; d < depth; d++) {{\nfor (var y = 0u; y < job.side; y++) {{\n{row}}}\n}}\n"
            )
        };
        let one = all(tap("0u"));
        // A row of three taps without a branch between them.
        let three = all(["0u", "1u", "2u"].map(tap).concat());
        let products = format!("if (job.side == 3u) {{\n{three}}} else {{\n{one}}}\n");
        let stores = self.passes(|fragment, block| {
            format!("store(job, lane, mine, (row + {fragment}u) * 16u, block + {block}u);")
        });
        (String::new(), products, stores)
    }

    /// Sums of the staging kernels on their way out, sixteen cells and some blocks at a time through each team's workgroup
    /// memory. `store` calls the shader's function for a fragment and the first of the blocks.
    pub(super) fn passes(&self, store: impl Fn(usize, usize) -> String) -> String {
        let Self { shape, side, parts } = self;
        repeat(shape.rows, |fragment| {
            repeat(shape.columns.div_ceil(shape.passed), |pass| {
                let block = pass * shape.passed;
                let columns = block * parts..((block + shape.passed) * parts).min(self.columns());
                let sums: String = (fragment * parts..(fragment + 1) * parts)
                    .flat_map(|i| columns.clone().map(move |j| (i, j)))
                    .map(|(i, j)| self.store(i, j, i % parts * side, j - block * parts))
                    .collect();
                let store = store(fragment, block);
                format!("{sums}workgroupBarrier();\n{store}\nworkgroupBarrier();\n")
            })
        })
    }
}
