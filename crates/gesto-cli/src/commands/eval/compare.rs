//! `--compare-resizes`: what each way to resize costs in quality.

use std::io::{self, Write};
use std::path::Path;

use anyhow::ensure;
use gesto::preprocess::exact;
use gesto::{Detector, ErrorKind, Resize};
use gesto_eval::{HandsReport, PeopleReport};
use serde::Serialize;

use super::{Args, Truth, network};
use crate::console::{self, Console};

/// Pictures whose pixels are compared: exact samples take their time.
const PICTURES: usize = 24;

/// One way to resize.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    resize: &'static str,
    /// Levels of 255 between what the network sees and the way's own definition, exact.
    #[serde(skip_serializing_if = "Option::is_none")]
    from_definition: Option<Difference>,
    /// The same from exact bilinear samples, which the network was trained on.
    #[serde(skip_serializing_if = "Option::is_none")]
    from_bilinear: Option<Difference>,
    /// Average precision over the overlaps 0.50 to 0.95: gestures, people, people's keypoints.
    gestures_ap: Option<f64>,
    people_ap: Option<f64>,
    keypoints_ap: Option<f64>,
    /// The kernel tier that ran; none beside the processor.
    isa: Option<&'static str>,
    /// Why it was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Difference {
    max: f64,
    mean: f64,
}

impl Row {
    fn skipped(resize: Resize, why: String) -> Self {
        Self {
            resize: resize.name(),
            from_definition: None,
            from_bilinear: None,
            gestures_ap: None,
            people_ap: None,
            keypoints_ap: None,
            isa: None,
            skipped: Some(why),
        }
    }
}

/// Evaluates every way that the unit has.
pub(super) fn run(args: &Args, folder: &Path, truth: &Truth, console: &Console) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for resize in Resize::ALL {
        let args = Args { resize: Some(resize), ..args.clone() };
        let mut detector = match network::detector(&args) {
            Ok(detector) if detector.resize() == resize => detector,
            Ok(other) => {
                let why = other.fallen_back().map_or_else(String::new, ToString::to_string);
                rows.push(Row::skipped(resize, why));
                continue;
            }
            Err(error) if matches!(error.kind(), ErrorKind::Unit | ErrorKind::Unsupported) => {
                rows.push(Row::skipped(resize, error.to_string()));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let found = network::run(&args, folder, truth, console)?;
        let (from_definition, from_bilinear) =
            differences(&args, &mut detector, folder, truth, resize)?.unzip();
        let hands = truth.hands.as_ref().map(|truth| HandsReport::new(truth, &found.hands));
        let people = truth.people.as_ref().map(|truth| PeopleReport::new(truth, &found.people));
        rows.push(Row {
            resize: resize.name(),
            from_definition,
            from_bilinear,
            gestures_ap: hands.and_then(|hands| hands.gestures.ap),
            people_ap: people.as_ref().and_then(|(people, _)| people.summary.ap),
            keypoints_ap: people.as_ref().and_then(|(_, keypoints)| keypoints.ap),
            isa: found.settings.as_ref().and_then(|settings| settings.isa),
            skipped: None,
        });
    }
    ensure!(rows.iter().any(|row| row.skipped.is_none()), "no way to resize is available");
    Ok(rows)
}

/// From the definition and from exact bilinear samples, over some pictures; nothing where the unit's input cannot be read.
fn differences(
    args: &Args,
    detector: &mut Detector,
    folder: &Path,
    truth: &Truth,
    resize: Resize,
) -> anyhow::Result<Option<(Difference, Difference)>> {
    let (height, width) = (args.size.height as u32, args.size.width as u32);
    let fit = args.fit.into();
    let mut sums = [Difference::default(); 2];
    let mut count = 0;
    for picture in network::some_pictures(folder, truth, PICTURES) {
        let frame = picture.as_frame()?;
        let Some(got) = detector.network_input(&frame)? else { return Ok(None) };
        for (sum, definition) in sums.iter_mut().zip([resize, Resize::CpuBilinear]) {
            let want = exact(&frame, fit, definition, height, width);
            for (got, want) in got.iter().flatten().zip(want.iter().flatten()) {
                let off = (f64::from(*got) - want).abs();
                sum.max = sum.max.max(off);
                sum.mean += off;
            }
        }
        count += 3 * got.len();
    }
    let mean = |sum: Difference| Difference { mean: sum.mean / count.max(1) as f64, ..sum };
    Ok((count > 0).then(|| (mean(sums[0]), mean(sums[1]))))
}

/// The rows as a Markdown table; average precision with its change from the first row's.
pub(super) fn print(rows: &[Row]) -> io::Result<()> {
    let mut out = console::stdout();
    if let Some(isa) = rows.iter().find_map(|row| row.isa) {
        writeln!(out, "Kernels: {isa}.\n")?;
    }
    writeln!(
        out,
        "| resize | from its definition: max, mean | from exact bilinear: max, mean | gestures AP | people AP | keypoints AP |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|")?;
    let first = rows.iter().find(|row| row.skipped.is_none());
    for row in rows {
        if let Some(why) = &row.skipped {
            writeln!(out, "| {} | left out: {why} | | | | |", row.resize)?;
            continue;
        }
        let levels = |off: Option<Difference>| {
            off.map_or("-".to_owned(), |off| format!("{:.2}, {:.3}", off.max, off.mean))
        };
        let precision = |of: fn(&Row) -> Option<f64>| match (of(row), first.and_then(of)) {
            (Some(ap), Some(first)) => format!("{ap:.4} ({:+.4})", ap - first),
            _ => "-".to_owned(),
        };
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} |",
            row.resize,
            levels(row.from_definition),
            levels(row.from_bilinear),
            precision(|row| row.gestures_ap),
            precision(|row| row.people_ap),
            precision(|row| row.keypoints_ap),
        )?;
    }
    Ok(())
}
