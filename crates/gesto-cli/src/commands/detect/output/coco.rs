//! COCO results (<https://cocodataset.org/#format-results>): a JSON list that `pycocotools` loads.
//!
//! The file is a complete list after every frame: the closing bracket is written each time, and overwritten by the
//! next frame.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, anyhow, ensure};
use gesto::Rect;
use gesto::record::Line;
use serde::{Deserialize, Serialize};

use super::Item;
use super::target;

/// Which category people get, and whether gestures are written at all.
#[derive(Debug, Clone, Copy)]
pub(super) enum People {
    /// Gestures are 1 to `gestures`, people the category behind them.
    AfterGestures { gestures: usize },
    /// People are category 1, as in COCO's keypoint task; gestures are left out.
    Alone,
}

/// One results file.
pub(super) struct Coco {
    file: File,
    name: String,
    people: People,
    empty: bool,
}

#[derive(Serialize)]
struct Entry<'a> {
    image_id: u64,
    category_id: usize,
    bbox: Rect,
    score: f32,
    /// `x, y, score` of each keypoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    keypoints: Option<Vec<f32>>,
    /// Not part of the format, and ignored by its readers: whose id it is.
    file_name: &'a str,
}

impl Coco {
    pub(super) fn create(path: &Path, people: People) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let mut file = target::create(path)?;
        file.write_all(b"[\n]\n")
            .and_then(|()| file.seek(SeekFrom::End(-2)))
            .with_context(|| format!("{name}: COCO results need a regular file"))?;
        Ok(Self { file, name, people, empty: true })
    }

    pub(super) fn write(&mut self, image_id: u64, item: &Item<'_>) -> anyhow::Result<()> {
        let file_name = item.line.source.as_str();
        let (hands, person_category) = match self.people {
            People::AfterGestures { gestures } => (item.detections.hands.as_slice(), gestures + 1),
            People::Alone => (&[][..], 1),
        };
        let hands = hands.iter().map(|hand| Entry {
            image_id,
            category_id: usize::from(hand.class) + 1,
            bbox: hand.bbox,
            score: hand.score,
            keypoints: None,
            file_name,
        });
        let people = item.detections.people.iter().map(|person| Entry {
            image_id,
            category_id: person_category,
            bbox: person.bbox,
            score: person.score,
            keypoints: Some(person.keypoints.iter().flat_map(|p| [p.x, p.y, p.score]).collect()),
            file_name,
        });
        let entries = hands.chain(people).map(|entry| serde_json::to_string(&entry));
        let entries = entries.collect::<Result<Vec<_>, _>>()?.join(",\n");
        if entries.is_empty() {
            return Ok(());
        }
        let (tail, separator) = if self.empty { (2, "") } else { (3, ",\n") };
        self.empty = false;
        self.file
            .seek(SeekFrom::End(-tail))
            .and_then(|_| self.file.write_all(format!("{separator}{entries}\n]\n").as_bytes()))
            .with_context(|| format!("cannot write {}", self.name))
    }
}

/// A number for each frame, as COCO wants one for each image.
///
/// In this order: the id that the annotation file gives to the file's name; the number that the file is named
/// after (`000000397133.jpg`, COCO's own habit); the next number that is free, from 1.
#[derive(Debug, Default)]
pub(super) struct ImageIds {
    known: Option<HashMap<String, u64>>,
    used: HashSet<u64>,
    next: u64,
}

impl ImageIds {
    /// Takes the ids from the `images` of an annotation file.
    pub(super) fn from_annotations(path: &Path) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Annotations {
            images: Vec<Image>,
        }
        #[derive(Deserialize)]
        struct Image {
            id: u64,
            file_name: String,
        }
        let text = fs::read(path)?;
        let annotations: Annotations = serde_json::from_slice(&text).context("not a COCO annotation file")?;
        let known = annotations.images.into_iter().map(|image| (base_name(&image.file_name), image.id));
        Ok(Self { known: Some(known.collect()), ..Self::default() })
    }

    pub(super) fn of(&mut self, line: &Line) -> anyhow::Result<u64> {
        let name = base_name(&line.source);
        if let Some(known) = &self.known {
            ensure!(line.frame == 0, "{}: a clip has no image ids in an annotation file", line.source);
            let id = known.get(&name);
            return id.copied().ok_or_else(|| anyhow!("{}: not in the annotation file", line.source));
        }
        let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
        let number = match stem.parse() {
            Ok(number) if line.frame == 0 && stem.bytes().all(|b| b.is_ascii_digit()) => Some(number),
            _ => None,
        };
        if let Some(number) = number
            && self.used.insert(number)
        {
            return Ok(number);
        }
        loop {
            self.next += 1;
            if self.used.insert(self.next) {
                return Ok(self.next);
            }
        }
    }
}

fn base_name(path: &str) -> String {
    path.rsplit(['/', '\\']).next().unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(source: &str, frame: u64) -> Line {
        Line {
            source: source.to_owned(),
            frame,
            timestamp_ms: None,
            width: 1,
            height: 1,
            hands: Vec::new(),
            people: Vec::new(),
            timing_ms: gesto::Timing::default(),
        }
    }

    #[test]
    fn image_ids_are_the_files_number_or_the_next_free_one() {
        let mut ids = ImageIds::default();
        assert_eq!(ids.of(&line("val/000000000002.jpg", 0)).unwrap(), 2);
        assert_eq!(ids.of(&line("b.gif", 0)).unwrap(), 1);
        assert_eq!(ids.of(&line("b.gif", 1)).unwrap(), 3);
        assert_eq!(ids.of(&line("other/2.png", 0)).unwrap(), 4);
        assert_eq!(ids.of(&line("+7.png", 0)).unwrap(), 5);
    }

    #[test]
    fn the_file_is_a_list_after_every_frame() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        let mut coco = Coco::create(&path, People::AfterGestures { gestures: 19 }).unwrap();
        let hand = gesto::Hand {
            gesture: gesto::Gesture::Like,
            class: 4,
            label: gesto::Label::new("like"),
            score: 0.5,
            bbox: Rect::new(1.0, 2.0, 3.0, 4.0),
        };
        let mut expected = 0;
        for hands in [0, 2, 0, 1] {
            let detections = gesto::Detections { hands: vec![hand.clone(); hands], ..Default::default() };
            coco.write(7, &Item { line: &line("a.png", 0), detections: &detections }).unwrap();
            expected += hands;
            let list: Vec<serde_json::Value> = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            assert_eq!(list.len(), expected);
            for entry in &list {
                assert_eq!(entry["category_id"], 5);
                assert_eq!(entry["image_id"], 7);
                assert_eq!(entry["bbox"], serde_json::json!([1.0, 2.0, 3.0, 4.0]));
            }
        }
    }
}
