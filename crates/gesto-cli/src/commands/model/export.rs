//! `gesto model export`: the network as a file for other runtimes.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use gesto_onnx::{Fit, Method, Options, Precision, Resize, export};

use crate::commands::detect::FitArg;
use crate::console::{self, Console};
use crate::output::{self, OutputFile};
use crate::values::{FrameSize, STDOUT, Size};
use crate::weights;

/// Write the network as a file for other runtimes
///
/// ONNX: static shapes, opset 17, input `images` (1 x 3 x H x W, RGB, 0 to 1). Each head is an output, 1 x C x A: cx, cy, w, h
/// in pixels of the input, class probabilities, then x, y, visibility of each keypoint. Suppression (NMS) is not in
/// the file.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// ONNX file to write; `-` is standard output
    #[arg(long, value_name = "FILE|-")]
    onnx: PathBuf,

    /// Network input; both sides are multiples of 32
    #[arg(long, value_name = "HxW", default_value = "320x224")]
    size: Size,

    /// Model to export instead of the embedded one
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,

    /// Store weights with 32 bits; 16 bits and a cast otherwise, half the size
    #[arg(long)]
    f32: bool,

    /// Put a resize into the file: its input is then a whole frame of size `--source`, and boxes are in its pixels
    #[arg(long, value_enum, requires = "source")]
    resize: Option<ResizeArg>,

    /// Frame to resize from
    #[arg(long, visible_alias = "frame", value_name = "HxW", requires = "resize")]
    source: Option<FrameSize>,

    /// How the frame is fitted to the network input
    #[arg(long, value_enum, default_value_t, requires = "resize")]
    fit: FitArg,
}

/// Command-line names of the layers that resize.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ResizeArg {
    /// The standard's own bilinear resize
    #[value(aliases = ["graph-bilinear", "one-model"])]
    Bilinear,
    /// Nearest pixel, picked by index along each axis
    #[value(alias = "graph-gather")]
    Gather,
    /// Averages of whole blocks of pixels, by a strided convolution
    #[value(alias = "graph-conv")]
    Conv,
}

pub(crate) fn run(args: &Args, console: &Console) -> anyhow::Result<ExitCode> {
    if args.onnx.as_os_str() != STDOUT {
        output::refuse_overwriting(&[&args.onnx], args.model.as_slice())?;
    }
    let model = weights::load(args.model.as_deref())?;
    let resize = args.resize.zip(args.source).map(|(method, source)| Resize {
        source_height: source.height,
        source_width: source.width,
        method: match method {
            ResizeArg::Bilinear => Method::Bilinear,
            ResizeArg::Gather => Method::Gather,
            ResizeArg::Conv => Method::Conv,
        },
        fit: match args.fit {
            FitArg::Letterbox => Fit::Letterbox,
            FitArg::Stretch => Fit::Stretch,
        },
    });
    let precision = if args.f32 { Precision::F32 } else { Precision::F16 };
    let options = Options { precision, resize, ..Options::new(args.size.height, args.size.width) };
    let file = export(&model, &options)?;
    if args.onnx.as_os_str() == STDOUT {
        console::stdout().write_all(&file)?;
        return Ok(ExitCode::SUCCESS);
    }
    OutputFile::check(&args.onnx)?.write(&file)?;
    console.detail(format!(
        "{}: {:.1} MB, input {}",
        args.onnx.display(),
        file.len() as f64 / 1e6,
        args.size
    ));
    Ok(ExitCode::SUCCESS)
}
