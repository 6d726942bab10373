//! Where ONNX Runtime's library comes from, and loading it once.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;

use crate::error::{Error, ErrorKind, Result};

/// Which library to load. A process loads one; later calls get the same.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Library {
    /// The file that the variable `ORT_DYLIB_PATH` names; else the first that is found beside the program, in `lib` beside
    /// it, in `../lib`, or in the usual folders of the system; else whatever the system's loader finds by the name.
    #[default]
    Found,
    /// This file.
    File(PathBuf),
}

struct Loaded {
    library: Library,
    path: PathBuf,
    environment: Environment,
}

static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

/// Version of the library, such as `1.22.0`, loading it if need be.
///
/// # Errors
/// [`ErrorKind::Library`] as [`OrtNetwork::new`](crate::OrtNetwork::new).
pub fn version(library: &Library) -> Result<String> {
    environment(library)?;
    let loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let path =
        loaded.as_ref().map(|loaded| loaded.path.canonicalize().unwrap_or_else(|_| loaded.path.clone()));
    let named = path.as_deref().and_then(Path::file_name).and_then(|name| name.to_str()).and_then(version_of);
    if let Some(version) = named {
        return Ok(version.iter().map(u32::to_string).collect::<Vec<_>>().join("."));
    }
    // "ORT Build Info: git-branch=rel-1.19.0, git-commit-id=26250ae, ..."
    let info = ort::info();
    let part = |key: &str| Some(info.split_once(key)?.1.split(',').next().unwrap_or_default().trim());
    match part("git-branch=").and_then(|branch| branch.strip_prefix("rel-")) {
        Some(version) => Ok(version.to_owned()),
        None => Ok(format!("of commit {}", part("git-commit-id=").unwrap_or("unknown"))),
    }
}

/// The process's environment, made from `library` by the first call.
pub(crate) fn environment(library: &Library) -> Result<Environment> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    match &*loaded {
        Some(there) if there.library == *library || *library == Library::Found => {
            return Ok(there.environment.clone());
        }
        Some(_) => {
            let message =
                "another library of ONNX Runtime is loaded already, and a process can have only one";
            return Err(Error::new(ErrorKind::Library, message));
        }
        None => {}
    }
    let path = match library {
        Library::File(path) => path.clone(),
        Library::Found => find(),
    };
    let builder = ort::init_from(&path).map_err(|why| missing(&path, &why))?;
    let environment = builder
        .with_name("gesto")
        .with_telemetry(false)
        .build()
        .map_err(|why| Error::new(ErrorKind::Library, format!("ONNX Runtime does not start: {why}")))?;
    *loaded = Some(Loaded { library: library.clone(), path, environment: environment.clone() });
    Ok(environment)
}

/// One sentence on what is missing and how to get it.
fn missing(path: &Path, why: &ort::LoadDynamicError) -> Error {
    let tried = match why {
        ort::LoadDynamicError::Dlopen { .. } if path.is_file() => {
            format!("{} cannot be loaded as ONNX Runtime's library", path.display())
        }
        ort::LoadDynamicError::Dlopen { .. } => {
            format!("ONNX Runtime was not found (looked for {})", path.display())
        }
        other => format!("this library of ONNX Runtime will not do: {other}"),
    };
    let message = format!(
        "{tried}; install ONNX Runtime 1.17 or later (https://onnxruntime.ai, or pip install onnxruntime, which has \
         it in its folder capi) and name the file with --ort-library or the variable {VARIABLE}"
    );
    Error::new(ErrorKind::Library, message)
}

const VARIABLE: &str = "ORT_DYLIB_PATH";

/// The file to load when none was named.
fn find() -> PathBuf {
    if let Some(named) = std::env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
        return named.into();
    }
    let mut folders = Vec::new();
    if let Some(beside) = std::env::current_exe().ok().as_deref().and_then(Path::parent) {
        folders.extend([beside.to_owned(), beside.join("lib"), beside.join("../lib")]);
    }
    folders.extend(SYSTEM.iter().map(PathBuf::from));
    let found = folders.iter().find_map(|folder| best_in(folder));
    // A bare name makes the system's loader search its own places.
    found.unwrap_or_else(|| bare_name().into())
}

fn bare_name() -> String {
    format!("{}onnxruntime{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

#[cfg(unix)]
const SYSTEM: &[&str] = &[
    "/usr/local/lib",
    "/usr/lib",
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/opt/homebrew/lib",
    "/opt/onnxruntime/lib",
];
/// Windows has an old copy of the library in its system folder, which nobody should get by accident.
#[cfg(not(unix))]
const SYSTEM: &[&str] = &[];

/// The library in a folder: the plain name, or the newest with a version (`libonnxruntime.so.1.22.0`).
fn best_in(folder: &Path) -> Option<PathBuf> {
    let plain = folder.join(bare_name());
    if plain.is_file() {
        return Some(plain);
    }
    let entries = std::fs::read_dir(folder).ok()?;
    let versions = entries.flatten().filter_map(|entry| {
        let version = version_of(entry.file_name().to_str()?)?;
        Some((version, entry.path()))
    });
    versions.max().map(|(_, path)| path)
}

/// The version in a library's file name.
fn version_of(name: &str) -> Option<Vec<u32>> {
    let middle = if cfg!(target_os = "macos") {
        name.strip_prefix("libonnxruntime.")?.strip_suffix(".dylib")?
    } else {
        name.strip_prefix("libonnxruntime.so.")?
    };
    middle.split('.').map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_newest_version_in_a_folder_is_taken() {
        let folder = std::env::temp_dir().join(format!("gesto-ort-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        assert_eq!(best_in(&folder), None);
        for name in
            ["libonnxruntime.so.1.9.0", "libonnxruntime.so.1.22.0", "libonnxruntime_providers_shared.so"]
        {
            std::fs::write(folder.join(name), b"").unwrap();
        }
        assert_eq!(best_in(&folder), Some(folder.join("libonnxruntime.so.1.22.0")));
        std::fs::write(folder.join("libonnxruntime.so"), b"").unwrap();
        assert_eq!(best_in(&folder), Some(folder.join("libonnxruntime.so")));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
