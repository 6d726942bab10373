//! The flags of `gesto eval`.

use std::path::{Path, PathBuf};

use gesto::Resize;
use gesto_engine::Isa;

use super::Truth;
use crate::commands::detect::FitArg;
use crate::unit::UnitArgs;
use crate::values::{Size, fraction};

const CONF: f32 = 0.001;
const IOU_HAND: f32 = 0.4;
const IOU_BODY: f32 = 0.3;

/// What says how the network runs.
const RUN: [&str; 15] = [
    "size",
    "turn",
    "fit",
    "resize",
    "compare_resizes",
    "unit",
    "unit_fallback",
    "post",
    "tune",
    "ort_library",
    "isa",
    "model",
    "conf",
    "iou_hand",
    "iou_body",
];

/// Measure quality on pictures whose content is known
///
/// Ground truth is in COCO's annotation format. Average precision is computed as by pycocotools; annotations with
/// iscrowd count neither way. Exit code: 0 all done; 1 some pictures could not be read and count as empty; 2 nothing
/// done.
#[derive(Debug, Clone, clap::Args)]
#[command(group(clap::ArgGroup::new("truth").args(["hands", "people"]).multiple(true).required(true)))]
// Stored results are what some network found: nothing here would change them.
#[command(group(clap::ArgGroup::new("run").args(RUN).multiple(true).conflicts_with("results")))]
#[command(group(clap::ArgGroup::new("found").args(["images", "results"]).required(true)))]
pub(crate) struct Args {
    /// Folder of the pictures that the ground truth names
    #[arg(long, value_name = "DIR")]
    pub(crate) images: Option<PathBuf>,

    /// Ground truth of the gestures; categories are called as the model's classes
    #[arg(long, value_name = "FILE")]
    pub(crate) hands: Option<PathBuf>,

    /// Ground truth of people, with COCO's 17 keypoints
    #[arg(long, value_name = "FILE")]
    pub(crate) people: Option<PathBuf>,

    /// Evaluate COCO result files instead of running the network; entries with keypoints are people
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) results: Vec<PathBuf>,

    /// Network input; both sides are multiples of 32
    #[arg(long, value_name = "HxW", default_value = "320x224", help_heading = "Network")]
    pub(crate) size: Size,

    /// Turn the network input to lie as the picture does: swap the sides of --size for pictures that are wider than
    /// tall (for taller ones, if --size is wide)
    #[arg(long, help_heading = "Network")]
    pub(crate) turn: bool,

    /// How pictures are fitted to the network input
    #[arg(long, value_enum, default_value_t, help_heading = "Network")]
    pub(crate) fit: FitArg,

    /// How the picture is resized, and where: fused, cpu-bilinear, cpu-nearest, cpu-area, gpu-bilinear, gpu-nearest,
    /// graph-bilinear, graph-gather, graph-conv, custom-op, two-models, one-model [default: what suits the unit]
    #[arg(long, value_name = "NAME", help_heading = "Network")]
    pub(crate) resize: Option<Resize>,

    /// Measure every way to resize that the unit has: how far pixels are from the exact ones, and average precision
    #[arg(long, requires = "images", conflicts_with_all = ["resize", "report", "turn"], help_heading = "Network")]
    pub(crate) compare_resizes: bool,

    #[command(flatten)]
    pub(crate) unit: UnitArgs,

    /// Kernel tier of the unit cpu [default: the fastest that this machine has, or what GESTO_ISA says]
    #[arg(long, value_name = "NAME", help_heading = "Network")]
    pub(crate) isa: Option<Isa>,

    /// Model file (safetensors) instead of the embedded one
    #[arg(long, value_name = "FILE", help_heading = "Network")]
    pub(crate) model: Option<PathBuf>,

    /// Least probability of a gesture or person; lower than for `detect`, because curves need the weak ones too
    #[arg(long, value_name = "P", default_value_t = CONF, value_parser = fraction, help_heading = "Thresholds")]
    pub(crate) conf: f32,

    /// Overlap (IoU) above which the weaker of two equal gestures is dropped
    #[arg(long, value_name = "IOU", default_value_t = IOU_HAND, value_parser = fraction, help_heading = "Thresholds")]
    pub(crate) iou_hand: f32,

    /// Overlap (IoU) above which the weaker of two people is dropped
    #[arg(long, value_name = "IOU", default_value_t = IOU_BODY, value_parser = fraction, help_heading = "Thresholds")]
    pub(crate) iou_body: f32,

    /// Write all figures as one JSON object; `-` is standard output, in place of the tables
    #[arg(long, value_name = "FILE|-", help_heading = "Output")]
    pub(crate) json: Option<PathBuf>,

    /// Write tables, figures, charts (SVG and PNG) and what was found (COCO results) into this folder
    #[arg(long, visible_alias = "charts", value_name = "DIR", help_heading = "Output")]
    pub(crate) report: Option<PathBuf>,
}

/// What another command wants measured; all else is as by default.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Task<'a> {
    pub(crate) images: &'a Path,
    pub(crate) truth: &'a Truth,
    /// `None`: the embedded one.
    pub(crate) model: Option<&'a Path>,
    pub(crate) size: Size,
    pub(crate) fit: FitArg,
    pub(crate) isa: Isa,
}

impl From<Task<'_>> for Args {
    fn from(task: Task<'_>) -> Self {
        let owned = |path: Option<&Path>| path.map(Path::to_owned);
        Self {
            images: owned(Some(task.images)),
            // They are read already.
            hands: None,
            people: None,
            results: Vec::new(),
            size: task.size,
            turn: false,
            fit: task.fit,
            resize: None,
            compare_resizes: false,
            unit: UnitArgs::default(),
            isa: Some(task.isa),
            model: owned(task.model),
            conf: CONF,
            iou_hand: IOU_HAND,
            iou_body: IOU_BODY,
            json: None,
            report: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use crate::cli::Cli;

    #[test]
    fn all_that_says_how_a_network_runs_conflicts_with_stored_results() {
        let mut command = Cli::command();
        command.build();
        let eval = command.find_subcommand("eval").unwrap();
        let of_run = ["Network", "Unit", "Thresholds"];
        let args = eval.get_arguments();
        let args: Vec<_> =
            args.filter(|arg| of_run.contains(&arg.get_help_heading().unwrap_or(""))).collect();
        assert!(args.len() > 10);
        for arg in args {
            let line = ["gesto", "eval", "--people", "truth", "--results", "found"].map(String::from);
            let flag = format!("--{}", arg.get_long().unwrap());
            let value = match arg.get_id().as_str() {
                "size" => "320x224",
                "fit" => "stretch",
                "resize" => "fused",
                "isa" => "portable",
                "unit" | "unit_fallback" | "post" => "cpu",
                _ => "0",
            };
            let mut line = Vec::from(line);
            line.push(if arg.get_action().takes_values() { format!("{flag}={value}") } else { flag.clone() });
            let error = Cli::command().try_get_matches_from(&line).expect_err(&flag);
            // The flag that compares asks for pictures, which stored results exclude.
            let kind = error.kind();
            assert!(kind == clap::error::ErrorKind::ArgumentConflict, "{line:?}: {error}");
        }
    }
}
