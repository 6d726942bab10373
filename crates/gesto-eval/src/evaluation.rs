//! COCO's figures over all classes, sizes and overlaps.

use serde::Serialize;

use crate::coco::{Annotation, Detection, Detections, GroundTruth, by_picture_and_category};
use crate::curve::{Curve, RECALLS};
use crate::matching::{Objects, Outcome, match_picture};
use crate::overlap::{box_iou, keypoint_similarity};

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Boxes, by intersection over union; the best 100 of a class in each picture.
    Boxes,
    /// Keypoints, by object keypoint similarity; the best 20 in each picture. People without labelled keypoints are
    /// ignored.
    Keypoints,
}

/// Range of the objects' areas in square pixels, bounds included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AreaRange {
    /// Every size.
    All,
    /// Up to 32 x 32.
    Small,
    /// From 32 x 32 to 96 x 96.
    Medium,
    /// From 96 x 96.
    Large,
}

impl AreaRange {
    /// Whether an area is out of the range.
    fn excludes(self, area: f64) -> bool {
        let (low, high) = match self {
            Self::All => (0.0, 1e10),
            Self::Small => (0.0, 32.0 * 32.0),
            Self::Medium => (32.0 * 32.0, 96.0 * 96.0),
            Self::Large => (96.0 * 96.0, 1e10),
        };
        area < low || area > high
    }
}

/// Number of least overlaps: 0.50, 0.55, ..., 0.95.
const OVERLAPS: usize = 10;

/// The least overlap number `i`, rounded as NumPy's `linspace(0.5, 0.95, 10)`.
fn least_overlap(i: usize) -> f64 {
    if i + 1 == OVERLAPS { 0.95 } else { 0.5 + i as f64 * ((0.95 - 0.5) / 9.0) }
}

impl Task {
    /// Most detections of a class in a picture.
    fn most(self) -> usize {
        match self {
            Self::Boxes => 100,
            Self::Keypoints => 20,
        }
    }

    /// The sizes and numbers of detections that the summary asks for; the first is the main one.
    fn slices(self) -> &'static [Slice] {
        const fn slice(area: AreaRange, most: usize) -> Slice {
            Slice { area, most }
        }
        match self {
            Self::Boxes => {
                &const {
                    [
                        slice(AreaRange::All, 100),
                        slice(AreaRange::Small, 100),
                        slice(AreaRange::Medium, 100),
                        slice(AreaRange::Large, 100),
                        slice(AreaRange::All, 1),
                        slice(AreaRange::All, 10),
                    ]
                }
            }
            Self::Keypoints => {
                &const { [slice(AreaRange::All, 20), slice(AreaRange::Medium, 20), slice(AreaRange::Large, 20)] }
            }
        }
    }
}

/// One way to look at the same matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slice {
    area: AreaRange,
    most: usize,
}

/// Average precision and recall of one slice at each least overlap.
#[derive(Debug, Clone, PartialEq)]
struct SliceFigures {
    precision: [f64; OVERLAPS],
    recall: [f64; OVERLAPS],
}

/// One class's figures.
#[derive(Debug, Clone, PartialEq)]
pub struct CategoryFigures {
    /// Its number in the ground truth.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Objects that are no crowd.
    pub objects: usize,
    /// Precision against recall at a least overlap of 0.5, every size.
    pub curve: Curve,
    /// In the order of [`Task::slices`]; `None` where there is no object to find.
    slices: Vec<Option<SliceFigures>>,
}

/// All classes' figures.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    task: Task,
    /// By ascending id.
    pub categories: Vec<CategoryFigures>,
}

/// COCO's twelve figures for boxes. `None` where there is no object to find.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[allow(
    missing_docs,
    reason = "COCO's names: average precision and recall, overlap, size, detections a picture"
)]
pub struct BoxSummary {
    pub ap: Option<f64>,
    pub ap50: Option<f64>,
    pub ap75: Option<f64>,
    pub ap_small: Option<f64>,
    pub ap_medium: Option<f64>,
    pub ap_large: Option<f64>,
    pub ar_1: Option<f64>,
    pub ar_10: Option<f64>,
    pub ar_100: Option<f64>,
    pub ar_small: Option<f64>,
    pub ar_medium: Option<f64>,
    pub ar_large: Option<f64>,
}

/// COCO's ten figures for keypoints. `None` where there is no object to find.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[allow(missing_docs, reason = "COCO's names: average precision and recall, similarity, size")]
pub struct KeypointSummary {
    pub ap: Option<f64>,
    pub ap50: Option<f64>,
    pub ap75: Option<f64>,
    pub ap_medium: Option<f64>,
    pub ap_large: Option<f64>,
    pub ar: Option<f64>,
    pub ar50: Option<f64>,
    pub ar75: Option<f64>,
    pub ar_medium: Option<f64>,
    pub ar_large: Option<f64>,
}

/// Compares what was found with what is there. Detections of a class or picture that the truth does not have are left
/// out.
#[must_use]
pub fn evaluate(truth: &GroundTruth, found: &Detections, task: Task) -> Evaluation {
    let key = |annotation: &Annotation| (annotation.image_id, annotation.category_id);
    let objects = by_picture_and_category(truth.annotations(), key);
    let key = |detection: &Detection| (detection.image_id, detection.category_id);
    let mut detections = by_picture_and_category(found.as_slice(), key);
    for group in detections.values_mut() {
        group.sort_by(|a, b| b.score.total_cmp(&a.score));
        group.truncate(task.most());
    }
    let categories = truth.categories().iter().map(|category| {
        let pictures: Vec<Picture<'_>> = truth
            .images()
            .iter()
            .map(|image| (image.id, category.id))
            .filter(|key| objects.contains_key(key) || detections.contains_key(key))
            .map(|key| {
                let of = (objects.get(&key), detections.get(&key));
                Picture::new(of.0.map_or(&[], Vec::as_slice), of.1.map_or(&[], Vec::as_slice), task)
            })
            .collect();
        CategoryFigures {
            id: category.id,
            name: category.name.clone(),
            objects: pictures.iter().flat_map(|picture| &picture.crowd).filter(|&&crowd| !crowd).count(),
            curve: curve(&pictures, task.slices()[0], 0.5),
            slices: task.slices().iter().map(|&slice| figures(&pictures, slice)).collect(),
        }
    });
    Evaluation { task, categories: categories.collect() }
}

/// One class in one picture.
struct Picture<'a> {
    objects: &'a [&'a Annotation],
    detections: &'a [&'a Detection],
    /// `[detection][object]`.
    overlaps: Vec<f64>,
    crowd: Vec<bool>,
    /// Never counts, whatever the size looked at.
    ignored: Vec<bool>,
}

impl<'a> Picture<'a> {
    fn new(objects: &'a [&'a Annotation], detections: &'a [&'a Detection], task: Task) -> Self {
        let overlap = |found: &Detection, object: &Annotation| match task {
            Task::Boxes => box_iou(&found.bbox, &object.bbox, object.crowd),
            Task::Keypoints => {
                keypoint_similarity(&found.keypoints, &object.keypoints, &object.bbox, object.area)
            }
        };
        let unlabelled = |object: &Annotation| task == Task::Keypoints && object.labelled_keypoints == 0;
        Self {
            overlaps: detections.iter().flat_map(|found| objects.iter().map(|o| overlap(found, o))).collect(),
            crowd: objects.iter().map(|object| object.crowd).collect(),
            ignored: objects.iter().map(|object| object.crowd || unlabelled(object)).collect(),
            objects,
            detections,
        }
    }

    /// Objects that do not count at these sizes.
    fn ignored_at(&self, area: AreaRange) -> Vec<bool> {
        let each = self.ignored.iter().zip(self.objects);
        each.map(|(&ignored, object)| ignored || area.excludes(object.area)).collect()
    }

    /// Score and outcome of the best detections.
    fn outcomes(&self, slice: Slice, least: f64) -> impl Iterator<Item = (f64, Outcome)> {
        let ignored = self.ignored_at(slice.area);
        let outside: Vec<bool> =
            self.detections.iter().map(|found| slice.area.excludes(found.area)).collect();
        let objects = Objects { ignored: &ignored, crowd: &self.crowd };
        let overlap = |d: usize, g: usize| self.overlaps[d * self.objects.len() + g];
        let outcomes = match_picture(overlap, &outside, objects, least);
        self.detections.iter().map(|found| found.score).zip(outcomes).take(slice.most)
    }
}

fn curve(pictures: &[Picture<'_>], slice: Slice, least: f64) -> Curve {
    let positives =
        pictures.iter().flat_map(|picture| picture.ignored_at(slice.area)).filter(|&i| !i).count();
    Curve::new(positives, pictures.iter().flat_map(|picture| picture.outcomes(slice, least)))
}

fn figures(pictures: &[Picture<'_>], slice: Slice) -> Option<SliceFigures> {
    let mut figures = SliceFigures { precision: [0.0; OVERLAPS], recall: [0.0; OVERLAPS] };
    for i in 0..OVERLAPS {
        let curve = curve(pictures, slice, least_overlap(i));
        figures.precision[i] = curve.average_precision()?;
        figures.recall[i] = curve.recall()?;
    }
    Some(figures)
}

impl Evaluation {
    /// Mean average precision over the classes that `keep` keeps and that have objects to find; `None` if none has.
    /// `overlap`: 0.50, 0.55, ..., 0.95; `None` for the mean over these ten.
    #[must_use]
    pub fn average_precision(
        &self,
        keep: impl Fn(&CategoryFigures) -> bool,
        overlap: Option<f64>,
    ) -> Option<f64> {
        let slice = self.task.slices()[0];
        self.mean(keep, slice, overlap, |figures| &figures.precision)
    }

    fn mean(
        &self,
        keep: impl Fn(&CategoryFigures) -> bool,
        slice: Slice,
        overlap: Option<f64>,
        of: impl Fn(&SliceFigures) -> &[f64; OVERLAPS],
    ) -> Option<f64> {
        let position = self.task.slices().iter().position(|&other| other == slice)?;
        let wanted = |i: &usize| overlap.is_none_or(|overlap| (least_overlap(*i) - overlap).abs() < 1e-6);
        let (mut sum, mut count) = (0.0, 0usize);
        for category in self.categories.iter().filter(|category| keep(category)) {
            let Some(figures) = &category.slices[position] else { continue };
            for i in (0..OVERLAPS).filter(wanted) {
                sum += of(figures)[i];
                count += 1;
            }
        }
        (count > 0).then(|| sum / count as f64)
    }

    fn precision(&self, area: AreaRange, overlap: Option<f64>) -> Option<f64> {
        self.mean(|_| true, Slice { area, most: self.task.most() }, overlap, |figures| &figures.precision)
    }

    fn recall(&self, area: AreaRange, overlap: Option<f64>, most: usize) -> Option<f64> {
        self.mean(|_| true, Slice { area, most }, overlap, |figures| &figures.recall)
    }

    /// COCO's figures for boxes.
    ///
    /// # Panics
    /// When keypoints were evaluated.
    #[must_use]
    pub fn box_summary(&self) -> BoxSummary {
        use AreaRange::{All, Large, Medium, Small};
        assert_eq!(self.task, Task::Boxes);
        BoxSummary {
            ap: self.precision(All, None),
            ap50: self.precision(All, Some(0.5)),
            ap75: self.precision(All, Some(0.75)),
            ap_small: self.precision(Small, None),
            ap_medium: self.precision(Medium, None),
            ap_large: self.precision(Large, None),
            ar_1: self.recall(All, None, 1),
            ar_10: self.recall(All, None, 10),
            ar_100: self.recall(All, None, 100),
            ar_small: self.recall(Small, None, 100),
            ar_medium: self.recall(Medium, None, 100),
            ar_large: self.recall(Large, None, 100),
        }
    }

    /// COCO's figures for keypoints.
    ///
    /// # Panics
    /// When boxes were evaluated.
    #[must_use]
    pub fn keypoint_summary(&self) -> KeypointSummary {
        use AreaRange::{All, Large, Medium};
        assert_eq!(self.task, Task::Keypoints);
        KeypointSummary {
            ap: self.precision(All, None),
            ap50: self.precision(All, Some(0.5)),
            ap75: self.precision(All, Some(0.75)),
            ap_medium: self.precision(Medium, None),
            ap_large: self.precision(Large, None),
            ar: self.recall(All, None, 20),
            ar50: self.recall(All, Some(0.5), 20),
            ar75: self.recall(All, Some(0.75), 20),
            ar_medium: self.recall(Medium, None, 20),
            ar_large: self.recall(Large, None, 20),
        }
    }
}

impl CategoryFigures {
    /// Average precision at this least overlap, or the mean over all ten; `None` without objects to find.
    #[must_use]
    pub fn average_precision(&self, overlap: Option<f64>) -> Option<f64> {
        let figures = self.slices[0].as_ref()?;
        let wanted = |i: &usize| overlap.is_none_or(|overlap| (least_overlap(*i) - overlap).abs() < 1e-6);
        let of: Vec<f64> = (0..OVERLAPS).filter(wanted).map(|i| figures.precision[i]).collect();
        (!of.is_empty()).then(|| of.iter().sum::<f64>() / of.len() as f64)
    }

    /// Recall and precision at a least overlap of 0.5, for drawing: up to the recall that all detections together
    /// reach; empty without objects to find.
    #[must_use]
    pub fn points(&self) -> Vec<(f64, f64)> {
        let precision = self.curve.precision().into_iter().flatten().take_while(|&precision| precision > 0.0);
        precision.enumerate().map(|(i, precision)| (i as f64 / (RECALLS - 1) as f64, precision)).collect()
    }
}
