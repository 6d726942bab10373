//! Gestures found where nobody makes one.

use std::collections::HashSet;

use serde::Serialize;

use crate::coco::{Detections, GroundTruth};

/// Gestures found in pictures without any.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FalseGestures {
    /// Score above which a gesture counts.
    pub threshold: f64,
    /// Pictures whose ground truth has no gesture, not even one to ignore.
    pub pictures: usize,
    /// Gestures found in them.
    pub found: usize,
    /// The same for every 100 pictures; `None` without such pictures.
    pub per_100_pictures: Option<f64>,
}

impl FalseGestures {
    /// Counts detections above `threshold` in pictures without gestures. `idle` is the class of hands that make none:
    /// such hands are no gestures, neither true nor found.
    #[must_use]
    pub fn count(truth: &GroundTruth, found: &Detections, idle: Option<i64>, threshold: f64) -> Self {
        let gestures = truth.annotations().iter().filter(|object| Some(object.category_id) != idle);
        let with_gestures: HashSet<i64> = gestures.map(|object| object.image_id).collect();
        let idle_pictures: HashSet<i64> =
            truth.images().iter().map(|image| image.id).filter(|id| !with_gestures.contains(id)).collect();
        let is_false = |image: i64, class: i64, score: f64| {
            score > threshold && Some(class) != idle && idle_pictures.contains(&image)
        };
        let all = found.as_slice().iter();
        let found = all.filter(|f| is_false(f.image_id, f.category_id, f.score)).count();
        let pictures = idle_pictures.len();
        let per_100_pictures = (pictures > 0).then(|| 100.0 * found as f64 / pictures as f64);
        Self { threshold, pictures, found, per_100_pictures }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_gestures_in_idle_pictures_count() {
        let truth = GroundTruth::from_json(
            r#"{"images": [{"id": 1}, {"id": 2}, {"id": 3}, {"id": 4}],
                "categories": [{"id": 1, "name": "like"}, {"id": 19, "name": "no_gesture"}],
                "annotations": [
                    {"image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9]},
                    {"image_id": 2, "category_id": 1, "bbox": [0, 0, 9, 9], "iscrowd": 1},
                    {"image_id": 3, "category_id": 19, "bbox": [0, 0, 9, 9]}]}"#,
        )
        .unwrap();
        let found = [(1, 1, 0.9), (2, 1, 0.9), (3, 1, 0.9), (3, 19, 0.9), (4, 1, 0.5), (4, 1, 0.51)]
            .map(|(image, class, score)| {
                format!(r#"{{"image_id": {image}, "category_id": {class}, "score": {score}, "bbox": [0, 0, 1, 1]}}"#)
            })
            .join(",");
        let found = Detections::from_json(&format!("[{found}]"), &truth).unwrap();
        let counted = FalseGestures::count(&truth, &found, Some(19), 0.5);
        assert_eq!((counted.pictures, counted.found, counted.per_100_pictures), (2, 2, Some(100.0)));
    }
}
