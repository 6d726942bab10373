//! The `gesto` program: thin commands over the library, one file each.
//!
//! Exit codes: 0 all done; 1 some inputs failed, the rest was done; 2 bad usage, bad input, nothing done;
//! 130 interrupted, what was done by then is kept.

#![forbid(unsafe_code)]
// They panic on a closed pipe and a full disk; `console` has what does not.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod cli;
mod commands;
mod console;
mod interrupt;
mod json;
mod machine;
mod output;
mod progress;
mod unit;
mod values;
mod weights;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use gesto_engine::isa::Wish;

use crate::cli::Cli;
use crate::console::Console;

/// Bad usage, bad input, nothing done.
const EXIT_FAILED: u8 = 2;

/// Some inputs failed, the rest was done.
const EXIT_PARTLY: u8 = 1;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let console = Console::new(cli.verbose, cli.quiet);
    // Whatever the command: a variable that means nothing is told, also where no kernel of the processor would have run.
    let checked = Wish::from_env().map_err(anyhow::Error::from);
    match checked.and_then(|_| commands::run(cli.command, &console)) {
        Ok(code) => code,
        // The reader of a pipe has seen enough (`gesto ... | head`): not an error.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            console.error(&error);
            ExitCode::from(EXIT_FAILED)
        }
    }
}

/// Help and version go to standard output as they are; a usage error becomes one line.
fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        return match error.print() {
            // A closed pipe is no reason to complain about help that nobody reads.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                console::tell(format_args!("gesto: cannot write to standard output: {error}"));
                ExitCode::from(EXIT_FAILED)
            }
            _ => ExitCode::SUCCESS,
        };
    }
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return ExitCode::from(EXIT_FAILED);
    }
    let help = command_of(std::env::args_os());
    console::tell(format_args!("gesto: {} (see '{help} --help')", one_line(&error.render().to_string())));
    ExitCode::from(EXIT_FAILED)
}

/// The message of a rendered usage error, without clap's usage block.
fn one_line(rendered: &str) -> String {
    let message = rendered.strip_prefix("error: ").unwrap_or(rendered);
    let message = message.split("\nUsage:").next().unwrap_or(message);
    let message = message.split("\nFor more information").next().unwrap_or(message);
    let parts = message.split("\n\n").map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    let parts: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
    parts.join("; ")
}

/// The command that a command line names, without its arguments: `gesto model quantize`.
fn command_of(line: impl IntoIterator<Item = OsString>) -> String {
    let (mut name, mut command) = ("gesto".to_owned(), Cli::command());
    for word in line.into_iter().skip(1) {
        let Some(sub) = word.to_str().and_then(|word| command.find_subcommand(word)).cloned() else {
            // Flags that stand before a command take no value.
            if word.to_string_lossy().starts_with('-') {
                continue;
            }
            break;
        };
        name = format!("{name} {}", sub.get_name());
        command = sub;
    }
    name
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| match cause.downcast_ref::<io::Error>() {
        Some(cause) => cause.kind() == io::ErrorKind::BrokenPipe,
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_errors_are_one_line() {
        let error = Cli::try_parse_from(["gesto", "detect", "--no-such-flag", "x.png"]).unwrap_err();
        let line = one_line(&error.render().to_string());
        assert!(line.starts_with("unexpected argument '--no-such-flag' found"), "{line}");
        assert!(!line.contains('\n') && !line.contains("Usage"), "{line}");
    }

    #[test]
    fn the_command_of_a_line_is_told_without_its_arguments() {
        for (line, command) in [
            ("gesto", "gesto"),
            ("gesto detekt a.png", "gesto"),
            ("gesto --verbose detect --json eval", "gesto detect"),
            ("gesto model quantize --images detect", "gesto model quantize"),
            ("gesto bench --no-such-flag seed", "gesto bench seed"),
        ] {
            assert_eq!(command_of(line.split(' ').map(OsString::from)), command, "{line}");
        }
    }

    #[test]
    fn a_broken_pipe_is_found_under_its_context() {
        let error = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).context("writing");
        assert!(is_broken_pipe(&error));
        assert!(!is_broken_pipe(&anyhow::anyhow!("else")));
    }
}
