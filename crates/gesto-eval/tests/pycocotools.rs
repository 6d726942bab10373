//! Figures equal pycocotools' on made-up files that exercise its corners (`crates/gesto-cli/tests/data/coco`).

use gesto_eval::{Detections, GroundTruth, HandsReport, PeopleReport};
use serde_json::Value;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../gesto-cli/tests/data/coco");
/// Far below the three decimals that are published.
const TOLERANCE: f64 = 1e-9;

fn read(name: &str) -> String {
    let path = format!("{DATA}/{name}");
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn load(name: &str) -> (GroundTruth, Detections) {
    let truth = GroundTruth::from_json(&read(&format!("{name}.json"))).unwrap();
    let found = Detections::from_json(&read(&format!("{name}-results.json")), &truth).unwrap();
    (truth, found)
}

/// Every figure of `want` is in `got`, `null` where it is `null`; gives their number.
fn same_figures(got: &Value, want: &Value, path: &str) -> usize {
    match want {
        Value::Object(want) => {
            want.iter().map(|(k, v)| same_figures(&got[k], v, &format!("{path}.{k}"))).sum()
        }
        Value::Array(want) => {
            assert_eq!(got.as_array().map(Vec::len), Some(want.len()), "{path}");
            want.iter().enumerate().map(|(i, v)| same_figures(&got[i], v, &format!("{path}[{i}]"))).sum()
        }
        Value::Number(want) => {
            let (got, want) = (got.as_f64(), want.as_f64().unwrap());
            assert!(got.is_some_and(|got| (got - want).abs() <= TOLERANCE), "{path}: {got:?}, not {want}");
            1
        }
        other => {
            assert_eq!(got, other, "{path}");
            1
        }
    }
}

#[test]
fn figures_equal_pycocotools() {
    let want: Value = serde_json::from_str(&read("pycocotools.json")).unwrap();
    let (truth, found) = load("hands");
    let hands = serde_json::to_value(HandsReport::new(&truth, &found)).unwrap();
    let (truth, found) = load("people");
    let (people, keypoints) = PeopleReport::new(&truth, &found);
    let compared = same_figures(&hands, &want["hands"], "hands")
        + same_figures(&serde_json::to_value(people).unwrap(), &want["people"], "people")
        + same_figures(&serde_json::to_value(keypoints).unwrap(), &want["keypoints"], "keypoints");
    // 12 + 12 + 10 summary figures, and four for each of 19 classes.
    assert_eq!(compared, 34 + 4 * 19);
}
