//! From a head's raw maps to boxes, probabilities and keypoints at every anchor point.
//!
//! Boxes: expectation of each side's distribution (arXiv:2006.04388), times the stride, from the cell's centre.
//! Keypoints: `(2 v + cell) * stride`, with `cell` the cell's column or row; visibility is a sigmoid.

use gesto_engine::model::{DFL_BINS, Head, ValueId};

use crate::builder::{Attribute, GraphBuilder};
use crate::trunk::Names;
use crate::{Options, Placement};

/// Column, row and stride of every anchor point, in output order.
struct Anchors {
    columns: Vec<f32>,
    rows: Vec<f32>,
    strides: Vec<f32>,
}

impl Anchors {
    fn new(head: &Head, height: usize, width: usize) -> Self {
        let mut anchors = Self { columns: Vec::new(), rows: Vec::new(), strides: Vec::new() };
        for level in &head.levels {
            for row in 0..height / level.stride {
                for column in 0..width / level.stride {
                    anchors.columns.push(column as f32);
                    anchors.rows.push(row as f32);
                    anchors.strides.push(level.stride as f32);
                }
            }
        }
        anchors
    }

    fn len(&self) -> usize {
        self.strides.len()
    }

    /// `[2, A]`: what turns cells into pixels of the file's input, along x and along y.
    fn scale(&self, placement: &Placement) -> Vec<f32> {
        [placement.scale_x, placement.scale_y]
            .iter()
            .flat_map(|scale| self.strides.iter().map(move |stride| (f64::from(*stride) * scale) as f32))
            .collect()
    }

    /// `[2, A]`: cells plus `offset` (0.5 for their centres), shifted so that [`scale`](Self::scale) lands on the
    /// file's input, borders of the fit left out.
    fn origins(&self, placement: &Placement, offset: f64) -> Vec<f32> {
        [(&self.columns, placement.offset_x), (&self.rows, placement.offset_y)]
            .into_iter()
            .flat_map(|(cells, border)| {
                let shifted = move |(cell, stride): (&f32, &f32)| {
                    (f64::from(*cell) + offset - border / f64::from(*stride)) as f32
                };
                cells.iter().zip(&self.strides).map(shifted)
            })
            .collect()
    }
}

/// Appends one head's decoding and declares its output.
pub(crate) fn append(
    nodes: &mut GraphBuilder,
    head: &Head,
    names: &Names,
    options: &Options,
    placement: &Placement,
) {
    let name = &head.name;
    let anchors = Anchors::new(head, options.height, options.width);
    let count = anchors.len();
    let scale = nodes.floats(&format!("{name}.scale"), &[1, 2, count], &anchors.scale(placement));

    let maps: Vec<ValueId> = head.levels.iter().map(|level| level.boxes).collect();
    let boxes = gather_levels(nodes, &format!("{name}.boxes"), &maps, names, &[4, DFL_BINS as i64]);
    let boxes = decode_boxes(nodes, name, &boxes, &anchors, placement, &scale);

    let maps: Vec<ValueId> = head.levels.iter().map(|level| level.classes).collect();
    let classes =
        gather_levels(nodes, &format!("{name}.classes"), &maps, names, &[head.classes.len() as i64]);
    let classes = nodes.node("Sigmoid", &format!("{name}.probabilities"), &[&classes], &[]);

    if options.class_max {
        let axis = |name| [(name, Attribute::Int(1)), ("keepdims", Attribute::Int(0))];
        let best = [("axes", Attribute::Ints(vec![1])), ("keepdims", Attribute::Int(0))];
        let best = nodes.node("ReduceMax", &format!("{name}.best"), &[&classes], &best);
        nodes.output(&best, &[1, count]);
        let class = nodes.node("ArgMax", &format!("{name}.class"), &[&classes], &axis("axis"));
        nodes.output_indices(&class, &[1, count]);
    }

    let mut parts = vec![boxes, classes];
    let maps: Option<Vec<ValueId>> = head.levels.iter().map(|level| level.keypoints).collect();
    if let Some(maps) = maps {
        let points = head.keypoints as i64;
        let keypoints = gather_levels(nodes, &format!("{name}.keypoints"), &maps, names, &[points, 3]);
        parts.push(decode_keypoints(nodes, name, &keypoints, points, &anchors, placement, &scale));
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    nodes.node("Concat", name, &parts, &[("axis", Attribute::Int(1))]);
    nodes.output(name, &[1, 4 + head.classes.len() + 3 * head.keypoints, count]);
}

/// Maps of all levels side by side: `1 x channels... x A`.
fn gather_levels(
    nodes: &mut GraphBuilder,
    name: &str,
    maps: &[ValueId],
    names: &Names,
    channels: &[i64],
) -> String {
    // -1: the cells of the level.
    let shape: Vec<i64> = [&[1], channels, &[-1]].concat();
    let shape = nodes.indices(&format!("{name}.shape"), &shape);
    let flat: Vec<String> = maps
        .iter()
        .map(|&map| nodes.node("Reshape", &format!("{}.flat", &names[map]), &[&names[map], &shape], &[]))
        .collect();
    let flat: Vec<&str> = flat.iter().map(String::as_str).collect();
    let axis = channels.len() as i64 + 1;
    nodes.node("Concat", name, &flat, &[("axis", Attribute::Int(axis))])
}

/// `1 x 4 x 16 x A` logits -> `1 x 4 x A`: cx, cy, w, h.
fn decode_boxes(
    nodes: &mut GraphBuilder,
    name: &str,
    logits: &str,
    anchors: &Anchors,
    placement: &Placement,
    scale: &str,
) -> String {
    let bins: Vec<f32> = (0..DFL_BINS).map(|bin| bin as f32).collect();
    let bins = nodes.floats(&format!("{name}.bins"), &[DFL_BINS, 1], &bins);
    let origins = anchors.origins(placement, 0.5);
    let centres = nodes.floats(&format!("{name}.centres"), &[1, 2, anchors.len()], &origins);
    let half = nodes.floats(&format!("{name}.half"), &[1], &[0.5]);
    let axes = nodes.indices(&format!("{name}.bin_axis"), &[2]);

    let shares = nodes.node("Softmax", &format!("{name}.shares"), &[logits], &[("axis", Attribute::Int(2))]);
    let weighted = nodes.node("Mul", &format!("{name}.weighted"), &[&shares, &bins], &[]);
    let keep = [("keepdims", Attribute::Int(0))];
    let sides = nodes.node("ReduceSum", &format!("{name}.sides"), &[&weighted, &axes], &keep);
    let [before, after] = nodes.split(&format!("{name}.side"), &sides, 1, [2, 2]);
    let near = nodes.node("Sub", &format!("{name}.near"), &[&centres, &before], &[]);
    let far = nodes.node("Add", &format!("{name}.far"), &[&centres, &after], &[]);
    let both = nodes.node("Add", &format!("{name}.near_far"), &[&near, &far], &[]);
    let middle = nodes.node("Mul", &format!("{name}.middle"), &[&both, &half], &[]);
    let extent = nodes.node("Sub", &format!("{name}.extent"), &[&far, &near], &[]);
    let middle = nodes.node("Mul", &format!("{name}.middle_px"), &[&middle, scale], &[]);
    let extent = nodes.node("Mul", &format!("{name}.extent_px"), &[&extent, scale], &[]);
    nodes.node("Concat", &format!("{name}.box"), &[&middle, &extent], &[("axis", Attribute::Int(1))])
}

/// `1 x K x 3 x A` raw -> `1 x 3K x A`: x, y, visibility of each keypoint.
fn decode_keypoints(
    nodes: &mut GraphBuilder,
    name: &str,
    raw: &str,
    points: i64,
    anchors: &Anchors,
    placement: &Placement,
    scale: &str,
) -> String {
    let origins = anchors.origins(placement, 0.0);
    let corners = nodes.floats(&format!("{name}.corners"), &[1, 2, anchors.len()], &origins);
    let two = nodes.floats(&format!("{name}.two"), &[1], &[2.0]);
    let shape = nodes.indices(&format!("{name}.keypoint_rows"), &[1, 3 * points, -1]);

    let [places, visibility] = nodes.split(&format!("{name}.keypoint"), raw, 2, [2, 1]);
    let doubled = nodes.node("Mul", &format!("{name}.doubled"), &[&places, &two], &[]);
    let placed = nodes.node("Add", &format!("{name}.placed"), &[&doubled, &corners], &[]);
    let placed = nodes.node("Mul", &format!("{name}.placed_px"), &[&placed, scale], &[]);
    let visibility = nodes.node("Sigmoid", &format!("{name}.visibility"), &[&visibility], &[]);
    let all = [("axis", Attribute::Int(2))];
    let all = nodes.node("Concat", &format!("{name}.triples"), &[&placed, &visibility], &all);
    nodes.node("Reshape", &format!("{name}.keypoints_px"), &[&all, &shape], &[])
}
