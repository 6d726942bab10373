//! A camera of the machine. There is none on a test machine: a script takes the place of `ffmpeg`, insists on being
//! asked for the camera as Video4Linux wants it, and lets the real one draw test pictures instead.

#![cfg(unix)]
#![forbid(unsafe_code)]

mod support;

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gesto_live::wire::ClientMessage;
use gesto_live::{Config, SourceConfig};
use gesto_media::source::Input;
use support::rtsp::ffmpeg_is_here;
use support::{PICTURE, Running, head, next_binary, send};
use tokio_tungstenite::tungstenite::Message;

/// Tells the second process which folder to work in.
const FOLDER: &str = "GESTO_TEST_FOLDER";

const SCRIPT: &str = r#"#!/bin/sh
[ "$1" = -version ] && exec ffmpeg -version
folder=$(dirname "$0")
case "$*" in
    *"-f v4l2 -i $folder/camera "*) ;;
    *) echo "[error] not asked for a camera: $*" >&2; exit 1 ;;
esac
echo $$ >"$folder/pid"
for argument do
    shift
    case "$argument" in
        v4l2) set -- "$@" lavfi ;;
        "$folder/camera") set -- "$@" "testsrc=size=320x240:rate=15,realtime" ;;
        *) set -- "$@" "$argument" ;;
    esac
done
exec ffmpeg "$@"
"#;

fn is_alive(process: &str) -> bool {
    // Not everything that inherits children buries them.
    if std::fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| stat.contains(") Z ")) {
        return false;
    }
    let status = Command::new("kill").args(["-0", process]).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// The variable that names the script belongs to a process, and this one has other tests: a second one does the work.
#[test]
fn a_camera_of_the_machine_is_shown_and_let_go() {
    if !ffmpeg_is_here() {
        // Unlike `println!`, this shows for tests that pass.
        _ = writeln!(
            std::io::stderr(),
            "skipped: a_camera_of_the_machine_is_shown_and_let_go (there is no ffmpeg)"
        );
        return;
    }
    let folder = std::env::temp_dir().join(format!("gesto-live-device-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("camera"), "").unwrap();
    let script = folder.join("ffmpeg");
    std::fs::write(&script, SCRIPT).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "in_the_second_process", "--nocapture"])
        .env("GESTO_FFMPEG", &script)
        .env(FOLDER, &folder)
        .output()
        .unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("shown and let go"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_second_process() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    show_and_let_go(&folder).await;
    println!("shown and let go");
}

async fn show_and_let_go(folder: &Path) {
    let mut config = Config::loopback(0);
    config.source = Some(SourceConfig { input: Input::Device(folder.join("camera")), mirrored: false });
    let mut server = Running::start(config).await;
    let mut ws = server.open().await;
    for _ in 0..5 {
        let picture = next_binary(&mut ws).await;
        let side = |at: usize| u32::from_le_bytes(picture[at..at + 4].try_into().unwrap());
        assert_eq!((head(&picture).0, side(16), side(20)), (PICTURE, 320, 240));
        send(&mut ws, Message::Binary(ClientMessage::Shown(head(&picture).1).encode().into())).await;
    }
    let reader = std::fs::read_to_string(folder.join("pid")).unwrap().trim().to_owned();
    assert!(is_alive(&reader));
    server.ask_to_stop();
    server.stopped().await;
    let began = Instant::now();
    while is_alive(&reader) {
        assert!(began.elapsed() < Duration::from_secs(5), "the camera's reader outlives the server");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
