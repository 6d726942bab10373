//! Where figures go as JSON: nowhere, to a file, or to standard output instead of the table. The file is checked before
//! anything is measured, and what bore its name stays until there is something to write.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use crate::console;
use crate::output::OutputFile;
use crate::values::STDOUT;

/// Whether JSON takes the table's place on standard output.
pub(crate) fn on_stdout(json: Option<&Path>) -> bool {
    json.is_some_and(|path| path.as_os_str() == STDOUT)
}

/// The file that JSON goes to, if to one.
pub(crate) fn file(json: Option<&Path>) -> Option<&Path> {
    json.filter(|_| !on_stdout(json))
}

/// One line for each figure, as soon as there is one.
pub(crate) enum Lines {
    Nowhere,
    Stdout,
    /// Made with the first figure.
    File(OutputFile, Option<File>),
}

impl Lines {
    /// Fails when the file cannot be written.
    pub(crate) fn open(json: Option<&Path>) -> anyhow::Result<Self> {
        Ok(match json {
            None => Self::Nowhere,
            Some(_) if on_stdout(json) => Self::Stdout,
            Some(path) => Self::File(OutputFile::check(path)?, None),
        })
    }

    pub(crate) fn push(&mut self, figure: &impl Serialize) -> anyhow::Result<()> {
        let line = serde_json::to_string(figure)? + "\n";
        match self {
            Self::Nowhere => Ok(()),
            Self::Stdout => Ok(console::stdout().write_all(line.as_bytes())?),
            Self::File(target, file) => {
                let file = match file {
                    Some(file) => file,
                    None => file.insert(target.create()?),
                };
                file.write_all(line.as_bytes())
                    .with_context(|| format!("cannot write {}", target.path().display()))
            }
        }
    }
}

/// All figures at once.
pub(crate) enum Report {
    Nowhere,
    Stdout,
    File(OutputFile),
}

impl Report {
    /// Fails when the file cannot be written.
    pub(crate) fn open(json: Option<&Path>) -> anyhow::Result<Self> {
        Ok(match json {
            None => Self::Nowhere,
            Some(_) if on_stdout(json) => Self::Stdout,
            Some(path) => Self::File(OutputFile::check(path)?),
        })
    }

    pub(crate) fn write(&self, report: &impl Serialize) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(report)? + "\n";
        match self {
            Self::Nowhere => Ok(()),
            Self::Stdout => Ok(console::stdout().write_all(text.as_bytes())?),
            Self::File(file) => file.write(text.as_bytes()),
        }
    }
}
