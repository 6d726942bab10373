//! `gesto man`: manual pages from the one definition of the command line.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::CommandFactory;
use clap_mangen::Man;

use crate::cli::Cli;
use crate::console::{self, Console};
use crate::values::STDOUT;

/// Write the manual pages
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder for gesto.1 and a page for each command; `-` prints gesto.1
    #[arg(value_name = "DIR|-")]
    to: PathBuf,
}

pub(crate) fn run(args: Args, console: &Console) -> anyhow::Result<ExitCode> {
    let mut command = Cli::command();
    command.build();
    if args.to.as_os_str() == STDOUT {
        console::stdout().write_all(&page(&command, "gesto")?)?;
        return Ok(ExitCode::SUCCESS);
    }
    fs::create_dir_all(&args.to).with_context(|| format!("cannot make the folder {}", args.to.display()))?;
    let written = write_pages(&args.to, &command, "gesto")?;
    console.detail(format!("{written} pages in {}", args.to.display()));
    Ok(ExitCode::SUCCESS)
}

/// One page for the command and each of its subcommands, named as git does: `gesto-model-info.1`.
fn write_pages(folder: &Path, command: &clap::Command, name: &str) -> anyhow::Result<usize> {
    let file = folder.join(format!("{name}.1"));
    fs::write(&file, page(command, name)?).with_context(|| format!("cannot write {}", file.display()))?;
    let mut written = 1;
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        written += write_pages(folder, sub, &format!("{name}-{}", sub.get_name()))?;
    }
    Ok(written)
}

fn page(command: &clap::Command, name: &str) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    Man::new(command.clone()).title(name).render(&mut out)?;
    Ok(out)
}
