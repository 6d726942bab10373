//! The graph's operations as convolutions and pools over laid-out maps.
//!
//! Concatenation and slicing become lists of channel runs that the reader walks; a residual sum becomes part of the
//! convolution before it; upsampling becomes a second output of the convolution whose map it enlarges; pools of pools
//! become wider pools of the first map. What is left is convolutions and pools, nothing else moves data.

use std::collections::HashMap;

use gesto_engine::Model;
use gesto_engine::model::{ConvId, Graph, Op, ValueId};

use super::layout::{Arena, Plane};
use crate::error::{Error, ErrorKind, Result};

/// A run of channels of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) plane: Plane,
    pub(crate) start: usize,
    pub(crate) channels: usize,
}

/// Where a convolution writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// A feature map.
    Map(Plane),
    /// A head's raw numbers: f32, `[picture][row][column][channel]`, channels at `pitch`.
    Raw(RawPlane),
}

/// A head's raw map in the f32 buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawPlane {
    pub(crate) base: usize,
    pub(crate) pitch: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct ConvNode {
    pub(crate) conv: ConvId,
    pub(crate) inputs: Vec<Run>,
    pub(crate) residual: Option<Run>,
    pub(crate) target: Target,
    /// A second copy at twice the resolution.
    pub(crate) doubled: Option<Plane>,
    pub(crate) depth: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct PoolNode {
    pub(crate) input: Run,
    pub(crate) output: Plane,
    pub(crate) reach: usize,
    pub(crate) depth: usize,
}

/// The whole network over laid-out maps.
#[derive(Debug)]
pub(crate) struct Lowered {
    pub(crate) picture: Plane,
    pub(crate) convs: Vec<ConvNode>,
    pub(crate) pools: Vec<PoolNode>,
    /// What each value of the graph became; `None` where it was fused away.
    pub(crate) runs: Vec<Option<Vec<Run>>>,
    pub(crate) raw: HashMap<ValueId, RawPlane>,
    pub(crate) elements: usize,
    pub(crate) raw_elements: usize,
}

struct Lowering<'a> {
    graph: &'a Graph,
    size: (usize, usize),
    arena: Arena,
    batch: usize,
    runs: Vec<Option<Vec<Run>>>,
    /// Depth of the value: the number of dispatches before it is ready.
    depth: Vec<usize>,
    /// Position in `convs` or `pools` of what writes a value.
    writer: HashMap<ValueId, Writer>,
    readers: Vec<usize>,
    convs: Vec<ConvNode>,
    pools: Vec<PoolNode>,
    raw: HashMap<ValueId, RawPlane>,
    raw_elements: usize,
}

#[derive(Clone, Copy)]
enum Writer {
    Conv(usize),
    Pool(usize),
}

pub(crate) fn lower(model: &Model, height: usize, width: usize, batch: usize) -> Result<Lowered> {
    let graph = model.graph();
    let mut readers = vec![0; graph.values.len()];
    for op in &graph.ops {
        for input in inputs(op) {
            readers[input.index()] += 1;
        }
    }
    let mut l = Lowering {
        graph,
        size: (height, width),
        arena: Arena::new(batch),
        batch,
        runs: vec![None; graph.values.len()],
        depth: vec![0; graph.values.len()],
        writer: HashMap::new(),
        readers,
        convs: Vec::new(),
        pools: Vec::new(),
        raw: HashMap::new(),
        raw_elements: 0,
    };
    let picture = l.arena.picture(height, width);
    l.runs[graph.input.index()] = Some(vec![Run { plane: picture, start: 0, channels: 3 }]);
    for head in &graph.heads {
        for level in &head.levels {
            for id in [Some(level.classes), Some(level.boxes), level.keypoints].into_iter().flatten() {
                l.raw_plane(id);
            }
        }
    }
    for op in &graph.ops {
        l.operation(op)?;
    }
    Ok(Lowered {
        picture,
        convs: l.convs,
        pools: l.pools,
        runs: l.runs,
        raw: l.raw,
        elements: l.arena.elements(),
        raw_elements: l.raw_elements.max(1),
    })
}

fn inputs(op: &Op) -> Vec<ValueId> {
    match op {
        Op::Conv { input, .. }
        | Op::Slice { input, .. }
        | Op::Upsample { input, .. }
        | Op::MaxPool { input, .. } => vec![*input],
        Op::Add { a, b, .. } => vec![*a, *b],
        Op::Concat { inputs, .. } => inputs.clone(),
    }
}

fn unsupported(name: &str, why: &str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("the network's layer {name:?} {why}, which the GPU unit does not do"),
    )
}

impl Lowering<'_> {
    fn cells(&self, id: ValueId) -> (usize, usize) {
        let stride = self.graph.value(id).stride;
        (self.size.0 / stride, self.size.1 / stride)
    }

    fn raw_plane(&mut self, id: ValueId) {
        let (height, width) = self.cells(id);
        let pitch = self.graph.value(id).channels.next_multiple_of(4);
        self.raw.insert(id, RawPlane { base: self.raw_elements, pitch, height, width });
        self.raw_elements += self.batch * height * width * pitch;
    }

    fn name(&self, id: ValueId) -> &str {
        &self.graph.value(id).name
    }

    fn runs_of(&self, id: ValueId) -> Result<Vec<Run>> {
        self.runs[id.index()]
            .clone()
            .ok_or_else(|| unsupported(self.name(id), "is a head's output or a summand and is read again"))
    }

    /// The run that is a value, where it lies in one piece.
    fn run_of(&self, id: ValueId) -> Result<Run> {
        match self.runs_of(id)?.as_slice() {
            &[run] => Ok(run),
            _ => Err(unsupported(self.name(id), "lies in several pieces")),
        }
    }

    fn operation(&mut self, op: &Op) -> Result<()> {
        let output = op.output();
        let before = inputs(op).iter().map(|id| self.depth[id.index()]).max().unwrap_or(0);
        let (height, width) = self.cells(output);
        let channels = self.graph.value(output).channels;
        match op {
            Op::Conv { conv, input, .. } => {
                let target = match self.raw.get(&output) {
                    Some(&plane) => Target::Raw(plane),
                    None => {
                        let plane = self.arena.map(height, width, channels);
                        self.runs[output.index()] = Some(vec![Run { plane, start: 0, channels }]);
                        Target::Map(plane)
                    }
                };
                self.writer.insert(output, Writer::Conv(self.convs.len()));
                self.convs.push(ConvNode {
                    conv: *conv,
                    inputs: self.runs_of(*input)?,
                    residual: None,
                    target,
                    doubled: None,
                    depth: before + 1,
                });
                self.depth[output.index()] = before + 1;
            }
            Op::Add { a, b, .. } => {
                let fits = |id: &ValueId| {
                    self.readers[id.index()] == 1 && matches!(self.writer.get(id), Some(Writer::Conv(_)))
                };
                let (summand, conv) = if fits(b) { (*a, *b) } else { (*b, *a) };
                let Some(&Writer::Conv(i)) = self.writer.get(&conv).filter(|_| fits(&conv)) else {
                    return Err(unsupported(
                        self.name(output),
                        "adds maps of which none is only a convolution's",
                    ));
                };
                let residual = self.run_of(summand)?;
                let node = &mut self.convs[i];
                let Target::Map(plane) = node.target else {
                    return Err(unsupported(
                        self.graph.value(output).name.as_str(),
                        "adds to a head's output",
                    ));
                };
                if !plane.same_cells(&residual.plane) || node.depth <= self.depth[summand.index()] {
                    return Err(unsupported(
                        self.graph.value(output).name.as_str(),
                        "adds maps of unlike layout",
                    ));
                }
                node.residual = Some(residual);
                self.runs[output.index()] = self.runs[conv.index()].take();
                self.writer.insert(output, Writer::Conv(i));
                self.depth[output.index()] = self.depth[conv.index()];
            }
            Op::Slice { input, start, .. } => {
                let (mut skip, mut left) = (*start, channels);
                let mut taken = Vec::new();
                for run in self.runs_of(*input)? {
                    let from = skip.min(run.channels);
                    let count = left.min(run.channels - from);
                    skip -= from;
                    left -= count;
                    if count > 0 {
                        taken.push(Run { start: run.start + from, channels: count, ..run });
                    }
                }
                // Tiles of f16 start on 16 bytes.
                if taken.iter().any(|run| run.start % 8 != 0) {
                    return Err(unsupported(self.name(output), "starts at an odd channel"));
                }
                self.runs[output.index()] = Some(taken);
                self.depth[output.index()] = before;
            }
            Op::Concat { inputs, .. } => {
                let mut runs: Vec<Run> = Vec::new();
                for &id in inputs {
                    for run in self.runs_of(id)? {
                        match runs.last_mut() {
                            Some(last)
                                if last.plane == run.plane && last.start + last.channels == run.start =>
                            {
                                last.channels += run.channels;
                            }
                            _ => runs.push(run),
                        }
                    }
                }
                self.runs[output.index()] = Some(runs);
                self.depth[output.index()] = before;
            }
            Op::Upsample { input, .. } => {
                let Some(&Writer::Conv(i)) = self.writer.get(input) else {
                    return Err(unsupported(self.name(output), "enlarges what is not a convolution's map"));
                };
                let plane = match self.convs[i].doubled {
                    Some(plane) => plane,
                    None => self.arena.map(height, width, channels),
                };
                self.convs[i].doubled = Some(plane);
                self.runs[output.index()] = Some(vec![Run { plane, start: 0, channels }]);
                self.depth[output.index()] = before;
            }
            Op::MaxPool { size, input, .. } => {
                let (root, reach, depth) = match self.writer.get(input) {
                    Some(&Writer::Pool(i)) => {
                        let pool = &self.pools[i];
                        (pool.input, pool.reach + size / 2, pool.depth)
                    }
                    _ => (self.run_of(*input)?, size / 2, before + 1),
                };
                let plane = self.arena.map(height, width, channels);
                self.runs[output.index()] = Some(vec![Run { plane, start: 0, channels }]);
                self.writer.insert(output, Writer::Pool(self.pools.len()));
                self.pools.push(PoolNode { input: root, output: plane, reach, depth });
                self.depth[output.index()] = depth;
            }
        }
        Ok(())
    }
}
