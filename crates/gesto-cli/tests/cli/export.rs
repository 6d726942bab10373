//! `gesto model export`: the file comes out, and what cannot be exported is said in one line.
//!
//! What the file computes is tested in `gesto-onnx`.

use std::fs;

use super::program::run;

#[test]
fn a_file_of_half_the_size_unless_f32() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let length = |name: &str, more: &[&str]| {
        let outcome = run(&[&["model", "export", "--onnx", &at(name), "--size", "256x128"], more].concat());
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        fs::metadata(at(name)).unwrap().len()
    };
    let (half, full) = (length("half.onnx", &[]), length("full.onnx", &["--f32"]));
    assert!((1.9..2.0).contains(&(full as f64 / half as f64)), "{half} and {full} bytes");
    for method in ["bilinear", "gather", "conv"] {
        length(&format!("{method}.onnx"), &["--resize", method, "--source", "1920x1080", "--fit", "stretch"]);
    }
}

#[test]
fn what_cannot_be_exported_is_one_line_and_code_2() {
    for flags in [
        "--onnx x.onnx --size 100x100",
        "--onnx x.onnx --size 0x32",
        "--onnx x.onnx --resize bilinear",
        "--onnx x.onnx --source 10x10",
        "--onnx x.onnx --resize gather --source 0x10",
        "--onnx x.onnx --resize cubic --source 10x10",
        "--onnx x.onnx --resize conv --source 999999x999999",
        "--onnx x.onnx --model no-such.safetensors",
        "--onnx no-such-folder/x.onnx",
        "--size 320x224",
    ] {
        let outcome = run(&[vec!["model", "export"], flags.split(' ').collect()].concat());
        assert_eq!(outcome.code, Some(2), "{flags}: {outcome:?}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{flags}: {outcome:?}");
        assert!(outcome.stderr.starts_with("gesto: "), "{flags}: {outcome:?}");
    }
}
