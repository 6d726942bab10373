//! Clips through the program `ffmpeg`. Without it these tests are left out, by name.

use std::path::Path;
use std::process::Command;

use gesto_media::sink::Saver;
use gesto_media::source::{self, Kind};
use gesto_media::{ErrorKind, Limits};
use image::ImageFormat;

use crate::support::{distance, encode, ramps, read, read_all, store, y4m};

fn installed(test: &str) -> bool {
    let found = Command::new("ffmpeg").arg("-version").output().is_ok_and(|output| output.status.success());
    if !found {
        println!("SKIPPED {test}: the program `ffmpeg` is not installed");
    }
    found
}

/// An MP4 of three grey frames, 10 a second, 34 x 18 pixels.
fn clip(directory: &Path) -> std::path::PathBuf {
    let input = store("clip.y4m", &y4m(34, 18, 3));
    let path = directory.join("clip.mp4");
    let mut source = source::open(input.path.to_str().unwrap(), &Limits::default()).unwrap();
    let mut sink = Saver::new(&path, 1).unwrap().sink(source.info()).unwrap();
    while let Some(shot) = source.next_frame().unwrap() {
        sink.write(&shot).unwrap();
        source.recycle(shot.picture);
    }
    sink.finish().unwrap().unwrap()
}

#[test]
fn a_clip_is_written_and_read_back() {
    if !installed("a_clip_is_written_and_read_back") {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let path = clip(out.path());
    let (info, shots) = read_all(&path);
    assert_eq!((info.kind, info.fps, info.frames), (Kind::Clip, Some(10.0), Some(3)));
    let times: Vec<_> = shots.iter().map(|shot| shot.timestamp_ms.round()).collect();
    assert_eq!(times, [0.0, 100.0, 200.0]);
    let shades: Vec<_> = shots.iter().map(|shot| i32::from(shot.picture.pixels()[0])).collect();
    assert!(shades.iter().zip([0, 12, 23]).all(|(got, want)| (got - want).abs() <= 3), "{shades:?}");
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn a_turned_clip_comes_out_upright() {
    if !installed("a_turned_clip_comes_out_upright") {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let (plain, turned) = (clip(out.path()), out.path().join("turned.mp4"));
    // Old versions write the turn as a tag, new ones as side data of the input.
    let attempts: [(&[&str], &[&str]); 2] =
        [(&[], &["-metadata:s:v:0", "rotate=90"]), (&["-display_rotation", "90"], &[])];
    let sizes = attempts.map(|(before, after)| {
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-y"]).args(before).arg("-i").arg(&plain).args(["-c", "copy"]);
        command.args(after).arg(&turned).output().unwrap().status.success().then(|| {
            let shots = read_all(&turned).1;
            (shots[0].picture.width(), shots[0].picture.height())
        })
    });
    assert!(sizes.contains(&Some((18, 34))), "{sizes:?}");
}

#[test]
fn pictures_of_other_formats_are_stills() {
    if !installed("pictures_of_other_formats_are_stills") {
        return;
    }
    let picture = ramps(40, 30);
    let out = tempfile::tempdir().unwrap();
    let (png, tga) = (out.path().join("a.png"), out.path().join("a.tga"));
    std::fs::write(&png, encode(&picture, ImageFormat::Png)).unwrap();
    let convert = Command::new("ffmpeg").args(["-v", "error", "-i"]).arg(&png).arg(&tga).output().unwrap();
    assert!(convert.status.success());
    let (info, shots) = read_all(&tga);
    assert_eq!((info.kind, info.frames), (Kind::Still, Some(1)));
    assert_eq!(distance(&shots[0].picture, &picture), 0);
}

#[test]
fn what_ffmpeg_says_of_a_broken_clip_is_passed_on() {
    if !installed("what_ffmpeg_says_of_a_broken_clip_is_passed_on") {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let path = clip(out.path());
    let bytes = std::fs::read(&path).unwrap();
    for part in [40, bytes.len() / 3] {
        let file = store("cut.mp4", &bytes[..part]);
        let (info, _) = read(&file.path, &Limits::default());
        let error = info.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed);
        assert!(error.to_string().contains("`ffmpeg` cannot read it"), "{error}");
    }
    let limits = Limits { pixels: 100, ..Limits::default() };
    assert!(read(&path, &limits).0.is_err(), "limits hold here too");
}

#[test]
fn a_source_can_be_stopped_from_another_thread() {
    if !installed("a_source_can_be_stopped_from_another_thread") {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let path = clip(out.path());
    let mut source = source::open(path.to_str().unwrap(), &Limits::default()).unwrap();
    let stopper = source.stopper();
    std::thread::spawn(move || stopper.stop()).join().unwrap();
    // Frames that were under way may still come; then it is over, as an end or as an error.
    let frames = (0..10).take_while(|_| matches!(source.next_frame(), Ok(Some(_)))).count();
    assert!(frames <= 3);
}

/// The index of a plain MP4 stands at its end, behind the frames: from a pipe it comes too late.
#[cfg(unix)]
#[test]
fn a_clip_with_its_index_at_the_end_comes_through_a_pipe() {
    if !installed("a_clip_with_its_index_at_the_end_comes_through_a_pipe") {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let (front, back, pipe) = (clip(out.path()), out.path().join("back.mp4"), out.path().join("pipe"));
    let copied = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(front)
        .args(["-c", "copy"])
        .arg(&back)
        .output();
    assert!(copied.unwrap().status.success());
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (bytes, target) = (std::fs::read(&back).unwrap(), pipe.clone());
    let writer = std::thread::spawn(move || std::fs::write(target, bytes).unwrap());
    let (info, shots) = read_all(&pipe);
    writer.join().unwrap();
    assert_eq!((info.kind, shots.len()), (Kind::Clip, 3));
    assert_eq!(info.name, pipe.to_str().unwrap(), "the copy's name is nobody's business");
}
