//! Where figures go as JSON: nowhere, to a file, or to standard output instead of the table.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Serialize;

use crate::console;
use crate::values::STDOUT;

/// Whether JSON takes the table's place on standard output.
pub(crate) fn on_stdout(json: Option<&Path>) -> bool {
    json.is_some_and(|path| path.as_os_str() == STDOUT)
}

/// One line for each figure, as soon as there is one.
pub(crate) enum Lines {
    Nowhere,
    Stdout,
    File(PathBuf, File),
}

impl Lines {
    pub(crate) fn create(json: Option<&Path>) -> anyhow::Result<Self> {
        Ok(match json {
            None => Self::Nowhere,
            Some(_) if on_stdout(json) => Self::Stdout,
            Some(path) => {
                let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
                Self::File(path.to_owned(), file)
            }
        })
    }

    pub(crate) fn push(&mut self, figure: &impl Serialize) -> anyhow::Result<()> {
        let line = serde_json::to_string(figure)? + "\n";
        match self {
            Self::Nowhere => Ok(()),
            Self::Stdout => Ok(console::stdout().write_all(line.as_bytes())?),
            Self::File(path, file) => {
                file.write_all(line.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
            }
        }
    }
}

/// All figures at once.
pub(crate) fn write(json: Option<&Path>, report: &impl Serialize) -> anyhow::Result<()> {
    let Some(path) = json else { return Ok(()) };
    let text = serde_json::to_string_pretty(report)? + "\n";
    if on_stdout(json) {
        return Ok(console::stdout().write_all(text.as_bytes())?);
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
