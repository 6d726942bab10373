//! Files that appear whole or not at all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use crate::{Error, Result};

/// A file beside its destination, gone unless it is kept.
pub(crate) struct Temporary {
    file: NamedTempFile,
    destination: PathBuf,
}

impl Temporary {
    /// Makes the file, and its directory when that is missing.
    pub(crate) fn new(destination: &Path) -> Result<Self> {
        let directory = match destination.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let make = || {
            fs::create_dir_all(directory)?;
            let mut builder = Builder::new();
            builder.prefix(".gesto-");
            // Encoders look at the ending.
            let extension = destination.extension().map(|e| format!(".{}", e.to_string_lossy()));
            let extension = extension.unwrap_or_default();
            builder.suffix(&extension);
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                // As any program would make it (less the umask), not for the owner alone.
                builder.permissions(fs::Permissions::from_mode(0o666));
            }
            builder.tempfile_in(directory)
        };
        let file = make().map_err(|error| cannot_write(destination, error))?;
        Ok(Self { file, destination: destination.into() })
    }

    /// To write with this process.
    pub(crate) fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// To write with another process.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Gives the file its name, over whatever bore it.
    pub(crate) fn keep(self) -> Result<PathBuf> {
        match self.file.persist(&self.destination) {
            Ok(_) => Ok(self.destination),
            Err(error) => Err(cannot_write(&self.destination, error.error)),
        }
    }
}

pub(crate) fn cannot_write(path: &Path, error: io::Error) -> Error {
    Error::io(format_args!("`{}` cannot be written", path.display()), error)
}
