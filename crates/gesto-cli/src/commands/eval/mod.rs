//! `gesto eval`: how good the network is on pictures whose content is known.
//!
//! The way of the data: ground truth (COCO) -> [`network`] (pictures to results) or result files -> `gesto-eval` ->
//! tables, JSON and [`report`](report::write) (charts).

mod args;
mod compare;
mod network;
mod report;

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use gesto::{HeadInfo, Unit};
use gesto_eval::{Detections, GroundTruth, HandsReport, Image, PeopleReport, Report};
use serde::Serialize;

pub(crate) use args::{Args, Task};

use crate::console::{self, Console, counted};
use crate::json;
use crate::output;

/// Category of people, where the ground truth has more than one.
const PERSON: &str = "person";

/// The ground truth of both heads; at least one of them is there.
#[derive(Debug)]
pub(crate) struct Truth {
    hands: Option<GroundTruth>,
    people: Option<GroundTruth>,
}

impl Truth {
    /// Reads the gestures' and the people's file.
    pub(crate) fn read(hands: Option<&Path>, people: Option<&Path>) -> anyhow::Result<Self> {
        let read = |path: &Path| -> anyhow::Result<GroundTruth> {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            let truth = GroundTruth::from_json(&text).with_context(|| path.display().to_string())?;
            ensure!(!truth.images().is_empty(), "{}: no images in it", path.display());
            Ok(truth)
        };
        Ok(Self { hands: hands.map(read).transpose()?, people: people.map(read).transpose()? })
    }

    /// Fails when none of its pictures is in the folder.
    pub(crate) fn check_folder(&self, folder: &Path) -> anyhow::Result<()> {
        ensure!(folder.is_dir(), "--images {}: there is no such folder", folder.display());
        ensure!(
            self.images().any(|image| folder.join(&image.file_name).exists()),
            "--images {}: none of the pictures that the ground truth names is in this folder",
            folder.display()
        );
        Ok(())
    }

    /// The pictures of both files; many are in both.
    fn images(&self) -> impl Iterator<Item = &Image> {
        [&self.hands, &self.people].into_iter().flatten().flat_map(GroundTruth::images)
    }

    /// Fails when the network cannot find what it names.
    pub(crate) fn check_heads(&self, heads: &[HeadInfo]) -> anyhow::Result<()> {
        let classes = heads.iter().filter(|head| head.keypoints == 0).flat_map(|head| &head.classes);
        let known = |hands: &GroundTruth| classes.into_iter().any(|name| hands.category(name).is_some());
        ensure!(
            self.hands.as_ref().is_none_or(known),
            "no category of the hands' ground truth is called like one of the model's classes"
        );
        ensure!(
            self.people.is_none() || heads.iter().any(|head| head.keypoints > 0),
            "the model has no head that finds people"
        );
        self.person().map(drop)
    }

    /// The category that people have in their ground truth.
    fn person(&self) -> anyhow::Result<Option<i64>> {
        let Some(people) = &self.people else { return Ok(None) };
        let category = match people.categories() {
            [only] => Some(only),
            _ => people.category(PERSON),
        };
        let category =
            category.with_context(|| format!("the people's ground truth has no category {PERSON:?}"))?;
        Ok(Some(category.id))
    }
}

/// What was found, in COCO's result format, and how.
struct Found {
    hands: Detections,
    people: Detections,
    settings: Option<network::Settings>,
    /// Pictures that could not be read; their objects count as not found.
    unreadable: usize,
}

impl Found {
    /// Takes result files for what the network would have found.
    fn read(args: &Args, truth: &Truth, console: &Console) -> anyhow::Result<Self> {
        // Image ids are checked against either ground truth; both describe the same pictures.
        let images = truth.hands.as_ref().or(truth.people.as_ref()).expect("the command line asks for one");
        let (mut hands, mut people) = (Vec::new(), Vec::new());
        for path in &args.results {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            let all = Detections::from_json(&text, images).with_context(|| path.display().to_string())?;
            let (without, with) = match truth.person()? {
                // People's boxes alone, when nothing else is asked for.
                Some(_) if truth.hands.is_none() && !all.has_keypoints() => (Detections::default(), all),
                person => all.split_people(person.unwrap_or_default()),
            };
            for (truth, found) in [(&truth.hands, &without), (&truth.people, &with)] {
                if let Some(truth) = truth {
                    check_categories(path, truth, found, console)?;
                }
            }
            hands.extend_from_slice(without.as_slice());
            people.extend_from_slice(with.as_slice());
        }
        let (hands, people) = (Detections::new(hands), Detections::new(people));
        Ok(Self { hands, people, settings: None, unreadable: 0 })
    }
}

/// Results of a category that the ground truth does not have count for nothing: told, and refused where all of them are so.
fn check_categories(
    path: &Path,
    truth: &GroundTruth,
    found: &Detections,
    console: &Console,
) -> anyhow::Result<()> {
    let known: HashSet<_> = truth.categories().iter().map(|category| category.id).collect();
    let of_results: Vec<_> = found.as_slice().iter().map(|found| found.category_id).collect();
    let unknown: Vec<_> = of_results.iter().filter(|id| !known.contains(id)).collect();
    let Some(first) = unknown.first() else { return Ok(()) };
    let (path, all) = (path.display(), of_results.len());
    let range = match truth.categories() {
        [] => "none".to_owned(),
        [only] => only.id.to_string(),
        [first, .., last] => format!("{} to {}", first.id, last.id),
    };
    let many = match unknown.len() {
        count if count == all => format!("{path}: none of its {all} results has"),
        count => format!("{path}: {count} of its {all} results do not have"),
    };
    let text = format!("{many} a category of the ground truth (they have {first}; it has {range})");
    ensure!(unknown.len() < all, text);
    console.problem(format!("warning: {text}: they count for nothing"));
    Ok(())
}

/// The JSON object: how it was measured, then the figures.
#[derive(Serialize)]
struct Measured<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<&'a network::Settings>,
    unreadable: usize,
    #[serde(flatten)]
    report: &'a Report,
}

impl Measured<'_> {
    /// The tables, below what they were measured with.
    fn to_markdown(&self) -> String {
        let settings = self.settings.map_or(String::new(), |settings| format!("{settings}\n\n"));
        settings + &self.report.to_markdown()
    }
}

/// The report on one network, not yet written anywhere, and how many pictures could not be read.
pub(crate) fn measure(task: Task<'_>, console: &Console) -> anyhow::Result<(Report, usize)> {
    let (report, found) = report(&Args::from(task), task.truth, console)?;
    Ok((report, found.unreadable))
}

fn report(args: &Args, truth: &Truth, console: &Console) -> anyhow::Result<(Report, Found)> {
    let found = match &args.images {
        Some(folder) => network::run(args, folder, truth, console)?,
        None => Found::read(args, truth, console)?,
    };
    let hands = truth.hands.as_ref().map(|truth| HandsReport::new(truth, &found.hands));
    let people = truth.people.as_ref().map(|truth| PeopleReport::new(truth, &found.people));
    let (people, keypoints) = people.unzip();
    let pictures = [&truth.hands, &truth.people].into_iter().flatten().map(|truth| truth.images().len());
    Ok((Report { pictures: pictures.max().unwrap_or(0), hands, people, keypoints }, found))
}

pub(crate) fn run(args: &Args, console: &Console) -> anyhow::Result<ExitCode> {
    if let Some(isa) = args.isa.filter(|_| args.unit.unit != Unit::Cpu) {
        bail!("--isa {isa} names kernels of the processor, and --unit {} runs others", args.unit.unit);
    }
    let truth = Truth::read(args.hands.as_deref(), args.people.as_deref())?;
    args.images.as_deref().map(|folder| truth.check_folder(folder)).transpose()?;
    refuse_overwriting(args, &truth)?;
    let json = json::Report::open(args.json.as_deref())?;
    args.report.as_deref().map(output::check_folder).transpose()?;
    if let (true, Some(folder)) = (args.compare_resizes, &args.images) {
        return compare_resizes(args, folder, &truth, &json, console);
    }
    let (report, found) = report(args, &truth, console)?;
    let measured =
        Measured { settings: found.settings.as_ref(), unreadable: found.unreadable, report: &report };
    // Each of the three is tried, whatever becomes of the others: the figures took minutes.
    let reported = args.report.as_deref().map(|folder| {
        report::write(folder, &measured, &found)
            .with_context(|| format!("cannot write the report to {}", folder.display()))
    });
    let written = json.write(&measured);
    if !json::on_stdout(args.json.as_deref()) {
        print(&measured)?;
    }
    reported.transpose()?;
    written?;
    if found.unreadable > 0 {
        let count = counted(found.unreadable as u64, "picture", "pictures");
        console.problem(format!("{count} could not be read: what is shown there counts as not found"));
        return Ok(ExitCode::from(crate::EXIT_PARTLY));
    }
    Ok(ExitCode::SUCCESS)
}

/// The files read must not be those written, and these must not be the same.
fn refuse_overwriting(args: &Args, truth: &Truth) -> anyhow::Result<()> {
    let files = args.results.iter().chain(&args.hands).chain(&args.people);
    let mut read: Vec<_> = files.chain(&args.model).chain(&args.unit.ort_library).cloned().collect();
    if let Some(folder) = &args.images {
        read.extend(truth.images().map(|image| folder.join(&image.file_name)));
    }
    let mut written: Vec<_> = json::file(args.json.as_deref()).map(Path::to_owned).into_iter().collect();
    if let Some(folder) = &args.report {
        written.extend(report::FILES.map(|name| folder.join(name)));
    }
    let written: Vec<_> = written.iter().map(PathBuf::as_path).collect();
    output::ensure_distinct(&written)?;
    output::refuse_overwriting(&written, &read)
}

fn compare_resizes(
    args: &Args,
    folder: &Path,
    truth: &Truth,
    json: &json::Report,
    console: &Console,
) -> anyhow::Result<ExitCode> {
    let rows = compare::run(args, folder, truth, console)?;
    let written = json.write(&rows);
    if !json::on_stdout(args.json.as_deref()) {
        compare::print(&rows)?;
    }
    written?;
    Ok(ExitCode::SUCCESS)
}

fn print(measured: &Measured<'_>) -> io::Result<()> {
    console::stdout().write_all(measured.to_markdown().as_bytes())
}
