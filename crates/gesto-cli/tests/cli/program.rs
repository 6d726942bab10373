//! Runs the binary with a time limit.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Far more than any of these runs needs, even unoptimised on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// `gesto`, to be given arguments.
pub(crate) fn gesto() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gesto"));
    command.env("RUST_BACKTRACE", "1");
    command
}

/// Runs `gesto` with these arguments and an empty standard input.
pub(crate) fn run<S: AsRef<OsStr>>(arguments: &[S]) -> Outcome {
    finish(gesto().args(arguments), b"")
}

/// Runs a command on this standard input.
pub(crate) fn finish(command: &mut Command, input: &[u8]) -> Outcome {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            // A program that has seen enough closes its end.
            let _ = stdin.write_all(input);
        });
        let stdout = scope.spawn(move || text(&mut stdout));
        let stderr = scope.spawn(move || text(&mut stderr));
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            if started.elapsed() > LIMIT {
                child.kill().unwrap();
                child.wait().unwrap();
                break None;
            }
            thread::sleep(Duration::from_millis(5));
        };
        let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
        let status =
            status.unwrap_or_else(|| panic!("{command:?} ran for over {LIMIT:?}; it said {stderr:?}"));
        Outcome { code: status.code(), stdout, stderr }
    })
}

fn text(stream: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// A file of `samples/`.
pub(crate) fn sample(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples").join(name);
    assert!(path.exists(), "{} is missing", path.display());
    path
}

impl Outcome {
    /// The JSON lines on standard output.
    pub(crate) fn lines(&self) -> Vec<serde_json::Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
