//! Exported files in ONNX Runtime, against the engine's plain reference and against a file exported from PyTorch.
//!
//! Needs Python 3; `check_onnx.py` fetches the packages into a virtual environment under the target folder when
//! they are missing. `GESTO_PYTHON` names the interpreter. Where that fails, each test says that it is skipped.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use gesto_engine::Model;
use gesto_engine::model::{DFL_BINS, Head};
use gesto_engine::reference::{self, Map};
use gesto_onnx::{Fit, Method, Options, Precision, Resize, export};

const SHIPPED: &[u8] = include_bytes!("../../../models/multi-n.safetensors");
const LARGER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/multi-s.safetensors");
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/check_onnx.py");
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../gesto-engine/tests/golden");
const SHARED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/starter");
/// What the script exits with when the packages cannot be had.
const UNAVAILABLE: i32 = 77;

fn shipped() -> Model {
    Model::from_bytes(SHIPPED).unwrap()
}

/// An empty folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Says that a test did not run, past the test harness, which keeps the output of tests that pass.
fn skipped(test: &str, why: &str) {
    // Nothing to be done where standard error is closed.
    let _ = writeln!(io::stderr(), "SKIPPED {test}: {why}");
}

/// Runs the script; fails the test when it finds a difference, says so when it cannot run.
fn check(test: &str, check: &str, files: &[&Path]) {
    let python = std::env::var_os("GESTO_PYTHON").unwrap_or_else(|| "python3".into());
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("onnx-venv");
    // One test at a time makes the environment.
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let guard = ONE.lock();
    let run = Command::new(python).arg(SCRIPT).arg("--venv").arg(venv).arg(check).args(files).output();
    drop(guard);
    let run = match run {
        Ok(run) => run,
        Err(error) => return skipped(test, &format!("no Python ({error})")),
    };
    let text = [run.stdout, run.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    match run.status.code() {
        Some(0) => eprintln!("{test}:\n{text}"),
        Some(UNAVAILABLE) => skipped(test, text.trim()),
        _ => panic!("{test}: {check} failed\n{text}"),
    }
}

/// A network input of the golden tests: 8-bit RGB.
fn picture(name: &str) -> Vec<u8> {
    let path = format!("{GOLDEN}/{name}.png");
    let file = fs::File::open(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let mut decoder = png::Decoder::new(std::io::BufReader::new(file));
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!(info.color_type, png::ColorType::Rgb);
    pixels
}

/// Writes the picture and what the reference makes of it, one file for each head.
fn write_case(folder: &Path, model: &Model, rgb: &[u8], height: usize, width: usize) {
    fs::write(folder.join("input.u8"), rgb).unwrap();
    let maps = reference::run(model, rgb, height, width, reference::exact);
    for head in &model.graph().heads {
        let bytes: Vec<u8> = decode(head, &maps).iter().flat_map(|v| v.to_le_bytes()).collect();
        fs::write(folder.join(format!("{}.f32", head.name)), bytes).unwrap();
    }
}

/// Every anchor point of a head, decoded in f64 from the definition: `C x A` numbers.
fn decode(head: &Head, maps: &[Map]) -> Vec<f32> {
    let sigmoid = |x: f32| 1.0 / (1.0 + (-f64::from(x)).exp());
    let mut columns = Vec::new();
    for level in &head.levels {
        let stride = level.stride as f64;
        let boxes = &maps[level.boxes.index()];
        for y in 0..boxes.height {
            for x in 0..boxes.width {
                let side = |side: usize| {
                    let logits = &boxes.cell(y, x)[side * DFL_BINS..][..DFL_BINS];
                    let shares: Vec<f64> = logits.iter().map(|&v| f64::from(v).exp()).collect();
                    let mean: f64 = shares.iter().enumerate().map(|(bin, share)| bin as f64 * share).sum();
                    mean / shares.iter().sum::<f64>()
                };
                let [left, top, right, bottom] = [0, 1, 2, 3].map(side);
                let (cx, cy) = (x as f64 + 0.5 + (right - left) / 2.0, y as f64 + 0.5 + (bottom - top) / 2.0);
                let mut column: Vec<f64> =
                    [cx, cy, left + right, top + bottom].iter().map(|v| v * stride).collect();
                column.extend(maps[level.classes.index()].cell(y, x).iter().map(|&v| sigmoid(v)));
                for raw in level.keypoints.iter().flat_map(|k| maps[k.index()].cell(y, x).chunks_exact(3)) {
                    column.push((2.0 * f64::from(raw[0]) + x as f64) * stride);
                    column.push((2.0 * f64::from(raw[1]) + y as f64) * stride);
                    column.push(sigmoid(raw[2]));
                }
                columns.push(column);
            }
        }
    }
    let rows = 4 + head.classes.len() + 3 * head.keypoints;
    (0..rows).flat_map(|row| columns.iter().map(move |column| column[row] as f32)).collect()
}

#[test]
fn onnx_runtime_agrees_with_the_reference() {
    let models = [("n", shipped()), ("s", Model::from_bytes(fs::read(LARGER).unwrap()).unwrap())];
    let (n, s) = (&models[0], &models[1]);
    for ((size, model), name, height, width, precision) in [
        (n, "peace-320x224", 320, 224, Precision::F16),
        (n, "two-people-256x128", 256, 128, Precision::F32),
        (s, "two-people-256x128", 256, 128, Precision::F16),
    ] {
        let folder = folder(&format!("{size}-{name}"));
        let file = folder.join("gesto.onnx");
        fs::write(&file, export(model, &Options { precision, ..Options::new(height, width) }).unwrap())
            .unwrap();
        write_case(&folder, model, &picture(name), height, width);
        check("onnx_runtime_agrees_with_the_reference", "reference", &[&file, &folder]);
    }
}

#[test]
fn export_agrees_with_pytorch_s() {
    let test = "export_agrees_with_pytorch_s";
    let Ok(bytes) = fs::read(format!("{SHARED}/multi-n.safetensors")) else {
        return skipped(test, &format!("no {SHARED}"));
    };
    let model = Model::from_bytes(bytes).unwrap();
    for (name, height, width) in [("like-320x224", 320, 224), ("like-256x128", 256, 128)] {
        let folder = folder(name);
        let file = folder.join("gesto.onnx");
        fs::write(&file, export(&model, &Options::new(height, width)).unwrap()).unwrap();
        fs::write(folder.join("input.u8"), picture(name)).unwrap();
        let other = PathBuf::from(format!("{SHARED}/multi-{height}x{width}.onnx"));
        check(test, "same", &[&file, &other, &folder]);
    }
}

#[test]
fn a_resize_in_the_file_equals_one_in_front_of_it() {
    let model = shipped();
    let folder = folder("resize");
    let plain = folder.join("plain.onnx");
    let options = Options { precision: Precision::F32, ..Options::new(256, 128) };
    fs::write(&plain, export(&model, &options).unwrap()).unwrap();
    for method in [Method::Bilinear, Method::Gather, Method::Conv] {
        for fit in [Fit::Letterbox, Fit::Stretch] {
            // No whole factor along either axis, and a wide frame in a tall input.
            let resize = Resize { source_height: 603, source_width: 811, method, fit };
            let file = folder.join(format!("{}-{fit:?}.onnx", method.name()));
            fs::write(&file, export(&model, &Options { resize: Some(resize), ..options.clone() }).unwrap())
                .unwrap();
            check("a_resize_in_the_file_equals_one_in_front_of_it", "resized", &[&file, &plain]);
        }
    }
}
