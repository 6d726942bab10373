//! The detector's settings, models and batches. Small inputs: what the network finds is tested elsewhere.

#[path = "common/heads.rs"]
mod heads;

use gesto::{Detections, Detector, DetectorBuilder, ErrorKind, Frame, Model, Rotation};

use heads::with_heads;

fn small() -> DetectorBuilder {
    Detector::builder().size(64, 32).threads(2)
}

#[test]
fn settings_outside_their_range_are_refused() {
    let cases = [
        (small().size(100, 64), "multiples of 32"),
        (small().size(0, 64), "multiples of 32"),
        (small().size(usize::MAX - 31, 64), "too large"),
        (small().threads(0), "threads are not possible"),
        (small().confidence_hand(f32::NAN), "between 0 and 1"),
        (small().confidence_body(1.5), "between 0 and 1"),
        (small().iou_hand(-0.1), "between 0 and 1"),
        (small().iou_body(f32::INFINITY), "between 0 and 1"),
    ];
    for (builder, why) in cases {
        let error = builder.build().expect_err(why);
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn files_that_are_no_model_are_refused() {
    let folder = std::env::temp_dir();
    let garbage = folder.join(format!("gesto-garbage-{}.safetensors", std::process::id()));
    std::fs::write(&garbage, b"GIF89a, not a model").unwrap();
    for (path, why) in [
        (folder.join("gesto-there-is-no-such-file"), "cannot read the model"),
        (folder.clone(), "not a file"),
        (garbage.clone(), "not a safetensors file"),
    ] {
        let error = small().model_file(&path).build().expect_err(why);
        assert_eq!(error.kind(), ErrorKind::Model, "{error}");
        assert!(error.to_string().contains(why), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
    std::fs::remove_file(garbage).unwrap();
}

fn model_with_heads(heads: &str) -> gesto::Result<Model> {
    Ok(Model::from_bytes(with_heads(heads))?)
}

fn picture() -> Vec<u8> {
    (0..50 * 40 * 3).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[test]
fn single_head_models_of_other_classes_run() {
    let names: Vec<String> = (0..19).map(|i| format!("thing {i}")).collect();
    let detect = serde_json::json!([{ "name": "hand", "classes": names }]).to_string();
    let pose = r#"[{"name":"body","classes":["person"],"keypoints":17}]"#;
    let pixels = picture();
    let frame = Frame::rgb8(&pixels, 50, 40).unwrap();
    // At threshold 0 every anchor point is a candidate.
    let everything = |model| small().confidence_hand(0.0).confidence_body(0.0).iou_body(1.0).model(model);

    let mut detector = everything(model_with_heads(&detect).unwrap()).build().unwrap();
    let out = detector.detect(&frame).unwrap();
    assert!(!out.hands.is_empty() && out.people.is_empty());
    for hand in &out.hands {
        assert_eq!(hand.gesture, gesto::Gesture::Other);
        assert_eq!(hand.label.as_str(), format!("thing {}", hand.class));
        let b = &hand.bbox;
        assert!(b.x >= 0.0 && b.y >= 0.0 && b.right() <= 50.0 && b.bottom() <= 40.0, "{b:?}");
        assert!(b.w >= 1.0 && b.h >= 1.0, "{b:?}");
    }

    let mut detector = everything(model_with_heads(pose).unwrap()).build().unwrap();
    let out = detector.detect(&frame).unwrap();
    // 64 x 32 has 32 + 8 + 2 anchor points; overlap of 1 lets all pass.
    assert_eq!((out.hands.len(), out.people.len()), (0, 42));
}

#[test]
fn settings_build_the_same_detector_again() {
    let names: Vec<String> = (0..19).map(|i| format!("thing {i}")).collect();
    let heads = serde_json::json!([{ "name": "hand", "classes": names }]).to_string();
    let first = small().model(model_with_heads(&heads).unwrap()).build().unwrap();
    let again = first.settings().clone().build().unwrap();
    assert_eq!(again.size(), (64, 32));
    assert_eq!(again.model().unwrap().graph(), first.model().unwrap().graph());
}

#[test]
fn a_pose_head_of_other_keypoints_is_refused() {
    let heads = r#"[{"name":"hand","classes":["palm"],"keypoints":21}]"#;
    // The engine refuses the shapes before the detector could refuse the count.
    let error = model_with_heads(heads).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Model, "{error}");
}

fn without_timing(mut out: Detections) -> Detections {
    out.timing = Default::default();
    out
}

#[test]
fn a_batch_gives_what_single_frames_give_in_their_order() {
    let pixels = picture();
    let frames: Vec<Frame<'_>> =
        (0..5).map(|i| Frame::rgb8(&pixels[i * 3..], 40 + i as u32, 30).unwrap()).collect();
    let mut detector = small().confidence_hand(0.0).confidence_body(0.0).build().unwrap();
    let batch = detector.detect_batch(&frames).unwrap();
    assert_eq!(batch.len(), frames.len());
    let mut found = 0;
    for (frame, out) in frames.iter().zip(batch) {
        found += out.hands.len() + out.people.len();
        assert!(out.timing.total >= out.timing.model);
        assert_eq!(without_timing(out), without_timing(detector.detect(frame).unwrap()));
    }
    assert!(found > 0, "equal because all are empty would show nothing");
    assert_eq!(detector.detect_batch(&[]).unwrap(), []);
}

#[test]
fn most_detections_are_the_best_ones() {
    let pixels = picture();
    let frame = Frame::rgb8(&pixels, 50, 40).unwrap();
    let all = small().confidence_hand(0.0).build().unwrap().detect(&frame).unwrap();
    let some = small().confidence_hand(0.0).max_detections(3).build().unwrap().detect(&frame).unwrap();
    assert!(all.hands.len() > 3);
    assert!(all.hands.is_sorted_by(|a, b| a.score >= b.score));
    assert_eq!(some.hands, all.hands[..3]);
}

#[test]
fn a_turning_network_lies_as_the_frame_does() {
    let noise: Vec<u8> = (0..96 * 40 * 3u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 23) as u8).collect();
    let frame = |width, height| Frame::rgb8(&noise[..(width * height * 3) as usize], width, height).unwrap();
    let wide = frame(96, 40);
    let frames = [
        (wide, [32, 64]),
        (frame(40, 96), [64, 32]),
        (frame(40, 40), [64, 32]),
        // What counts is the upright picture.
        (wide.rotated(Rotation::Cw90), [64, 32]),
        (wide.mirrored(true), [32, 64]),
    ];
    // Low enough for noise to show something.
    let builder = || small().confidence_hand(0.001).confidence_body(0.001);
    let mut turning = builder().turn(true).build().unwrap();
    assert_eq!(turning.size(), (64, 32));
    let alone = |frame: &Frame<'_>, [height, width]: [usize; 2]| {
        builder().size(height, width).build().unwrap().detect(frame).unwrap()
    };
    let mut found = 0;
    for (frame, size) in &frames {
        let (got, want) = (turning.detect(frame).unwrap(), alone(frame, *size));
        assert_eq!((got.hands, got.people), (want.hands.clone(), want.people.clone()));
        assert_eq!(turning.size(), (size[0], size[1]));
        found += want.hands.len() + want.people.len();
    }
    assert!(found > 0, "noise shows something");

    let batch = turning.detect_batch(&frames.map(|(frame, _)| frame)).unwrap();
    for ((frame, size), got) in frames.iter().zip(batch) {
        let want = alone(frame, *size);
        assert_eq!((got.hands, got.people), (want.hands, want.people));
    }

    // One that is as wide as it is tall has nothing to turn; a wide one turns for tall frames.
    assert_eq!(builder().size(64, 64).turn(true).build().unwrap().size(), (64, 64));
    let mut turning = builder().size(32, 64).turn(true).build().unwrap();
    turning.detect(&frames[1].0).unwrap();
    assert_eq!(turning.size(), (64, 32));
}
