//! From the graph to steps over planes that have no place yet.
//!
//! What disappears on the way: sums become the residual of the convolution before them, slices and concatenations
//! become lists of planes, and an upsampled map is read by its 1x1 convolution at the low resolution, once
//! instead of four times: `W (up(a) ++ b) = up(Wa a) + Wb b`.

use std::collections::HashMap;

use super::layout::{Format, Grid, Plane, PlaneId};
use super::task::{ConvTask, LazyTask, LevelPlanes, Piece, PoolTask, Source, Task};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{
    Activation, ActivationScales, ConvId, Graph, Head, Op, Quantization, ValueId, quantization,
};

/// Everything a frame needs, in order. Tasks of one stage do not depend on each other.
#[derive(Debug)]
pub(crate) struct Lowered {
    pub(crate) planes: Vec<Plane>,
    /// What the numbers of each plane mean, where they are bytes.
    pub(crate) quantizations: Vec<Quantization>,
    pub(crate) input: PlaneId,
    pub(crate) dense: Vec<Vec<Task>>,
    pub(crate) lazy: Vec<Vec<LazyTask>>,
    /// `[head][level]`
    pub(crate) levels: Vec<Vec<LevelPlanes>>,
}

/// Lowers a graph for inputs of `grid`. Bytes need the scales of all maps.
pub(crate) fn lower(
    graph: &Graph,
    grid: Grid,
    format: Format,
    scales: Option<&ActivationScales>,
) -> Result<Lowered> {
    let mut l = Lowerer {
        graph,
        grid,
        format,
        scales,
        planes: Vec::new(),
        quantizations: Vec::new(),
        maps: HashMap::new(),
        stages: Vec::new(),
        consumers: consumers(graph),
    };
    // Red, green, blue and one unused number, so that a cell has a size of a power of two.
    let input = l.plane(grid, 4 * format.bytes(), Quantization::IDENTITY);
    l.maps.insert(graph.input, vec![Piece { plane: input, channels: 3, lanes: 4, upsampled: false }]);
    let branches: Vec<Vec<HeadBranches>> = graph.heads.iter().map(|head| l.head_branches(head)).collect();
    let in_heads: Vec<usize> = branches.iter().flatten().flat_map(|b| b.all().flatten().copied()).collect();
    for (i, op) in graph.ops.iter().enumerate() {
        if !in_heads.contains(&i) {
            l.trunk(op)?;
        }
    }
    let mut levels = l.class_branches(&branches)?;
    let dense = std::mem::take(&mut l.stages);
    let lazy = l.lazy_branches(&branches, &mut levels)?;
    Ok(Lowered { planes: l.planes, quantizations: l.quantizations, input, dense, lazy, levels })
}

fn consumers(graph: &Graph) -> HashMap<ValueId, usize> {
    let mut count = HashMap::new();
    for op in &graph.ops {
        let mut read = |id: ValueId| *count.entry(id).or_default() += 1;
        match op {
            Op::Conv { input, .. } | Op::Slice { input, .. } => read(*input),
            Op::Upsample { input, .. } | Op::MaxPool { input, .. } => read(*input),
            Op::Add { a, b, .. } => [*a, *b].into_iter().for_each(read),
            Op::Concat { inputs, .. } => inputs.iter().copied().for_each(read),
        }
    }
    count
}

/// Operations (positions in the graph) of one head's branches at one level, first to last.
struct HeadBranches {
    classes: Vec<usize>,
    boxes: Vec<usize>,
    keypoints: Vec<usize>,
}

impl HeadBranches {
    fn all(&self) -> impl Iterator<Item = &Vec<usize>> {
        [&self.classes, &self.boxes, &self.keypoints].into_iter()
    }
}

struct Lowerer<'a> {
    graph: &'a Graph,
    grid: Grid,
    format: Format,
    scales: Option<&'a ActivationScales>,
    planes: Vec<Plane>,
    quantizations: Vec<Quantization>,
    maps: HashMap<ValueId, Vec<Piece>>,
    stages: Vec<Vec<Task>>,
    consumers: HashMap<ValueId, usize>,
}

impl Lowerer<'_> {
    fn plane(&mut self, grid: Grid, cell: usize, quantization: Quantization) -> PlaneId {
        self.planes.push(Plane { grid, cell, zero: quantization.zero });
        self.quantizations.push(quantization);
        PlaneId(self.planes.len() - 1)
    }

    fn grid_of(&self, value: ValueId) -> Grid {
        let stride = self.graph.value(value).stride;
        Grid { height: self.grid.height / stride, width: self.grid.width / stride }
    }

    /// What the stored numbers of a map mean.
    fn quantization(&self, value: ValueId) -> Quantization {
        let name = &self.graph.value(quantization::stored(self.graph, value)).name;
        self.scales.map_or(Quantization::IDENTITY, |scales| scales[name])
    }

    /// New planes for all channels of `value`.
    fn stored(&mut self, value: ValueId) -> Vec<Piece> {
        let (grid, channels) = (self.grid_of(value), self.graph.value(value).channels);
        let (lanes, quantization) = (self.lanes_for(value), self.quantization(value));
        self.pieces(grid, channels, lanes, self.format, quantization)
    }

    /// New planes of f32 for results and half-way sums.
    fn full_precision(&mut self, grid: Grid, channels: usize) -> Vec<Piece> {
        self.pieces(grid, channels, 16, Format::F32, Quantization::IDENTITY)
    }

    fn pieces(
        &mut self,
        grid: Grid,
        channels: usize,
        lanes: usize,
        format: Format,
        quantization: Quantization,
    ) -> Vec<Piece> {
        (0..channels.div_ceil(lanes))
            .map(|i| Piece {
                plane: self.plane(grid, lanes * format.bytes(), quantization),
                channels: lanes.min(channels - i * lanes),
                lanes,
                upsampled: false,
            })
            .collect()
    }

    /// Channels of each plane of a map: a full cache line, unless the map is narrow or cut into narrow slices.
    fn lanes_for(&self, value: ValueId) -> usize {
        let full = self.format.lanes();
        let channels = self.graph.value(value).channels;
        let cuts = self.graph.ops.iter().filter_map(|op| match op {
            Op::Slice { input, start, output } if *input == value => {
                Some([*start, self.graph.value(*output).channels])
            }
            _ => None,
        });
        let fits = |lanes: usize| {
            channels.is_multiple_of(lanes) && cuts.clone().flatten().all(|cut| cut.is_multiple_of(lanes))
        };
        [64, 32, 16].into_iter().find(|&lanes| lanes <= full && fits(lanes)).unwrap_or(full)
    }

    fn conv_task(&self, convs: Vec<ConvId>, sources: Vec<Source>, activation: Activation) -> ConvTask {
        ConvTask {
            convs,
            sources,
            outputs: Vec::new(),
            residual: Vec::new(),
            partial: Vec::new(),
            activation,
            is_partial: false,
            full_precision: false,
            reads_bytes: false,
        }
    }

    fn trunk(&mut self, op: &Op) -> Result<()> {
        match op {
            Op::Conv { conv, input, output } => self.trunk_conv(*conv, *input, *output),
            Op::Slice { input, start, output } => {
                let want = self.graph.value(*output).channels;
                let (mut skip, mut left) = (*start, want);
                let mut taken = Vec::new();
                for piece in &self.maps[input] {
                    if skip >= piece.channels {
                        skip -= piece.channels;
                    } else if left > 0 && skip == 0 && piece.channels <= left {
                        left -= piece.channels;
                        taken.push(*piece);
                    } else if left > 0 {
                        return Err(self.unsupported(*output, "a slice that cuts through 16 channels"));
                    }
                }
                self.maps.insert(*output, taken);
                Ok(())
            }
            Op::Concat { inputs, output } => {
                let pieces = inputs.iter().flat_map(|id| self.maps[id].clone()).collect();
                self.maps.insert(*output, pieces);
                Ok(())
            }
            Op::Upsample { input, output } => {
                let pieces =
                    self.maps[input].iter().map(|piece| Piece { upsampled: true, ..*piece }).collect();
                self.maps.insert(*output, pieces);
                Ok(())
            }
            Op::Add { a, b, output } => self.residual(*a, *b, *output),
            Op::MaxPool { size, input, output } => self.pool(*size, *input, *output),
        }
    }

    fn unsupported(&self, at: ValueId, what: &str) -> Error {
        let name = &self.graph.value(at).name;
        Error::new(
            ErrorKind::Architecture,
            format!("the network has {what} at {name:?}, which is not supported"),
        )
    }

    fn trunk_conv(&mut self, id: ConvId, input: ValueId, output: ValueId) -> Result<()> {
        let conv = self.graph.conv(id);
        let grid = self.grid_of(output);
        let (mut sources, mut upsampled) = (Vec::new(), Vec::new());
        let mut first = 0;
        for piece in &self.maps[&input] {
            let source = Source { plane: piece.plane, first, channels: piece.channels };
            if piece.upsampled { &mut upsampled } else { &mut sources }.push(source);
            first += piece.channels;
        }
        let mut task = self.conv_task(vec![id], sources, conv.activation);
        task.reads_bytes = input == self.graph.input;
        if !upsampled.is_empty() {
            if conv.kernel != 1 || task.sources.is_empty() {
                return Err(self.unsupported(
                    output,
                    "an upsampled map read by anything but a 1x1 convolution over a concatenation",
                ));
            }
            let mut low = self.conv_task(vec![id], upsampled, Activation::Identity);
            let half = Grid { height: grid.height / 2, width: grid.width / 2 };
            let pieces = self.full_precision(half, conv.out_channels);
            task.partial = pieces.iter().map(|piece| piece.plane).collect();
            low.outputs = vec![pieces];
            low.is_partial = true;
            low.full_precision = true;
            self.same_cells(&low, output)?;
            self.stages.push(vec![Task::Conv(low)]);
        }
        task.outputs = vec![self.stored(output)];
        self.same_cells(&task, output)?;
        self.maps.insert(output, task.outputs[0].clone());
        self.stages.push(vec![Task::Conv(task)]);
        Ok(())
    }

    fn same_cells(&self, task: &ConvTask, at: ValueId) -> Result<()> {
        let cell = |source: &Source| self.planes[source.plane.0].cell;
        if task.sources.iter().any(|source| cell(source) != cell(&task.sources[0])) {
            return Err(self.unsupported(at, "a concatenation of maps with uneven widths"));
        }
        Ok(())
    }

    /// `a + b`, where `b` is a convolution that nobody else reads: it adds `a` itself.
    fn residual(&mut self, a: ValueId, b: ValueId, output: ValueId) -> Result<()> {
        let (a_planes, b_pieces) = (self.maps[&a].clone(), self.maps[&b].clone());
        let same = a_planes.len() == b_pieces.len()
            && a_planes.iter().zip(&b_pieces).all(|(a, b)| {
                let (of_a, of_b) = (self.planes[a.plane.0], self.planes[b.plane.0]);
                a.channels == b.channels && (of_a.grid, of_a.cell) == (of_b.grid, of_b.cell) && !a.upsampled
            });
        let alone = self.consumers[&b] == 1;
        match self.stages.last_mut().map(Vec::as_mut_slice) {
            Some([Task::Conv(task)])
                if same
                    && alone
                    && task.residual.is_empty()
                    && task.outputs.len() == 1
                    && task.outputs[0].iter().map(|p| p.plane).eq(b_pieces.iter().map(|p| p.plane)) =>
            {
                task.residual = a_planes.iter().map(|piece| piece.plane).collect();
                self.maps.insert(output, b_pieces);
                Ok(())
            }
            _ => Err(self.unsupported(output, "a sum that does not follow a convolution")),
        }
    }

    /// A pool of what the last stage pooled joins that stage; any other begins one.
    fn pool(&mut self, size: usize, input: ValueId, output: ValueId) -> Result<()> {
        let from: Vec<PlaneId> = self.maps[&input].iter().map(|piece| piece.plane).collect();
        if self.maps[&input].iter().any(|piece| piece.upsampled) {
            return Err(self.unsupported(output, "a pool of an upsampled map"));
        }
        let to: Vec<Piece> = self.maps[&input]
            .clone()
            .into_iter()
            .map(|piece| {
                let Plane { grid, cell, .. } = self.planes[piece.plane.0];
                Piece { plane: self.plane(grid, cell, self.quantizations[piece.plane.0]), ..piece }
            })
            .collect();
        let planes: Vec<PlaneId> = to.iter().map(|piece| piece.plane).collect();
        self.maps.insert(output, to);
        match self.stages.last_mut().map(Vec::as_mut_slice) {
            Some([Task::Pool(task)]) if task.size == size && task.outputs.last() == Some(&from) => {
                task.outputs.push(planes);
            }
            _ => self.stages.push(vec![Task::Pool(PoolTask { size, input: from, outputs: vec![planes] })]),
        }
        Ok(())
    }

    fn head_branches(&self, head: &Head) -> Vec<HeadBranches> {
        let chain = |last: ValueId| {
            let mut chain = Vec::new();
            let mut at = last;
            // The branch begins where a map has other readers too.
            while chain.is_empty() || self.consumers[&at] == 1 {
                let Some(op) = self.graph.ops.iter().position(|op| op.output() == at) else { break };
                let Op::Conv { input, .. } = self.graph.ops[op] else { break };
                chain.insert(0, op);
                at = input;
            }
            chain
        };
        head.levels
            .iter()
            .map(|level| HeadBranches {
                classes: chain(level.classes),
                boxes: chain(level.boxes),
                keypoints: level.keypoints.map(chain).unwrap_or_default(),
            })
            .collect()
    }

    /// The `depth`-th convolutions of branches that read the same map, as one task.
    fn branch_task(&mut self, ops: &[usize], last: bool) -> Result<ConvTask> {
        let mut task: Option<ConvTask> = None;
        for &op in ops {
            let Op::Conv { conv, input, output } = self.graph.ops[op] else {
                unreachable!("branches are convolutions")
            };
            let c = self.graph.conv(conv);
            if task.is_none() {
                let mut first = 0;
                let sources = self.maps[&input]
                    .iter()
                    .map(|piece| {
                        first += piece.channels;
                        Source { plane: piece.plane, first: first - piece.channels, channels: piece.channels }
                    })
                    .collect();
                task = Some(self.conv_task(Vec::new(), sources, c.activation));
            }
            let grid = self.grid_of(output);
            let pieces = if last { self.full_precision(grid, c.out_channels) } else { self.stored(output) };
            self.maps.insert(output, pieces.clone());
            let task = task.as_mut().expect("made above");
            task.convs.push(conv);
            task.outputs.push(pieces);
            task.full_precision = last;
        }
        let task = task.expect("a branch is not empty");
        let Op::Conv { output, .. } = self.graph.ops[ops[0]] else {
            unreachable!("branches are convolutions")
        };
        self.same_cells(&task, output)?;
        Ok(task)
    }

    fn planes_of(&self, value: ValueId) -> Vec<PlaneId> {
        self.maps[&value].iter().map(|piece| piece.plane).collect()
    }

    /// Class branches of all heads and levels, depth by depth; heads share the first convolution's input.
    fn class_branches(&mut self, branches: &[Vec<HeadBranches>]) -> Result<Vec<Vec<LevelPlanes>>> {
        let depth = branches.iter().flatten().map(|b| b.classes.len()).max().unwrap_or(0);
        for d in 0..depth {
            let mut stage = Vec::new();
            for level in 0..branches[0].len() {
                let ops = |head: &Vec<HeadBranches>| head[level].classes.get(d).copied();
                if d == 0 {
                    let ops: Vec<usize> = branches.iter().filter_map(ops).collect();
                    stage.push(Task::Conv(self.branch_task(&ops, depth == 1)?));
                } else {
                    for op in branches.iter().filter_map(ops) {
                        stage.push(Task::Conv(self.branch_task(&[op], d + 1 == depth)?));
                    }
                }
            }
            self.stages.push(stage);
        }
        let level = |level: &crate::model::HeadLevel| LevelPlanes {
            grid: self.grid_of(level.classes),
            classes: self.planes_of(level.classes),
            boxes: Vec::new(),
            keypoints: Vec::new(),
        };
        Ok(self.graph.heads.iter().map(|head| head.levels.iter().map(level).collect()).collect())
    }

    /// Box and keypoint branches, depth by depth; the two of one head share the first convolution's input.
    fn lazy_branches(
        &mut self,
        branches: &[Vec<HeadBranches>],
        levels: &mut [Vec<LevelPlanes>],
    ) -> Result<Vec<Vec<LazyTask>>> {
        let depth =
            branches.iter().flatten().map(|b| b.boxes.len().max(b.keypoints.len())).max().unwrap_or(0);
        let mut stages = Vec::new();
        for d in 0..depth {
            let mut stage = Vec::new();
            for (head, level_branches) in branches.iter().enumerate() {
                for (level, branch) in level_branches.iter().enumerate() {
                    let chains: Vec<&Vec<usize>> = [&branch.boxes, &branch.keypoints]
                        .into_iter()
                        .filter(|chain| d < chain.len())
                        .collect();
                    let reach = |chain: &Vec<usize>| {
                        chain[d + 1..].iter().map(|&op| self.kernel(op) / 2).sum::<usize>()
                    };
                    let reaches: Vec<usize> = chains.iter().map(|chain| reach(chain)).collect();
                    let groups: Vec<(usize, Vec<usize>)> = if d == 0 {
                        let reach = reaches.iter().copied().max().unwrap_or(0);
                        vec![(reach, chains.iter().map(|chain| chain[d]).collect())]
                    } else {
                        chains.iter().zip(reaches).map(|(chain, reach)| (reach, vec![chain[d]])).collect()
                    };
                    for (reach, ops) in groups.into_iter().filter(|(_, ops)| !ops.is_empty()) {
                        let last = chains.iter().all(|chain| d + 1 == chain.len());
                        stage.push(LazyTask { head, level, reach, task: self.branch_task(&ops, last)? });
                    }
                }
            }
            stages.push(stage);
        }
        for (planes, head) in levels.iter_mut().zip(&self.graph.heads) {
            for (planes, level) in planes.iter_mut().zip(&head.levels) {
                planes.boxes = self.planes_of(level.boxes);
                planes.keypoints = level.keypoints.map(|id| self.planes_of(id)).unwrap_or_default();
            }
        }
        Ok(stages)
    }

    fn kernel(&self, op: usize) -> usize {
        match self.graph.ops[op] {
            Op::Conv { conv, .. } => self.graph.conv(conv).kernel,
            _ => 1,
        }
    }
}
