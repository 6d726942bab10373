//! `gesto bench`: how fast it is here, one file a subject.

mod frame;
mod layers;
mod model;
mod resize;
mod samples;
mod seed;
mod stages;

use std::process::ExitCode;

use crate::console::Console;

/// Measure speed on this machine
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    // What each does is told above its `Args`; a line here would take the place of all of that in `--help`.
    Model(model::Args),
    Resize(resize::Args),
    Seed(seed::Args),
    Stages(stages::Args),
}

pub(crate) fn run(args: Args, console: &Console) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Model(args) => model::run(&args, console),
        Command::Resize(args) => resize::run(&args, console),
        Command::Seed(args) => seed::run(&args, console),
        Command::Stages(args) => stages::run(&args, console),
    }
}
