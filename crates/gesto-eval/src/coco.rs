//! COCO annotation and result files (<https://cocodataset.org/#format-data>), checked.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Deserializer};

use crate::error::{Error, ErrorKind, Result};
use crate::overlap::KEYPOINT_SIGMAS;

/// One picture.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Image {
    /// Its number in this file.
    pub id: i64,
    /// Its file's name.
    #[serde(default)]
    pub file_name: String,
    /// Pixels in a row.
    #[serde(default)]
    pub width: u32,
    /// Rows.
    #[serde(default)]
    pub height: u32,
}

/// One class.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Category {
    /// Its number in this file.
    pub id: i64,
    /// Its name.
    pub name: String,
}

/// One true object.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotation {
    /// The picture it is in.
    pub image_id: i64,
    /// Its class.
    pub category_id: i64,
    /// `x, y, w, h` in pixels.
    pub bbox: [f64; 4],
    /// Area of the object itself in square pixels; the box's when the file has none.
    pub area: f64,
    /// A crowd, or something not sure: detections on it count neither way.
    pub crowd: bool,
    /// `x, y, v` of each keypoint, `v > 0` where it is labelled; empty for objects without.
    pub keypoints: Vec<[f64; 3]>,
    /// How many keypoints are labelled.
    pub labelled_keypoints: usize,
}

/// What is truly in a set of pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct GroundTruth {
    images: Vec<Image>,
    categories: Vec<Category>,
    annotations: Vec<Annotation>,
}

/// One object as found.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    /// The picture it is in.
    pub image_id: i64,
    /// Its class.
    pub category_id: i64,
    /// `x, y, w, h` in pixels.
    pub bbox: [f64; 4],
    /// Area in square pixels, which decides whether an unmatched detection belongs to a range of sizes.
    pub area: f64,
    /// Probability; only its order matters for average precision.
    pub score: f64,
    /// `x, y` of each keypoint; empty for objects without.
    pub keypoints: Vec<[f64; 2]>,
}

/// What was found in a set of pictures.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Detections(Vec<Detection>);

#[derive(Deserialize)]
struct RawTruth {
    images: Vec<Image>,
    categories: Vec<Category>,
    annotations: Vec<RawAnnotation>,
}

#[derive(Deserialize)]
struct RawAnnotation {
    image_id: i64,
    category_id: i64,
    bbox: [f64; 4],
    area: Option<f64>,
    #[serde(default, deserialize_with = "flag")]
    iscrowd: bool,
    #[serde(default)]
    keypoints: Vec<f64>,
    num_keypoints: Option<usize>,
}

#[derive(Deserialize)]
struct RawDetection {
    image_id: i64,
    category_id: i64,
    bbox: Option<[f64; 4]>,
    score: f64,
    #[serde(default)]
    keypoints: Vec<f64>,
}

/// COCO writes 0 and 1; some tools write `false` and `true`.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Flag {
        Number(i64),
        Bool(bool),
    }
    Ok(match Flag::deserialize(deserializer)? {
        Flag::Number(n) => n != 0,
        Flag::Bool(b) => b,
    })
}

impl GroundTruth {
    /// Reads an annotation file (`images`, `categories`, `annotations`).
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for anything else; [`ErrorKind::Content`] for an id used twice or not defined, a name that two
    /// categories have, a box or area that is negative or not finite, and keypoints that are not COCO's 17.
    pub fn from_json(text: &str) -> Result<Self> {
        let RawTruth { mut images, mut categories, annotations } = serde_json::from_str(text)
            .map_err(|e| Error::new(ErrorKind::Format, format!("not a COCO annotation file: {e}")))?;
        // pycocotools goes through pictures and categories by ascending id; equal scores keep that order.
        images.sort_by_key(|image| image.id);
        categories.sort_by_key(|category| category.id);
        let image_ids = unique("image", images.iter().map(|image| image.id))?;
        let category_ids = unique("category", categories.iter().map(|category| category.id))?;
        // What a network finds is told by name.
        let mut names = HashSet::new();
        if let Some(twice) = categories.iter().find(|category| !names.insert(&category.name)) {
            let message = format!("two categories are called {:?}", twice.name);
            return Err(Error::new(ErrorKind::Content, message));
        }
        let annotations = annotations.into_iter().enumerate().map(|(i, raw)| {
            let bad = |why: String| Error::new(ErrorKind::Content, format!("annotation {}: {why}", i + 1));
            known(&image_ids, "image", raw.image_id).map_err(bad)?;
            known(&category_ids, "category", raw.category_id).map_err(bad)?;
            sound_box(&raw.bbox).map_err(bad)?;
            let area = raw.area.unwrap_or(raw.bbox[2] * raw.bbox[3]);
            if !(area.is_finite() && area >= 0.0) {
                return Err(bad(format!("an area of {area} is not possible")));
            }
            let keypoints = triples(&raw.keypoints).map_err(bad)?;
            let labelled = keypoints.iter().filter(|k| k[2] > 0.0).count();
            Ok(Annotation {
                image_id: raw.image_id,
                category_id: raw.category_id,
                bbox: raw.bbox,
                area,
                crowd: raw.iscrowd,
                labelled_keypoints: raw.num_keypoints.unwrap_or(labelled),
                keypoints,
            })
        });
        let annotations = annotations.collect::<Result<_>>()?;
        Ok(Self { images, categories, annotations })
    }

    /// The pictures, by ascending id.
    #[must_use]
    pub fn images(&self) -> &[Image] {
        &self.images
    }

    /// The classes, by ascending id.
    #[must_use]
    pub fn categories(&self) -> &[Category] {
        &self.categories
    }

    /// The objects, in the file's order.
    #[must_use]
    pub fn annotations(&self) -> &[Annotation] {
        &self.annotations
    }

    /// The class of this name.
    #[must_use]
    pub fn category(&self, name: &str) -> Option<&Category> {
        self.categories.iter().find(|category| category.name == name)
    }
}

impl Detections {
    /// Reads a result file: a list of `image_id`, `category_id`, `score` and `bbox` or `keypoints` or both.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for anything else; [`ErrorKind::Content`] for a picture that `truth` does not have, numbers
    /// that are not finite, and keypoints that are not COCO's 17.
    pub fn from_json(text: &str, truth: &GroundTruth) -> Result<Self> {
        let raw: Vec<RawDetection> = serde_json::from_str(text)
            .map_err(|e| Error::new(ErrorKind::Format, format!("not a COCO result file: {e}")))?;
        let image_ids: HashSet<i64> = truth.images.iter().map(|image| image.id).collect();
        let detections = raw.into_iter().enumerate().map(|(i, raw)| {
            let bad = |why: String| Error::new(ErrorKind::Content, format!("result {}: {why}", i + 1));
            known(&image_ids, "image", raw.image_id).map_err(bad)?;
            if !raw.score.is_finite() {
                return Err(bad("the score is not finite".to_owned()));
            }
            let keypoints: Vec<[f64; 2]> =
                triples(&raw.keypoints).map_err(bad)?.iter().map(|&[x, y, _]| [x, y]).collect();
            let bbox = match raw.bbox {
                Some(bbox) => bbox,
                None if keypoints.is_empty() => {
                    return Err(bad("neither a box nor keypoints".to_owned()));
                }
                None => extent(&keypoints),
            };
            sound_box(&bbox).map_err(bad)?;
            Ok(Detection {
                image_id: raw.image_id,
                category_id: raw.category_id,
                bbox,
                area: bbox[2] * bbox[3],
                score: raw.score,
                keypoints,
            })
        });
        Ok(Self(detections.collect::<Result<_>>()?))
    }

    /// As computed by a program; order decides between equal scores.
    #[must_use]
    pub fn new(detections: Vec<Detection>) -> Self {
        Self(detections)
    }

    /// All of them, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Detection] {
        &self.0
    }

    /// Whether any of them has keypoints.
    #[must_use]
    pub fn has_keypoints(&self) -> bool {
        self.0.iter().any(|found| !found.keypoints.is_empty())
    }

    /// Parts a file that holds hands and people: those with keypoints are people, and get `person` as their class.
    #[must_use]
    pub fn split_people(self, person: i64) -> (Self, Self) {
        let (people, hands): (Vec<_>, Vec<_>) =
            self.0.into_iter().partition(|found| !found.keypoints.is_empty());
        let people = people.into_iter().map(|found| Detection { category_id: person, ..found }).collect();
        (Self(hands), Self(people))
    }
}

fn unique(what: &str, ids: impl Iterator<Item = i64>) -> Result<HashSet<i64>> {
    let mut seen = HashSet::new();
    for id in ids {
        if !seen.insert(id) {
            return Err(Error::new(ErrorKind::Content, format!("two entries have the {what} id {id}")));
        }
    }
    Ok(seen)
}

fn known(ids: &HashSet<i64>, what: &str, id: i64) -> Result<(), String> {
    if ids.contains(&id) { Ok(()) } else { Err(format!("no {what} has the id {id}")) }
}

fn sound_box(bbox: &[f64; 4]) -> Result<(), String> {
    if bbox.iter().all(|v| v.is_finite()) && bbox[2] >= 0.0 && bbox[3] >= 0.0 {
        Ok(())
    } else {
        Err(format!("a box of {bbox:?} is not possible"))
    }
}

/// `x, y, v` of COCO's keypoints, or none.
fn triples(flat: &[f64]) -> Result<Vec<[f64; 3]>, String> {
    let (triples, rest) = flat.as_chunks::<3>();
    if !flat.is_empty() && (triples.len() != KEYPOINT_SIGMAS.len() || !rest.is_empty()) {
        let (want, found) = (KEYPOINT_SIGMAS.len(), flat.len());
        return Err(format!("{found} keypoint numbers; COCO's {want} keypoints have {}", 3 * want));
    }
    if flat.iter().all(|v| v.is_finite()) {
        Ok(triples.to_vec())
    } else {
        Err("a keypoint is not finite".to_owned())
    }
}

/// The box around keypoints.
fn extent(keypoints: &[[f64; 2]]) -> [f64; 4] {
    let bound = |axis: usize, pick: fn(f64, f64) -> f64| {
        keypoints.iter().map(|k| k[axis]).reduce(pick).expect("there are keypoints")
    };
    let (x0, y0) = (bound(0, f64::min), bound(1, f64::min));
    [x0, y0, bound(0, f64::max) - x0, bound(1, f64::max) - y0]
}

/// Positions of items by picture and category, in the items' order.
pub(crate) fn by_picture_and_category<T>(
    items: &[T],
    key: impl Fn(&T) -> (i64, i64),
) -> HashMap<(i64, i64), Vec<&T>> {
    let mut groups: HashMap<(i64, i64), Vec<&T>> = HashMap::new();
    for item in items {
        groups.entry(key(item)).or_default().push(item);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUTH: &str = r#"{"images": [{"id": 7}, {"id": 3}], "categories": [{"id": 1, "name": "like"}],
        "annotations": [{"image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4], "iscrowd": true}]}"#;

    #[test]
    fn what_a_file_leaves_out_has_a_default() {
        let truth = GroundTruth::from_json(TRUTH).unwrap();
        assert_eq!(truth.images().iter().map(|image| image.id).collect::<Vec<_>>(), [3, 7]);
        let [annotation] = truth.annotations() else { panic!("one annotation") };
        assert_eq!((annotation.area, annotation.crowd), (12.0, true));
    }

    #[test]
    fn damaged_annotations_are_named() {
        for (from, to, want) in [
            ("\"image_id\": 7", "\"image_id\": 8", "no image has the id 8"),
            ("\"category_id\": 1", "\"category_id\": 2", "no category has the id 2"),
            ("[1, 2, 3, 4]", "[1, 2, -3, 4]", "is not possible"),
            ("[1, 2, 3, 4]", "[1, 2, 3]", "not a COCO annotation file"),
            ("\"id\": 3", "\"id\": 7", "two entries have the image id 7"),
            (
                "\"name\": \"like\"}",
                "\"name\": \"like\"}, {\"id\": 2, \"name\": \"like\"}",
                "two categories are called \"like\"",
            ),
            ("\"iscrowd\": true", "\"keypoints\": [1, 2, 3]", "COCO's 17 keypoints"),
            ("\"iscrowd\": true", "\"area\": -1", "an area of -1"),
            ("{\"images\"", "{\"pictures\"", "missing field `images`"),
        ] {
            let text = TRUTH.replacen(from, to, 1);
            assert_ne!(text, TRUTH);
            let error = GroundTruth::from_json(&text).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        }
    }

    #[test]
    fn results_need_a_known_picture_and_a_place() {
        let truth = GroundTruth::from_json(TRUTH).unwrap();
        for (text, want) in [
            (
                r#"[{"image_id": 1, "category_id": 1, "score": 1, "bbox": [0, 0, 1, 1]}]"#,
                "no image has the id 1",
            ),
            (r#"[{"image_id": 3, "category_id": 1, "score": 1}]"#, "neither a box nor keypoints"),
            (
                r#"[{"image_id": 3, "category_id": 1, "score": 1e999, "bbox": [0, 0, 1, 1]}]"#,
                "number out of range",
            ),
            (r#"{"annotations": []}"#, "not a COCO result file"),
        ] {
            let error = Detections::from_json(text, &truth).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        }
    }

    #[test]
    fn keypoints_alone_give_the_box_around_them() {
        let truth = GroundTruth::from_json(TRUTH).unwrap();
        let keypoints: Vec<String> = (0..17).map(|i| format!("{}, {}, 1", 10 + i, 20 + 2 * i)).collect();
        let text = format!(
            r#"[{{"image_id": 3, "category_id": 20, "score": 0.5, "keypoints": [{}]}}]"#,
            keypoints.join(", ")
        );
        let (hands, people) = Detections::from_json(&text, &truth).unwrap().split_people(1);
        assert!(hands.as_slice().is_empty());
        let [person] = people.as_slice() else { panic!("one person") };
        assert_eq!((person.bbox, person.area, person.category_id), ([10.0, 20.0, 16.0, 32.0], 512.0, 1));
    }
}
