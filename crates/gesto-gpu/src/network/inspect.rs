//! Looking inside: what each dispatch is and costs, and every feature map.

use std::time::Duration;

use gesto_engine::model::ValueId;
use gesto_engine::reference::Map;
use half::f16;

use super::GpuNetwork;
use super::record::Dispatch;
use crate::error::{Error, ErrorKind, Result};
use crate::options::Arithmetic;
use crate::plan::lower::RawPlane;
use crate::plan::stage::{Shape, Stage};
use crate::tune;

impl GpuNetwork {
    /// Each dispatch of the network in words: its layers, how the kernel divides them, workgroups, multiply-accumulates.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        let line = |(stage, dispatch): (&Stage, &Dispatch)| match stage {
            Stage::Convs { jobs } => {
                let kernel = dispatch.shape.map_or_else(String::new, |shape| shape.to_string());
                let macs: u64 = self.tables.macs[jobs.clone()].iter().sum();
                format!(
                    "{} | {kernel} | {} workgroups | {:.2} MMAC",
                    self.tables.conv_names[jobs.clone()].join(" "),
                    dispatch.groups.0 * dispatch.groups.1,
                    macs as f64 / 1e6
                )
            }
            Stage::Pools { jobs } => format!("{} pools | {} workgroups", jobs.len(), dispatch.groups.0),
        };
        self.tables.stages.iter().zip(&self.dispatches).map(line).collect()
    }

    /// GPU time of each line of [`describe`](Self::describe), each dispatch repeated by itself; empty without timestamp
    /// queries, which [`GpuOptions::tune`](crate::GpuOptions::tune) or [`Timing::Stages`](crate::Timing::Stages) ask for.
    ///
    /// # Errors
    /// Device errors as in [`new`](Self::new).
    pub fn profile(&self) -> Result<Vec<Duration>> {
        if !self.gpu.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return Ok(Vec::new());
        }
        let binds = tune::Binds { conv: &self.conv_bind, pool: &self.pool_bind };
        let period = f64::from(self.gpu.queue.get_timestamp_period());
        let ticks =
            tune::times(&self.gpu, &self.kernels, &binds, &self.dispatches, tune::repeats(self.batch))?;
        let one =
            |t: u64| Duration::from_nanos((t as f64 * period / tune::repeats(self.batch) as f64) as u64);
        Ok(ticks.into_iter().map(one).collect())
    }

    /// What [`GpuOptions::tune`](crate::GpuOptions::tune) measured for each line of [`describe`](Self::describe): kernels in
    /// words and their GPU times. Empty without it.
    #[must_use]
    pub fn tried(&self) -> Vec<Vec<(String, Duration)>> {
        let period = f64::from(self.gpu.queue.get_timestamp_period()) / tune::repeats(self.batch) as f64;
        let one = |&(shape, ticks): &(Shape, u64)| {
            (shape.to_string(), Duration::from_nanos((ticks as f64 * period) as u64))
        };
        self.tried.iter().map(|stage| stage.iter().map(one).collect()).collect()
    }

    /// The feature map behind each value of the graph, for one picture of the last submission; `None` where a value was
    /// fused into its reader. For tests and for comparing devices.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] unless [`GpuOptions::inspect`](crate::GpuOptions::inspect) was set; device errors as in [`new`](Self::new).
    pub fn feature_maps(&self, picture: usize) -> Result<Vec<Option<Map>>> {
        if !self.inspect || picture >= self.batch {
            return Err(Error::new(
                ErrorKind::Input,
                "the network was not built for inspection, or has no such picture",
            ));
        }
        let bytes = self.gpu.read(&self.maps, 0, self.maps.size())?;
        let maps: Vec<f32> = if self.arithmetic == Arithmetic::F32 {
            bytemuck::pod_collect_to_vec(&bytes)
        } else {
            bytes.as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect()
        };
        let raw: Vec<f32> = bytemuck::pod_collect_to_vec(&self.gpu.read(&self.raw, 0, self.raw.size())?);
        let mut found: Vec<Option<Map>> = self
            .lowered
            .runs
            .iter()
            .map(|runs| {
                let runs = runs.as_ref()?;
                let plane = runs.first()?.plane;
                let mut map = Map::zeros(plane.height, plane.width, runs.iter().map(|r| r.channels).sum());
                let mut cells = map.data.chunks_exact_mut(map.channels);
                for (y, x) in (0..plane.height).flat_map(|y| (0..plane.width).map(move |x| (y, x))) {
                    let mut rest = cells.next()?;
                    for run in runs {
                        let from =
                            run.plane.base + run.plane.cell(picture, y, x) * run.plane.pitch + run.start;
                        let (to, more) = rest.split_at_mut(run.channels);
                        to.copy_from_slice(&maps[from..from + run.channels]);
                        rest = more;
                    }
                }
                Some(map)
            })
            .collect();
        for (&id, plane) in &self.lowered.raw {
            found[id.index()] = Some(raw_map(&raw, *plane, picture, self.channels(id)));
        }
        Ok(found)
    }

    fn channels(&self, id: ValueId) -> usize {
        let levels = self.heads.iter().flat_map(|head| head.levels.iter().map(move |level| (head, level)));
        for (head, level) in levels {
            if level.classes == id {
                return head.classes.len();
            }
            if level.keypoints == Some(id) {
                return 3 * head.keypoints;
            }
        }
        4 * gesto_engine::model::DFL_BINS
    }
}

fn raw_map(raw: &[f32], plane: RawPlane, picture: usize, channels: usize) -> Map {
    let mut map = Map::zeros(plane.height, plane.width, channels);
    let first = plane.base + picture * plane.height * plane.width * plane.pitch;
    for (i, cell) in map.data.chunks_exact_mut(channels).enumerate() {
        cell.copy_from_slice(&raw[first + i * plane.pitch..][..channels]);
    }
    map
}
