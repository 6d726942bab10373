//! One module for each command: its `Args` (part of the one definition in [`crate::cli`]) and its `run`.

pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod detect;
pub(crate) mod eval;
pub(crate) mod live;
pub(crate) mod man;
pub(crate) mod model;
pub(crate) mod units;

use std::process::ExitCode;

use crate::cli::Command;
use crate::console::Console;

/// Runs one command; its error is shown by `main`.
pub(crate) fn run(command: Command, console: &Console) -> anyhow::Result<ExitCode> {
    match command {
        Command::Detect(args) => detect::run(args, console),
        Command::Bench(args) => bench::run(args, console),
        Command::Eval(args) => eval::run(&args, console),
        Command::Live(args) => live::run(&args, console),
        Command::Model(args) => model::run(args, console),
        Command::Units(args) => units::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(args, console),
    }
}
