//! Annotated copies: their formats, names and what is left after a failure.

use std::fs;
use std::path::Path;

use gesto_media::sink::Saver;
use gesto_media::source::{self, Kind, Shot};
use gesto_media::{ErrorKind, Limits, Picture};
use image::ImageFormat;

use crate::support::{distance, encode, gif, ramps, read_all, store, y4m};

fn shot(picture: Picture, index: u64, timestamp_ms: f64, duration_ms: Option<f64>) -> Shot {
    Shot { picture, index, timestamp_ms, duration_ms }
}

/// Copies a source through a sink.
fn copy(input: &Path, saver: &mut Saver) -> gesto_media::Result<Option<std::path::PathBuf>> {
    let mut source = source::open(input.to_str().unwrap(), &Limits::default())?;
    let mut sink = saver.sink(source.info())?;
    while let Some(shot) = source.next_frame()? {
        sink.write(&shot)?;
    }
    sink.finish()
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_still_is_written_in_the_format_of_its_name() {
    let picture = ramps(50, 40);
    let input = store("in.png", &encode(&picture, ImageFormat::Png));
    let out = tempfile::tempdir().unwrap();
    for (name, tolerance) in
        [("a.jpg", 90), ("a.png", 0), ("a.webp", 0), ("a.bmp", 0), ("a.tiff", 0), ("a.ppm", 0), ("a.gif", 16)]
    {
        let path = out.path().join("deep/er").join(name);
        let written = copy(&input.path, &mut Saver::new(&path, 1).unwrap()).unwrap();
        assert_eq!(written.as_deref(), Some(path.as_path()));
        let (info, shots) = read_all(&path);
        assert_eq!(info.kind, Kind::Still, "{name}");
        let got = distance(&shots[0].picture, &picture);
        assert!(got <= tolerance, "{name}: off by {got}");
    }
    assert_eq!(names(&out.path().join("deep/er")).len(), 7, "no temporary file is left");
}

#[test]
fn a_directory_gets_one_file_for_each_source() {
    let picture = encode(&ramps(20, 20), ImageFormat::Png);
    let [a, b] = [(); 2].map(|()| store("same.png", &picture));
    let unwritable = store("odd.bin", &picture);
    let out = tempfile::tempdir().unwrap();
    let mut saver = Saver::new(&out.path().join("new"), 4).unwrap();
    for input in [&a, &b, &unwritable] {
        copy(&input.path, &mut saver).unwrap();
    }
    copy(&store("wave.gif", &gif(8, 8, &[50, 50])).path, &mut saver).unwrap();
    assert_eq!(names(&out.path().join("new")), ["odd.png", "same-2.png", "same.png", "wave.gif"]);

    // The source's own directory: it stays as it was.
    let directory = a.path.parent().unwrap();
    let written = copy(&a.path, &mut Saver::new(directory, 1).unwrap()).unwrap().unwrap();
    assert_eq!(written.file_name().unwrap(), "same-2.png");
    assert_eq!(fs::read(&a.path).unwrap(), picture);
}

#[test]
fn what_cannot_be_is_said_before_work_begins() {
    let out = tempfile::tempdir().unwrap();
    let error = Saver::new(&out.path().join("one.png"), 2).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    let clip = store("clip.y4m", &y4m(8, 8, 2));
    let error = copy(&clip.path, &mut Saver::new(&out.path().join("clip.jpg"), 1).unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let error = copy(&clip.path, &mut Saver::new(&clip.path.with_extension("gif"), 1).unwrap());
    assert!(error.is_ok());
    let own = clip.path.with_extension("gif");
    let error = copy(&own, &mut Saver::new(&own, 1).unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    // A file where a directory should be.
    let error = Saver::new(&clip.path.join("inner"), 2).err().unwrap();
    assert!(!error.to_string().is_empty());
}

#[test]
fn a_gif_keeps_its_times_and_its_colours() {
    let input = store("in.gif", &gif(24, 16, &[50, 120, 70, 300]));
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("out.gif");
    copy(&input.path, &mut Saver::new(&path, 1).unwrap()).unwrap();
    let (before, after) = (read_all(&input.path).1, read_all(&path).1);
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((before.timestamp_ms, before.duration_ms), (after.timestamp_ms, after.duration_ms));
        assert!(distance(&before.picture, &after.picture) <= 4);
    }
}

#[test]
fn a_gif_of_many_colours_stays_close_and_shrinks_where_nothing_moves() {
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("out.gif");
    let input = store("in.y4m", &y4m(8, 8, 1));
    let info = read_all(&input.path).0;
    let mut sink = Saver::new(&path, 1).unwrap().sink(&info).unwrap();
    let still = ramps(160, 120);
    for i in 0..5 {
        // A violet square wanders over ramps.
        let mut picture = still.clone();
        for y in 10..20 {
            for x in 10..20 {
                let at = 3 * (y * 160 + x + 12 * i);
                picture.pixels_mut()[at..at + 3].copy_from_slice(&[170, 30, 250]);
            }
        }
        sink.write(&shot(picture, i as u64, i as f64 * 33.333, None)).unwrap();
    }
    sink.finish().unwrap();
    let (_, shots) = read_all(&path);
    assert_eq!(shots.len(), 5);
    assert!(
        (shots[4].timestamp_ms - 133.3).abs() <= 5.0,
        "rounding does not add up: {}",
        shots[4].timestamp_ms
    );
    for (i, shot) in shots.iter().enumerate() {
        let at = 3 * (15 * 160 + 15 + 12 * i);
        let violet = &shot.picture.pixels()[at..at + 3];
        assert!(
            violet.iter().zip([170_u8, 30, 250]).all(|(a, b)| a.abs_diff(b) < 24),
            "frame {i}: {violet:?}"
        );
        let far = 3 * (100 * 160 + 100);
        let (got, want) = (&shot.picture.pixels()[far..far + 3], &still.pixels()[far..far + 3]);
        assert!(got.iter().zip(want).all(|(a, b)| a.abs_diff(*b) < 24), "frame {i}: {got:?} for {want:?}");
    }
    let one = fs::metadata(&path).unwrap().len();
    assert!(one < 3 * 160 * 120, "five frames take {one} bytes");
}

#[test]
fn frames_written_before_a_failure_stay() {
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("out.gif");
    let info = read_all(&store("in.gif", &gif(8, 8, &[50, 50])).path).0;
    let mut sink = Saver::new(&path, 1).unwrap().sink(&info).unwrap();
    for i in 0..3 {
        sink.write(&shot(ramps(16, 16), i, i as f64 * 100.0, Some(100.0))).unwrap();
    }
    assert!(!path.exists(), "the file appears when it is whole");
    drop(sink);
    assert_eq!(read_all(&path).1.len(), 3);
    assert_eq!(names(out.path()), ["out.gif"]);
}

#[test]
fn a_sink_without_frames_leaves_nothing() {
    let out = tempfile::tempdir().unwrap();
    let info = read_all(&store("in.gif", &gif(8, 8, &[50, 50])).path).0;
    let mut saver = Saver::new(&out.path().join("out.gif"), 1).unwrap();
    assert_eq!(saver.sink(&info).unwrap().finish().unwrap(), None);
    drop(saver.sink(&info).unwrap());
    assert!(names(out.path()).is_empty());
}
