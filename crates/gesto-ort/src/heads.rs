//! What a model's outputs mean, from its metadata where it has some, else from its shapes.

use serde::Deserialize;

use crate::error::{Error, ErrorKind, Result};

/// One head of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Name of its output.
    pub name: String,
    /// Class names.
    pub classes: Vec<String>,
    /// Keypoints of each detection; 0 for a detector.
    pub keypoints: usize,
}

impl Head {
    /// Rows of its output: box, classes, `x, y, visibility` of each keypoint.
    #[must_use]
    pub fn rows(&self) -> usize {
        4 + self.classes.len() + 3 * self.keypoints
    }
}

/// Rows of a pose output: box, one class, 17 keypoints.
const POSE_ROWS: usize = 4 + 1 + 3 * 17;

/// A model's metadata as far as it matters here.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    /// JSON list of heads with `name`, `classes`, `keypoints`, as this project writes it.
    pub(crate) heads: Option<String>,
    /// `detect`, `pose` and others, as other exporters write it.
    pub(crate) task: Option<String>,
    /// `{0: 'person', 1: 'bicycle'}`: class names in the notation of a Python dictionary.
    pub(crate) names: Option<String>,
}

#[derive(Deserialize)]
struct Described {
    name: String,
    classes: Vec<String>,
    #[serde(default)]
    keypoints: usize,
}

/// The heads behind `outputs`, each a name and a shape.
pub(crate) fn heads(
    outputs: &[(String, Vec<i64>)],
    metadata: &Metadata,
    anchors: usize,
) -> Result<Vec<Head>> {
    let refuse = |message: String| Err(Error::new(ErrorKind::Model, message));
    if let Some(described) = &metadata.heads {
        let described: Vec<Described> = serde_json::from_str(described).map_err(|why| {
            Error::new(ErrorKind::Model, format!("the model's list of heads cannot be read: {why}"))
        })?;
        let heads: Vec<Head> = described
            .into_iter()
            .map(|Described { name, classes, keypoints }| Head { name, classes, keypoints })
            .collect();
        for head in &heads {
            if head.classes.is_empty() {
                return refuse(format!("head {} of the model has no classes", head.name));
            }
            let shape = outputs.iter().find(|(name, _)| *name == head.name).map(|(_, shape)| shape);
            let wanted = [1, head.rows() as i64, anchors as i64];
            if shape.is_none_or(|shape| **shape != wanted) {
                return refuse(format!(
                    "the model has no output {} of 1 x {} x {anchors}",
                    head.name,
                    head.rows()
                ));
            }
        }
        return if heads.is_empty() { refuse("the model lists no heads".to_owned()) } else { Ok(heads) };
    }
    if let Some(task) = metadata.task.as_deref().filter(|task| !matches!(*task, "detect" | "pose")) {
        return refuse(format!("the model is made for the task {task:?}; detect and pose are supported"));
    }
    let mut heads = Vec::new();
    for (name, shape) in outputs {
        let [1, rows, count] = shape[..] else { continue };
        if rows == anchors as i64 && count != anchors as i64 {
            return refuse(format!(
                "output {name} of 1 x {rows} x {count} lists its anchor points first; 1 x rows x anchor points is \
                 supported"
            ));
        }
        if count != anchors as i64 || rows < 5 {
            continue;
        }
        let rows = rows as usize;
        let pose = match metadata.task.as_deref() {
            Some(task) => task == "pose",
            None => {
                rows == POSE_ROWS
                    && metadata.names.as_deref().is_none_or(|names| class_names(names).len() <= 1)
            }
        };
        if pose && rows != POSE_ROWS {
            return refuse(format!(
                "output {name} has {rows} rows; a pose model of 17 keypoints has {POSE_ROWS}"
            ));
        }
        let known = metadata.names.as_deref().map(class_names).unwrap_or_default();
        let count = if pose { 1 } else { rows - 4 };
        let class = |i: usize| match known.get(i) {
            Some(name) => name.clone(),
            None if pose => "person".to_owned(),
            None => format!("class {i}"),
        };
        heads.push(Head {
            name: name.clone(),
            classes: (0..count).map(class).collect(),
            keypoints: if pose { 17 } else { 0 },
        });
    }
    if heads.is_empty() {
        let shapes: Vec<_> = outputs.iter().map(|(name, shape)| format!("{name} {shape:?}")).collect();
        return refuse(format!(
            "none of the model's outputs ({}) is 1 x (4 + classes) x {anchors} or 1 x {POSE_ROWS} x {anchors}, the \
             decoded outputs of this family at this size",
            shapes.join(", ")
        ));
    }
    Ok(heads)
}

/// Names from `{0: 'person', 1: "it's"}`, in order; empty when the text is something else.
fn class_names(text: &str) -> Vec<String> {
    let Some(mut rest) = text.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        return Vec::new();
    };
    let mut names = Vec::new();
    while let Some((key, after)) = rest.split_once(':') {
        let after = after.trim_start();
        let quote = after.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let (Ok(_), Some(quote)) = (key.trim_matches([',', ' ', '\'', '"']).parse::<usize>(), quote) else {
            return Vec::new();
        };
        let (mut name, mut escaped, mut end) = (String::new(), false, None);
        for (at, c) in after.char_indices().skip(1) {
            match c {
                _ if escaped => {
                    name.push(c);
                    escaped = false;
                }
                '\\' => escaped = true,
                c if c == quote => {
                    end = Some(at);
                    break;
                }
                c => name.push(c),
            }
        }
        let Some(end) = end else { return Vec::new() };
        names.push(name);
        rest = &after[end + 1..];
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs(list: &[(&str, [i64; 3])]) -> Vec<(String, Vec<i64>)> {
        list.iter().map(|(name, shape)| ((*name).to_owned(), shape.to_vec())).collect()
    }

    #[test]
    fn names_in_python_notation_are_read() {
        assert_eq!(class_names("{0: 'person', 1: 'bicycle'}"), ["person", "bicycle"]);
        assert_eq!(class_names(r#"{0: "it's", 1: 'a, b: c', 2: 'd\'e'}"#), ["it's", "a, b: c", "d'e"]);
        for other in ["", "{}", "[1, 2]", "{0: person}", "{0: 'person", "{x: 'y'}"] {
            assert!(class_names(other).is_empty(), "{other}");
        }
    }

    #[test]
    fn shapes_tell_detectors_and_pose_apart() {
        let none = Metadata::default();
        let found = heads(&outputs(&[("output0", [1, 84, 1470])]), &none, 1470).unwrap();
        assert_eq!((found[0].classes.len(), found[0].keypoints), (80, 0));
        assert_eq!(found[0].classes[3], "class 3");
        let found = heads(&outputs(&[("output0", [1, 56, 1470])]), &none, 1470).unwrap();
        assert_eq!((&found[0].classes[..], found[0].keypoints), (&["person".to_owned()][..], 17));
        let detect = Metadata { task: Some("detect".to_owned()), ..Metadata::default() };
        let found = heads(&outputs(&[("output0", [1, 56, 1470])]), &detect, 1470).unwrap();
        assert_eq!((found[0].classes.len(), found[0].keypoints), (52, 0));
        // An output beside the heads is left alone.
        let two = outputs(&[("a", [1, 23, 672]), ("extra", [1, 10, 40]), ("b", [1, 56, 672])]);
        assert!(heads(&two, &none, 672).is_ok_and(|heads| heads.len() == 2));
    }

    #[test]
    fn a_described_head_needs_classes() {
        let described = |classes: &str| Metadata {
            heads: Some(format!(r#"[{{"name": "hand", "classes": {classes}}}]"#)),
            ..Metadata::default()
        };
        let error = heads(&outputs(&[("hand", [1, 4, 672])]), &described("[]"), 672).unwrap_err();
        assert!(error.kind() == ErrorKind::Model && error.to_string().contains("no classes"), "{error}");
        assert!(heads(&outputs(&[("hand", [1, 5, 672])]), &described(r#"["fist"]"#), 672).is_ok());
    }

    #[test]
    fn other_models_are_refused_with_a_reason() {
        let none = Metadata::default();
        let segment = Metadata { task: Some("segment".to_owned()), ..Metadata::default() };
        for (list, metadata, why) in [
            (outputs(&[("output0", [1, 1470, 84])]), &none, "anchor points first"),
            (outputs(&[("output0", [1, 84, 8400])]), &none, "1470"),
            (outputs(&[("logits", [1, 1000, 1])]), &none, "logits"),
            (outputs(&[("output0", [1, 116, 1470])]), &segment, "segment"),
        ] {
            let error = heads(&list, metadata, 1470).unwrap_err();
            assert!(error.kind() == ErrorKind::Model && error.to_string().contains(why), "{error}");
        }
    }
}
