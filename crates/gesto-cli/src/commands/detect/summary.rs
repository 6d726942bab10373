//! One line for people about each input.

use std::collections::BTreeMap;
use std::fmt;

use gesto::record::Line;

use crate::console::counted;

/// What one input showed.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    name: String,
    moving: bool,
    frames: u64,
    size: (u32, u32),
    /// Gesture to the number of frames that show it.
    gestures: BTreeMap<String, u64>,
    /// Frames with somebody in them, and most people at once.
    peopled: u64,
    most_people: usize,
}

impl Summary {
    pub(crate) fn new(name: &str, moving: bool) -> Self {
        Self { name: name.to_owned(), moving, ..Self::default() }
    }

    pub(crate) fn frames(&self) -> u64 {
        self.frames
    }

    pub(crate) fn add(&mut self, line: &Line) {
        self.frames += 1;
        self.size = (line.width, line.height);
        self.peopled += u64::from(!line.people.is_empty());
        self.most_people = self.most_people.max(line.people.len());
        let mut seen: Vec<&str> = line.hands.iter().map(|hand| hand.gesture.as_str()).collect();
        if self.moving {
            seen.sort_unstable();
            seen.dedup();
        }
        for gesture in seen {
            match self.gestures.get_mut(gesture) {
                Some(count) => *count += 1,
                None => drop(self.gestures.insert(gesture.to_owned(), 1)),
            }
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, height) = self.size;
        write!(f, "{}  {width}x{height}", self.name)?;
        if self.moving {
            write!(f, "  {}", counted(self.frames, "frame", "frames"))?;
        }
        let mut found = Vec::new();
        if self.most_people > 0 {
            let most = counted(self.most_people as u64, "person", "people");
            found.push(if self.moving { format!("{most} (in {})", self.peopled) } else { most });
        }
        for (gesture, &count) in &self.gestures {
            found.push(match (self.moving, count) {
                (true, _) => format!("{gesture} (in {count})"),
                (false, 1) => gesture.clone(),
                (false, _) => format!("{gesture} x{count}"),
            });
        }
        if found.is_empty() {
            found.push("nothing found".to_owned());
        }
        write!(f, "  {}", found.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gesto::record::{Hand, Person};
    use gesto::{Label, Rect, Timing};

    fn line(gestures: &[&str], people: usize) -> Line {
        let hand = |name: &&str| Hand { gesture: Label::new(name), score: 0.9, bbox: Rect::default() };
        let person = Person { score: 0.9, bbox: Rect::default(), keypoints: Vec::new() };
        Line {
            source: String::new(),
            frame: 0,
            timestamp_ms: None,
            width: 640,
            height: 427,
            hands: gestures.iter().map(hand).collect(),
            people: vec![person; people],
            timing_ms: Timing::default(),
        }
    }

    #[test]
    fn a_still() {
        let mut summary = Summary::new("a.png", false);
        summary.add(&line(&[], 1));
        assert_eq!(summary.to_string(), "a.png  640x427  1 person");
        let mut summary = Summary::new("a.png", false);
        summary.add(&line(&["like", "ok", "like"], 2));
        assert_eq!(summary.to_string(), "a.png  640x427  2 people, like x2, ok");
        let mut summary = Summary::new("a.png", false);
        summary.add(&line(&[], 0));
        assert_eq!(summary.to_string(), "a.png  640x427  nothing found");
    }

    #[test]
    fn a_clip_counts_frames() {
        let mut summary = Summary::new("a.gif", true);
        summary.add(&line(&["like", "like"], 2));
        summary.add(&line(&["like", "ok"], 0));
        assert_eq!(summary.to_string(), "a.gif  640x427  2 frames  2 people (in 1), like (in 2), ok (in 1)");
    }
}
