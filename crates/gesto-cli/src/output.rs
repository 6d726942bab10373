//! Files for the results of long work: refused before it begins when they cannot be written, and written whole or not at
//! all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use tempfile::NamedTempFile;

use crate::values::STDOUT;

/// A file to be written when all is known. What bore its name before stays until then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputFile(PathBuf);

impl OutputFile {
    /// Fails when no file can be written there; leaves none behind.
    pub(crate) fn check(path: &Path) -> anyhow::Result<Self> {
        let checked = match fs::metadata(path) {
            Ok(there) if there.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(there) if there.is_file() => OpenOptions::new().write(true).open(path).map(drop),
            // A device or a pipe: opening it is already to use it.
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => create_and_remove(path),
            Err(error) => Err(error),
        };
        checked.with_context(|| cannot_write(path))?;
        Ok(Self(path.to_owned()))
    }

    /// Writes all of it.
    pub(crate) fn write(&self, bytes: &[u8]) -> anyhow::Result<()> {
        self.replace(bytes).with_context(|| cannot_write(&self.0))
    }

    /// Begins to write it bit by bit, in place.
    pub(crate) fn create(&self) -> anyhow::Result<File> {
        File::create(&self.0).with_context(|| cannot_write(&self.0))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let there = fs::metadata(&self.0).ok();
        if there.as_ref().is_some_and(|there| !there.is_file()) {
            return fs::write(&self.0, bytes);
        }
        // A link stays one; the file behind it is replaced.
        let path = real(&self.0).unwrap_or_else(|| self.0.clone());
        match temporary(&path) {
            Ok(mut file) => {
                file.write_all(bytes)?;
                if let Some(there) = there {
                    file.as_file().set_permissions(there.permissions())?;
                }
                file.persist(&path).map(drop).map_err(|error| error.error)
            }
            // A folder that takes no new file may still hold one that can be written.
            Err(_) if there.is_some() => fs::write(path, bytes),
            Err(error) => Err(error),
        }
    }
}

/// Fails when two outputs are the same file, or both standard output.
pub(crate) fn ensure_distinct(outputs: &[&Path]) -> anyhow::Result<()> {
    let mut seen = Vec::new();
    for path in outputs {
        let place = place(path);
        ensure!(!seen.contains(&place), "{} is named for two outputs", told(path));
        seen.push(place);
    }
    Ok(())
}

/// A path as people call it.
fn told(path: &Path) -> String {
    if path.as_os_str() == STDOUT { "standard output".to_owned() } else { path.display().to_string() }
}

/// The one path of a file, whether it is there or will be made.
fn place(path: &Path) -> PathBuf {
    let to_be = || {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        Some(real(folder.unwrap_or(Path::new(".")))?.join(path.file_name()?))
    };
    real(path).or_else(to_be).unwrap_or_else(|| path.to_owned())
}

/// Fails when an output is one of the inputs.
pub(crate) fn refuse_overwriting(outputs: &[&Path], inputs: &[PathBuf]) -> anyhow::Result<()> {
    let inputs: Vec<_> = inputs.iter().filter_map(|path| real(path)).collect();
    for output in outputs {
        let destroys = real(output).is_some_and(|output| inputs.contains(&output));
        ensure!(!destroys, "{} is an input; writing to it would destroy it", output.display());
    }
    Ok(())
}

/// The file behind a name, links followed; none where there is no file.
pub(crate) fn real(path: &Path) -> Option<PathBuf> {
    fs::canonicalize(path).ok()
}

/// Makes the folder if need be; fails when no file can be written into it.
pub(crate) fn check_folder(folder: &Path) -> anyhow::Result<()> {
    let checked = fs::create_dir_all(folder).and_then(|()| temporary(&folder.join("file")));
    checked.map(drop).with_context(|| format!("cannot write into {}", folder.display()))
}

/// Tells more than a look at the folder: a name may be too long, or not one.
fn create_and_remove(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(path)?;
    fs::remove_file(path)
}

/// A file beside this one, gone unless it takes its name.
fn temporary(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    builder.prefix(".gesto-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any program would make it (less the umask), not for the owner alone.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder.unwrap_or(Path::new(".")))
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_check_changes_nothing_and_writing_leaves_one_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.json");
        let file = OutputFile::check(&path).unwrap();
        assert_eq!(names(folder.path()), [""; 0]);
        file.write(b"first, and long").unwrap();
        let again = OutputFile::check(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first, and long");
        again.write(b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(names(folder.path()), ["rows.json"]);
    }

    #[test]
    fn what_cannot_be_written_is_refused_by_the_check() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "kept").unwrap();
        let long = "x".repeat(300);
        for path in
            [folder.path().to_owned(), at("no/such"), at("file/below"), at("new/"), at(&long), "".into()]
        {
            let error = OutputFile::check(&path).unwrap_err();
            assert!(error.to_string().starts_with("cannot write "), "{path:?}: {error:#}");
        }
        assert!(check_folder(&at("file")).is_err());
        assert_eq!(names(folder.path()), ["file"]);
        assert_eq!(fs::read(at("file")).unwrap(), b"kept");
    }

    #[test]
    fn one_name_for_two_outputs_is_refused() {
        let says = |names: &[&str]| {
            let paths: Vec<_> = names.iter().map(Path::new).collect();
            ensure_distinct(&paths).map_err(|error| error.to_string())
        };
        assert_eq!(says(&["a", "b", "-"]), Ok(()));
        assert_eq!(says(&["a", "b", "a"]).unwrap_err(), "a is named for two outputs");
        assert_eq!(says(&["a", "./a"]).unwrap_err(), "./a is named for two outputs");
        assert_eq!(says(&["-", "-"]).unwrap_err(), "standard output is named for two outputs");
    }

    #[cfg(unix)]
    #[test]
    fn links_and_permissions_outlive_the_replacement() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, "before").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&real, &link).unwrap();
        OutputFile::check(&link).unwrap().write(b"after").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&real).unwrap(), b"after");
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
        // A device is written, not replaced.
        OutputFile::check(Path::new("/dev/null")).unwrap().write(b"gone").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}
