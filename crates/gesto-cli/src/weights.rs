//! Where `--model` comes from: a file, or the network inside the program.

use std::path::Path;

use gesto::{Model, model};

/// Reads and checks the model at `path`, or the embedded one.
pub(crate) fn load(path: Option<&Path>) -> anyhow::Result<Model> {
    Ok(match path {
        Some(path) => model::read(path)?,
        None => model::shipped()?,
    })
}
