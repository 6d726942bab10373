//! The report's folder: tables, figures, charts, and what was found as COCO results.

use std::path::Path;

use gesto_eval::Detection;
use gesto_eval::charts::{Chart, Font};
use serde::Serialize;

use super::{Found, Measured};
use crate::output::{self, OutputFile};

/// Every file that a report may have.
pub(super) const FILES: [&str; 12] = [
    "report.md",
    "report.json",
    "hands-precision-recall.svg",
    "hands-precision-recall.png",
    "hands-confusion.svg",
    "hands-confusion.png",
    "hands-results.json",
    "people-precision-recall.svg",
    "people-precision-recall.png",
    "keypoints-precision-recall.svg",
    "keypoints-precision-recall.png",
    "people-results.json",
];

/// An entry of a COCO result file, for pycocotools and other readers.
#[derive(Serialize)]
struct Entry {
    image_id: i64,
    category_id: i64,
    bbox: [f64; 4],
    score: f64,
    /// `x, y, 1` of each keypoint.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    keypoints: Vec<f64>,
}

/// Writes the folder.
pub(super) fn write(folder: &Path, measured: &Measured<'_>, found: &Found) -> anyhow::Result<()> {
    output::check_folder(folder)?;
    let report = measured.report;
    put(&folder.join("report.json"), serde_json::to_string_pretty(measured)? + "\n")?;
    let mut text = measured.to_markdown();
    let font = Font::new(gesto_media::draw::FONT)?;
    let mut draw = |name: &str, title: &str, chart: Chart<'_>| -> anyhow::Result<()> {
        put(&folder.join(format!("{name}.svg")), chart.to_svg(title, font)?)?;
        put(&folder.join(format!("{name}.png")), chart.to_png(title, font)?)?;
        text.push_str(&format!("\n![{title}]({name}.svg)\n"));
        Ok(())
    };
    if let Some(hands) = &report.hands {
        let title = "Gestures: precision against recall, IoU 0.5";
        draw("hands-precision-recall", title, Chart::PrecisionRecall(hands.evaluation()))?;
        let title = "Gestures: confusion at the best thresholds";
        draw("hands-confusion", title, Chart::Confusion(&hands.confusion))?;
        write_results(&folder.join("hands-results.json"), found.hands.as_slice())?;
    }
    if let Some(people) = &report.people {
        let title = "People: precision against recall, IoU 0.5";
        draw("people-precision-recall", title, Chart::PrecisionRecall(people.boxes_evaluation()))?;
        let title = "Keypoints: precision against recall, OKS 0.5";
        draw("keypoints-precision-recall", title, Chart::PrecisionRecall(people.keypoints_evaluation()))?;
        write_results(&folder.join("people-results.json"), found.people.as_slice())?;
    }
    put(&folder.join("report.md"), text)
}

/// Writes a file of the folder, whole or not at all.
fn put(path: &Path, content: impl AsRef<[u8]>) -> anyhow::Result<()> {
    debug_assert!(path.file_name().is_some_and(|name| FILES.iter().any(|file| name == *file)), "{path:?}");
    OutputFile::check(path)?.write(content.as_ref())
}

fn write_results(path: &Path, found: &[Detection]) -> anyhow::Result<()> {
    let entries: Vec<Entry> = found
        .iter()
        .map(|found| Entry {
            image_id: found.image_id,
            category_id: found.category_id,
            bbox: found.bbox,
            score: found.score,
            keypoints: found.keypoints.iter().flat_map(|&[x, y]| [x, y, 1.0]).collect(),
        })
        .collect();
    put(path, serde_json::to_string(&entries)? + "\n")
}
