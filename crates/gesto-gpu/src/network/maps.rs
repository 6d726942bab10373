//! The heads' raw maps, for a host that decodes by itself.

use super::GpuNetwork;
use super::results::LevelEntry;
use crate::detections::StageTimes;
use crate::error::{Error, ErrorKind, Result};
use crate::options::Output;

/// The raw maps of every head of a submission.
#[derive(Debug, Clone)]
pub struct Maps {
    raw: Vec<f32>,
    /// Number and logit of each anchor point's best class, picture by picture and head by head.
    best: Option<Vec<u32>>,
    heads: Vec<HeadPlaces>,
    anchors: usize,
    times: StageTimes,
}

#[derive(Debug, Clone)]
struct HeadPlaces {
    levels: Vec<LevelEntry>,
    classes: usize,
    keypoints: usize,
}

/// One head's maps at one stride. Cells go row by row; the centre of each is an anchor point.
#[derive(Debug, Clone, Copy)]
pub struct LevelMaps<'a> {
    /// Input pixels per cell.
    pub stride: f32,
    /// Rows of cells.
    pub height: usize,
    /// Columns of cells.
    pub width: usize,
    /// Class logits.
    pub classes: Cells<'a>,
    /// Distribution logits of left, top, right, bottom: 16 each.
    pub boxes: Cells<'a>,
    /// Raw `x, y, visibility` of each keypoint; no numbers in a head without.
    pub keypoints: Cells<'a>,
}

/// The numbers of each cell.
#[derive(Debug, Clone, Copy)]
pub struct Cells<'a> {
    data: &'a [f32],
    pitch: usize,
    channels: usize,
}

impl<'a> Cells<'a> {
    /// One cell's numbers.
    ///
    /// # Panics
    /// When there is no such cell.
    #[must_use]
    pub fn cell(&self, cell: usize) -> &'a [f32] {
        &self.data[cell * self.pitch..][..self.channels]
    }
}

impl Maps {
    /// Anchor points of each head.
    #[must_use]
    pub fn anchors(&self) -> usize {
        self.anchors
    }

    /// Where the time went.
    #[must_use]
    pub fn times(&self) -> &StageTimes {
        &self.times
    }

    /// The levels of one head of one picture, finest stride first.
    ///
    /// # Panics
    /// When there is no such picture or head.
    pub fn levels(&self, picture: usize, head: usize) -> impl Iterator<Item = LevelMaps<'_>> {
        let HeadPlaces { levels, classes, keypoints } = &self.heads[head];
        levels.iter().map(move |level| {
            let (height, width) = (level.height as usize, level.width as usize);
            let cells = |[base, pitch]: [u32; 2], channels: usize| {
                let pitch = pitch as usize;
                let first = base as usize + picture * height * width * pitch;
                let data = if channels == 0 { &[][..] } else { &self.raw[first..][..height * width * pitch] };
                Cells { data, pitch, channels }
            };
            LevelMaps {
                stride: level.stride,
                height,
                width,
                classes: cells(level.classes, *classes),
                boxes: cells(level.boxes, 4 * gesto_engine::model::DFL_BINS),
                keypoints: cells(level.points, 3 * keypoints),
            }
        })
    }

    /// Number and logit of the best class of each anchor point, finest stride first; `None` unless the GPU was asked
    /// for them ([`Output::MapsAndBest`]).
    ///
    /// # Panics
    /// When there is no such picture or head.
    #[must_use]
    pub fn best(&self, picture: usize, head: usize) -> Option<impl Iterator<Item = (u32, f32)>> {
        let first = 2 * (picture * self.heads.len() + head) * self.anchors;
        let best = &self.best.as_ref()?[first..][..2 * self.anchors];
        Some(best.as_chunks::<2>().0.iter().map(|&[class, logit]| (class, f32::from_bits(logit))))
    }
}

impl GpuNetwork {
    /// The oldest submission's raw maps.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when nothing is under way, or when candidates come back instead of maps
    /// ([`GpuOptions::output`](crate::GpuOptions::output)); [`ErrorKind::DeviceLost`] and the like when the GPU failed.
    pub fn wait_maps(&mut self) -> Result<Maps> {
        if self.output == Output::Candidates {
            return Err(Error::new(ErrorKind::Input, "this network gives candidates, not maps"));
        }
        let ((raw, rest), times) = self.arrival(|network, pending, bytes| {
            let counters = network.slots[pending.recipe.slot].counters.size() as usize;
            let (raw, rest) = bytes[counters..].split_at(network.raw.size() as usize);
            Ok((bytemuck::pod_collect_to_vec(raw), bytemuck::pod_collect_to_vec::<_, u32>(rest)))
        })?;
        let anchors = self.head_entries.first().map_or(0, |entry| entry.anchors as usize);
        let best = 2 * self.heads.len() * self.batch * anchors;
        let places = |(entry, head): (&super::HeadEntry, &gesto_engine::model::Head)| HeadPlaces {
            levels: self.levels[entry.first_level as usize..][..entry.levels as usize].to_vec(),
            classes: head.classes.len(),
            keypoints: head.keypoints,
        };
        Ok(Maps {
            raw,
            best: (self.output == Output::MapsAndBest).then(|| rest[..best].to_vec()),
            heads: self.head_entries.iter().zip(&self.heads).map(places).collect(),
            anchors,
            times,
        })
    }
}
