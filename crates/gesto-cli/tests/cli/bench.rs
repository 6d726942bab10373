//! `gesto bench model` and `bench resize`: what they measure, and what they refuse.

use std::fs;
use std::io::Write;

use gesto_engine::Isa;
use gesto_engine::isa::Detected;
use serde_json::Value;

use super::program::{finish, gesto, run};

/// Little work: these tests look at the form of the results.
const QUICK: [&str; 6] = ["bench", "model", "--size", "64x64", "--frames", "10"];

/// The keys of a figure, as programs read them.
const KEYS: [&str; 12] = [
    "isa",
    "threads",
    "size",
    "mode",
    "dense",
    "frames",
    "median_ms",
    "p99_ms",
    "fps",
    "gflops",
    "percent_of_ceiling",
    "candidates",
];

fn keys(figure: &Value) -> Vec<&str> {
    figure.as_object().unwrap().keys().map(String::as_str).collect()
}

fn sorted<'a>(keys: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut keys: Vec<_> = keys.into_iter().collect();
    keys.sort_unstable();
    keys
}

#[test]
fn throughput_times_one_frame_on_each_thread() {
    let flags = ["--mode", "throughput", "--threads", "1,3", "--json", "-"];
    let outcome = run(&[&QUICK[..], &flags].concat());
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let figures = outcome.lines();
    assert_eq!(figures.len(), 2);
    for (figure, threads) in figures.iter().zip([1, 3]) {
        assert_eq!(keys(figure), sorted(KEYS));
        assert_eq!((&figure["mode"], &figure["threads"]), (&"throughput".into(), &threads.into()));
        // Every thread times as many frames as were asked for.
        assert_eq!(figure["frames"], 10 * threads);
        let number = |key: &str| figure[key].as_f64().unwrap();
        assert!(number("median_ms") > 0.0 && number("p99_ms") >= number("median_ms"), "{figure}");
        // The rate is that of the whole: no thread alone is faster than its slowest frame allows.
        assert!(number("fps") <= 1e3 * f64::from(threads) / number("median_ms") * 2.0, "{figure}");
        assert!(number("gflops") > 0.0 && number("percent_of_ceiling") > 0.0, "{figure}");
    }
}

#[test]
fn layers_are_told_in_json_and_in_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("figures.jsonl");
    let flags = ["--threads", "1", "--isa", "portable", "--layers", "--json"];
    let table = finish(gesto().args(QUICK).args(flags).arg(&file), b"");
    assert_eq!(table.code, Some(0), "{table:?}");
    let written: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let alone = run(&[&QUICK[..], &flags, &["-"]].concat());
    assert_eq!((alone.code, alone.stderr.as_str()), (Some(0), ""), "{alone:?}");

    let info = run(&["model", "info", "--size", "64x64", "--json"]);
    let info: Value = serde_json::from_str(&info.stdout).unwrap();
    let macs: f64 = info["macs"].as_f64().unwrap();
    for figure in [&written, &alone.lines()[0]] {
        assert_eq!(keys(figure), sorted(KEYS.into_iter().chain(["layers"])));
        let layers = figure["layers"].as_array().unwrap();
        let mut work = 0.0;
        for layer in layers {
            let expected = ["layer", "kernel", "map", "median_us", "gflops", "percent_of_ceiling", "lazy"];
            assert_eq!(keys(layer), sorted(expected));
            let time = layer["median_us"].as_f64().unwrap();
            match (layer["gflops"].as_f64(), layer["percent_of_ceiling"].as_f64()) {
                (Some(rate), Some(share)) => {
                    assert!(time > 0.0 && rate > 0.0 && share > 0.0, "{layer}");
                    work += rate * time * 1e3 / 2.0;
                }
                // Pools have no products.
                (None, None) => {}
                _ => panic!("{layer}"),
            }
        }
        // Times and rates are those of the whole network: its products add up, but for a few that a plan saves.
        assert!(work > 0.95 * macs && work < 1.001 * macs, "{work} of {macs} products");
        let heads = layers.iter().filter(|layer| layer["lazy"] == true).count();
        assert!(heads > 0 && heads < layers.len());
    }

    let lines: Vec<&str> = table.stdout.lines().collect();
    let head = lines.iter().position(|line| line.starts_with("layer ")).expect("a table of layers");
    assert!(lines[head].contains("GFLOP/s") && lines[head].contains("of ceiling"), "{}", lines[head]);
    let layers = written["layers"].as_array().unwrap();
    // A line for each layer, and the sum.
    assert_eq!(lines.len(), head + 1 + layers.len() + 1);
    for (line, layer) in lines[head + 1..].iter().zip(layers) {
        assert!(line.starts_with(layer["layer"].as_str().unwrap()), "{line}: {layer}");
        assert!(line.contains(" %") == layer["gflops"].is_number(), "{line}");
    }
}

#[test]
fn what_cannot_be_measured_is_refused_before_anything_is_printed() {
    for flags in [
        &["--threads", "0"][..],
        &["--threads", "1,0"],
        &["--threads", "257"],
        &["--size", "65x64"],
        // A tier that only runs quantised models.
        &["--isa", "portable-int8"],
        &["--model", "no-such.safetensors"],
    ] {
        let mut arguments = vec!["bench", "model", "--frames", "10"];
        arguments.extend(flags);
        let outcome = run(&arguments);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{flags:?}: {outcome:?}");
        let lines: Vec<&str> = outcome.stderr.lines().collect();
        assert!(lines.len() == 1 && lines[0].starts_with("gesto: "), "{flags:?}: {lines:?}");
    }
    let outcome = run(&["bench", "resize", "--threads", "0"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{outcome:?}");
    for line in [
        "bench resize --frames 10 --frame 64x64,0x10",
        "bench resize --frames 10 --frame 999999x999999",
        "bench resize --frames 10 --frame 64x64 --size 65536x65536",
        "bench seed --quick --model no-such.safetensors",
    ] {
        let outcome = run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{line}: {outcome:?}");
        let said: Vec<_> = outcome.stderr.lines().filter(|line| line.starts_with("gesto: ")).collect();
        assert_eq!(said.len(), 1, "{line}: {outcome:?}");
    }
    // One limit and one sentence for all commands.
    for command in ["detect a.png", "live", "bench model", "bench resize", "bench seed", "bench stages"] {
        let mut arguments: Vec<&str> = command.split(' ').collect();
        arguments.extend(["--threads", "257"]);
        let outcome = run(&arguments);
        assert!(outcome.code == Some(2) && outcome.stdout.is_empty(), "{command}: {outcome:?}");
        assert!(outcome.stderr.contains("a number from 1 to 256 is needed"), "{command}: {outcome:?}");
    }
}

#[test]
fn a_tier_that_is_missing_is_named_and_nothing_measured_is_a_failure() {
    let missing = Isa::ALL.into_iter().find(|isa| Detected::get().missing(*isa).is_some());
    let Some(missing) = missing.map(Isa::name) else {
        return writeln!(std::io::stderr(), "skipped: missing tiers: this machine has all").unwrap();
    };
    let flags = ["--threads", "1", "--json", "-", "--isa"];
    let alone = run(&[&QUICK[..], &flags, &[missing]].concat());
    assert_eq!((alone.code, alone.stdout.as_str()), (Some(2), ""), "{alone:?}");
    assert_eq!(alone.stderr.lines().count(), 1, "{alone:?}");
    assert!(alone.stderr.contains(&format!("nothing to measure: {missing} skipped: ")), "{alone:?}");

    let beside = run(&[&QUICK[..], &flags, &[&format!("{missing},portable")]].concat());
    assert_eq!(beside.code, Some(0), "{beside:?}");
    assert!(beside.stderr.starts_with(&format!("{missing} skipped: ")), "{beside:?}");
    assert_eq!(beside.lines()[0]["isa"], "portable");
}

/// A driver's list that names none: as on a machine without a graphics processor.
#[cfg(target_os = "linux")]
#[test]
fn a_resize_that_is_missing_is_named_and_nothing_measured_is_a_failure() {
    let measure = |ways: &str| {
        let mut command = gesto();
        command.args(["bench", "resize", "--size", "64x64", "--frame", "64x64,96x64", "--threads", "1"]);
        command.args(["--frames", "10", "--json", "-", "--resize", ways]);
        command.env("VK_DRIVER_FILES", "/there/is/no/driver.json");
        command.env("VK_ICD_FILENAMES", "/there/is/no/driver.json");
        finish(&mut command, b"")
    };
    let alone = measure("gpu-nearest");
    assert_eq!((alone.code, alone.stdout.as_str()), (Some(2), ""), "{alone:?}");
    let said: Vec<_> = alone.stderr.lines().filter(|line| line.contains("gpu-nearest skipped: ")).collect();
    assert!(said.len() == 1 && said[0].starts_with("gesto: nothing was measured: gpu-nearest"), "{alone:?}");
    let beside = measure("gpu-nearest,cpu-nearest");
    assert_eq!(beside.code, Some(0), "{beside:?}");
    assert!(beside.stderr.starts_with("gpu-nearest skipped: "), "{beside:?}");
    assert_eq!(beside.stderr.matches("skipped").count(), 1, "{beside:?}");
    assert_eq!(beside.lines()[0]["resize"], "cpu-nearest");
}
