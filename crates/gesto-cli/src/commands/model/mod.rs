//! `gesto model`: commands about model files, one file each.

mod export;
mod info;
mod quantize;

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
    /// Print layers, shapes, multiply-accumulates, parameters and kernels
    Info(info::Args),
    /// Write the network as a file for other runtimes
    Export(export::Args),
    /// Find scales for the 8-bit kernels on pictures, and tell what they cost
    Quantize(quantize::Args),
}

pub(crate) fn run(args: Args, console: &Console) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Info(args) => info::run(&args),
        Command::Export(args) => export::run(&args, console),
        Command::Quantize(args) => quantize::run(&args, console),
    }
}
