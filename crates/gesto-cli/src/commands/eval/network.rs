//! From the pictures that a ground truth names to what the network finds in them.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;

use anyhow::{Context, ensure};
use gesto::{Detector, Frame, Isa};
use gesto_eval::{Detection, Detections, GroundTruth, Image};
use gesto_media::{Limits, Picture, source};
use serde::Serialize;

use super::{Args, Found, Truth};
use crate::console::{Console, Failures};
use crate::progress::Progress;
use crate::unit;

/// Pictures decoded before the cores share them.
const BATCH: usize = 32;

/// How the figures came about.
#[derive(Debug, Serialize)]
pub(super) struct Settings {
    images: String,
    model: String,
    size: String,
    /// Whether the sides were swapped for pictures that lie across.
    turn: bool,
    fit: &'static str,
    resize: &'static str,
    /// The unit that ran, and why it is not the one that was asked for.
    unit: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback: Option<String>,
    /// The kernel tier that ran; none beside the processor.
    pub(super) isa: Option<&'static str>,
    conf: f32,
    iou_hand: f32,
    iou_body: f32,
}

/// One line for the tables.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, size, turn, fit, resize, unit, isa, .. } = self;
        let turning = if *turn { " or turned" } else { "" };
        let kernels = isa.map_or(String::new(), |isa| format!(", kernels {isa}"));
        write!(f, "Network: {model}, {size}{turning}, {fit}, resize {resize}; unit {unit}{kernels}.")
    }
}

/// A picture's numbers in the two ground truths.
#[derive(Debug, Clone, Default)]
struct Ids {
    hands: Option<i64>,
    people: Option<i64>,
    /// Width and height in pixels, where a ground truth tells.
    size: Option<(u32, u32)>,
}

/// Runs the network on every picture.
pub(super) fn run(args: &Args, folder: &Path, truth: &Truth, console: &Console) -> anyhow::Result<Found> {
    let mut detector = detector(args)?;
    unit::tell_fallback(&detector, console);
    truth.check_heads(detector.heads())?;
    let mut sorter = Sorter::new(truth)?;
    let pictures = pictures(truth);
    let mut progress = Progress::new(Some(pictures.len() as u64), console.quiet());
    let names: Vec<&String> = pictures.keys().collect();
    let failures = Failures::new(console);
    for batch in names.chunks(BATCH) {
        let mut read = Vec::with_capacity(batch.len());
        for &name in batch {
            let ids = &pictures[name];
            match picture(folder, name, ids.size) {
                Ok(picture) => read.push((ids, picture)),
                Err(error) => progress.around(|| failures.add(&error)),
            }
        }
        let frames: Vec<Frame<'_>> =
            read.iter().map(|(_, picture)| picture.as_frame()).collect::<Result<_, _>>()?;
        let unit = detector.unit().clone();
        let found = detector.detect_batch(&frames)?;
        if *detector.unit() != unit {
            progress.around(|| unit::tell_fallback(&detector, console));
        }
        for ((ids, _), found) in read.iter().zip(found) {
            sorter.take(ids, &found);
        }
        batch.iter().for_each(|_| progress.step());
    }
    progress.clear();
    failures.rest("pictures");
    let unreadable = failures.count();
    ensure!(unreadable < pictures.len(), "no picture of the ground truth could be read");
    Ok(Found {
        hands: Detections::new(sorter.hands),
        people: Detections::new(sorter.people),
        settings: Some(settings(args, folder, &detector)),
        unreadable,
    })
}

/// A few of the pictures, evenly from all that can be read.
pub(super) fn some_pictures(folder: &Path, truth: &Truth, count: usize) -> Vec<Picture> {
    let pictures = pictures(truth);
    let step = pictures.len().div_ceil(count).max(1);
    pictures.iter().step_by(step).filter_map(|(name, ids)| picture(folder, name, ids.size).ok()).collect()
}

pub(super) fn detector(args: &Args) -> gesto::Result<Detector> {
    let mut builder = Detector::builder()
        .size(args.size.height, args.size.width)
        .turn(args.turn)
        .fit(args.fit.into())
        .confidence_hand(args.conf)
        .confidence_body(args.conf)
        .iou_hand(args.iou_hand)
        .iou_body(args.iou_body);
    if let Some(isa) = args.isa {
        builder = builder.isa(isa);
    }
    if let Some(model) = &args.model {
        builder = builder.model_file(model);
    }
    if let Some(resize) = args.resize {
        builder = builder.resize(resize);
    }
    args.unit.apply(builder).build()
}

fn settings(args: &Args, folder: &Path, detector: &Detector) -> Settings {
    let fit: gesto::Fit = args.fit.into();
    Settings {
        images: folder.display().to_string(),
        model: args.model.as_ref().map_or("embedded".to_owned(), |path| path.display().to_string()),
        size: args.size.to_string(),
        turn: args.turn,
        fit: match fit {
            gesto::Fit::Stretch => "stretch",
            _ => "letterbox",
        },
        resize: detector.resize().name(),
        unit: detector.unit().to_string(),
        fallback: detector.fallen_back().map(ToString::to_string),
        isa: detector.isa().map(Isa::name),
        conf: args.conf,
        iou_hand: args.iou_hand,
        iou_body: args.iou_body,
    }
}

/// The pictures of both ground truths by name.
fn pictures(truth: &Truth) -> BTreeMap<String, Ids> {
    let mut pictures: BTreeMap<String, Ids> = BTreeMap::new();
    let mut add = |truth: &Option<GroundTruth>, set: fn(&mut Ids, i64)| {
        for Image { id, file_name, width, height } in truth.iter().flat_map(GroundTruth::images) {
            let ids = pictures.entry(file_name.clone()).or_default();
            set(ids, *id);
            if *width > 0 && *height > 0 {
                ids.size = Some((*width, *height));
            }
        }
    };
    add(&truth.hands, |ids, id| ids.hands = Some(id));
    add(&truth.people, |ids, id| ids.people = Some(id));
    pictures
}

fn picture(folder: &Path, name: &str, size: Option<(u32, u32)>) -> anyhow::Result<Picture> {
    let path = folder.join(name);
    let mut source = source::open(source::Input::File(path.clone()), &Limits::default())?;
    let shot = source.next_frame()?.with_context(|| format!("{}: no picture in it", path.display()))?;
    let picture = shot.picture;
    let is = (picture.width(), picture.height());
    let wanted = size.unwrap_or(is);
    ensure!(
        is == wanted,
        "{}: is {} x {} pixels, but {} x {} in the ground truth",
        path.display(),
        is.0,
        is.1,
        wanted.0,
        wanted.1
    );
    Ok(picture)
}

/// Gives detections the numbers of the ground truth.
struct Sorter {
    /// Category of each gesture by name.
    gestures: HashMap<String, i64>,
    person: Option<i64>,
    hands: Vec<Detection>,
    people: Vec<Detection>,
}

impl Sorter {
    fn new(truth: &Truth) -> anyhow::Result<Self> {
        let categories = truth.hands.iter().flat_map(GroundTruth::categories);
        let gestures = categories.map(|c| (c.name.clone(), c.id)).collect();
        Ok(Self { gestures, person: truth.person()?, hands: Vec::new(), people: Vec::new() })
    }

    fn take(&mut self, ids: &Ids, found: &gesto::Detections) {
        if let Some(image_id) = ids.hands {
            let known = |hand: &gesto::Hand| {
                let category = *self.gestures.get(hand.label.as_str())?;
                Some(detection(image_id, category, hand.bbox, hand.score, Vec::new()))
            };
            self.hands.extend(found.hands.iter().filter_map(known));
        }
        if let Some((image_id, category)) = ids.people.zip(self.person) {
            self.people.extend(found.people.iter().map(|person| {
                let keypoints = person.keypoints.iter().map(|k| [f64::from(k.x), f64::from(k.y)]).collect();
                detection(image_id, category, person.bbox, person.score, keypoints)
            }));
        }
    }
}

fn detection(
    image_id: i64,
    category_id: i64,
    bbox: gesto::Rect,
    score: f32,
    keypoints: Vec<[f64; 2]>,
) -> Detection {
    let bbox = [bbox.x, bbox.y, bbox.w, bbox.h].map(f64::from);
    Detection { image_id, category_id, bbox, area: bbox[2] * bbox[3], score: f64::from(score), keypoints }
}
