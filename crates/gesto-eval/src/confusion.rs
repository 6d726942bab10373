//! Which class is taken for which.

use serde::Serialize;

use crate::coco::{Detection, Detections, GroundTruth, by_picture_and_category};
use crate::overlap::box_iou;

/// Least overlap (IoU) of a detection with the object it stands for.
const OVERLAP: f64 = 0.5;

/// Counts of true classes (rows) against found ones (columns). The last row is "nothing there", the last column
/// "nothing found".
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Confusion {
    /// Names of the classes, in the order of rows and columns.
    pub names: Vec<String>,
    /// `counts[true][found]`, one more row and column than there are names.
    pub counts: Vec<Vec<u32>>,
}

impl Confusion {
    /// Compares the detections that reach `threshold[class]`, whatever their class, with the objects: the best score
    /// chooses first and takes the object it overlaps most, 0.5 at least. Detections on crowds are left out.
    ///
    /// `threshold` gives the least score of a category id.
    #[must_use]
    pub fn new(truth: &GroundTruth, found: &Detections, threshold: impl Fn(i64) -> f64) -> Self {
        let names: Vec<String> = truth.categories().iter().map(|category| category.name.clone()).collect();
        let nothing = names.len();
        let class = |id: i64| truth.categories().iter().position(|category| category.id == id);
        let mut counts = vec![vec![0; nothing + 1]; nothing + 1];
        let objects = by_picture_and_category(truth.annotations(), |object| (object.image_id, 0));
        let detections = by_picture_and_category(found.as_slice(), |found| (found.image_id, 0));
        for image in truth.images() {
            let key = (image.id, 0);
            let objects = objects.get(&key).map_or(&[][..], Vec::as_slice);
            let mut taken = vec![false; objects.len()];
            let detections = detections.get(&key).map_or(&[][..], Vec::as_slice);
            let kept = detections.iter().filter(|found| found.score >= threshold(found.category_id));
            let mut kept: Vec<&Detection> = kept.copied().collect();
            kept.sort_by(|a, b| b.score.total_cmp(&a.score));
            for found in kept {
                let Some(as_class) = class(found.category_id) else { continue };
                let mut best: Option<(f64, usize)> = None;
                for (i, object) in
                    objects.iter().enumerate().filter(|(i, object)| !object.crowd && !taken[*i])
                {
                    let overlap = box_iou(&found.bbox, &object.bbox, false);
                    if overlap >= OVERLAP && best.is_none_or(|(most, _)| overlap > most) {
                        best = Some((overlap, i));
                    }
                }
                let on_crowd = || {
                    let mut crowds = objects.iter().filter(|object| object.crowd);
                    crowds.any(|crowd| box_iou(&found.bbox, &crowd.bbox, true) >= OVERLAP)
                };
                match best {
                    Some((_, i)) => {
                        taken[i] = true;
                        let truly = class(objects[i].category_id).unwrap_or(nothing);
                        counts[truly][as_class] += 1;
                    }
                    None if on_crowd() => {}
                    None => counts[nothing][as_class] += 1,
                }
            }
            for (object, _) in objects.iter().zip(taken).filter(|(object, taken)| !object.crowd && !taken) {
                if let Some(truly) = class(object.category_id) {
                    counts[truly][nothing] += 1;
                }
            }
        }
        Self { names, counts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_object_and_detection_is_counted_once() {
        let truth = GroundTruth::from_json(
            r#"{"images": [{"id": 1}], "categories": [{"id": 4, "name": "like"}, {"id": 9, "name": "fist"}],
                "annotations": [
                    {"image_id": 1, "category_id": 4, "bbox": [0, 0, 10, 10]},
                    {"image_id": 1, "category_id": 9, "bbox": [100, 0, 10, 10]},
                    {"image_id": 1, "category_id": 9, "bbox": [200, 0, 50, 50], "iscrowd": 1}]}"#,
        )
        .unwrap();
        let found = |category_id, x: f64, score| Detection {
            image_id: 1,
            category_id,
            bbox: [x, 0.0, 10.0, 10.0],
            area: 100.0,
            score,
            keypoints: Vec::new(),
        };
        let found = Detections::new(vec![
            found(4, 1.0, 0.6),   // second best on the first object: nothing is left there
            found(9, 0.0, 0.9),   // a like taken for a fist
            found(4, 220.0, 0.8), // inside the crowd
            found(9, 100.0, 0.1), // too weak
            found(4, 50.0, 0.7),  // on nothing
        ]);
        let confusion = Confusion::new(&truth, &found, |_| 0.5);
        assert_eq!(confusion.counts, [[0, 1, 0], [0, 0, 1], [2, 0, 0]]);
    }
}
