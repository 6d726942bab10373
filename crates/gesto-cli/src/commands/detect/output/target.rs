//! A file or standard output, written whole records at a time.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::console;
use crate::output::real;
use crate::values::STDOUT;

/// A file or standard output.
pub(super) struct Target {
    name: String,
    file: Option<File>,
}

impl Target {
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let file = if name == STDOUT { None } else { Some(create(path)?) };
        Ok(Self { name, file })
    }

    /// Writes one record and pushes it out.
    pub(super) fn write(&mut self, record: &[u8]) -> anyhow::Result<()> {
        let written = match &mut self.file {
            // Records are written whole, so a buffer of our own would only delay them.
            Some(file) => file.write_all(record),
            None => {
                let mut out = console::stdout();
                out.write_all(record).and_then(|()| out.flush())
            }
        };
        match self.file {
            Some(_) => written.with_context(|| format!("cannot write {}", self.name)),
            None => Ok(written?),
        }
    }
}

/// Makes the file, empties it if it exists.
pub(super) fn create(path: &Path) -> anyhow::Result<File> {
    File::create(path).with_context(|| format!("cannot write {}", path.display()))
}

/// Fails when `folder` is one and holds an input.
pub(crate) fn refuse_mixing(folder: &Path, inputs: &[PathBuf]) -> anyhow::Result<()> {
    let Some(target) = real(folder).filter(|target| target.is_dir()) else { return Ok(()) };
    let mixed = inputs.iter().find(|input| real(input).is_some_and(|input| input.parent() == Some(&target)));
    match mixed {
        Some(input) => bail!(
            "{} holds the input {}, which a copy could overwrite; save into another folder",
            folder.display(),
            input.display()
        ),
        None => Ok(()),
    }
}
