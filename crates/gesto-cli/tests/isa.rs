//! No choice of kernels dies of an illegal instruction: each in a process of its own.

use std::io::Write as _;
use std::process::{Command, Output};

const TIERS: [&str; 5] = ["amx-bf16", "avx512-f32", "avx512-bf16", "avx2-f32", "portable"];
/// Tiers that only run quantised models, which the embedded one is not.
const INT8: [&str; 3] = ["amx-int8", "avx512-vnni", "portable-int8"];

fn bench(isa: &str) -> Output {
    bench_with(isa, &[])
}

fn bench_with(isa: &str, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gesto"))
        .args(["bench", "model", "--size", "64x64", "--threads", "2", "--frames", "10", "--json", "-"])
        .args(more)
        .env("GESTO_ISA", isa)
        .output()
        .unwrap()
}

/// Past the harness, which shows what is printed of failed tests only.
fn skipped(tier: &str, why: &str) {
    _ = writeln!(std::io::stderr(), "skipped: tier {tier}: {}", why.trim());
}

/// The tier that ran.
fn ran(output: &Output) -> String {
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    line["isa"].as_str().unwrap().to_owned()
}

#[test]
fn a_forced_tier_runs_or_says_why_not() {
    for tier in TIERS {
        let output = bench(tier);
        let stderr = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(0) => assert_eq!(ran(&output), tier),
            Some(2) => {
                assert!(stderr.contains("is not available") && stderr.contains(tier), "{tier}: {stderr}");
                skipped(tier, &stderr);
            }
            code => panic!("{tier}: {code:?} {:?} {stderr}", output.status),
        }
    }
    assert_eq!(bench("portable").status.code(), Some(0));
}

#[test]
fn forbidden_tiers_fall_back_one_by_one() {
    let mut forbidden = String::new();
    let mut before = String::new();
    for tier in TIERS {
        let output = bench(&forbidden);
        assert_eq!(output.status.code(), Some(0), "{forbidden}: {}", String::from_utf8_lossy(&output.stderr));
        let chosen = ran(&output);
        assert!(!forbidden.contains(&format!("-{chosen}")), "{chosen} was forbidden");
        if !before.is_empty() {
            let place = |name: &str| TIERS.iter().position(|tier| *tier == name);
            assert!(place(&chosen) >= place(&before), "{chosen} after {before}");
        }
        before = chosen;
        forbidden = if forbidden.is_empty() { format!("-{tier}") } else { format!("{forbidden},-{tier}") };
    }
    let output = bench(&forbidden);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("forbidden"));
}

#[test]
fn an_8_bit_tier_asks_for_a_quantised_model() {
    for tier in INT8 {
        let output = bench(tier);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{tier}: {stderr}");
        if stderr.contains("is not available") {
            skipped(tier, &stderr);
        } else {
            assert!(stderr.contains(tier) && stderr.contains("gesto model quantize"), "{tier}: {stderr}");
        }
    }
    let output = bench("portable-int8");
    assert!(String::from_utf8_lossy(&output.stderr).contains("gesto model quantize"));
}

#[test]
fn a_quantised_model_runs_on_every_8_bit_tier_or_says_why_not() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("int8.safetensors");
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples");
    let quantised = Command::new(env!("CARGO_BIN_EXE_gesto"))
        .args(["model", "quantize", "--images", samples, "--size", "64x64", "--pictures", "1", "--out"])
        .arg(&model)
        .output()
        .unwrap();
    assert!(quantised.status.success(), "{}", String::from_utf8_lossy(&quantised.stderr));
    let mut candidates = Vec::new();
    for tier in INT8 {
        let output = bench_with(tier, &["--model", model.to_str().unwrap()]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(0) => {
                assert_eq!(ran(&output), tier);
                let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
                candidates.push(line["candidates"].as_u64().unwrap());
            }
            Some(2) if stderr.contains("is not available") && stderr.contains(tier) => skipped(tier, &stderr),
            code => panic!("{tier}: {code:?} {:?} {stderr}", output.status),
        }
    }
    assert!(!candidates.is_empty(), "plain Rust runs everywhere");
    assert!(candidates.iter().all(|count| *count == candidates[0]), "{candidates:?}");
    // Forbidding everything else does not choose an 8-bit tier.
    let forbidden = TIERS.map(|tier| format!("-{tier}")).join(",");
    let output = bench_with(&forbidden, &["--model", model.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_wish_that_means_nothing_is_refused() {
    for (wish, says) in [("avx2-f32,-avx2-f32", "forbids"), ("portable,avx2-f32", "two")] {
        let output = bench(wish);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && stderr.contains(says), "{wish}: {stderr}");
    }
    #[cfg(unix)]
    for command in [&["bench", "model", "--size", "64x64", "--frames", "10"][..], &["units"]] {
        use std::os::unix::ffi::OsStrExt;
        let value = std::ffi::OsStr::from_bytes(b"portable\xff");
        let mut program = Command::new(env!("CARGO_BIN_EXE_gesto"));
        let output = program.args(command).env("GESTO_ISA", value).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{command:?}: {stderr}");
        assert!(stderr.lines().count() == 1 && stderr.contains("GESTO_ISA"), "{command:?}: {stderr}");
    }
}

#[test]
fn an_unknown_tier_is_named_whatever_the_command() {
    let folder = tempfile::tempdir().unwrap();
    for line in [
        "bench model --size 64x64 --frames 10",
        "bench seed --quick --rows 13",
        "detect no-such.png --unit gpu",
        "detect no-such.png --unit ort:cpu",
        "model export --size 64x64 --onnx out.onnx",
        "model quantize --images . --out out.safetensors",
        "eval --people no-such.json --results no-such.json",
        "units",
    ] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_gesto"));
        program.current_dir(folder.path()).args(line.split(' ')).env("GESTO_ISA", "sse9");
        let output = program.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{line}: {stderr}");
        assert!(stderr.lines().count() == 1 && stderr.contains("sse9"), "{line}: {stderr}");
    }
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
}

/// Unit and reason of the seed's rows of these numbers.
fn seed(isa: &str, rows: &str) -> Vec<(u64, String, Option<String>)> {
    let mut program = Command::new(env!("CARGO_BIN_EXE_gesto"));
    program.args(["bench", "seed", "--quick", "--threads", "1", "--json", "-", "--rows", rows]);
    program.args(["--ort-library", "/there/is/no/libonnxruntime.so"]).env("GESTO_ISA", isa);
    let output = program.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{isa}: {}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = |row: &serde_json::Value| {
        let skipped = row["skipped"].as_str().map(str::to_owned);
        (row["row"].as_u64().unwrap(), row["unit"].as_str().unwrap().to_owned(), skipped)
    };
    report["rows"].as_array().unwrap().iter().map(row).collect()
}

#[test]
fn the_seeds_rows_keep_to_the_wish() {
    for (row, unit, skipped) in seed("portable", "1,2,13") {
        match unit.as_str() {
            "gpu" => {}
            "npu" => assert!(skipped.unwrap().contains("no matrix unit ("), "row {row}"),
            _ => assert_eq!((unit.as_str(), skipped), ("cpu portable", None), "row {row}"),
        }
    }
    // What the best vector tier is, is not the only one: without it the next one runs.
    let vectors = |isa: &str| {
        let rows = seed(isa, "1");
        rows[0].1.clone()
    };
    let best = vectors("-amx-bf16");
    let next = vectors(&format!("-amx-bf16,-{}", best.trim_start_matches("cpu ")));
    assert!(next.starts_with("cpu ") && next != best, "{next} after {best}");

    let mut program = Command::new(env!("CARGO_BIN_EXE_gesto"));
    program.args(["bench", "seed", "--quick", "--rows", "1"]).env("GESTO_ISA", "amx-bf16");
    let output = program.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        // The matrix unit is there: the row of the vector units is not.
        Some(0) => {
            let rows = seed("amx-bf16", "1");
            assert!(rows[0].2.as_ref().unwrap().contains("no tier of the vector units"), "{rows:?}");
            assert_eq!((rows[2].1.as_str(), &rows[2].2), ("cpu amx-bf16", &None), "{rows:?}");
        }
        code => {
            assert!(code == Some(2) && output.stdout.is_empty(), "{stderr}");
            assert!(stderr.contains("amx-bf16 is not available"), "{stderr}");
            skipped("amx-bf16", &stderr);
        }
    }
}

#[test]
fn a_quantised_model_is_compared_on_tiers_that_the_wish_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples");
    let quantise = |isa: &str, more: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_gesto"));
        program.args([
            "model",
            "quantize",
            "--images",
            samples,
            "--size",
            "64x64",
            "--pictures",
            "1",
            "--out",
        ]);
        let output =
            program.arg(folder.path().join("out")).args(more).env("GESTO_ISA", isa).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, told, said) = quantise("-avx512-f32,-avx2-f32,-amx-int8,-avx512-vnni", &[]);
    assert!(code == Some(0) && told.contains("portable-int8 against portable on these"), "{told} {said}");
    for (isa, why) in [("portable", "no 8-bit tier"), ("portable-int8", "no f32 tier")] {
        let (code, told, said) = quantise(isa, &[]);
        assert!(code == Some(0) && !told.contains("against"), "{told} {said}");
        assert!(
            told.contains(&format!("not compared with the model before: GESTO_ISA leaves {why}")),
            "{told}"
        );
    }
}
