//! Every unit finds what the processor finds, however the frame is stored.
//!
//! Units that this machine lacks are skipped by name; `GESTO_REQUIRE_GPU=1` and `GESTO_REQUIRE_ORT=1` make that a
//! failure, for CI.

#[path = "common/heads.rs"]
mod heads;
#[path = "common/picture.rs"]
mod picture;

use std::io::{Cursor, Write as _};

use gesto::unit::{Adapter, Provider};
use gesto::{
    Detections, Detector, DetectorBuilder, ErrorKind, Fit, Frame, Orientation, PixelFormat, Plane,
    PostProcessing, Resize, Unit,
};

use heads::with_heads;
use picture::Picture;

/// A webcam frame with two people, one of them showing a gesture: 224 x 320 pixels.
const PICTURE: &[u8] = include_bytes!("../../gesto-engine/tests/golden/two-people-320x224.png");

impl Picture {
    /// Twice the picture's size, so that the resize has something to do.
    fn new() -> Self {
        let mut decoder = png::Decoder::new(Cursor::new(PICTURE));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().unwrap();
        let mut small = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut small).unwrap();
        let (width, height) = (2 * info.width, 2 * info.height);
        let pixel = |i: u32| {
            let (x, y) = (i % width / 2, i / width / 2);
            small.as_chunks::<3>().0[(y * info.width + x) as usize]
        };
        let rgb = (0..width * height).flat_map(pixel).collect();
        Self { width, height, rgb }
    }

    /// Bytes of the picture in a format, with seven bytes between rows.
    fn bytes(&self, format: PixelFormat) -> (Vec<u8>, usize) {
        let stride = format.row_bytes(self.width) + 7;
        let mut bytes = vec![0; stride * self.height as usize * 2];
        for (i, &[r, g, b]) in self.rgb.as_chunks::<3>().0.iter().enumerate() {
            let (x, y) = (i % self.width as usize, i / self.width as usize);
            let luma = ((66 * i32::from(r) + 129 * i32::from(g) + 25 * i32::from(b)) / 256 + 16) as u8;
            let u = ((-38 * i32::from(r) - 74 * i32::from(g) + 112 * i32::from(b)) / 256 + 128) as u8;
            let v = ((112 * i32::from(r) - 94 * i32::from(g) - 18 * i32::from(b)) / 256 + 128) as u8;
            let row = y * stride;
            let mut put = |at: usize, values: &[u8]| bytes[at..at + values.len()].copy_from_slice(values);
            match format {
                PixelFormat::Rgb8 => put(row + 3 * x, &[r, g, b]),
                PixelFormat::Bgr8 => put(row + 3 * x, &[b, g, r]),
                PixelFormat::Rgba8 => put(row + 4 * x, &[r, g, b, 9]),
                PixelFormat::Bgra8 => put(row + 4 * x, &[b, g, r, 9]),
                PixelFormat::Gray8 => put(row + x, &[luma]),
                PixelFormat::Nv12 => {
                    put(row + x, &[luma]);
                    put(stride * self.height as usize + y / 2 * stride + x / 2 * 2, &[u, v]);
                }
                PixelFormat::Yuyv => put(row + 2 * x, &[luma, if x % 2 == 0 { u } else { v }]),
                other => panic!("{other} is new"),
            }
        }
        (bytes, stride)
    }
}

fn frame_of<'a>(picture: &Picture, format: PixelFormat, bytes: &'a [u8], stride: usize) -> Frame<'a> {
    let Picture { width, height, .. } = *picture;
    match format {
        PixelFormat::Nv12 => {
            let (luma, chroma) = bytes.split_at(stride * height as usize);
            Frame::nv12(Plane { data: luma, stride }, Plane { data: chroma, stride }, width, height).unwrap()
        }
        _ => Frame::with_stride(format, bytes, width, height, stride).unwrap(),
    }
}

/// A detector on a unit; `None`, said by the test's name, where the machine lacks it.
fn on(test: &str, unit: Unit, builder: DetectorBuilder) -> Option<Detector> {
    let required = match unit {
        Unit::Gpu(_) => "GESTO_REQUIRE_GPU",
        _ => "GESTO_REQUIRE_ORT",
    };
    match builder.unit(unit.clone()).build() {
        Ok(detector) => {
            assert_eq!((detector.unit(), detector.fallen_back().is_none()), (&unit, true));
            Some(detector)
        }
        Err(error) if error.kind() == ErrorKind::Unit => {
            assert!(std::env::var_os(required).is_none(), "{test}: {error}");
            // Unlike `println!`, this shows for tests that pass.
            _ = writeln!(std::io::stderr(), "SKIPPED {test} on {unit}: {error}");
            None
        }
        Err(error) => panic!("{test} on {unit}: {error}"),
    }
}

fn units() -> [Unit; 2] {
    [Unit::Gpu(Adapter::Best), Unit::Ort(Provider::Cpu)]
}

/// How sure a detection is, beyond its threshold, before rounding on one unit may not lose it.
const MARGIN: f32 = 0.06;

/// Asserts that everything sure in `a` is in `b`; gives how much that was.
fn within(a: &Detections, b: &Detections, what: &str) -> usize {
    let mut compared = 0;
    for hand in a.hands.iter().filter(|hand| hand.score > 0.3 + MARGIN) {
        let same = b.hands.iter().filter(|other| other.class == hand.class);
        let best = same.max_by(|x, y| x.bbox.iou(&hand.bbox).total_cmp(&y.bbox.iou(&hand.bbox)));
        let best = best.unwrap_or_else(|| panic!("{what}: {hand:?} is missing in {:?}", b.hands));
        assert!(best.bbox.iou(&hand.bbox) > 0.9, "{what}: {best:?} is not {hand:?}");
        assert!((best.score - hand.score).abs() < MARGIN, "{what}: {best:?} is not {hand:?}");
        compared += 1;
    }
    for person in a.people.iter().filter(|person| person.score > 0.5 + MARGIN) {
        let best =
            b.people.iter().max_by(|x, y| x.bbox.iou(&person.bbox).total_cmp(&y.bbox.iou(&person.bbox)));
        let best = best.unwrap_or_else(|| panic!("{what}: {person:?} is missing"));
        assert!(best.bbox.iou(&person.bbox) > 0.9, "{what}: {best:?} is not {person:?}");
        assert!((best.score - person.score).abs() < MARGIN, "{what}: {best:?} is not {person:?}");
        let size = person.bbox.w.hypot(person.bbox.h);
        for (got, want) in best.keypoints.iter().zip(&person.keypoints).filter(|(_, want)| want.score > 0.5) {
            let off = (got.x - want.x).hypot(got.y - want.y);
            assert!(off < 0.03 * size, "{what}: {} is {off} pixels away", got.name);
        }
        compared += 1;
    }
    compared
}

fn assert_same(a: &Detections, b: &Detections, what: &str) {
    let compared = within(a, b, what) + within(b, a, what);
    assert!(compared >= 4, "{what}: the picture shows people and a gesture, {compared} were compared");
    assert!(b.timing.total >= b.timing.model && !b.timing.total.is_zero(), "{what}: {:?}", b.timing);
}

fn small() -> DetectorBuilder {
    Detector::builder().threads(2)
}

#[test]
fn every_orientation_and_format_shows_the_same_on_every_unit() {
    let picture = Picture::new();
    for unit in units() {
        for fit in [Fit::Letterbox, Fit::Stretch] {
            let Some(mut there) = on("every_orientation_and_format", unit.clone(), small().fit(fit)) else {
                continue;
            };
            let mut here = small().fit(fit).resize(Resize::CpuBilinear).build().unwrap();
            for orientation in Orientation::all() {
                let stored = picture.stored(orientation);
                let frame = stored.frame().oriented(orientation);
                let (got, want) = (there.detect(&frame).unwrap(), here.detect(&frame).unwrap());
                assert_same(&want, &got, &format!("{unit} {fit:?} {orientation:?}"));
            }
            for format in PixelFormat::ALL {
                let (bytes, stride) = picture.bytes(format);
                let frame = frame_of(&picture, format, &bytes, stride);
                let (got, want) = (there.detect(&frame).unwrap(), here.detect(&frame).unwrap());
                if format == PixelFormat::Gray8 {
                    // Without colours the network is less sure; what it finds is the same nevertheless.
                    within(&want, &got, &format!("{unit} {fit:?} grey"));
                } else {
                    assert_same(&want, &got, &format!("{unit} {fit:?} {format}"));
                }
            }
        }
    }
}

#[test]
fn every_resize_of_a_unit_is_the_processors() {
    let picture = Picture::new();
    for unit in units() {
        for resize in Resize::ALL.into_iter().filter(|&resize| unit.check_resize(resize).is_ok()) {
            let builder = small().resize(resize);
            let Some(mut there) = on("every_resize_of_a_unit", unit.clone(), builder) else { continue };
            let processors = match resize {
                Resize::GpuBilinear => Resize::CpuBilinear,
                Resize::GpuNearest => Resize::CpuNearest,
                other => other,
            };
            let mut here = small().resize(processors).build().unwrap();
            let (got, want) =
                (there.detect(&picture.frame()).unwrap(), here.detect(&picture.frame()).unwrap());
            assert_same(&want, &got, &format!("{unit} {resize}"));
        }
    }
}

/// A detector whose network runs on the processor and whose resize on the graphics processor, or `None`, said by name.
fn resized_on_gpu(test: &str, builder: DetectorBuilder) -> Option<Detector> {
    match builder.unit(Unit::Cpu).build() {
        Ok(detector) => {
            assert!(detector.resize().needs_gpu() && detector.fallen_back().is_none());
            Some(detector)
        }
        Err(error) if error.kind() == ErrorKind::Unit => {
            assert!(error.to_string().contains("needs a graphics processor"), "{error}");
            assert!(std::env::var_os("GESTO_REQUIRE_GPU").is_none(), "{test}: {error}");
            _ = writeln!(std::io::stderr(), "SKIPPED {test}: {error}");
            None
        }
        Err(error) => panic!("{test}: {error}"),
    }
}

#[test]
fn a_graphics_processor_resizes_for_the_processors_network() {
    let picture = Picture::new();
    for (resize, alike) in
        [(Resize::GpuBilinear, Resize::CpuBilinear), (Resize::GpuNearest, Resize::CpuNearest)]
    {
        for fit in [Fit::Letterbox, Fit::Stretch] {
            let builder = small().fit(fit);
            let test = "a_graphics_processor_resizes";
            let Some(mut there) = resized_on_gpu(test, builder.clone().resize(resize)) else { return };
            let mut here = builder.resize(alike).build().unwrap();
            // Rounded to whole levels of 255, and a little for f32.
            let most = if resize == Resize::GpuNearest { 0.0 } else { 0.501 };
            let (mut compared, mut worst) = (0, 0.0_f64);
            let mut check = |frame: &Frame<'_>, yuv: bool, what: &str| {
                let seen = there.network_input(frame).unwrap().unwrap();
                // Luma and chroma are blended before they become colours, here as on the processor; the definition blends
                // colours. A sample on the edge between two levels may fall to either side: up to 3.2 levels of a colour.
                let (exact, most) = if yuv {
                    let processors = here.network_input(frame).unwrap().unwrap();
                    (processors.iter().map(|pixel| pixel.map(f64::from)).collect(), 4.0)
                } else {
                    (gesto::preprocess::exact(frame, fit, resize, 320, 224), most)
                };
                assert_eq!(seen.len(), exact.len());
                for (got, want) in seen.iter().flatten().zip(exact.iter().flatten()) {
                    let off = (f64::from(*got) - want).abs();
                    assert!(off <= most, "{resize} {fit:?} {what}: {got} is not {want}");
                    worst = worst.max(off);
                }
                compared += seen.len();
                let (got, want) = (there.detect(frame).unwrap(), here.detect(frame).unwrap());
                assert!(got.timing.resize > std::time::Duration::ZERO);
                got_same(&want, &got, what);
            };
            for orientation in Orientation::all() {
                let stored = picture.stored(orientation);
                check(&stored.frame().oriented(orientation), false, &format!("{orientation:?}"));
            }
            for format in PixelFormat::ALL {
                let (bytes, stride) = picture.bytes(format);
                let frame = frame_of(&picture, format, &bytes, stride);
                let yuv = matches!(format, PixelFormat::Nv12 | PixelFormat::Yuyv);
                check(&frame, yuv, &format!("{format}"));
            }
            println!("{resize} {fit:?}: {compared} pixels, off by {worst:.3} levels at most");
        }
    }
}

/// As [`assert_same`], without counting what there is: grey pictures show less.
fn got_same(want: &Detections, got: &Detections, what: &str) {
    within(want, got, what);
    within(got, want, what);
}

#[test]
fn a_batch_shares_the_graphics_processors_resize() {
    let picture = Picture::new();
    let builder = small().resize(Resize::GpuBilinear);
    let Some(mut detector) = resized_on_gpu("a_batch_shares", builder) else { return };
    let (bytes, stride) = picture.bytes(PixelFormat::Bgra8);
    let frames = [picture.frame(), frame_of(&picture, PixelFormat::Bgra8, &bytes, stride), picture.frame()];
    let batch = detector.detect_batch(&frames).unwrap();
    for (frame, mut out) in frames.iter().zip(batch) {
        let mut single = detector.detect(frame).unwrap();
        assert!(!single.people.is_empty());
        (out.timing, single.timing) = Default::default();
        assert_eq!(out, single);
    }
}

#[test]
fn a_batch_gives_what_single_frames_give() {
    let picture = Picture::new();
    let turned = picture.stored(Orientation::from_exif(6).unwrap());
    let (nv12, stride) = picture.bytes(PixelFormat::Nv12);
    let frames = [
        picture.frame(),
        turned.frame().oriented(Orientation::from_exif(6).unwrap()),
        frame_of(&picture, PixelFormat::Nv12, &nv12, stride),
        picture.frame(),
    ];
    for unit in units() {
        let Some(mut detector) = on("a_batch_gives", unit.clone(), small()) else { continue };
        let batch = detector.detect_batch(&frames).unwrap();
        assert_eq!(batch.len(), frames.len());
        for (frame, mut out) in frames.iter().zip(batch) {
            let mut single = detector.detect(frame).unwrap();
            assert!(!single.people.is_empty());
            (out.timing, single.timing) = Default::default();
            assert_eq!(out, single, "{unit}");
        }
        assert_eq!(detector.detect_batch(&[]).unwrap(), []);
    }
}

#[test]
fn post_processing_is_equal_wherever_it_happens() {
    let picture = Picture::new();
    for unit in units() {
        let default = on("post_processing_is_equal", unit.clone(), small());
        let Some(want) = default.map(|mut unit| unit.detect(&picture.frame()).unwrap()) else { continue };
        let mut places = 0;
        for place in PostProcessing::ALL {
            let builder = small().unit(unit.clone()).post_processing(place);
            match builder.build() {
                Ok(mut detector) => {
                    let got = detector.detect(&picture.frame()).unwrap();
                    assert_eq!((got.hands.len(), got.people.len()), (want.hands.len(), want.people.len()));
                    assert_same(&want, &got, &format!("{unit} {place}"));
                    places += 1;
                }
                Err(error) => {
                    assert!(matches!(unit, Unit::Ort(_)) && place == PostProcessing::Gpu, "{unit}: {error}");
                    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
                }
            }
        }
        assert_eq!(places, if matches!(unit, Unit::Gpu(_)) { 3 } else { 2 }, "{unit}");
    }
}

#[test]
fn thresholds_reach_the_unit() {
    let picture = Picture::new();
    for unit in units() {
        let Some(mut detector) = on("thresholds_reach_the_unit", unit.clone(), small()) else { continue };
        let mut thresholds =
            gesto::Thresholds { confidence_hand: 1.0, confidence_body: 0.5, iou_hand: 0.4, iou_body: 0.3 };
        detector.set_thresholds(thresholds).unwrap();
        let out = detector.detect(&picture.frame()).unwrap();
        assert!(out.hands.is_empty() && !out.people.is_empty(), "{unit}: {out:?}");
        (thresholds.confidence_hand, thresholds.confidence_body) = (0.0, 1.0);
        detector.set_thresholds(thresholds).unwrap();
        let out = detector.detect(&picture.frame()).unwrap();
        // Every anchor point is a candidate: more than come back at once.
        assert!(out.hands.len() > 128 && out.people.is_empty(), "{unit}: {} hands", out.hands.len());
    }
}

#[test]
fn a_unit_that_is_missing_is_an_error_or_another_takes_over() {
    let nowhere = Unit::Gpu(Adapter::Named("no adapter has this name".to_owned()));
    let error = Detector::builder().unit(nowhere.clone()).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unit, "{error}");
    let builder = Detector::builder().size(64, 64).unit(nowhere).unit_fallback(Unit::Cpu);
    // The second asks for what only a graphics processor does.
    let gpus_own = builder.clone().resize(Resize::GpuBilinear).post_processing(PostProcessing::Gpu);
    for builder in [builder, gpus_own] {
        let detector = builder.build().unwrap();
        assert_eq!((detector.unit(), detector.resize()), (&Unit::Cpu, Unit::Cpu.default_resize()));
        assert_eq!(detector.fallen_back().map(gesto::Error::kind), Some(ErrorKind::Unit));
    }
}

#[test]
fn an_onnx_file_needs_a_unit_that_reads_it() {
    let file = std::env::temp_dir().join(format!("gesto-units-{}.onnx", std::process::id()));
    std::fs::write(&file, b"no model").unwrap();
    for unit in [Unit::Cpu, Unit::Gpu(Adapter::Best)] {
        let error = Detector::builder().model_file(&file).unit(unit).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.to_string().contains("ort:cpu"), "{error}");
    }
    std::fs::remove_file(file).unwrap();
}

/// The shipped network with other heads, as an ONNX file.
fn onnx(heads: &str) -> Vec<u8> {
    let model = gesto::Model::from_bytes(with_heads(heads)).unwrap();
    gesto_onnx::export(&model, &gesto_onnx::Options::new(320, 224)).unwrap()
}

/// An ONNX file without its metadata (field 14 of the outermost message), as strangers' files may come.
fn without_metadata(file: &[u8]) -> Vec<u8> {
    fn varint(bytes: &[u8], at: &mut usize) -> usize {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = bytes[*at];
            *at += 1;
            value |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }
    let (mut at, mut kept, mut dropped) = (0, Vec::new(), 0);
    while at < file.len() {
        let start = at;
        let key = varint(file, &mut at);
        match key & 7 {
            0 => {
                varint(file, &mut at);
            }
            2 => at += varint(file, &mut at),
            other => panic!("wire type {other}"),
        }
        if key >> 3 == 14 {
            dropped += 1;
        } else {
            kept.extend(&file[start..at]);
        }
    }
    assert!(dropped > 0, "the file had metadata");
    kept
}

#[test]
fn strangers_detect_and_pose_models_run() {
    let picture = Picture::new();
    let names: Vec<String> = (0..19).map(|i| format!("thing {i}")).collect();
    let hands = serde_json::json!([{ "name": "hand", "classes": names }]).to_string();
    let people = r#"[{"name":"body","classes":["person"],"keypoints":17}]"#;
    let want = small().resize(Resize::CpuBilinear).build().unwrap().detect(&picture.frame()).unwrap();
    for (name, heads) in [("hands", hands.as_str()), ("people", people)] {
        for bare in [false, true] {
            let file = if bare { without_metadata(&onnx(heads)) } else { onnx(heads) };
            let path = std::env::temp_dir().join(format!("gesto-{name}-{bare}-{}.onnx", std::process::id()));
            std::fs::write(&path, file).unwrap();
            // The file's size counts, not the one asked for.
            let builder = small().size(64, 64).model_file(&path);
            let detector = on("strangers_detect_and_pose_models_run", Unit::Ort(Provider::Cpu), builder);
            std::fs::remove_file(path).unwrap();
            let Some(mut detector) = detector else { return };
            assert_eq!(detector.size(), (320, 224));
            assert!(detector.model().is_none());
            let got = detector.detect(&picture.frame()).unwrap();
            let mut want = want.clone();
            if name == "hands" {
                want.people.clear();
                let thing =
                    |class: u16| if bare { format!("class {class}") } else { format!("thing {class}") };
                assert!(got.hands.iter().all(|hand| hand.label.as_str() == thing(hand.class)), "{got:?}");
            } else {
                want.hands.clear();
            }
            let compared = within(&want, &got, name) + within(&got, &want, name);
            assert!(compared >= 2, "{name}: {compared} were compared");
        }
    }
}
