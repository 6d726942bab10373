//! `gesto model quantize`: scales for the 8-bit kernels, and what these cost in accuracy.
//!
//! The way of the data: pictures -> the network's input -> [`Calibration`] -> a copy of the model with scales -> both
//! models on the same pictures ([`loss`]), and on annotated ones.

mod loss;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, bail, ensure};
use gesto::preprocess::Preprocessor;
use gesto::{HeadInfo, Isa, Model, Resize};
use gesto_engine::Calibration;
use gesto_engine::isa::{Detected, Wish};
use gesto_engine::model::ActivationScales;
use gesto_eval::Report;
use gesto_media::source::{self, Input};
use gesto_media::{Limits, Picture};

use crate::commands::detect::FitArg;
use crate::commands::eval;
use crate::console::{self, Console, Failures, counted};
use crate::output::{self, OutputFile};
use crate::values::Size;
use crate::weights;

/// Find scales for the 8-bit kernels on pictures, and tell what they cost
///
/// Writes a copy of the model with the scales in it. That copy runs everywhere as before; with `--isa amx-int8` or
/// `avx512-vnni` (or GESTO_ISA) it runs on the 8-bit kernels. Prints how the detections change on the same pictures, and
/// average precision before and after when annotations are given; where GESTO_ISA leaves no tier for one of the two, it
/// says so instead. Exit code: 0 all done; 1 some pictures could not be read and were left out; 2 nothing done.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder of pictures like those that the model will see
    #[arg(long, value_name = "DIR")]
    images: PathBuf,

    /// Model file (safetensors) to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// Model to quantise instead of the embedded one
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,

    /// Network input; both sides are multiples of 32
    #[arg(long, value_name = "HxW", default_value = "320x224")]
    size: Size,

    /// How pictures are fitted to the network input
    #[arg(long, value_enum, default_value_t)]
    fit: FitArg,

    /// Pictures to use at most, spread evenly over the folder
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pictures: u32,

    /// Ground truth of the gestures in the folder (COCO), for average precision before and after
    #[arg(long, value_name = "FILE")]
    hands: Option<PathBuf>,

    /// Ground truth of the people in the folder (COCO), likewise
    #[arg(long, value_name = "FILE")]
    people: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, console: &Console) -> anyhow::Result<ExitCode> {
    let pictures = pictures(args)?;
    refuse_overwriting(args, &pictures)?;
    let tiers = Tiers::new(&Wish::from_env()?);
    let model = weights::load(args.model.as_deref())?;
    let inputs = chosen(args, &pictures);
    let truth = truth(args, &model)?;
    if let (Err(why), true) = (&tiers, truth.is_some()) {
        bail!("average precision before and after cannot be measured: {why}");
    }
    let out = OutputFile::check(&args.out)?;
    let (scales, pictures) = calibrate(args, &model, &inputs, console)?;
    let mut unreadable = inputs.len() - pictures.len();
    let file = model.to_bytes_with_scales(&scales)?;
    out.write(&file)?;
    let quantised = Model::from_bytes(file)?;

    let mut out = console::stdout();
    writeln!(
        out,
        "{}: scales of {} from {}",
        args.out.display(),
        counted(scales.len() as u64, "map", "maps"),
        counted(pictures.len() as u64, "picture", "pictures")
    )?;
    let Tiers { exact, int8 } = match tiers {
        Ok(tiers) => tiers,
        Err(why) => {
            writeln!(out, "\nnot compared with the model before: {why}")?;
            return Ok(code(unreadable));
        }
    };
    let setup = loss::Setup { size: args.size, fit: args.fit.into() };
    let loss = loss::measure((model, exact), (quantised, int8), &setup, &pictures)?;
    write!(out, "\n{int8} against {exact} on these pictures\n{loss}")?;
    if let Some(truth) = &truth {
        let (before, _) = evaluate(args, truth, args.model.as_deref(), exact, console)?;
        let (after, missed) = evaluate(args, truth, Some(&args.out), int8, console)?;
        unreadable += missed;
        write!(out, "\n{:26} {:>12} {:>12}\n", "average precision", exact.name(), int8.name())?;
        for (name, figure) in FIGURES {
            if let (Some(before), Some(after)) = (figure(&before), figure(&after)) {
                writeln!(out, "{name:26} {before:>12.3} {after:>12.3} {:>+8.3}", after - before)?;
            }
        }
    }
    Ok(code(unreadable))
}

/// The exit code when so many pictures could not be read.
fn code(unreadable: usize) -> ExitCode {
    if unreadable > 0 { ExitCode::from(crate::EXIT_PARTLY) } else { ExitCode::SUCCESS }
}

/// What is read must not be what is written; a model may be replaced by its own copy with scales.
fn refuse_overwriting(args: &Args, pictures: &[Input]) -> anyhow::Result<()> {
    let pictures = pictures.iter().filter_map(|input| match input {
        Input::File(path) => Some(path),
        _ => None,
    });
    let read: Vec<_> = pictures.chain(&args.hands).chain(&args.people).cloned().collect();
    output::refuse_overwriting(&[&args.out], &read)
}

/// The annotations, if any, which suit the pictures and the model: better told before the long work than after it.
fn truth(args: &Args, model: &Model) -> anyhow::Result<Option<eval::Truth>> {
    if args.hands.is_none() && args.people.is_none() {
        return Ok(None);
    }
    let truth = eval::Truth::read(args.hands.as_deref(), args.people.as_deref())?;
    truth.check_folder(&args.images)?;
    let heads: Vec<_> = model.graph().heads.iter().map(HeadInfo::from).collect();
    truth.check_heads(&heads)?;
    Ok(Some(truth))
}

/// A figure of a report by name.
type Figure = (&'static str, fn(&Report) -> Option<f64>);

const FIGURES: [Figure; 6] = [
    ("gestures, IoU 0.50", |r| r.hands.as_ref()?.gestures.ap50),
    ("gestures, IoU 0.50-0.95", |r| r.hands.as_ref()?.gestures.ap),
    ("people, IoU 0.50", |r| r.people.as_ref()?.summary.ap50),
    ("people, IoU 0.50-0.95", |r| r.people.as_ref()?.summary.ap),
    ("keypoints, OKS 0.50", |r| r.keypoints.as_ref()?.ap50),
    ("keypoints, OKS 0.50-0.95", |r| r.keypoints.as_ref()?.ap),
];

/// What the two models are compared on: the fastest f32 tier here, and the fastest 8-bit one, which all give the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tiers {
    exact: Isa,
    int8: Isa,
}

impl Tiers {
    /// Those that the wish leaves, or why there are none.
    fn new(wish: &Wish) -> Result<Self, String> {
        let detected = Detected::get();
        let fits =
            |isa: &Isa| wish.allows(*isa) && detected.missing(*isa).is_none() && !detected.is_emulated(*isa);
        let first = |tiers: [Isa; 3], kind: &str| {
            let found = tiers.into_iter().find(fits);
            found.ok_or_else(|| format!("GESTO_ISA leaves no {kind} tier of this machine"))
        };
        Ok(Self {
            exact: first([Isa::Avx512F32, Isa::Avx2F32, Isa::Portable], "f32")?,
            int8: first([Isa::AmxInt8, Isa::Avx512Vnni, Isa::PortableInt8], "8-bit")?,
        })
    }
}

/// The folder's pictures, not yet read.
fn pictures(args: &Args) -> anyhow::Result<Vec<Input>> {
    ensure!(args.images.is_dir(), "`{}` is not a folder", args.images.display());
    let inputs = source::expand(&[args.images.to_string_lossy()], false);
    Ok(inputs.into_iter().collect::<Result<Vec<_>, _>>()?)
}

/// As many as are asked for. Each is read when its turn comes, so that memory holds a few at a time.
fn chosen(args: &Args, pictures: &[Input]) -> Vec<Input> {
    let most = (args.pictures as usize).min(pictures.len());
    (0..most).map(|i| pictures[i * pictures.len() / most].clone()).collect()
}

fn read(input: &Input) -> anyhow::Result<Picture> {
    let mut source = source::open(input.clone(), &Limits::default())?;
    let shot = source.next_frame()?.context("there is no picture in it")?;
    Ok(shot.picture)
}

/// Counts on all cores, each with pictures of its own. With the scales, the pictures that could be read; the others are
/// named and left out.
fn calibrate<'a>(
    args: &Args,
    model: &Model,
    inputs: &'a [Input],
    console: &Console,
) -> anyhow::Result<(ActivationScales, Vec<&'a Input>)> {
    let Size { height, width } = args.size;
    let next = AtomicUsize::new(0);
    let failures = Failures::new(console);
    let work = || -> anyhow::Result<(Calibration<'_>, Vec<usize>)> {
        let mut calibration = Calibration::new(model);
        let mut preprocessor =
            Preprocessor::new(height as u32, width as u32, args.fit.into(), Resize::CpuBilinear)?;
        let mut pixels = vec![0; 3 * height * width];
        let mut readable = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(input) = inputs.get(number) else { return Ok((calibration, readable)) };
            match read(input) {
                Ok(picture) => {
                    preprocessor.run(&picture.as_frame()?, &mut pixels);
                    calibration.add(&pixels, height, width);
                    readable.push(number);
                }
                Err(error) => failures.add(&error),
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(inputs.len());
    let counted = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, _>| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        workers.into_iter().map(join).collect::<anyhow::Result<Vec<_>>>()
    })?;
    failures.rest("pictures");
    let mut all = Calibration::new(model);
    let mut readable = Vec::new();
    for (part, numbers) in counted {
        all.merge(part);
        readable.extend(numbers);
    }
    ensure!(!readable.is_empty(), "no picture in `{}` could be read", args.images.display());
    // The cores took them in turns.
    readable.sort_unstable();
    Ok((all.scales(), readable.into_iter().map(|number| &inputs[number]).collect()))
}

/// The figures, and how many pictures could not be read.
fn evaluate(
    args: &Args,
    truth: &eval::Truth,
    model: Option<&Path>,
    isa: Isa,
    console: &Console,
) -> anyhow::Result<(Report, usize)> {
    let task = eval::Task { images: &args.images, truth, model, size: args.size, fit: args.fit, isa };
    eval::measure(task, console)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_keep_to_the_wish() {
        let tiers = |text: &str| Tiers::new(&text.parse().unwrap());
        let plain = tiers("-avx512-f32,-avx2-f32,-amx-int8,-avx512-vnni").unwrap();
        assert_eq!(plain, Tiers { exact: Isa::Portable, int8: Isa::PortableInt8 });
        assert!(tiers("portable").unwrap_err().contains("no 8-bit tier"));
        assert!(tiers("portable-int8").unwrap_err().contains("no f32 tier"));
    }
}
