//! The command line in one definition: help, man page, completions and parsing all come from it.

use clap::{ArgAction, Parser, Subcommand};

use crate::commands::{bench, completions, detect, eval, live, man, model, units};

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
    /// Show gestures and people live in a browser
    Live(Box<live::Args>),
    /// Measure speed on this machine
    Bench(bench::Args),
    /// Measure quality on pictures whose content is known
    Eval(eval::Args),
    /// Look into a model
    Model(model::Args),
    /// List the compute units that this machine has
    Units(units::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// Write the manual pages
    Man(man::Args),
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use clap::CommandFactory;

    #[test]
    fn definition_is_sound() {
        Cli::command().debug_assert();
    }

    /// The command and all below it, each with its full name.
    fn all(command: &clap::Command, name: &str, visit: &mut dyn FnMut(&str, &clap::Command)) {
        visit(name, command);
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            all(sub, &format!("{name} {}", sub.get_name()), visit);
        }
    }

    fn built() -> clap::Command {
        let mut command = Cli::command().term_width(100);
        command.build();
        command
    }

    #[test]
    fn every_command_and_flag_has_help() {
        let mut flags = 0;
        all(&built(), "gesto", &mut |name, command| {
            assert!(command.get_about().is_some(), "{name} has no help");
            for arg in command.get_arguments() {
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(!help.is_empty(), "{name}: {} has no help", arg.get_id());
                flags += 1;
            }
        });
        assert!(flags > 20);
    }

    #[test]
    fn every_flag_is_on_its_manual_page() {
        all(&built(), "gesto", &mut |name, command| {
            let mut page = Vec::new();
            clap_mangen::Man::new(command.clone()).render(&mut page).unwrap();
            let page = String::from_utf8(page).unwrap().replace('\\', "");
            for flag in command.get_arguments().filter_map(clap::Arg::get_long) {
                assert!(page.contains(&format!("--{flag}")), "{name}: --{flag} is not on the manual page");
            }
        });
    }

    const BEGIN: &str = "<!-- reference:begin -->\n";
    const END: &str = "<!-- reference:end -->\n";

    /// `UPDATE_DOCS=1` renews the page instead.
    #[test]
    fn reference_in_the_docs_is_in_step() {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
        let page = fs::read_to_string(&path).unwrap();
        let (before, rest) = page.split_once(BEGIN).unwrap();
        let (stored, after) = rest.split_once(END).unwrap();
        let mut current = String::new();
        all(&built(), "gesto", &mut |name, command| {
            let help = command.clone().render_long_help().to_string();
            let help: Vec<&str> = help.lines().map(str::trim_end).collect();
            write!(current, "\n### `{name}`\n\n```text\n{}\n```\n", help.join("\n").trim()).unwrap();
        });
        current.push('\n');
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&path, format!("{before}{BEGIN}{current}{END}{after}")).unwrap();
        } else {
            assert!(
                stored == current,
                "docs/cli.md is out of step: UPDATE_DOCS=1 cargo test -p gesto-cli reference"
            );
        }
    }
}
