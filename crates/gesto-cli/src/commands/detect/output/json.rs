//! JSON lines: one for each frame, as `docs/json.md` describes them.

use std::path::Path;

use gesto::record::Line;

use super::target::Target;

pub(super) struct JsonLines {
    target: Target,
    buffer: Vec<u8>,
}

impl JsonLines {
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        Ok(Self { target: Target::create(path)?, buffer: Vec::new() })
    }

    pub(super) fn write(&mut self, line: &Line) -> anyhow::Result<()> {
        self.buffer.clear();
        serde_json::to_writer(&mut self.buffer, line)?;
        self.buffer.push(b'\n');
        self.target.write(&self.buffer)
    }
}
