//! `gesto eval`: figures of stored results, of a picture, and of bad ground truth.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::program::{run, sample};

fn data(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/coco").join(name);
    assert!(path.exists(), "{} is missing", path.display());
    path
}

/// Runs `gesto eval` with these arguments and `--json -`; gives the exit code and the object.
fn figures(arguments: &[&str]) -> (Option<i32>, Value) {
    let outcome = run(&[&["eval", "--json", "-"], arguments].concat());
    let parsed = serde_json::from_str(&outcome.stdout);
    (outcome.code, parsed.unwrap_or_else(|e| panic!("{e}: {outcome:?}")))
}

#[test]
fn stored_results_give_pycocotools_figures() {
    let paths = ["hands.json", "people.json", "hands-results.json", "people-results.json"].map(data);
    let [hands, people, hand_results, people_results] = paths.each_ref().map(|path| path.to_str().unwrap());
    let (code, got) =
        figures(&["--hands", hands, "--people", people, "--results", hand_results, people_results]);
    assert_eq!(code, Some(0));
    let want: Value = serde_json::from_str(&fs::read_to_string(data("pycocotools.json")).unwrap()).unwrap();
    for part in ["hands", "people", "keypoints"] {
        for (name, want) in want[part].as_object().unwrap().iter().filter(|(_, want)| !want.is_array()) {
            let got = &got[part][name];
            let same = match (got.as_f64(), want.as_f64()) {
                (Some(got), Some(want)) => (got - want).abs() < 5e-4,
                (got, want) => got.is_none() && want.is_none(),
            };
            assert!(same, "{part} {name}: {got}, not {want}");
        }
    }
    // Each task alone gives the same.
    let (_, alone) = figures(&["--people", people, "--results", people_results]);
    assert_eq!(alone["keypoints"], got["keypoints"]);
    assert!(alone.get("hands").is_none());
    let (_, alone) = figures(&["--hands", hands, "--results", hand_results, people_results]);
    assert_eq!(alone["hands"], got["hands"]);
}

/// A ground truth of one person, where she is in `astronaut.png`.
fn astronaut(file_name: &str) -> Value {
    let keypoints = vec![0; 51];
    json!({
        "images": [{"id": 5, "file_name": file_name, "width": 512, "height": 512}],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [{"id": 1, "image_id": 5, "category_id": 1, "bbox": [5, 0, 445, 512], "area": 227_840, "iscrowd": 0,
            "num_keypoints": 0, "keypoints": keypoints}],
    })
}

#[test]
fn pictures_are_run_and_a_report_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    fs::copy(sample("astronaut.png"), at("a.png")).unwrap();
    fs::write(at("people.json"), astronaut("a.png").to_string()).unwrap();
    let images = folder.path().display().to_string();
    let arguments = ["--images", &images, "--people", &at("people.json"), "--report", &at("report")];
    let (code, got) = figures(&arguments);
    assert_eq!(code, Some(0));
    assert_eq!(got["people"]["ap50"], json!(1.0), "{got}");
    // Nobody's keypoints are labelled.
    assert_eq!(got["keypoints"]["ap"], Value::Null);
    assert_eq!(got["settings"]["size"], json!("320x224"));

    let report = fs::read_to_string(at("report/report.md")).unwrap();
    assert!(report.contains("people, boxes | 1.000"), "{report}");
    let chart = fs::read_to_string(at("report/people-precision-recall.svg")).unwrap();
    assert!(chart.contains("person 1.00"), "{chart}");
    let chart = fs::read(at("report/people-precision-recall.png")).unwrap();
    assert!(chart.starts_with(b"\x89PNG\r\n"), "a PNG beside each SVG");
    // What was found gives the same figures again.
    let results = at("report/people-results.json");
    let (code, again) = figures(&["--people", &at("people.json"), "--results", &results]);
    assert_eq!((code, &again["people"]), (Some(0), &got["people"]));
}

#[test]
fn an_unreadable_picture_counts_as_empty() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    fs::copy(sample("astronaut.png"), at("a.png")).unwrap();
    fs::write(at("broken.png"), b"\x89PNG\r\n\x1a\n and no more").unwrap();
    let mut truth = astronaut("a.png");
    truth["images"].as_array_mut().unwrap().push(json!({"id": 6, "file_name": "broken.png"}));
    let mut second = truth["annotations"][0].clone();
    second["image_id"] = json!(6);
    truth["annotations"].as_array_mut().unwrap().push(second);
    fs::write(at("people.json"), truth.to_string()).unwrap();
    let images = folder.path().display().to_string();
    let (code, got) = figures(&["--images", &images, "--people", &at("people.json")]);
    assert_eq!((code, &got["unreadable"]), (Some(1), &json!(1)));
    let recall = got["people"]["best_f1"]["recall"].as_f64();
    assert_eq!(recall, Some(0.5), "one of two people is found");
}

#[test]
fn bad_ground_truth_is_one_line_and_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let images = folder.path().display().to_string();
    let mut twice = astronaut("a.png");
    twice["categories"].as_array_mut().unwrap().push(json!({"id": 2, "name": "person"}));
    let mut wrong_size = astronaut("a.png");
    wrong_size["images"][0]["width"] = json!(100);
    fs::copy(sample("astronaut.png"), at("a.png")).unwrap();
    for (name, text) in [
        ("empty.json", String::new()),
        ("list.json", "[]".to_owned()),
        ("bytes.json", "\u{0}\u{1}".to_owned()),
        ("deep.json", "[".repeat(100_000)),
        ("none.json", json!({"images": [], "categories": [], "annotations": []}).to_string()),
        ("missing.json", astronaut("no-such.png").to_string()),
        ("size.json", wrong_size.to_string()),
        ("twice.json", twice.to_string()),
        ("good.json", astronaut("a.png").to_string()),
    ] {
        fs::write(at(name), text).unwrap();
    }
    let mut cases: Vec<Vec<String>> = Vec::new();
    for name in ["empty.json", "list.json", "bytes.json", "deep.json", "none.json", "no-such.json", ""] {
        cases.push(["--people", &at(name), "--images", &images].map(String::from).into());
        cases.push(["--people", &at("good.json"), "--results", &at(name)].map(String::from).into());
    }
    // An empty list of results is sound.
    cases.retain(|case| case[3] != at("list.json"));
    for flags in [
        vec!["--people", "good.json", "--images", "IMAGES", "--size", "100x100"],
        vec!["--people", "good.json", "--images", "IMAGES", "--isa", "z80"],
        vec!["--people", "twice.json", "--images", "IMAGES"],
        vec!["--hands", "good.json", "--images", "IMAGES"],
        vec!["--people", "good.json"],
        vec!["--images", "IMAGES"],
        vec!["--people", "good.json", "--images", "IMAGES", "--results", "good.json"],
    ] {
        let argument = |text: &str| match text {
            "IMAGES" => images.clone(),
            name if name.ends_with(".json") => at(name),
            flag => flag.to_owned(),
        };
        cases.push(flags.into_iter().map(argument).collect());
    }
    for case in cases {
        let outcome = run(&[vec!["eval".to_owned()], case.clone()].concat());
        assert_eq!(outcome.code, Some(2), "{case:?}: {outcome:?}");
        let lines: Vec<&str> = outcome.stderr.lines().collect();
        assert!(lines.len() == 1 && lines[0].starts_with("gesto: "), "{case:?}: {lines:?}");
        assert!(lines[0].len() < 400 && !lines[0].contains("panicked"), "{case:?}: {lines:?}");
    }
    // The picture's own complaint, then that none is left.
    let outcome = run(&["eval", "--people", &at("size.json"), "--images", &images]);
    assert_eq!((outcome.code, outcome.stderr.lines().count()), (Some(2), 2), "{outcome:?}");
    // None of the pictures is there: said once, for the folder.
    let nowhere = at("no-such-folder");
    for (name, folder) in [("missing.json", &images), ("good.json", &nowhere)] {
        let outcome = run(&["eval", "--people", &at(name), "--images", folder]);
        assert_eq!((outcome.code, outcome.stderr.lines().count()), (Some(2), 1), "{name}: {outcome:?}");
        assert!(outcome.stderr.starts_with(&format!("gesto: --images {folder}: ")), "{outcome:?}");
    }
}

#[test]
fn of_many_missing_pictures_a_few_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    fs::copy(sample("astronaut.png"), at("a.png")).unwrap();
    let mut truth = astronaut("a.png");
    for id in 10..20 {
        truth["images"].as_array_mut().unwrap().push(json!({"id": id, "file_name": format!("{id}.png")}));
    }
    fs::write(at("people.json"), truth.to_string()).unwrap();
    let images = folder.path().display().to_string();
    let arguments =
        ["eval", "--size", "64x64", "--json", "-", "--images", &images, "--people", &at("people.json")];
    let outcome = run(&arguments);
    let said: Vec<&str> = outcome.stderr.lines().collect();
    assert_eq!((outcome.code, said.len()), (Some(1), 5), "{said:?}");
    assert!(said[0].contains("10.png") && said[2].contains("12.png"), "{said:?}");
    assert!(said[3].contains(" 7 more pictures"), "{said:?}");
    assert!(said[4].contains("10 pictures could not be read"), "{said:?}");
    let outcome = run(&[&arguments[..], &["--verbose"]].concat());
    assert_eq!(outcome.stderr.lines().count(), 11, "{outcome:?}");
}

#[test]
fn the_tier_that_ran_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    fs::copy(sample("astronaut.png"), at("a.png")).unwrap();
    fs::write(at("people.json"), astronaut("a.png").to_string()).unwrap();
    let images = folder.path().display().to_string();
    let (people, report) = (at("people.json"), at("report"));
    let common = ["--size", "64x64", "--images", &images, "--people", &people];
    let info: Value = serde_json::from_str(&run(&["model", "info", "--json"]).stdout).unwrap();
    let (code, got) = figures(&common);
    assert_eq!((code, &got["settings"]["isa"]), (Some(0), &info["isa"]));
    assert!(info["isa"].is_string());
    let (code, got) = figures(&[&common[..], &["--isa", "portable"]].concat());
    assert_eq!((code, &got["settings"]["isa"]), (Some(0), &json!("portable")));

    let flags = ["--isa", "portable", "--report", &report];
    let outcome = run(&[&["eval"], &common[..], &flags].concat());
    let line = "Network: embedded, 64x64, letterbox, resize fused; unit cpu, kernels portable.\n";
    assert!(outcome.stdout.starts_with(line), "{outcome:?}");
    assert!(fs::read_to_string(at("report/report.md")).unwrap().starts_with(line));

    let outcome = run(&[&["eval"], &common[..], &["--isa", "portable", "--compare-resizes"]].concat());
    assert!(outcome.code == Some(0) && outcome.stdout.starts_with("Kernels: portable.\n"), "{outcome:?}");
}

#[test]
fn stored_results_refuse_what_says_how_a_network_runs() {
    let (people, results) = (data("people.json"), data("people-results.json"));
    let (people, results) = (people.to_str().unwrap(), results.to_str().unwrap());
    for (flag, value) in [
        ("--size", "320x224"),
        ("--fit", "stretch"),
        ("--resize", "fused"),
        ("--isa", "portable"),
        ("--model", "model.safetensors"),
        ("--unit", "cpu"),
        ("--unit-fallback", "cpu"),
        ("--post", "cpu"),
        ("--ort-library", "lib.so"),
        ("--conf", "0.1"),
        ("--iou-hand", "0.4"),
        ("--iou-body", "0.4"),
    ] {
        let outcome = run(&["eval", "--people", people, flag, value, "--results", results]);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{flag}: {outcome:?}");
        assert!(outcome.stderr.contains(flag) && outcome.stderr.contains("--results"), "{outcome:?}");
    }
}

#[test]
fn kernels_of_the_processor_are_no_choice_beside_it() {
    let people = data("people.json");
    let people = people.to_str().unwrap();
    for unit in ["gpu", "ort:cpu"] {
        let outcome =
            run(&["eval", "--people", people, "--images", ".", "--isa", "portable", "--unit", unit]);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{unit}: {outcome:?}");
        assert!(outcome.stderr.contains("--isa portable names kernels of the processor"), "{outcome:?}");
    }
}

#[test]
fn results_of_unknown_categories_are_told_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let paths = ["hands.json", "hands-results.json", "people.json"].map(data);
    let [hands, results, people] = paths.each_ref().map(|path| path.to_str().unwrap());
    let found: Vec<Value> = serde_json::from_str(&fs::read_to_string(results).unwrap()).unwrap();
    let with = |name: &str, change: &dyn Fn(i64) -> i64| {
        let mut found = found.clone();
        for result in &mut found {
            result["category_id"] = change(result["category_id"].as_i64().unwrap()).into();
        }
        fs::write(at(name), serde_json::to_string(&found).unwrap()).unwrap();
        run(&["eval", "--hands", hands, "--results", &at(name), "--json", "-"])
    };
    let first = found[0]["category_id"].as_i64().unwrap();
    let count = found.iter().filter(|result| result["category_id"] == first).count();
    assert!(count < found.len());
    let some = with("some.json", &|id| if id == first { -7 } else { id });
    let says = format!(
        "warning: {}: {count} of its {} results do not have a category",
        at("some.json"),
        found.len()
    );
    assert!(
        some.code == Some(0) && some.stderr.contains(&says) && some.stderr.contains("they have -7"),
        "{some:?}"
    );
    let none = with("none.json", &|id| id + 1000);
    assert_eq!((none.code, none.stdout.as_str()), (Some(2), ""), "{none:?}");
    assert!(none.stderr.contains(&format!("none of its {} results has a category", found.len())), "{none:?}");
    // Boxes of people alone, by their category in another file.
    let boxes = json!([{"image_id": 1, "category_id": 20, "score": 0.5, "bbox": [0, 0, 1, 1]}]);
    let truth: Value = serde_json::from_str(&fs::read_to_string(people).unwrap()).unwrap();
    let mut boxes = boxes;
    boxes[0]["image_id"] = truth["images"][0]["id"].clone();
    fs::write(at("boxes.json"), boxes.to_string()).unwrap();
    let none = run(&["eval", "--people", people, "--results", &at("boxes.json")]);
    assert!(none.code == Some(2) && none.stderr.contains("none of its 1 results"), "{none:?}");
}

#[test]
fn shipped_network_on_the_validation_pictures() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/dataset");
    if !shared.join("val").is_dir() {
        // Past the test harness, which keeps the output of tests that pass.
        let why = format!("SKIPPED shipped_network_on_the_validation_pictures: no {}", shared.display());
        return writeln!(std::io::stderr(), "{why}").unwrap();
    }
    let at = |name: &str| shared.join(name).display().to_string();
    let (code, got) = figures(&[
        "--images",
        &at("val"),
        "--hands",
        &at("val-hands.json"),
        "--people",
        &at("val-people.json"),
    ]);
    assert_eq!((code, &got["pictures"]), (Some(0), &json!(254)));
    // Below the worst that the network may become; far above what a broken decoder gives.
    for (part, figure, least) in [("hands", "ap50", 0.6), ("people", "ap50", 0.5), ("keypoints", "ap50", 0.5)]
    {
        let value = got[part][figure].as_f64().unwrap();
        assert!(value > least, "{part} {figure}: {value}");
    }
}
