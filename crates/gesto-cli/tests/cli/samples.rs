//! The samples: what they show is found.

use serde_json::Value;

use super::program::{finish, gesto, sample};

fn detect(name: &str) -> Vec<Value> {
    let outcome = finish(gesto().arg("detect").arg(sample(name)).args(["--json", "-"]), b"");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    outcome.lines()
}

#[test]
fn the_astronaut_is_found() {
    let lines = detect("astronaut.png");
    let people = lines[0]["people"].as_array().unwrap();
    assert_eq!(people.len(), 1, "{people:?}");
    // Her nose is at about 226, 123 of 512.
    let nose = &people[0]["keypoints"][0];
    let (x, y) = (nose["x"].as_f64().unwrap(), nose["y"].as_f64().unwrap());
    assert!((x - 226.0).abs() < 25.0 && (y - 123.0).abs() < 25.0, "{nose}");
    let [left, top, width, height] = [0, 1, 2, 3].map(|i| people[0]["box"][i].as_f64().unwrap());
    assert!(left < 60.0 && top < 60.0 && left + width > 350.0 && top + height > 470.0, "{people:?}");
    assert_eq!(lines[0]["hands"].as_array().unwrap().len(), 0);
}

/// Frames of the clip in which the gesture is there for anyone to see, neither blurred nor half made.
fn like(frame: u64) -> bool {
    matches!(frame, 0 | 14..=22 | 38..=42)
}

fn peace(frame: u64) -> bool {
    matches!(frame, 3..=11 | 26..=34)
}

#[test]
fn like_and_peace_and_the_man_are_found_in_the_clip() {
    let lines = detect("fingers-lq.gif");
    assert_eq!(lines.len(), 43);
    let shows = |line: &Value, gesture: &str| {
        line["hands"].as_array().unwrap().iter().any(|hand| hand["gesture"] == gesture)
    };
    for (gesture, there) in [("like", like as fn(u64) -> bool), ("peace", peace)] {
        let frames = lines.iter().filter(|line| there(line["frame"].as_u64().unwrap()));
        let (found, missed): (Vec<_>, Vec<_>) = frames.partition(|line| shows(line, gesture));
        let share = found.len() as f64 / (found.len() + missed.len()) as f64;
        let missed: Vec<_> = missed.iter().map(|line| &line["frame"]).collect();
        assert!(share >= 0.8, "{gesture} found in {:.0} %, missed in frames {missed:?}", 100.0 * share);
        let other = if gesture == "like" { "peace" } else { "like" };
        let wrong = found.iter().filter(|line| shows(line, other)).count();
        assert_eq!(wrong, 0, "frames of {gesture} taken for {other}");
    }
    // He sits on the left, his face at about 137, 120 of 320 x 240.
    let man = |line: &&Value| {
        line["people"].as_array().unwrap().iter().any(|person| {
            let nose = &person["keypoints"][0];
            (nose["x"].as_f64().unwrap() - 137.0).abs() < 30.0
                && (nose["y"].as_f64().unwrap() - 120.0).abs() < 30.0
        })
    };
    let found = lines.iter().filter(man).count();
    assert!(found >= 40, "the man is found in {found} of 43 frames");
    let times: Vec<f64> = lines.iter().map(|line| line["timestamp_ms"].as_f64().unwrap()).collect();
    assert!(times.windows(2).all(|pair| pair[1] > pair[0]), "{times:?}");
}
