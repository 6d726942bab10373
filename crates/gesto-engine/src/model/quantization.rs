//! Activations as bytes: which maps an 8-bit network stores so, and the scale of each, as a file's metadata tells them.
//!
//! Weights need no entry: every tier packs its own from the file's numbers.

use std::collections::{BTreeMap, HashMap};

use super::graph::{Activation, Graph, Op, ValueId};
use crate::error::{Error, ErrorKind, Result};

/// Metadata entry that holds the scales: a JSON object from a map's name to `[scale, zero]`.
pub(crate) const KEY: &str = "activation_scales";

/// Scales that a network may have: its numbers are around 1.
const SCALES: std::ops::RangeInclusive<f32> = 1e-6..=1e6;

/// What a byte means: `scale * (byte - zero)`.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(from = "(f32, u8)", into = "(f32, u8)")]
pub struct Quantization {
    /// Distance of neighbouring numbers.
    pub scale: f32,
    /// The byte that stands for 0.
    pub zero: u8,
}

/// The [`Quantization`] of each map that an 8-bit network stores, by the map's name ([`Value::name`](super::Value)).
pub type ActivationScales = BTreeMap<String, Quantization>;

impl Quantization {
    /// Bytes that stand for themselves.
    pub(crate) const IDENTITY: Self = Self { scale: 1.0, zero: 0 };

    /// The finest that holds every number from `low` to `high`, and 0.
    #[must_use]
    pub fn of_range(low: f32, high: f32) -> Self {
        let (low, high) = (low.min(0.0), high.max(0.0));
        let scale = ((high - low) / 255.0).clamp(*SCALES.start(), *SCALES.end());
        Self { scale, zero: (-low / scale).round().clamp(0.0, 255.0) as u8 }
    }
}

impl From<(f32, u8)> for Quantization {
    fn from((scale, zero): (f32, u8)) -> Self {
        Self { scale, zero }
    }
}

impl From<Quantization> for (f32, u8) {
    fn from(q: Quantization) -> Self {
        (q.scale, q.zero)
    }
}

/// The map that a convolution's kernel really stores: the sum, where a sum follows.
pub(crate) fn stored(graph: &Graph, value: ValueId) -> ValueId {
    let sum = graph.ops.iter().find_map(|op| match op {
        Op::Add { b, output, .. } if *b == value => Some(*output),
        _ => None,
    });
    sum.unwrap_or(value)
}

/// The maps that an 8-bit network stores as bytes: what convolutions with an activation write. Slices, concatenations,
/// enlarged and pooled maps hold the same bytes; the last convolution of a head's branch writes f32.
#[must_use]
pub fn quantized_values(graph: &Graph) -> Vec<ValueId> {
    let written = graph.ops.iter().filter_map(|op| match op {
        Op::Conv { conv, output, .. } if graph.conv(*conv).activation == Activation::Silu => Some(*output),
        _ => None,
    });
    written.map(|value| stored(graph, value)).collect()
}

/// Reads the scales from a file's metadata, if it has them.
pub(crate) fn read(metadata: &HashMap<String, String>, graph: &Graph) -> Result<Option<ActivationScales>> {
    let Some(text) = metadata.get(KEY) else { return Ok(None) };
    let bad = |why: String| Error::new(ErrorKind::Format, format!("the file's activation scales {why}"));
    let scales: ActivationScales =
        serde_json::from_str(text).map_err(|e| bad(format!("are damaged: {e}")))?;
    check(&scales, graph).map_err(bad)?;
    Ok(Some(scales))
}

/// Every map has a scale, and every scale is a sensible number.
pub(crate) fn check(scales: &ActivationScales, graph: &Graph) -> std::result::Result<(), String> {
    for value in quantized_values(graph) {
        let name = &graph.value(value).name;
        match scales.get(name) {
            None => return Err(format!("lack the map {name:?}")),
            Some(q) if !SCALES.contains(&q.scale) => {
                return Err(format!("give the map {name:?} a scale of {}", q.scale));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_held_from_end_to_end() {
        for (low, high) in [(-0.278, 6.0), (0.0, 1.0), (-3.0, 2.0), (-1.0, -0.5), (0.0, 0.0)] {
            let q = Quantization::of_range(low, high);
            let number = |byte: f32| q.scale * (byte - f32::from(q.zero));
            assert!(number(0.0) <= low.min(0.0) + q.scale / 2.0 + 1e-6, "{low} to {high}: {q:?}");
            assert!(number(255.0) >= high.max(0.0) - q.scale / 2.0 - 1e-6, "{low} to {high}: {q:?}");
        }
    }

    #[test]
    fn scales_are_read_as_they_are_written() {
        let scales: ActivationScales = [("b.0".to_owned(), Quantization { scale: 0.0123, zero: 17 })].into();
        let text = serde_json::to_string(&scales).unwrap();
        assert_eq!(text, r#"{"b.0":[0.0123,17]}"#);
        assert_eq!(serde_json::from_str::<ActivationScales>(&text).unwrap(), scales);
    }
}
