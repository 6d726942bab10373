//! Every way to resize on the processor: what the network sees against the exact definition, and the same detections
//! from ways with the same samples.

use gesto::preprocess::exact;
use gesto::{Detections, Detector, Fit, Frame, Isa, Orientation, PixelFormat, PostProcessing, Resize};

const HEIGHT: u32 = 64;
const WIDTH: u32 = 96;

fn bytes(len: usize) -> Vec<u8> {
    (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn detector(resize: Resize, fit: Fit, isa: Option<Isa>, threads: usize) -> Detector {
    let builder =
        Detector::builder().size(HEIGHT as usize, WIDTH as usize).threads(threads).fit(fit).resize(resize);
    let builder = builder.confidence_hand(0.0).confidence_body(0.0);
    match isa {
        Some(isa) => builder.isa(isa).build().unwrap(),
        None => builder.build().unwrap(),
    }
}

/// The most that a way may differ from its definition on a tier whose numbers are f32, in levels of 255.
fn tolerance(resize: Resize) -> f64 {
    match resize {
        Resize::CpuNearest | Resize::GraphGather => 0.0,
        // Rounded to whole levels, after weights of eight bits.
        Resize::Fused | Resize::CpuBilinear | Resize::CpuArea | Resize::CustomOp => 1.01,
        _ => 0.001,
    }
}

fn on_cpu() -> impl Iterator<Item = Resize> {
    Resize::ALL.into_iter().filter(|resize| !resize.needs_gpu())
}

#[test]
fn the_network_sees_what_each_definition_says() {
    let bytes = bytes(141 * 203 * 4);
    let formats = [PixelFormat::Bgra8, PixelFormat::Rgb8, PixelFormat::Gray8];
    for resize in on_cpu() {
        let (mut max, mut sum, mut count) = (0.0_f64, 0.0, 0);
        let fits = [Fit::Letterbox, Fit::Stretch];
        let mut detectors = [0, 1].map(|i| detector(resize, fits[i], Some(Isa::Portable), 1 + i));
        for (i, orientation) in Orientation::all().enumerate() {
            let (fit, detector) = (fits[i % 2], &mut detectors[i % 2]);
            let format = formats[i % 3];
            // Larger than the input by no whole factor, and smaller than it.
            for (w, h) in [(141, 203), (203, 141), (31, 50)] {
                let frame = Frame::new(format, &bytes, w, h).unwrap().oriented(orientation);
                let got = detector.network_input(&frame).unwrap().unwrap();
                let want = exact(&frame, fit, resize, HEIGHT, WIDTH);
                assert_eq!(got.len(), want.len());
                for (got, want) in got.iter().flatten().zip(want.iter().flatten()) {
                    let off = (f64::from(*got) - want).abs();
                    assert!(off <= tolerance(resize), "{resize} {format} {w} x {h}: {got} is not {want}");
                    max = max.max(off);
                    sum += off;
                    count += 1;
                }
            }
        }
        println!("{resize}: off by {max:.3} levels at most, {:.4} on average", sum / f64::from(count));
        assert!(count > 400_000);
    }
}

#[test]
fn equal_samples_give_equal_detections() {
    let pixels = bytes(180 * 240 * 4);
    let frame = Frame::new(PixelFormat::Bgra8, &pixels, 180, 240).unwrap();
    let detect = |resize: Resize, threads: usize| {
        let mut detector = detector(resize, Fit::Letterbox, None, threads);
        let first = detector.detect(&frame).unwrap();
        let again = detector.detect(&frame).unwrap();
        assert_eq!((&first.hands, &first.people), (&again.hands, &again.people), "{resize}");
        first
    };
    let Detections { hands, people, .. } = detect(Resize::CpuBilinear, 1);
    assert!(!hands.is_empty() || !people.is_empty());
    for resize in [Resize::Fused, Resize::CustomOp] {
        for threads in [1, 2, 3] {
            let out = detect(resize, threads);
            assert_eq!((&out.hands, &out.people), (&hands, &people), "{resize} on {threads} threads");
        }
    }
    let Detections { hands, people, .. } = detect(Resize::GraphBilinear, 1);
    for resize in [Resize::TwoModels, Resize::OneModel] {
        let out = detect(resize, 2);
        assert_eq!((&out.hands, &out.people), (&hands, &people), "{resize}");
    }
}

#[test]
fn the_best_class_from_the_plan_gives_the_same_detections() {
    let pixels = bytes(180 * 240 * 4);
    let frame = Frame::new(PixelFormat::Bgra8, &pixels, 180, 240).unwrap();
    let detect = |place: PostProcessing, confidence: f32, threads: usize| {
        let builder = Detector::builder().size(96, 64).threads(threads).post_processing(place);
        let builder = builder.confidence_hand(confidence).confidence_body(confidence).max_detections(9999);
        builder.build().unwrap().detect(&frame).unwrap()
    };
    // A threshold that some hands pass and some do not; in noise all scores are low.
    let mut scores: Vec<f32> =
        detect(PostProcessing::Cpu, 0.0, 1).hands.iter().map(|hand| hand.score).collect();
    scores.sort_by(f32::total_cmp);
    let middle = scores[scores.len() / 2];
    for (confidence, threads) in [(0.0, 1), (0.0, 3), (middle, 2)] {
        let all = detect(PostProcessing::Cpu, confidence, threads);
        let best = detect(PostProcessing::CpuGraphMax, confidence, threads);
        assert!(!all.hands.is_empty(), "{confidence}");
        assert_eq!((&all.hands, &all.people), (&best.hands, &best.people));
    }
}

/// With it they are tested by `units.rs`.
#[cfg(not(feature = "gpu"))]
#[test]
fn without_the_feature_gpu_its_ways_are_refused() {
    for resize in Resize::ALL.into_iter().filter(|resize| resize.needs_gpu()) {
        let error = Detector::builder().size(32, 32).resize(resize).build().unwrap_err();
        assert_eq!(error.kind(), gesto::ErrorKind::Unsupported);
        assert!(error.to_string().contains("built without gpu"), "{error}");
    }
}
