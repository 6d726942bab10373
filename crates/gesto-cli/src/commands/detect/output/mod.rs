//! Where results go. Every writer is up to date after each frame, so that nothing is lost when the program ends early.

mod coco;
mod csv;
mod json;
mod target;

use anyhow::Context;
use gesto::record::Line;
use gesto::{Detections, HeadInfo};

use super::Args;
use coco::{Coco, ImageIds, People};
use csv::Csv;
use json::JsonLines;

pub(crate) use target::refuse_mixing;

/// One frame and what was found in it.
pub(crate) struct Item<'a> {
    pub(crate) line: &'a Line,
    pub(crate) detections: &'a Detections,
}

/// The files and streams that the user asked for.
pub(crate) struct Outputs {
    json: Option<JsonLines>,
    csv: Option<Csv>,
    coco: Option<CocoOutputs>,
}

struct CocoOutputs {
    ids: ImageIds,
    files: Vec<Coco>,
}

impl Outputs {
    /// Makes every output, so that an unwritable one is known before any work is done.
    pub(crate) fn create(args: &Args, heads: &[HeadInfo]) -> anyhow::Result<Self> {
        let json = args.json.as_deref().map(JsonLines::create).transpose()?;
        let csv = args.csv.as_deref().map(Csv::create).transpose()?;
        let mut files = Vec::new();
        if let Some(path) = &args.coco {
            let gestures = heads.iter().filter(|head| head.keypoints == 0);
            let classes = gestures.map(|head| head.classes.len()).max().unwrap_or(0);
            files.push(Coco::create(path, People::AfterGestures { gestures: classes })?);
        }
        if let Some(path) = &args.coco_people {
            files.push(Coco::create(path, People::Alone)?);
        }
        let coco = if files.is_empty() {
            None
        } else {
            let ids = match &args.coco_images {
                Some(path) => ImageIds::from_annotations(path).with_context(|| path.display().to_string())?,
                None => ImageIds::default(),
            };
            Some(CocoOutputs { ids, files })
        };
        Ok(Self { json, csv, coco })
    }

    /// Writes one frame to all of them.
    pub(crate) fn write(&mut self, item: &Item<'_>) -> anyhow::Result<()> {
        if let Some(json) = &mut self.json {
            json.write(item.line)?;
        }
        if let Some(csv) = &mut self.csv {
            csv.write(item.line)?;
        }
        if let Some(coco) = &mut self.coco {
            let id = coco.ids.of(item.line)?;
            for file in &mut coco.files {
                file.write(id, item)?;
            }
        }
        Ok(())
    }
}
