//! The flags that choose a compute unit, shared by the commands that run the network.

use std::path::{Path, PathBuf};

use gesto::unit::{Adapter, Provider};
use gesto::{Detector, DetectorBuilder, PostProcessing, Unit};

use crate::console::Console;

/// Flags of the unit.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Unit")]
pub(crate) struct UnitArgs {
    /// What runs the network: cpu, gpu, gpu:NAME (part of an adapter's name, or its number), or ort:PROVIDER with cpu, cuda,
    /// tensorrt, coreml, openvino, qnn or directml; `gesto units` lists what this machine has
    #[arg(long, value_name = "UNIT", default_value = "cpu")]
    pub(crate) unit: Unit,

    /// The unit that takes over, with a warning, when the chosen one is missing or fails at work [default: none, that is
    /// an error]
    #[arg(long, value_name = "UNIT")]
    pub(crate) unit_fallback: Option<Unit>,

    /// Where boxes are decoded: cpu, gpu, cpu+graph-max (the network tells the best class, the rest on the CPU) [default:
    /// what suits the unit]
    #[arg(long, value_name = "WHERE")]
    pub(crate) post: Option<PostProcessing>,

    /// Try the variants of a GPU's kernels at the start, and keep the fastest
    #[arg(long)]
    pub(crate) tune: bool,

    /// ONNX Runtime's library for units ort [default: what ORT_DYLIB_PATH names, else beside the program or in the
    /// usual folders]
    #[arg(long, value_name = "FILE")]
    pub(crate) ort_library: Option<PathBuf>,
}

impl UnitArgs {
    /// Settings with what the flags say.
    pub(crate) fn apply(&self, mut builder: DetectorBuilder) -> DetectorBuilder {
        builder = builder.unit(self.unit.clone()).tune(self.tune);
        if let Some(other) = &self.unit_fallback {
            builder = builder.unit_fallback(other.clone());
        }
        if let Some(place) = self.post {
            builder = builder.post_processing(place);
        }
        if let Some(library) = &self.ort_library {
            builder = builder.ort_library(library);
        }
        builder
    }
}

/// Warns when another unit has taken over.
pub(crate) fn tell_fallback(detector: &Detector, console: &Console) {
    if let Some(why) = detector.fallen_back() {
        console.problem(format!("warning: {why}; unit {} takes over", detector.unit()));
    }
}

/// A graphics processor of this machine.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct FoundAdapter {
    pub(crate) name: String,
    /// It is a program on the processor.
    pub(crate) software: bool,
}

impl std::fmt::Display for FoundAdapter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.name, if self.software { ", software on the CPU" } else { "" })
    }
}

/// The adapter behind this choice.
#[cfg(feature = "gpu")]
pub(crate) fn adapter(choice: &Adapter) -> Option<FoundAdapter> {
    let mut adapters = gesto_gpu::adapters().into_iter();
    let chosen = match choice {
        Adapter::Named(name) => {
            let name = name.to_lowercase();
            adapters.find(|adapter| adapter.name.to_lowercase().contains(&name))
        }
        Adapter::Number(number) => adapters.nth(*number),
        _ => adapters.next(),
    };
    chosen.map(|adapter| FoundAdapter { software: adapter.kind == "software", name: adapter.name })
}

#[cfg(not(feature = "gpu"))]
pub(crate) fn adapter(_: &Adapter) -> Option<FoundAdapter> {
    None
}

/// Why a benchmark leaves a graphics processor out that is software, unless it `may` be.
pub(crate) fn software_adapter(choice: &Adapter, may: bool) -> Option<String> {
    let found = adapter(choice).filter(|found| found.software && !may)?;
    let which = if *choice == Adapter::Best { "the best adapter" } else { "adapter" };
    Some(format!("{which} {} is software on the CPU (--software-gpu measures it)", found.name))
}

/// Why ONNX Runtime has no such provider here; `Ok` when it was built with it.
#[cfg(feature = "ort")]
pub(crate) fn check_provider(provider: Provider, library: Option<&Path>) -> Result<(), String> {
    let library = library.map_or(gesto_ort::Library::Found, |file| gesto_ort::Library::File(file.to_owned()));
    gesto_ort::Provider::from(provider).check(&library).map_err(|why| why.to_string())
}

#[cfg(not(feature = "ort"))]
pub(crate) fn check_provider(_: Provider, _: Option<&Path>) -> Result<(), String> {
    Err("this program was built without ort".to_owned())
}
