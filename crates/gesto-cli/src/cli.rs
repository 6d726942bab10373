//! The command line in one definition: help, man page, completions and parsing all come from it.

use clap::{ArgAction, Parser, Subcommand};

use crate::commands::{bench, completions, detect, man, model};

/// Hand gestures and body keypoints from pictures, clips and cameras.
///
/// One network finds 19 hand gestures and people with 17 keypoints. It is part of the program: nothing to install,
/// nothing to download.
#[derive(Debug, Parser)]
#[command(name = "gesto", version, propagate_version = true, subcommand_required = true)]
#[command(arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    /// Say more on standard error
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Say nothing on standard error but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do; each variant's arguments and code are in the module of its name.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Find gestures and people in pictures and clips
    Detect(detect::Args),
    /// Measure speed on this machine
    Bench(bench::Args),
    /// Look into a model
    Model(model::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// Write the manual pages
    Man(man::Args),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_flag_has_help() {
        fn check(command: &clap::Command, path: &str) -> usize {
            assert!(command.get_about().is_some(), "{path} has no help");
            let mut seen = 0;
            for arg in command.get_arguments() {
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(!help.is_empty(), "{path}: {} has no help", arg.get_id());
                seen += 1;
            }
            for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
                seen += check(sub, &format!("{path} {}", sub.get_name()));
            }
            seen
        }
        let mut command = Cli::command();
        command.build();
        assert!(check(&command, "gesto") > 20);
    }
}
