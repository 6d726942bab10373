//! `gesto completions`: scripts that let a shell complete commands and flags.

use std::io::Write;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::console;

/// Print a completion script for a shell
///
/// For bash: gesto completions bash > ~/.local/share/bash-completion/completions/gesto
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    // Through memory: the generator panics on a closed pipe.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "gesto", &mut script);
    console::stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}
