//! Where `--model` comes from: a file, or the network inside the program.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use gesto_engine::Model;

/// The network that ships with the program.
const EMBEDDED: &[u8] = include_bytes!("../../../models/multi-n.safetensors");

/// More bytes than any model of the family has; keeps a wrong path from filling the memory.
const MAX_BYTES: u64 = 1 << 30;

/// Reads and checks the model at `path`, or the embedded one.
pub(crate) fn load(path: Option<&Path>) -> anyhow::Result<Model> {
    match path {
        Some(path) => read(path).with_context(|| format!("model {}", path.display())),
        None => Model::from_bytes(EMBEDDED).context("the embedded model"),
    }
}

fn read(path: &Path) -> anyhow::Result<Model> {
    let file = File::open(path)?;
    ensure!(!file.metadata()?.is_dir(), "is a folder, not a safetensors file");
    let mut bytes = Vec::new();
    // Not the file's stated length: devices and pipes have none.
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        bail!("is larger than {} MiB", MAX_BYTES >> 20);
    }
    Ok(Model::from_bytes(bytes)?)
}
