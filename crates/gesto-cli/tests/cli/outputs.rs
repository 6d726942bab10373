//! What the program writes, and where.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::program::{finish, gesto, run, sample};

/// A small network input: these tests look at the form of the results.
const SMALL: [&str; 2] = ["--size", "128x96"];

#[test]
fn json_lines_have_the_documented_form() {
    let picture = sample("astronaut.png");
    let outcome = finish(gesto().arg("detect").arg(&picture).args(["--json", "-", "--size", "256x192"]), b"");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(outcome.stderr, "");
    let lines = outcome.lines();
    let [line] = lines.as_slice() else { panic!("one frame, one line: {lines:?}") };
    let keys: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected =
        ["source", "frame", "timestamp_ms", "width", "height", "hands", "people", "timing_ms"].to_vec();
    expected.sort_unstable();
    assert_eq!(keys, expected);
    assert_eq!(line["source"], json!(picture.display().to_string()));
    assert_eq!((&line["frame"], &line["timestamp_ms"]), (&json!(0), &Value::Null));
    assert_eq!((&line["width"], &line["height"]), (&json!(512), &json!(512)));
    let person = &line["people"][0];
    assert_eq!(person["keypoints"].as_array().unwrap().len(), 17);
    assert_eq!(person["keypoints"][0]["name"], "nose");
    assert_eq!(person["box"].as_array().unwrap().len(), 4);
    for stage in ["resize", "model", "decode", "nms", "total"] {
        assert!(line["timing_ms"][stage].as_f64().unwrap() >= 0.0);
    }
}

#[test]
fn standard_input_is_an_input() {
    let bytes = fs::read(sample("astronaut.png")).unwrap();
    let outcome = finish(gesto().args(["detect", "-", "--json", "-"]).args(SMALL), &bytes);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(outcome.lines()[0]["source"], "-");
}

#[test]
fn a_summary_for_people_when_nobody_asks_for_more() {
    let outcome = finish(gesto().arg("detect").arg(sample("astronaut.png")), b"");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stdout.trim_end().ends_with("astronaut.png  512x512  1 person"), "{}", outcome.stdout);
    assert_eq!(outcome.stderr, "");
    let outcome = finish(gesto().args(["detect", "--quiet"]).arg(sample("astronaut.png")).args(SMALL), b"");
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
}

#[test]
fn every_output_at_once_and_they_agree() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut command = gesto();
    command.arg("detect").arg(sample("astronaut.png")).args(["--size", "256x192", "--show-timing"]);
    for (flag, file) in [
        ("--json", "lines.jsonl"),
        ("--csv", "table.csv"),
        ("--coco", "coco.json"),
        ("--coco-people", "people.json"),
        ("--save", "copy.png"),
    ] {
        command.arg(flag).arg(at(file));
    }
    let outcome = finish(&mut command, b"");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stdout.contains("median ms"), "{}", outcome.stdout);

    let line: Value = serde_json::from_str(&fs::read_to_string(at("lines.jsonl")).unwrap()).unwrap();
    let people = line["people"].as_array().unwrap();
    assert!(!people.is_empty());

    let mut table = csv::Reader::from_path(at("table.csv")).unwrap();
    let rows: Vec<HashMap<String, String>> = table.deserialize().map(Result::unwrap).collect();
    let rows: Vec<_> = rows.iter().filter(|row| row["kind"] == "person").collect();
    assert_eq!(rows.len(), people.len());
    let number = |text: &str| text.parse::<f64>().unwrap();
    assert!((number(&rows[0]["x"]) - people[0]["box"][0].as_f64().unwrap()).abs() < 1e-3);
    let wrist = &people[0]["keypoints"][9];
    assert!((number(&rows[0]["left_wrist_x"]) - wrist["x"].as_f64().unwrap()).abs() < 1e-3);

    for (file, category) in [("coco.json", 20), ("people.json", 1)] {
        let list: Vec<Value> = serde_json::from_slice(&fs::read(at(file)).unwrap()).unwrap();
        let entries: Vec<_> = list.iter().filter(|entry| entry.get("keypoints").is_some()).collect();
        assert_eq!(entries.len(), people.len(), "{file}");
        assert_eq!(entries[0]["category_id"], category);
        assert_eq!(entries[0]["bbox"], people[0]["box"]);
        assert_eq!(entries[0]["keypoints"].as_array().unwrap().len(), 51);
        assert_eq!(entries[0]["image_id"], 1);
    }

    let copy = fs::read(at("copy.png")).unwrap();
    assert!(copy.starts_with(b"\x89PNG"));
    assert_ne!(copy, fs::read(sample("astronaut.png")).unwrap());
}

#[test]
fn coco_ids_come_from_the_annotations() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("truth.json"), r#"{"images":[{"id":77,"file_name":"astronaut.png"}],"annotations":[]}"#)
        .unwrap();
    let mut command = gesto();
    command.arg("detect").arg(sample("astronaut.png")).args(["--size", "256x192"]);
    command.arg("--coco").arg(at("coco.json")).arg("--coco-images").arg(at("truth.json"));
    assert_eq!(finish(&mut command, b"").code, Some(0));
    let list: Vec<Value> = serde_json::from_slice(&fs::read(at("coco.json")).unwrap()).unwrap();
    assert!(!list.is_empty() && list.iter().all(|entry| entry["image_id"] == 77));
}

#[test]
fn model_info_tells_layers_shapes_and_work() {
    let outcome = run(&["model", "info", "--size", "256x128"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stdout.contains("3x256x128"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("0.486 GMAC"), "{}", outcome.stdout);

    let outcome = run(&["model", "info", "--json"]);
    let info: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(info["anchor_points"], 1470);
    assert_eq!(info["heads"][0]["classes"].as_array().unwrap().len(), 19);
    let layers = info["layers"].as_array().unwrap();
    let isa = info["isa"].as_str().unwrap();
    for layer in layers.iter().filter(|layer| layer["macs"].as_u64() > Some(0)) {
        assert!(layer["kernel"].as_str().is_some_and(|kernel| kernel.starts_with(isa)), "{layer}");
    }
    for key in ["parameters", "macs"] {
        let sum: u64 = layers.iter().map(|layer| layer[key].as_u64().unwrap()).sum();
        assert_eq!(info[key], json!(sum), "{key} of the layers add up");
    }
}

#[test]
fn manual_pages_and_completions_know_the_commands() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = run(&[Path::new("man"), folder.path()]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let page = fs::read_to_string(folder.path().join("gesto-detect.1")).unwrap();
    assert!(page.starts_with(".") && page.contains("conf"), "{page}");
    assert!(run(&["man", "-"]).stdout.contains("gesto"));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions", shell]).stdout;
        assert!(script.contains("conf-hand"), "{shell}: {script}");
    }
}
