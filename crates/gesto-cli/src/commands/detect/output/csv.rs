//! A table: one row for each detection, keypoints in columns of their own.

use std::path::Path;

use anyhow::Context;
use csv::{Writer, WriterBuilder};
use gesto::KeypointName;
use gesto::Rect;
use gesto::record::Line;

use super::target::Target;

/// Columns before the keypoints'.
const COLUMNS: [&str; 12] =
    ["source", "frame", "timestamp_ms", "width", "height", "kind", "label", "score", "x", "y", "w", "h"];

pub(super) struct Csv {
    target: Target,
}

impl Csv {
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let mut csv = Self { target: Target::create(path)? };
        let mut rows = rows();
        let points = KeypointName::ALL
            .iter()
            .flat_map(|name| ["x", "y", "score"].map(|part| format!("{name}_{part}")));
        rows.write_record(COLUMNS.map(str::to_owned).into_iter().chain(points))?;
        csv.flush(rows)?;
        Ok(csv)
    }

    pub(super) fn write(&mut self, line: &Line) -> anyhow::Result<()> {
        let mut rows = rows();
        for hand in &line.hands {
            let none = KeypointName::ALL.iter().flat_map(|_| [const { String::new() }; 3]);
            let start = start(line, "hand", hand.gesture.as_str(), hand.score, hand.bbox);
            rows.write_record(start.into_iter().chain(none))?;
        }
        for person in &line.people {
            let points = person
                .keypoints
                .iter()
                .flat_map(|point| [point.x, point.y, point.score].map(|number| number.to_string()));
            let start = start(line, "person", "person", person.score, person.bbox);
            rows.write_record(start.into_iter().chain(points))?;
        }
        self.flush(rows)
    }

    fn flush(&mut self, rows: Writer<Vec<u8>>) -> anyhow::Result<()> {
        self.target.write(&rows.into_inner().context("cannot make a table row")?)
    }
}

fn rows() -> Writer<Vec<u8>> {
    WriterBuilder::new().from_writer(Vec::new())
}

fn start(line: &Line, kind: &str, label: &str, score: f32, bbox: Rect) -> [String; 12] {
    [
        line.source.clone(),
        line.frame.to_string(),
        line.timestamp_ms.map(|time| time.to_string()).unwrap_or_default(),
        line.width.to_string(),
        line.height.to_string(),
        kind.to_owned(),
        label.to_owned(),
        score.to_string(),
        bbox.x.to_string(),
        bbox.y.to_string(),
        bbox.w.to_string(),
        bbox.h.to_string(),
    ]
}
