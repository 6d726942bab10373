//! What drawing changes, and what it survives.

use gesto::{Detections, Gesture, Hand, Keypoint, KeypointName, Label, Person, Rect};
use gesto_media::draw::{Annotator, Style};
use gesto_media::{Limits, Picture};

fn grey(width: u32, height: u32) -> Picture {
    let mut picture = Picture::new(width, height, &Limits::default()).unwrap();
    picture.pixels_mut().fill(128);
    picture
}

fn hand(gesture: Gesture, bbox: Rect) -> Hand {
    Hand { gesture, class: 0, label: Label::new(gesture.name()), score: 0.9, bbox }
}

/// Arms spread, 200 pixels wide.
fn person(score: f32) -> Person {
    let at = |i: usize| match KeypointName::ALL[i] {
        KeypointName::LeftShoulder => (140.0, 100.0),
        KeypointName::RightShoulder => (100.0, 100.0),
        KeypointName::LeftElbow => (170.0, 100.0),
        KeypointName::RightElbow => (70.0, 100.0),
        KeypointName::LeftWrist => (210.0, 100.0),
        KeypointName::RightWrist => (30.0, 100.0),
        _ => (120.0, 60.0 + i as f32),
    };
    let keypoints = std::array::from_fn(|i| {
        let (x, y) = at(i);
        Keypoint { name: KeypointName::ALL[i], x, y, score }
    });
    Person { score: 0.9, bbox: Rect::new(20.0, 40.0, 200.0, 150.0), keypoints }
}

fn pixel(picture: &Picture, x: usize, y: usize) -> [u8; 3] {
    let at = 3 * (y * picture.width() as usize + x);
    picture.pixels()[at..at + 3].try_into().unwrap()
}

#[test]
fn nothing_found_changes_nothing() {
    let mut picture = grey(64, 48);
    Annotator::default().draw(&mut picture, &Detections::default());
    assert_eq!(picture, grey(64, 48));
}

#[test]
fn arms_have_their_colours_and_far_pixels_stay() {
    let mut picture = grey(240, 240);
    let style = Style { people: false, ..Style::default() };
    let found = Detections { people: vec![person(0.9)], ..Detections::default() };
    Annotator::new(style).draw(&mut picture, &found);
    let [left, right] = [pixel(&picture, 190, 100), pixel(&picture, 50, 100)];
    assert!(left[0] > 200 && left[2] < 100, "the left forearm is warm: {left:?}");
    assert!(right[2] > 200 && right[0] < 100, "the right forearm is cool: {right:?}");
    assert_eq!(pixel(&picture, 190, 200), [128; 3]);
    assert_eq!(pixel(&picture, 5, 5), [128; 3]);
}

#[test]
fn unsure_keypoints_are_not_drawn() {
    let style = Style { people: false, ..Style::default() };
    let mut picture = grey(240, 240);
    let found = Detections { people: vec![person(0.3)], ..Detections::default() };
    Annotator::new(style.clone()).draw(&mut picture, &found);
    assert_eq!(picture, grey(240, 240));
    Annotator::new(Style { keypoint_score: 0.2, ..style }).draw(&mut picture, &found);
    assert_ne!(picture, grey(240, 240));
}

#[test]
fn each_part_can_be_left_out() {
    let found = Detections {
        people: vec![person(0.9)],
        hands: vec![hand(Gesture::Like, Rect::new(150.0, 60.0, 60.0, 60.0))],
        ..Detections::default()
    };
    let none = Style { hands: false, people: false, skeletons: false, ..Style::default() };
    let drawn = |style: Style| {
        let mut picture = grey(240, 240);
        Annotator::new(style).draw(&mut picture, &found);
        picture
    };
    assert_eq!(drawn(none.clone()), grey(240, 240));
    let each = [
        drawn(Style { hands: true, ..none.clone() }),
        drawn(Style { people: true, ..none.clone() }),
        drawn(Style { skeletons: true, ..none }),
    ];
    assert!(each.iter().all(|picture| *picture != grey(240, 240)));
    assert!(each[0] != each[1] && each[1] != each[2] && each[0] != each[2]);
}

#[test]
fn drawing_twice_gives_the_same_picture() {
    let found = Detections { people: vec![person(0.9)], ..Detections::default() };
    let mut annotator = Annotator::default();
    let mut draw = |width, height| {
        let mut picture = grey(width, height);
        annotator.draw(&mut picture, &found);
        picture
    };
    let first = draw(240, 200);
    draw(100, 300);
    assert_eq!(draw(240, 200), first);
}

#[test]
fn hostile_numbers_and_sizes_are_survived() {
    let odd = [0.0, -1.0, 1e9, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE, 1e-20, 50.0];
    let mut found = Detections::default();
    for &a in &odd {
        for &b in &odd {
            found.hands.push(Hand { score: a, ..hand(Gesture::Rock, Rect::new(a, b, 30.0, 20.0)) });
            found.hands.push(Hand {
                gesture: Gesture::Other,
                label: Label::new(
                    "ein sehr langer Name \u{1F44D} ohne Ende und ohne Sinn, \n der nirgends passt",
                ),
                ..hand(Gesture::Ok, Rect::new(5.0, 5.0, a, b))
            });
            let mut wild = person(0.9);
            wild.keypoints.iter_mut().step_by(2).for_each(|point| (point.x, point.y) = (a, b));
            found.people.push(wild);
        }
    }
    let sizes = [(1, 1), (1, 400), (400, 1), (7, 5), (33, 20), (240, 200)];
    for scale in [0.0, 1.0, 1e9, f32::NAN] {
        let mut annotator = Annotator::new(Style { scale, ..Style::default() });
        for (width, height) in sizes {
            annotator.draw(&mut grey(width, height), &found);
        }
    }
}
