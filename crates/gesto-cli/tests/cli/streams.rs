//! Standard output and standard error may be a pipe that nobody reads any more, or a full disk.
#![cfg(unix)]

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};

use super::program::{gesto, sample};

/// A pipe whose reader is gone.
fn closed() -> Stdio {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// A file on a full disk; `None` where there is no such device.
fn full() -> Option<Stdio> {
    File::options().write(true).open("/dev/full").ok().map(Stdio::from)
}

/// Runs with these streams; gives the exit code and what was said, where standard error is a pipe.
fn code(arguments: &[String], stdout: Stdio, stderr: Stdio) -> (Option<i32>, String) {
    let mut command = gesto();
    let mut child =
        command.args(arguments).stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn().unwrap();
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut said).unwrap();
    }
    (child.wait().unwrap().code(), said)
}

/// The program's own words among what was said; a graphics driver may have some, too.
fn own(said: &str) -> Vec<&str> {
    said.lines().filter(|line| line.starts_with("gesto: ") || line.contains("panicked")).collect()
}

/// A command line for each way that the program writes to standard output.
fn writers(folder: &Path) -> Vec<Vec<String>> {
    let picture = sample("astronaut.png").display().to_string();
    let coco = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/coco");
    let coco = |name: &str| coco.join(name).display().to_string();
    let (people, results) = (coco("people.json"), coco("people-results.json"));
    let out = folder.join("int8.safetensors").display().to_string();
    let images = folder.join("images");
    fs::create_dir(&images).unwrap();
    fs::copy(&picture, images.join("astronaut.png")).unwrap();
    let images = images.display().to_string();
    let lines = [
        "--help",
        "--version",
        "detect PICTURE --size 64x64 --show-timing",
        "detect PICTURE --size 64x64 --json -",
        "detect PICTURE --size 64x64 --csv -",
        "bench model --size 64x64 --threads 1 --frames 10",
        "bench model --size 64x64 --threads 1 --frames 10 --layers",
        "bench model --size 64x64 --threads 1 --frames 10 --json -",
        "bench resize --size 64x64 --frame 64x64 --resize cpu-nearest --threads 1 --frames 10",
        "bench resize --size 64x64 --frame 64x64 --resize cpu-nearest --threads 1 --frames 10 --json -",
        "bench seed --quick --rows 13 --threads 1",
        "bench seed --quick --rows 13 --threads 1 --json -",
        "bench stages --unit cpu --size 64x64 --frames 3",
        "bench stages --unit gpu:none --size 64x64 --frames 3",
        "bench stages --unit cpu --size 64x64 --frames 3 --json -",
        "eval --people PEOPLE --results RESULTS",
        "eval --people PEOPLE --results RESULTS --json -",
        "model info --size 64x64",
        "model info --size 64x64 --json",
        "model export --size 64x64 --onnx -",
        "model quantize --images IMAGES --out OUT --size 64x64",
        "units --ort-library /there/is/no/libonnxruntime.so",
        "units --json --ort-library /there/is/no/libonnxruntime.so",
        "completions bash",
        "man -",
    ];
    let argument = |word: &str| match word {
        "PICTURE" => picture.clone(),
        "PEOPLE" => people.clone(),
        "RESULTS" => results.clone(),
        "IMAGES" => images.clone(),
        "OUT" => out.clone(),
        word => word.to_owned(),
    };
    lines.map(|line| line.split(' ').map(argument).collect()).into()
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let wrong: Vec<_> = writers(folder.path())
        .into_iter()
        .map(|line| (code(&line, closed(), Stdio::piped()), line))
        .filter(|((code, said), _)| *code != Some(0) || said.contains("gesto:") || said.contains("panicked"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_full_disk_behind_standard_output_is_one_line_and_code_2() {
    if full().is_none() {
        return writeln!(io::stderr(), "skipped: full disk: no /dev/full").unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let wrong: Vec<_> = writers(folder.path())
        .into_iter()
        .map(|line| (code(&line, full().unwrap(), Stdio::piped()), line))
        .filter(|((code, said), _)| {
            let said = own(said);
            let told = said.len() == 1 && said[0].starts_with("gesto: cannot write to standard output: ");
            *code != Some(2) || !told
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Runs a command line with a sound, a closed and a full standard error.
fn codes(line: &[String]) -> Vec<Option<i32>> {
    [Some(Stdio::null()), Some(closed()), full()]
        .into_iter()
        .flatten()
        .map(|stderr| code(line, Stdio::null(), stderr).0)
        .collect()
}

#[test]
fn words_that_nobody_hears_change_no_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let picture = sample("astronaut.png").display().to_string();
    let chart = folder.path().join("chart.svg").display().to_string();
    for (line, expected) in [
        ("detect no-such-file.png", 2),
        ("detect PICTURE no-such-file.png --size 64x64", 1),
        ("detect PICTURE --size 64x64 --verbose", 0),
        ("detect PICTURE --size 64x64 --json - --show-timing", 0),
        ("detect PICTURE --unit gpu:none --unit-fallback cpu --size 64x64", 0),
        ("no-such-command", 2),
        ("bench", 2),
        ("bench seed --quick --rows 13 --threads 1 --verbose --chart CHART", 0),
        ("bench resize --size 64x64 --frame 64x64 --resize gpu-nearest --threads 1 --frames 10", -1),
        ("eval --people no-such.json --images .", 2),
        ("model info --model no-such.safetensors", 2),
        ("man /dev/null/man", 2),
    ] {
        let argument = |word: &str| word.replace("PICTURE", &picture).replace("CHART", &chart);
        let line: Vec<String> = line.split(' ').map(argument).collect();
        let codes = codes(&line);
        // -1: what a machine with a graphics processor gives and one without does not.
        let expected = if expected < 0 { codes[0] } else { Some(expected) };
        assert!(codes.iter().all(|code| *code == expected), "{line:?}: {codes:?}");
    }
}

/// Ends the server with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn live(stdout: Stdio, stderr: Stdio) -> Running {
    let mut command = gesto();
    // A source that is not there is one more thing to say.
    command.args([
        "live",
        "--verbose",
        "--listen",
        "127.0.0.1:0",
        "--threads",
        "1",
        "--source",
        "/dev/video-none",
    ]);
    command.args(["--ort-library", "/there/is/no/libonnxruntime.so"]);
    Running(command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn().unwrap())
}

#[test]
fn the_server_serves_when_nobody_hears_its_words() {
    let deaf = [Some(closed()), full()];
    for stderr in deaf.into_iter().flatten() {
        let mut server = live(Stdio::piped(), stderr);
        let mut address = String::new();
        BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut address).unwrap();
        let host = address.split_once("http://").and_then(|(_, rest)| rest.split('/').next()).unwrap();
        let mut page = TcpStream::connect(host).unwrap_or_else(|error| panic!("{address:?}: {error}"));
        write!(page, "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        page.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(server.0.try_wait().unwrap(), None);
    }
    let deaf = [Some(closed()), full()];
    for stdout in deaf.into_iter().flatten() {
        let mut server = live(stdout, Stdio::piped());
        let mut said = BufReader::new(server.0.stderr.take().unwrap()).lines().map(Result::unwrap);
        let told = said.find(|line| line.contains("standard output") || line.contains("panicked")).unwrap();
        assert!(told.starts_with("gesto: the page's address went nowhere"), "{told}");
        assert_eq!(server.0.try_wait().unwrap(), None);
    }
}
