//! `gesto live` with a camera of the machine. There is none on a test machine: a script takes the place of `ffmpeg`,
//! insists on being asked for the camera as Video4Linux wants it, and lets the real one draw test pictures instead.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::program::gesto;

const DEVICE: &str = "/dev/video-of-the-tests";

const SCRIPT: &str = r#"#!/bin/sh
[ "$1" = -version ] && exec ffmpeg -version
case "$*" in
    *"-f v4l2 -i /dev/video-of-the-tests "*) ;;
    *) echo "[error] not asked for a camera: $*" >&2; exit 1 ;;
esac
echo $$ >"$(dirname "$0")/pid"
for argument do
    shift
    case "$argument" in
        v4l2) set -- "$@" lavfi ;;
        /dev/video-of-the-tests) set -- "$@" "testsrc=size=320x240:rate=15,realtime" ;;
        *) set -- "$@" "$argument" ;;
    esac
done
exec ffmpeg "$@"
"#;

/// The running program; killed when a test fails.
struct Live(Child);

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks for `path` and hands out what is answered until `enough` says so.
fn get(address: &str, path: &str, accept: &str, enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: {accept}\r\n\r\n").unwrap();
    let (mut all, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    while !enough(&all) {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "{}", String::from_utf8_lossy(&all));
        all.extend_from_slice(&buffer[..count]);
    }
    all
}

fn is_alive(process: &str) -> bool {
    // Its parent is gone, and not everything that inherits children buries them.
    if std::fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| stat.contains(") Z ")) {
        return false;
    }
    let status = Command::new("kill").args(["-0", process]).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

#[test]
fn a_camera_of_the_machine_is_shown_and_let_go() {
    if Command::new("ffmpeg").arg("-version").stdout(Stdio::null()).status().is_err() {
        eprintln!("skipped: a_camera_of_the_machine_is_shown_and_let_go (there is no ffmpeg)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("ffmpeg");
    std::fs::write(&script, SCRIPT).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = gesto();
    command.args([
        "live",
        "--listen",
        "127.0.0.1:0",
        "--size",
        "64x64",
        "--threads",
        "1",
        "--source",
        DEVICE,
    ]);
    command.env("GESTO_FFMPEG", &script).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut live = Live(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(live.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().trim_start_matches("http://").trim_end_matches('/').to_owned();

    let parts = |bytes: &[u8]| bytes.windows(4).filter(|four| four == b"\xff\xd8\xff\xe0").count();
    get(&address, "/v1/video", "*/*", |bytes| parts(bytes) >= 3);
    let path = format!("/v1/events?source={DEVICE}");
    let events = get(&address, &path, "application/x-ndjson", |bytes| bytes.ends_with(b"}\n\r\n"));
    let events = String::from_utf8(events).unwrap();
    let event = events.lines().find(|line| line.starts_with('{')).unwrap();
    let event: Value = serde_json::from_str(event).unwrap();
    assert_eq!((&event["width"], &event["height"]), (&320.into(), &240.into()));
    assert_eq!(event["source"], DEVICE);

    let reader = std::fs::read_to_string(folder.path().join("pid")).unwrap().trim().to_owned();
    assert!(is_alive(&reader));
    let asked = Command::new("kill").args(["-INT", &live.0.id().to_string()]).status().unwrap();
    assert!(asked.success());
    assert_eq!(live.0.wait().unwrap().code(), Some(0));
    let began = Instant::now();
    while is_alive(&reader) {
        assert!(began.elapsed() < Duration::from_secs(5), "the camera's reader outlives the server");
        std::thread::sleep(Duration::from_millis(20));
    }
}
