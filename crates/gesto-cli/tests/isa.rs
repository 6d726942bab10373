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
fn an_unknown_tier_is_named() {
    let output = bench("sse9");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("sse9"));
}
