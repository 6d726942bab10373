//! `gesto live` from the outside: what it prints, and what it refuses before it starts.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::program::{finish, gesto};

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(args: &[&str]) -> Running {
    let mut command = gesto();
    command.args(["live", "--threads", "1"]).args(args).env_remove("GESTO_TOKEN");
    Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

/// The first line that holds `wanted`; a server that says nothing fails the test instead of keeping it.
fn first_line(stream: Option<impl Read + Send + 'static>, wanted: &'static str) -> String {
    let (sender, found) = mpsc::channel();
    let lines = BufReader::new(stream.unwrap()).lines().map_while(Result::ok);
    std::thread::spawn(move || {
        lines.filter(|line| line.contains(wanted)).try_for_each(|line| sender.send(line))
    });
    found.recv_timeout(Duration::from_secs(120)).unwrap()
}

#[test]
fn it_says_where_it_is_and_who_can_reach_it() {
    let mut home = start(&["--listen", "0"]);
    let line = first_line(home.0.stdout.take(), "gesto live: ");
    assert!(line.starts_with("gesto live: http://127.0.0.1:"), "{line}");
    assert!(line.ends_with("/ (this machine only; Ctrl-C stops it)"), "{line}");

    let mut open = start(&["--listen", "0.0.0.0:0", "--token", "0123456789abcdef"]);
    let line = first_line(open.0.stdout.take(), "gesto live: ");
    assert!(line.contains("http://127.0.0.1:") && line.contains("/login?token=0123456789abcdef"), "{line}");
}

#[test]
fn a_source_that_cannot_be_read_is_told_on_standard_error() {
    let mut live = start(&["--listen", "127.0.0.1:0", "--source", "/dev/video-that-is-not-there"]);
    let line = first_line(live.0.stderr.take(), "/dev/video");
    assert!(line.contains("no such device") && line.contains("trying again"), "{line}");
}

#[test]
fn mistakes_end_it_before_it_listens() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.mp4");
    std::fs::write(&text, "words, no clip\n").unwrap();
    let (text, folder) = (text.to_str().unwrap(), folder.path().to_str().unwrap());
    for (args, says) in [
        (["--source", text], "is text, neither a picture nor a clip"),
        (["--source", folder], "is a folder"),
        (["--source", "0"], "/dev/video0"),
        (["--listen", "0.0.0.0:0"], "add --token auto, or --insecure to let everybody in"),
        (["--listen", "somewhere"], "IP:PORT"),
        (["--allow-host", "http://camera"], "--allow-host: `http://camera` is no host name"),
        (["--allow-origin", "foo"], "--allow-origin: `foo` is no origin"),
    ] {
        let done = finish(gesto().arg("live").args(args).env_remove("GESTO_TOKEN"), b"");
        let said = done.stderr;
        assert_eq!((done.code, said.lines().count()), (Some(2), 1), "{args:?}: {said}");
        assert!(said.contains(says) && done.stdout.is_empty(), "{args:?}: {said}");
    }
}
