//! The flags of `gesto detect`.

use std::path::PathBuf;

use clap::ValueEnum;
use gesto::Resize;

use crate::unit::UnitArgs;
use crate::values::{Size, fraction, threads};

/// Find gestures and people in pictures and clips
///
/// Coordinates are pixels of the original picture. Exit code: 0 all done; 1 some inputs failed, the rest was done; 2
/// nothing done; 130 interrupted.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Picture, clip (GIF, Y4M, MJPEG; others through ffmpeg), folder, glob pattern, or `-` for standard input
    #[arg(value_name = "INPUT", required = true)]
    pub(crate) inputs: Vec<String>,

    /// Network input; both sides are multiples of 32
    #[arg(
        long,
        value_name = "HxW",
        default_value = "320x224",
        allow_hyphen_values = true,
        help_heading = "Network"
    )]
    pub(crate) size: Size,

    /// Turn the network input to lie as the picture does: swap the sides of --size for pictures that are wider than
    /// tall (for taller ones, if --size is wide)
    #[arg(long, help_heading = "Network")]
    pub(crate) turn: bool,

    /// How the picture is fitted to the network input
    #[arg(long, value_enum, default_value_t, help_heading = "Network")]
    pub(crate) fit: FitArg,

    /// How the picture is resized, and where: fused, cpu-bilinear, cpu-nearest, cpu-area, gpu-bilinear, gpu-nearest,
    /// graph-bilinear, graph-gather, graph-conv, custom-op, two-models, one-model [default: what suits the unit]
    #[arg(long, value_name = "NAME", help_heading = "Network")]
    pub(crate) resize: Option<Resize>,

    #[command(flatten)]
    pub(crate) unit: UnitArgs,

    /// Threads that share a frame, up to 256 [default: one for each core]
    #[arg(long, value_name = "N", value_parser = threads, help_heading = "Network")]
    pub(crate) threads: Option<usize>,

    /// Model file (safetensors) instead of the embedded one
    #[arg(long, value_name = "FILE", help_heading = "Network")]
    pub(crate) model: Option<PathBuf>,

    /// Least probability of a gesture
    #[arg(long, value_name = "P", default_value = "0.3", value_parser = fraction, allow_negative_numbers = true, help_heading = "Thresholds")]
    pub(crate) conf_hand: f32,

    /// Least probability of a person
    #[arg(long, value_name = "P", default_value = "0.5", value_parser = fraction, allow_negative_numbers = true, help_heading = "Thresholds")]
    pub(crate) conf_body: f32,

    /// Overlap (IoU) above which the weaker of two equal gestures is dropped
    #[arg(long, value_name = "IOU", default_value = "0.4", value_parser = fraction, allow_negative_numbers = true, help_heading = "Thresholds")]
    pub(crate) iou_hand: f32,

    /// Overlap (IoU) above which the weaker of two people is dropped
    #[arg(long, value_name = "IOU", default_value = "0.3", value_parser = fraction, allow_negative_numbers = true, help_heading = "Thresholds")]
    pub(crate) iou_body: f32,

    /// Write one JSON line for each frame; `-` is standard output
    #[arg(long, value_name = "FILE|-", help_heading = "Output")]
    pub(crate) json: Option<PathBuf>,

    /// Write COCO results: gestures are categories 1 to 19, people with keypoints category 20
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) coco: Option<PathBuf>,

    /// Write COCO results of the people alone, as category 1 like COCO's own keypoint task
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) coco_people: Option<PathBuf>,

    /// Take the COCO image ids from this annotation file, by file name
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) coco_images: Option<PathBuf>,

    /// Write a table with one row for each detection; `-` is standard output
    #[arg(long, value_name = "FILE|-", help_heading = "Output")]
    pub(crate) csv: Option<PathBuf>,

    /// Write annotated pictures and clips: a file for one input, a folder for several
    #[arg(long, value_name = "FILE|DIR", help_heading = "Output")]
    pub(crate) save: Option<PathBuf>,

    /// Print how long each stage took
    #[arg(long, help_heading = "Output")]
    pub(crate) show_timing: bool,
}

/// Command-line names of the ways to fit a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum FitArg {
    /// Keep the picture's proportions and fill the rest with grey
    #[default]
    Letterbox,
    /// Fill the network input, proportions be what they may
    Stretch,
}

impl From<FitArg> for gesto::Fit {
    fn from(fit: FitArg) -> Self {
        match fit {
            FitArg::Letterbox => Self::Letterbox,
            FitArg::Stretch => Self::Stretch,
        }
    }
}
