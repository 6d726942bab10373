//! All figures of one run, as JSON and as text for people.

use std::fmt::{self, Write as _};

use serde::Serialize;

use crate::coco::{Detections, GroundTruth};
use crate::confusion::Confusion;
use crate::curve::OperatingPoint;
use crate::evaluation::{BoxSummary, CategoryFigures, Evaluation, KeypointSummary, Task, evaluate};
use crate::false_gestures::FalseGestures;

/// Name of the class of hands that make no gesture.
pub const IDLE: &str = "no_gesture";
/// Score above which a gesture where there is none counts as false.
const FALSE_GESTURE: f64 = 0.5;

/// All figures of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Pictures evaluated.
    pub pictures: usize,
    /// Gestures, if their ground truth was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hands: Option<HandsReport>,
    /// People's boxes, if their ground truth was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub people: Option<PeopleReport>,
    /// People's keypoints, if their ground truth was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keypoints: Option<KeypointSummary>,
}

/// Figures of gestures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HandsReport {
    /// Over all classes that have boxes.
    #[serde(flatten)]
    pub summary: BoxSummary,
    /// Over the classes without [`IDLE`].
    pub gestures: MeanPrecision,
    /// Every class.
    pub classes: Vec<ClassReport>,
    /// Gestures found where nobody makes one.
    pub false_gestures: FalseGestures,
    /// Which class is taken for which, each class cut off at its threshold of the best F1, and at 0.5 if it has none.
    pub confusion: Confusion,
    #[serde(skip)]
    evaluation: Evaluation,
}

/// Mean average precision over some classes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MeanPrecision {
    /// Classes that have boxes to find.
    pub classes: usize,
    /// Over the overlaps 0.50 to 0.95.
    pub ap: Option<f64>,
    /// At an overlap of 0.50.
    pub ap50: Option<f64>,
}

/// One class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassReport {
    /// Its name.
    pub name: String,
    /// True boxes, crowds left out.
    pub boxes: usize,
    /// Average precision over the overlaps 0.50 to 0.95.
    pub ap: Option<f64>,
    /// Average precision at an overlap of 0.50.
    pub ap50: Option<f64>,
    /// The threshold of the best F1 at an overlap of 0.50.
    pub best_f1: Option<OperatingPoint>,
}

/// Figures of people's boxes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PeopleReport {
    /// COCO's figures.
    #[serde(flatten)]
    pub summary: BoxSummary,
    /// True boxes, crowds left out.
    pub boxes: usize,
    /// The threshold of the best F1 at an overlap of 0.50.
    pub best_f1: Option<OperatingPoint>,
    #[serde(skip)]
    boxes_evaluation: Evaluation,
    #[serde(skip)]
    keypoints_evaluation: Evaluation,
}

impl ClassReport {
    fn new(figures: &CategoryFigures) -> Self {
        Self {
            name: figures.name.clone(),
            boxes: figures.objects,
            ap: figures.average_precision(None),
            ap50: figures.average_precision(Some(0.5)),
            best_f1: figures.curve.best_f1(),
        }
    }
}

impl HandsReport {
    /// Evaluates gestures.
    #[must_use]
    pub fn new(truth: &GroundTruth, found: &Detections) -> Self {
        let evaluation = evaluate(truth, found, Task::Boxes);
        let classes: Vec<ClassReport> = evaluation.categories.iter().map(ClassReport::new).collect();
        let best = |id: i64| {
            let figures = evaluation.categories.iter().find(|figures| figures.id == id)?;
            figures.curve.best_f1().map(|best| best.threshold)
        };
        let idle = truth.category(IDLE).map(|category| category.id);
        Self {
            summary: evaluation.box_summary(),
            gestures: evaluation.mean_precision(|figures| figures.name != IDLE),
            classes,
            false_gestures: FalseGestures::count(truth, found, idle, FALSE_GESTURE),
            confusion: Confusion::new(truth, found, |id| best(id).unwrap_or(0.5)),
            evaluation,
        }
    }

    /// The figures behind it, with their curves.
    #[must_use]
    pub fn evaluation(&self) -> &Evaluation {
        &self.evaluation
    }
}

impl PeopleReport {
    /// Evaluates people's boxes, and their keypoints.
    #[must_use]
    pub fn new(truth: &GroundTruth, found: &Detections) -> (Self, KeypointSummary) {
        let boxes = evaluate(truth, found, Task::Boxes);
        let keypoints = evaluate(truth, found, Task::Keypoints);
        let summary = keypoints.keypoint_summary();
        let report = Self {
            summary: boxes.box_summary(),
            boxes: boxes.categories.iter().map(|figures| figures.objects).sum(),
            best_f1: boxes.categories.first().and_then(|figures| figures.curve.best_f1()),
            boxes_evaluation: boxes,
            keypoints_evaluation: keypoints,
        };
        (report, summary)
    }

    /// The figures of boxes, with their curves.
    #[must_use]
    pub fn boxes_evaluation(&self) -> &Evaluation {
        &self.boxes_evaluation
    }

    /// The figures of keypoints, with their curves.
    #[must_use]
    pub fn keypoints_evaluation(&self) -> &Evaluation {
        &self.keypoints_evaluation
    }
}

impl Evaluation {
    fn mean_precision(&self, keep: impl Fn(&CategoryFigures) -> bool + Copy) -> MeanPrecision {
        let with_boxes =
            |figures: &&CategoryFigures| keep(figures) && figures.average_precision(None).is_some();
        MeanPrecision {
            classes: self.categories.iter().filter(with_boxes).count(),
            ap: self.average_precision(keep, None),
            ap50: self.average_precision(keep, Some(0.5)),
        }
    }
}

/// Three decimals, or a dash.
struct Figure(Option<f64>);

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => f.pad(&format!("{value:.3}")),
            None => f.pad("-"),
        }
    }
}

impl Report {
    /// The figures as Markdown tables.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut out = String::new();
        self.write_markdown(&mut out).expect("a string takes any text");
        out
    }

    fn write_markdown(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "{} pictures.\n", self.pictures)?;
        writeln!(out, "| | AP@0.50 | AP@0.50:0.95 | AR |\n|---|---|---|---|")?;
        let row = |out: &mut String, name: &str, ap50, ap, ar| {
            writeln!(out, "| {name} | {} | {} | {} |", Figure(ap50), Figure(ap), Figure(ar))
        };
        if let Some(hands) = &self.hands {
            let MeanPrecision { classes, ap, ap50 } = hands.gestures;
            let all = hands.summary;
            let with_boxes = hands.classes.iter().filter(|class| class.ap.is_some()).count();
            row(out, &format!("{with_boxes} classes of hands"), all.ap50, all.ap, all.ar_100)?;
            row(out, &format!("{classes} gestures, without `{IDLE}`"), ap50, ap, None)?;
        }
        if let Some(PeopleReport { summary, .. }) = &self.people {
            row(out, "people, boxes", summary.ap50, summary.ap, summary.ar_100)?;
        }
        if let Some(keypoints) = &self.keypoints {
            row(out, "people, keypoints (OKS)", keypoints.ap50, keypoints.ap, keypoints.ar)?;
        }
        if let Some(hands) = &self.hands {
            let FalseGestures { threshold, pictures, found, per_100_pictures } = hands.false_gestures;
            writeln!(
                out,
                "\nFalse gestures (score over {threshold}): {found} in {pictures} pictures without a gesture, {} per 100 \
                 pictures.",
                per_100_pictures.map_or("-".to_owned(), |n| format!("{n:.1}"))
            )?;
            writeln!(
                out,
                "\n| class | boxes | AP@0.50 | AP@0.50:0.95 | best F1 | threshold | precision | recall |"
            )?;
            writeln!(out, "|---|---|---|---|---|---|---|---|")?;
            for class in &hands.classes {
                let best = |of: fn(&OperatingPoint) -> f64| Figure(class.best_f1.as_ref().map(of));
                writeln!(
                    out,
                    "| {} | {} | {} | {} | {} | {} | {} | {} |",
                    class.name,
                    class.boxes,
                    Figure(class.ap50),
                    Figure(class.ap),
                    best(|best| best.f1),
                    best(|best| best.threshold),
                    best(|best| best.precision),
                    best(|best| best.recall),
                )?;
            }
        }
        if let Some(OperatingPoint { threshold, f1, precision, recall }) =
            self.people.as_ref().and_then(|people| people.best_f1)
        {
            writeln!(
                out,
                "\nPeople: best F1 {f1:.3} at threshold {threshold:.3} (precision {precision:.3}, recall {recall:.3})."
            )?;
        }
        Ok(())
    }
}
