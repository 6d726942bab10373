//! Where figures go as JSON: nowhere, to a file, or to standard output instead of the table.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use crate::values::STDOUT;

/// Whether JSON takes the table's place on standard output.
pub(crate) fn on_stdout(json: Option<&Path>) -> bool {
    json.is_some_and(|path| path.as_os_str() == STDOUT)
}

/// One line for each figure, as soon as there is one.
pub(crate) struct Lines(Box<dyn Write>);

impl Lines {
    pub(crate) fn create(json: Option<&Path>) -> anyhow::Result<Self> {
        Ok(Self(match json {
            None => Box::new(io::sink()),
            Some(_) if on_stdout(json) => Box::new(io::stdout().lock()),
            Some(path) => {
                Box::new(File::create(path).with_context(|| format!("cannot write {}", path.display()))?)
            }
        }))
    }

    pub(crate) fn push(&mut self, figure: &impl Serialize) -> anyhow::Result<()> {
        serde_json::to_writer(&mut self.0, figure).map_err(io::Error::from)?;
        writeln!(self.0)?;
        Ok(self.0.flush()?)
    }
}

/// All figures at once.
pub(crate) fn write(json: Option<&Path>, report: &impl Serialize) -> anyhow::Result<()> {
    let Some(path) = json else { return Ok(()) };
    let text = serde_json::to_string_pretty(report)? + "\n";
    if on_stdout(json) {
        return Ok(io::stdout().lock().write_all(text.as_bytes())?);
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
