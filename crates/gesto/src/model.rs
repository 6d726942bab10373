//! Where networks come from: the one inside the library, or a file.

use std::fs;
use std::path::Path;

use gesto_engine::Model;

use crate::error::{Error, ErrorKind, Result};

/// The network that gesto ships.
static SHIPPED: &[u8] = include_bytes!("../../../models/multi-n.safetensors");

/// The largest model file that is read, in bytes; hundreds of times the shipped one.
const MAX_BYTES: u64 = 1 << 30;

/// The network that gesto ships: 19 gestures, people with 17 keypoints.
///
/// # Errors
/// Never, unless the library was built with a damaged file.
pub fn shipped() -> Result<Model> {
    Ok(Model::from_bytes(SHIPPED)?)
}

/// Reads and checks a network of the family from a safetensors file.
///
/// # Errors
/// [`ErrorKind::Model`] when it cannot be read or holds something else.
pub fn read(path: impl AsRef<Path>) -> Result<Model> {
    let path = path.as_ref();
    Model::from_bytes(bytes(path)?).map_err(|e| Error::new(ErrorKind::Model, cannot_read(path, &e)))
}

/// Whether a file is an ONNX model, by its name.
pub(crate) fn is_onnx(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("onnx"))
}

fn cannot_read(path: &Path, why: &dyn std::fmt::Display) -> String {
    format!("cannot read the model {}: {why}", path.display())
}

/// A model file's bytes, if they are not absurdly many.
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>> {
    let cannot = |why: &dyn std::fmt::Display| cannot_read(path, why);
    let io = |e: std::io::Error| Error::with_source(ErrorKind::Model, cannot(&e), e);
    let info = fs::metadata(path).map_err(io)?;
    if !info.is_file() {
        return Err(Error::new(ErrorKind::Model, cannot(&"it is not a file")));
    }
    if info.len() > MAX_BYTES {
        return Err(Error::new(ErrorKind::Model, cannot(&format!("{} bytes are too many", info.len()))));
    }
    fs::read(path).map_err(io)
}
