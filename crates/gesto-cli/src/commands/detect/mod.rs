//! `gesto detect`: pictures and clips in, gestures and people out.

mod args;

use std::process::ExitCode;

pub(crate) use args::Args;

use crate::console::Console;

pub(crate) fn run(_args: Args, _console: &Console) -> anyhow::Result<ExitCode> {
    anyhow::bail!("the pipeline is not connected yet")
}
