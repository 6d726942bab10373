//! `gesto model quantize`: a model with scales comes out, tells what it costs, and runs on 8-bit kernels.

use std::fs;
use std::path::Path;

use super::program::{Outcome, finish, gesto, run, sample};

/// A folder with the sample portrait and something that is no picture.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(sample("astronaut.png"), folder.path().join("astronaut.png")).unwrap();
    folder
}

fn quantize(images: &Path, out: &Path, more: &[&str]) -> Outcome {
    let (images, out) = (images.display().to_string(), out.display().to_string());
    run(&[&["model", "quantize", "--images", &images, "--out", &out], more].concat())
}

#[test]
fn scales_are_found_told_and_used() {
    let folder = folder();
    let out = folder.path().join("int8.safetensors");
    let truth = folder.path().join("people.json");
    let annotation = r#"{"images": [{"id": 1, "file_name": "astronaut.png", "width": 512, "height": 512}],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 20, 480, 490], "area": 200000,
        "iscrowd": 0}]}"#;
    fs::write(&truth, annotation).unwrap();
    let flags = ["--size", "128x128", "--people", truth.to_str().unwrap()];
    let outcome = quantize(folder.path(), &out, &flags);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    for part in ["scales of 75 maps from 1 picture", "found again", "overlap", "people, IoU 0.50 "] {
        assert!(outcome.stdout.contains(part), "no {part:?} in {outcome:?}");
    }

    let model = out.to_str().unwrap();
    let info = run(&["model", "info", "--model", model]);
    assert!(info.stdout.contains("75 maps have scales for 8-bit kernels"), "{info:?}");
    let info = run(&["model", "info", "--model", model, "--json"]);
    let info: serde_json::Value = serde_json::from_str(&info.stdout).unwrap();
    assert_eq!(info["scaled_maps"], 75);
    assert!(info["metadata"]["activation_scales"].is_null());

    // The same person on the 8-bit kernels and, with the same file, on the usual ones.
    let picture = sample("astronaut.png").display().to_string();
    let detect = |isa: Option<&str>| {
        let mut command = gesto();
        command.args(["detect", &picture, "--size", "128x128", "--model", model, "--json", "-"]);
        if let Some(isa) = isa {
            command.env("GESTO_ISA", isa);
        }
        let outcome = finish(&mut command, b"");
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let people = outcome.lines()[0]["people"].as_array().unwrap().clone();
        assert_eq!(people.len(), 1, "{isa:?}: {people:?}");
        people[0]["score"].as_f64().unwrap()
    };
    let (exact, int8) = (detect(None), detect(Some("portable-int8")));
    assert!(exact != int8 && (exact - int8).abs() < 0.15, "{exact} and {int8}");
}

#[test]
fn a_picture_that_cannot_be_read_is_told_and_gives_code_1() {
    let folder = folder();
    fs::write(folder.path().join("broken.png"), b"\x89PNG\r\n\x1a\n and no more").unwrap();
    let out = folder.path().join("int8.safetensors");
    let outcome = quantize(folder.path(), &out, &["--size", "64x64"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(
        outcome.stdout.contains("from 1 picture\n") && outcome.stderr.contains("broken.png"),
        "{outcome:?}"
    );
    assert!(out.exists());
}

#[test]
fn what_cannot_be_quantised_is_one_line_and_code_2() {
    let folder = folder();
    let empty = tempfile::tempdir().unwrap();
    let broken = tempfile::tempdir().unwrap();
    fs::write(broken.path().join("broken.png"), b"not a picture").unwrap();
    let out = empty.path().join("out.safetensors");
    let missing = Path::new("no-such-folder");
    for (images, out, more) in [
        (missing, out.as_path(), &[] as &[&str]),
        (&folder.path().join("astronaut.png"), &out, &[]),
        (folder.path(), &missing.join("out.safetensors"), &["--size", "64x64"]),
        (folder.path(), &out, &["--size", "60x60"]),
        (folder.path(), &out, &["--pictures", "0"]),
        (folder.path(), &out, &["--model", "no-such.safetensors"]),
    ] {
        let outcome = quantize(images, out, more);
        assert_eq!(outcome.code, Some(2), "{images:?} {more:?}: {outcome:?}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{images:?} {more:?}: {outcome:?}");
        assert!(outcome.stderr.starts_with("gesto: "), "{outcome:?}");
    }
    // Annotations that are of no use are told before the long work, which would have left a file.
    let (bad, other, hands) =
        (folder.path().join("bad.json"), folder.path().join("other.json"), folder.path().join("hands.json"));
    fs::write(&bad, "{").unwrap();
    let truth = |picture: &str, category: &str| {
        format!(
            r#"{{"images": [{{"id": 1, "file_name": "{picture}"}}], "categories": [{{"id": 1, "name": "{category}"}}],
            "annotations": []}}"#
        )
    };
    fs::write(&other, truth("another.png", "like")).unwrap();
    fs::write(&hands, truth("astronaut.png", "no gesture")).unwrap();
    for file in [&bad, &other, &hands, &folder.path().join("no-such.json")] {
        let outcome = quantize(folder.path(), &out, &["--size", "64x64", "--hands", file.to_str().unwrap()]);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{file:?}: {outcome:?}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{file:?}: {outcome:?}");
        assert!(!out.exists(), "{file:?}: calibrated all the same");
    }
    let outcome = quantize(broken.path(), &out, &[]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.stderr.lines().all(|line| line.starts_with("gesto: ")), "{outcome:?}");
    let outcome = quantize(empty.path(), &out, &[]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
}
