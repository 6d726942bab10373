//! `gesto units`: what of this machine can run the network, and why the rest cannot.

mod cpu;
mod gpu;
mod ort;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use crate::console;

/// List the compute units that this machine has, with the reason for those it lacks
///
/// Each line that says yes begins with a value of `--unit`. The processor's lines are kernel tiers: `--unit cpu` takes the one in use,
/// and the variable GESTO_ISA forces another by its name (`avx2-f32`) or forbids some (`-amx-bf16,-avx512-bf16`).
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write JSON instead of the table
    #[arg(long)]
    json: bool,

    /// ONNX Runtime's library [default: what ORT_DYLIB_PATH names, else beside the program or in the usual folders]
    #[arg(long, value_name = "FILE")]
    ort_library: Option<PathBuf>,
}

/// One unit of the machine, or one that it lacks.
#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    /// As `--unit` takes it.
    pub(crate) unit: String,
    /// The kernel tier, adapter or provider.
    name: String,
    pub(crate) available: bool,
    /// What it offers, or why it is missing.
    pub(crate) detail: String,
    /// Driver and its version, of adapters.
    #[serde(skip_serializing_if = "Option::is_none")]
    driver: Option<String>,
    /// 16-bit arithmetic in shaders, of adapters.
    #[serde(skip_serializing_if = "Option::is_none")]
    f16: Option<bool>,
    /// Cooperative matrices (matrix units), of adapters.
    #[serde(skip_serializing_if = "Option::is_none")]
    cooperative_matrix: Option<bool>,
}

impl Entry {
    fn new(unit: &str, name: &str, available: bool, detail: String) -> Self {
        let (unit, name) = (unit.to_owned(), name.to_owned());
        Self { unit, name, available, detail, driver: None, f16: None, cooperative_matrix: None }
    }
}

/// All that the program knows, of this machine.
pub(crate) fn inventory(ort_library: Option<&Path>) -> Vec<Entry> {
    let mut entries = cpu::entries();
    entries.extend(gpu::entries());
    entries.extend(ort::entries(ort_library));
    entries
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let entries = inventory(args.ort_library.as_deref());
    let mut out = console::stdout();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &serde_json::json!({ "units": entries }))
            .map_err(io::Error::from)?;
        writeln!(out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let width = |text: fn(&Entry) -> &str| entries.iter().map(|e| text(e).chars().count()).max().unwrap_or(0);
    let [unit, name] = ["UNIT", "KERNELS, ADAPTER OR PROVIDER"];
    let (units, names) = (width(|e| &e.unit).max(unit.len()), width(|e| &e.name).max(name.len()));
    writeln!(out, "{unit:units$}  HAS  {name}")?;
    for entry in &entries {
        let Entry { unit, name, available, detail, .. } = entry;
        let there = if *available { "yes" } else { "no " };
        writeln!(out, "{unit:units$}  {there}  {name:names$}  {detail}")?;
    }
    Ok(ExitCode::SUCCESS)
}
