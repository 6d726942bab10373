//! `gesto model`: commands about model files, one file each.

mod info;

use std::process::ExitCode;

use crate::console::Console;

/// Look into a model
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print layers, shapes, multiply-accumulates and parameters
    Info(info::Args),
}

pub(crate) fn run(args: Args, _console: &Console) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Info(args) => info::run(&args),
    }
}
