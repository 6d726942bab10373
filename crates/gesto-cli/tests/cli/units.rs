//! Compute units on the command line, and the benchmarks that compare them.

use crate::program::{Outcome, finish, gesto, run, sample};

/// One line on standard error, and nothing done.
fn assert_refused(out: &Outcome, says: &str) {
    assert_eq!(out.code, Some(2), "{out:?}");
    let lines: Vec<&str> = out.stderr.lines().filter(|line| line.starts_with("gesto: ")).collect();
    assert!(lines.len() == 1 && lines[0].contains(says), "{out:?}");
    assert!(!out.stderr.contains("panicked"), "{out:?}");
}

#[test]
fn units_are_listed_with_reasons_for_those_missing() {
    let nowhere = ["--ort-library", "/there/is/no/libonnxruntime.so"];
    let table = run(&["units", nowhere[0], nowhere[1]]);
    assert_eq!(table.code, Some(0), "{table:?}");
    for word in ["cpu", "portable", "gpu", "ort:", "pip install onnxruntime"] {
        assert!(table.stdout.contains(word), "{word}: {table:?}");
    }
    let json = run(&["units", "--json", nowhere[0], nowhere[1]]);
    let list: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let units = list["units"].as_array().unwrap();
    assert!(units.iter().any(|unit| unit["name"] == "portable" && unit["available"] == true), "{list}");
    for unit in units {
        assert!(unit["unit"].is_string() && !unit["detail"].as_str().unwrap().is_empty(), "{unit}");
    }
    assert_eq!(1 + units.len(), table.stdout.lines().count());
}

#[test]
fn a_missing_unit_is_refused_or_replaced_with_a_warning() {
    let picture = sample("astronaut.png");
    let picture = picture.to_str().unwrap();
    let gpu = run(&["detect", picture, "--unit", "gpu:no such adapter"]);
    assert_refused(&gpu, "");
    let flags = ["--unit", "ort:cpu", "--ort-library", "/there/is/no/libonnxruntime.so"];
    let ort = run(&[&["detect", picture][..], &flags[..]].concat());
    assert_refused(&ort, "/there/is/no/libonnxruntime.so");

    let with = run(&[&["detect", picture, "--json", "-"][..], &flags, &["--unit-fallback", "cpu"]].concat());
    assert_eq!(with.code, Some(0), "{with:?}");
    assert!(with.stderr.contains("warning") && with.stderr.contains("unit cpu takes over"), "{with:?}");
    let without = run(&["detect", picture, "--json", "-"]);
    assert_eq!(with.lines()[0]["people"], without.lines()[0]["people"]);
}

/// A driver's list that names none: as on a machine without a graphics processor.
#[cfg(target_os = "linux")]
#[test]
fn without_a_graphics_processor_its_resize_is_refused_or_replaced_with_a_warning() {
    let picture = sample("astronaut.png");
    let detect = |flags: &[&str]| {
        let mut command = gesto();
        command.arg("detect").arg(&picture).args(["--json", "-", "--resize"]).args(flags);
        command.env("VK_DRIVER_FILES", "/there/is/no/driver.json");
        command.env("VK_ICD_FILENAMES", "/there/is/no/driver.json");
        finish(&mut command, b"")
    };
    let alone = detect(&["gpu-bilinear"]);
    assert_refused(&alone, "the resize gpu-bilinear needs a graphics processor");
    let with = detect(&["gpu-bilinear", "--unit-fallback", "cpu"]);
    assert_eq!(with.code, Some(0), "{with:?}");
    assert!(with.stderr.contains("warning: the resize gpu-bilinear needs"), "{with:?}");
    assert_eq!(with.lines()[0]["people"], detect(&["fused"]).lines()[0]["people"]);
}

#[test]
fn what_does_not_fit_a_unit_is_refused() {
    let picture = sample("astronaut.png");
    let picture = picture.to_str().unwrap();
    for (flags, says) in [
        (&["--unit", "npu"][..], "a unit is cpu"),
        (&["--unit", "ort:tpu"], "openvino"),
        (&["--post", "gpu"], "unit gpu"),
        (&["--post", "somewhere"], "cpu+graph-max"),
        (&["--model", "model.onnx"], "cannot read the model"),
    ] {
        assert_refused(&run(&[&["detect", picture][..], flags].concat()), says);
    }
}

#[test]
fn the_seeds_experiments_run() {
    let folder = tempfile::tempdir().unwrap();
    let (json, chart) = (folder.path().join("seed.json"), folder.path().join("seed.svg"));
    let mut command = gesto();
    command.args(["bench", "seed", "--quick", "--threads", "1"]);
    command.args(["--ort-library", "/there/is/no/libonnxruntime.so"]);
    command.arg("--json").arg(&json).arg("--chart").arg(&chart);
    let out = finish(&mut command, b"");
    assert_eq!(out.code, Some(0), "{out:?}");
    let report: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    let rows = report["rows"].as_array().unwrap();
    let mut measured = 0;
    for row in rows {
        for field in ["row", "name", "unit", "size", "fps", "p50_ms", "p99_ms", "seed_fps", "skipped"] {
            assert!(row.get(field).is_some(), "{field} is missing in {row}");
        }
        assert_eq!(row["fps"].is_null(), !row["skipped"].is_null(), "{row}");
        if let Some(fps) = row["fps"].as_f64() {
            assert!(fps > 0.0 && row["p99_ms"].as_f64() >= row["p50_ms"].as_f64(), "{row}");
            measured += 1;
        }
    }
    // The processor's part of every row runs everywhere: 1 and 2; 3; 5 to 7; 8; 10 and 11; 12; 13; 14.
    assert!(measured >= 2 + 6 + 6 + 6 + 4 + 4 + 4 + 2, "{measured} of {} rows were measured", rows.len());
    assert!(std::fs::read_to_string(chart).unwrap().starts_with("<svg"));
    assert_eq!(out.stdout.lines().count(), 1 + rows.len());

    let chart = folder.path().join("seed.png");
    let out = finish(gesto().args(["bench", "seed", "--quick", "--rows", "13", "--chart"]).arg(&chart), b"");
    assert_eq!(out.code, Some(0), "{out:?}");
    assert!(std::fs::read(chart).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn a_time_line_adds_up() {
    let out = run(&["bench", "stages", "--unit", "cpu", "--size", "64x64", "--frames", "5", "--json", "-"]);
    // Nobody is found at that size; what counts is the clock.
    assert_eq!(out.code, Some(0), "{out:?}");
    let report: serde_json::Value = serde_json::from_str(&out.stdout).unwrap();
    let line = &report["units"][0];
    let stages = line["stages"].as_array().unwrap();
    let names: Vec<_> = stages.iter().map(|stage| stage["stage"].as_str().unwrap()).collect();
    assert_eq!(names, ["resize", "model", "decode", "nms", "rest"]);
    let mut start = 0.0;
    for stage in stages {
        assert!((stage["start_ms"].as_f64().unwrap() - start).abs() < 1e-9, "{line}");
        start += stage["p50_ms"].as_f64().unwrap();
    }
    assert!(line["total_p50_ms"].as_f64().unwrap() > 0.0);
    let missing = run(&["bench", "stages", "--unit", "gpu:no such adapter", "--frames", "3"]);
    assert!(missing.code == Some(2) && missing.stdout.contains("skipped"), "{missing:?}");
    let nowhere = ["--ort-library", "/there/is/no/libonnxruntime.so"];
    for more in [&["--json", "-"][..], &[]] {
        let missing = run(&[&["bench", "stages", "--unit", "ort:cpu"], &nowhere[..], more].concat());
        assert_refused(&missing, "nothing was measured: ort:cpu: ");
        // Once, not for each size.
        assert_eq!(missing.stderr.matches("/there/is/no").count(), 1, "{missing:?}");
    }
}
