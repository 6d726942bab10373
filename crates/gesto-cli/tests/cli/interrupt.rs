//! Ctrl-C in the middle of a clip: what was found by then is written.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::program::gesto;

const FRAME: usize = 64 * 64 * 3 / 2;

#[test]
fn results_so_far_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (coco, copy) = (folder.path().join("coco.json"), folder.path().join("copy.gif"));
    let mut command = gesto();
    command.args(["detect", "-", "--size", "64x64", "--json", "-", "--conf-hand", "0"]);
    command.arg("--coco").arg(&coco).arg("--save").arg(&copy);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();

    // A camera that stops after three frames and never hangs up.
    let mut camera = child.stdin.take().unwrap();
    camera.write_all(b"YUV4MPEG2 W64 H64 F25:1\n").unwrap();
    for _ in 0..3 {
        camera.write_all(b"FRAME\n").unwrap();
        camera.write_all(&[128; FRAME]).unwrap();
    }
    camera.flush().unwrap();
    let mut results = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    for index in 0..3 {
        line.clear();
        results.read_line(&mut line).unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["frame"], index);
    }

    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(130), ""));
    drop(camera);

    let list: Vec<Value> = serde_json::from_slice(&std::fs::read(&coco).unwrap()).unwrap();
    assert!(!list.is_empty() && list.iter().all(|entry| entry["image_id"].as_u64() <= Some(3)));
    assert!(std::fs::read(&copy).unwrap().starts_with(b"GIF89a"));
}
