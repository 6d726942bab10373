//! Frames of one kind cost no allocation after the first. What is counted is the calling thread; in the detector's
//! test it is the only one.

use gesto::postprocess::{HeadKind, HeadPlan, HeadResults, Postprocessor, Scored};
use gesto::preprocess::Preprocessor;
use gesto::{
    Detections, Detector, Fit, Frame, Gesture, KEYPOINTS, Label, Orientation, PixelFormat, Rect, Resize,
};

fn allocations(work: impl FnOnce()) -> u64 {
    allocation_counter::measure(work).count_total
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(vec![1, 2, 3]))), 1);
}

#[test]
fn preprocess_allocates_nothing() {
    let bytes = vec![90; 128 * 96 * 4];
    let mut input = vec![0; 64 * 64 * 3];
    for resize in [Resize::CpuBilinear, Resize::CpuNearest, Resize::CpuArea] {
        for format in PixelFormat::ALL {
            for orientation in Orientation::all() {
                let frame = Frame::new(format, &bytes, 128, 96).unwrap().oriented(orientation);
                let mut preprocessor = Preprocessor::new(64, 64, Fit::Letterbox, resize).unwrap();
                preprocessor.run(&frame, &mut input);
                let count = allocations(|| {
                    preprocessor.run(&frame, &mut input);
                });
                assert_eq!(count, 0, "{resize:?} {format} {orientation:?}");
            }
        }
    }
}

/// Boxes in rows, each over the next by a part.
struct Rows(u32);

impl HeadResults for Rows {
    fn candidates(&self) -> usize {
        self.0 as usize
    }

    fn boxes(&self, out: &mut Vec<Scored>) {
        out.extend((0..self.0).map(|i| Scored {
            bbox: Rect::new((i % 20) as f32 * 5.0, (i / 20) as f32 * 9.0, 12.0, 12.0),
            score: 1.0 / (1.0 + (i * 7 % 31) as f32),
            class: i % 19,
            candidate: i,
        }));
    }

    fn keypoints(&self, candidate: u32) -> [(f32, f32, f32); KEYPOINTS] {
        [(candidate as f32, 1.0, 0.5); KEYPOINTS]
    }
}

#[test]
fn decode_and_suppression_allocate_nothing() {
    let classes = Gesture::ALL.map(|gesture| (gesture, Label::new(gesture.name()))).to_vec();
    let plans = vec![
        HeadPlan { kind: HeadKind::Hands(classes), iou: 0.4 },
        HeadPlan { kind: HeadKind::People, iou: 0.3 },
    ];
    let pixels = [0; 100 * 100];
    let frame = Frame::new(PixelFormat::Gray8, &pixels, 100, 100).unwrap();
    let mapping = gesto::preprocess::Mapping::new(&frame, Fit::Letterbox, 64, 64);
    let mut postprocessor = Postprocessor::new(plans, 300);
    let mut out = Detections::default();
    let busy = [Rows(400), Rows(300)];
    postprocessor.run(&busy, &mapping, &mut out);
    assert!(out.hands.len() > 20 && out.people.len() > 20, "{} {}", out.hands.len(), out.people.len());
    let count = allocations(|| {
        for frame in [&busy, &[Rows(20), Rows(3)], &[Rows(0), Rows(1)], &busy] {
            postprocessor.run(frame, &mapping, &mut out);
        }
    });
    assert_eq!(count, 0);
}

#[test]
fn a_whole_frame_allocates_nothing() {
    let pixels: Vec<u8> =
        (0..96 * 80 * 4).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let frame = Frame::new(PixelFormat::Bgra8, &pixels, 96, 80).unwrap();
    // At threshold 0 every anchor point is a candidate.
    let builder = Detector::builder().size(64, 64).threads(1).confidence_hand(0.0).confidence_body(0.0);
    for resize in Resize::ALL.into_iter().filter(|resize| !resize.needs_gpu()) {
        let mut detector = builder.clone().resize(resize).build().unwrap();
        let mut out = Detections::default();
        detector.detect_into(&frame, &mut out).unwrap();
        assert!(!out.hands.is_empty() && !out.people.is_empty());
        let count = allocations(|| {
            for _ in 0..3 {
                detector.detect_into(&frame, &mut out).unwrap();
            }
        });
        assert_eq!(count, 0, "{resize}");
    }
}
