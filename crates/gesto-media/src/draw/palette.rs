//! `palette.json` is what the live page draws with: it has to say what this module draws.

use std::collections::BTreeMap;

use gesto::{Gesture, Hand, Label, Rect};
use serde::Deserialize;

use super::color::{self, INK, Part, Rgb};
use super::skeleton;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Palette {
    gestures: BTreeMap<String, String>,
    others: Vec<String>,
    parts: BTreeMap<String, String>,
    ink: String,
    limbs: Vec<(usize, usize, String)>,
}

fn hex(Rgb(r, g, b): Rgb) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn of(gesture: Gesture, class: u16) -> String {
    let bbox = Rect::new(0.0, 0.0, 1.0, 1.0);
    hex(color::gesture(&Hand { gesture, class, label: Label::new(""), score: 1.0, bbox }))
}

fn name(part: Part) -> &'static str {
    match part {
        Part::Face => "face",
        Part::Torso => "torso",
        Part::LeftArm => "left_arm",
        Part::RightArm => "right_arm",
        Part::LeftLeg => "left_leg",
        Part::RightLeg => "right_leg",
    }
}

#[test]
fn the_page_draws_with_the_same_colours_and_limbs() {
    let palette: Palette = serde_json::from_str(include_str!("palette.json")).unwrap();
    let gestures = Gesture::ALL.iter().map(|&gesture| (gesture.name().to_owned(), of(gesture, 0)));
    assert_eq!(palette.gestures, gestures.collect());
    // One beyond the list begins it anew.
    let others: Vec<_> = (0..=palette.others.len() as u16).map(|class| of(Gesture::Other, class)).collect();
    assert_eq!(others.split_last(), Some((&palette.others[0], &palette.others[..])));
    assert_eq!(palette.ink, hex(INK));
    let limbs: Vec<_> =
        skeleton::limbs().map(|(a, b, part)| (a.index(), b.index(), name(part).to_owned())).collect();
    assert_eq!(palette.limbs, limbs);
    let parts = skeleton::limbs().map(|(_, _, part)| (name(part).to_owned(), hex(part.color())));
    assert_eq!(palette.parts, parts.collect());
}
