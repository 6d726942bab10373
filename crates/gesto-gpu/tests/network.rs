//! The GPU against the plain CPU evaluation: every feature map, resize, decoding, batches, frames in flight.
//!
//! Runs on whatever adapter there is; Mesa's software Vulkan (package `mesa-vulkan-drivers`) will do. Without any, each
//! test prints its name and that it was skipped; `GESTO_REQUIRE_GPU=1` turns that into a failure, for CI.

mod common;

use common::{Adapter, Rng, network, picture, shipped};
use gesto_engine::reference::{self, Map};
use gesto_gpu::{
    AdapterChoice, Arithmetic, Chroma, ErrorKind, Fit, Frame, GpuNetwork, GpuOptions, GpuResizer,
    PixelFormat, Resize, Turn, View,
};

const SIZE: (usize, usize) = (64, 96);

/// Largest difference between two maps, in units of the second one's root mean square.
fn relative(a: &Map, b: &Map) -> f32 {
    assert_eq!((a.height, a.width, a.channels), (b.height, b.width, b.channels));
    let rms = (b.data.iter().map(|v| v * v).sum::<f32>() / b.data.len() as f32).sqrt();
    let worst = a.data.iter().zip(&b.data).map(|(a, b)| (a - b).abs()).fold(0.0, |m: f32, d| {
        assert!(d.is_finite(), "a number is missing");
        m.max(d)
    });
    worst / rms.max(1e-6)
}

/// Root mean square of two maps' difference, in units of the second one's.
fn mean_difference(a: &Map, b: &Map) -> f32 {
    let square = |d: f32| f64::from(d) * f64::from(d);
    let difference: f64 = a.data.iter().zip(&b.data).map(|(a, b)| square(a - b)).sum();
    let whole: f64 = b.data.iter().map(|&v| square(v)).sum();
    (difference / whole.max(1e-12)).sqrt() as f32
}

/// Runs two pictures of the network's size and compares every map: its worst number and its root mean square.
fn compare_maps(test: &str, arithmetic: Arithmetic, tolerance: f32, mean_tolerance: f32) {
    let (height, width) = SIZE;
    let mut options = GpuOptions::default();
    (options.arithmetic, options.inspect, options.batch) = (arithmetic, true, 2);
    let Some(mut network) = network(test, height, width, options) else { return };
    let model = shipped();
    let pictures = [picture(1, height, width), picture(2, height, width)];
    let frames: Vec<Frame<'_>> =
        pictures.iter().map(|p| Frame::packed(p, width, height, PixelFormat::Rgb)).collect();
    network.detect(&frames, &View::default(), &[0.3, 0.5]).unwrap();
    let (mut compared, mut worst, mut worst_mean) = (0, 0.0f32, 0.0f32);
    for (i, picture) in pictures.iter().enumerate() {
        let wanted = reference::run(&model, picture, height, width, reference::exact);
        let got = network.feature_maps(i).unwrap();
        for ((got, wanted), value) in got.iter().zip(&wanted).zip(&model.graph().values) {
            let Some(mut got) = got.clone() else { continue };
            if value.stride == 1 {
                // The reference keeps the picture in 0 to 255.
                got.data.iter_mut().for_each(|v| *v *= 255.0);
            }
            let error = relative(&got, wanted);
            assert!(error <= tolerance, "{test}: map {} of picture {i} is off by {error}", value.name);
            worst = worst.max(error);
            let mean = mean_difference(&got, wanted);
            assert!(mean <= mean_tolerance, "{test}: map {} of picture {i} is off by {mean} rms", value.name);
            worst_mean = worst_mean.max(mean);
            compared += 1;
        }
    }
    // Only a convolution that a residual sum absorbed has no map of its own.
    let adds =
        model.graph().ops.iter().filter(|op| matches!(op, gesto_engine::model::Op::Add { .. })).count();
    assert_eq!(compared, 2 * (model.graph().values.len() - adds));
    println!(
        "{test}: {compared} maps agree within {worst:.1e}, {worst_mean:.1e} rms, on {}",
        network.adapter().name
    );
}

#[test]
fn every_map_agrees_in_f32() {
    compare_maps("every_map_agrees_in_f32", Arithmetic::F32, 2e-4, 2e-5);
}

/// f16 keeps 11 bits: 5e-4 a rounding; the deepest map is some fifty layers away.
#[test]
fn every_map_agrees_in_f16() {
    compare_maps("every_map_agrees_in_f16", Arithmetic::F16, 1e-1, 8e-3);
}

#[test]
fn every_map_agrees_on_matrix_units() {
    compare_maps("every_map_agrees_on_matrix_units", Arithmetic::Matrix, 6e-2, 4e-3);
}

/// The CPU's decoding of the GPU's own raw maps, in f64.
fn decode(
    network: &GpuNetwork,
    picture: usize,
    head: usize,
    threshold: f32,
) -> Vec<(u32, u32, f32, Vec<f64>)> {
    let maps = network.feature_maps(picture).unwrap();
    let limit = (threshold / (1.0 - threshold)).ln();
    let mut found = Vec::new();
    let mut anchor = 0;
    for level in &network.heads()[head].levels {
        let classes = maps[level.classes.index()].as_ref().unwrap();
        let boxes = maps[level.boxes.index()].as_ref().unwrap();
        let points = level.keypoints.map(|id| maps[id.index()].as_ref().unwrap());
        let stride = level.stride as f64;
        for y in 0..classes.height {
            for x in 0..classes.width {
                let (mut class, mut logit) = (0, f32::NEG_INFINITY);
                for (c, &v) in classes.cell(y, x).iter().enumerate() {
                    if v > logit {
                        (class, logit) = (c as u32, v);
                    }
                }
                if logit >= limit {
                    let (cx, cy) = (x as f64 + 0.5, y as f64 + 0.5);
                    let side = |s: usize| {
                        let bins = &boxes.cell(y, x)[16 * s..16 * s + 16];
                        let e: Vec<f64> = bins.iter().map(|&v| f64::from(v).exp()).collect();
                        e.iter().enumerate().map(|(i, e)| i as f64 * e).sum::<f64>() / e.iter().sum::<f64>()
                    };
                    let mut numbers = vec![
                        (cx - side(0)) * stride,
                        (cy - side(1)) * stride,
                        (cx + side(2)) * stride,
                        (cy + side(3)) * stride,
                    ];
                    for k in points.iter().flat_map(|p| p.cell(y, x).chunks_exact(3)) {
                        numbers.push((2.0 * f64::from(k[0]) + cx - 0.5) * stride);
                        numbers.push((2.0 * f64::from(k[1]) + cy - 0.5) * stride);
                        numbers.push(1.0 / (1.0 + (-f64::from(k[2])).exp()));
                    }
                    found.push((anchor, class, logit, numbers));
                }
                anchor += 1;
            }
        }
    }
    found
}

#[test]
fn decoding_agrees_with_the_cpu_whatever_comes_back_at_once() {
    let test = "decoding_agrees_with_the_cpu_whatever_comes_back_at_once";
    let (height, width) = SIZE;
    for (readback, thresholds) in
        [(128, [0.01, 0.01]), (3, [0.001, 0.0]), (128, [0.0, 0.0]), (128, [1.0, 1.0])]
    {
        let mut options = GpuOptions::default();
        (options.inspect, options.readback, options.batch) = (true, readback, 2);
        let Some(mut network) = network(test, height, width, options) else { return };
        let pictures = [picture(3, height, width), picture(4, height, width)];
        let frames: Vec<Frame<'_>> =
            pictures.iter().map(|p| Frame::packed(p, width, height, PixelFormat::Rgb)).collect();
        let detections = network.detect(&frames, &View::default(), &thresholds).unwrap();
        for picture in 0..2 {
            for (head, &threshold) in thresholds.iter().enumerate() {
                let wanted = decode(&network, picture, head, threshold);
                let got = detections.candidates(picture, head);
                assert_eq!(got.len(), wanted.len(), "candidates of head {head} at {threshold}");
                if threshold == 0.0 {
                    assert_eq!(got.len(), 8 * 12 + 4 * 6 + 2 * 3);
                }
                for (got, (anchor, class, logit, numbers)) in got.iter().zip(&wanted) {
                    assert_eq!((got.anchor, got.class, got.logit), (*anchor, *class, *logit));
                    assert!((got.score - 1.0 / (1.0 + (-logit).exp())).abs() < 1e-6);
                    let all = got.bbox.iter().chain(got.keypoints.iter().flatten());
                    assert_eq!(all.clone().count(), numbers.len());
                    for (got, wanted) in all.zip(numbers) {
                        assert!((f64::from(*got) - wanted).abs() < 2e-3, "{got} is not {wanted}");
                    }
                }
            }
        }
    }
}

/// The picture that the resize kernel made, as 8-bit numbers.
fn resized(network: &GpuNetwork, picture: usize) -> Vec<f32> {
    let input = shipped().graph().input;
    let maps = network.feature_maps(picture).unwrap();
    maps[input.index()].as_ref().unwrap().data.iter().map(|v| v * 255.0).collect()
}

/// What an upright pixel is, from the definition of turn and mirror: red, green, blue or Y, U, V.
fn upright(frame: &Frame<'_>, x: usize, y: usize) -> [f64; 3] {
    let (width, _) = frame.upright_size();
    let x = if frame.mirror { width - 1 - x } else { x };
    let (u, v) = match frame.turn {
        Turn::None => (x, y),
        Turn::Quarter => (y, frame.height - 1 - x),
        Turn::Half => (frame.width - 1 - x, frame.height - 1 - y),
        Turn::ThreeQuarters => (frame.width - 1 - y, x),
    };
    let row = &frame.data[v * frame.pitch..];
    let pixel = &row[u * frame.format.bytes()..];
    let samples = match frame.format {
        PixelFormat::Bgra | PixelFormat::Bgr => [pixel[2], pixel[1], pixel[0]],
        PixelFormat::Rgba | PixelFormat::Rgb => [pixel[0], pixel[1], pixel[2]],
        PixelFormat::Gray => [pixel[0]; 3],
        PixelFormat::Yuyv => [pixel[0], row[u / 2 * 4 + 1], row[u / 2 * 4 + 3]],
        PixelFormat::Nv12 => {
            let chroma = &frame.chroma.data[v / 2 * frame.chroma.pitch + u / 2 * 2..];
            [pixel[0], chroma[0], chroma[1]]
        }
    };
    samples.map(f64::from)
}

fn is_yuv(format: PixelFormat) -> bool {
    matches!(format, PixelFormat::Nv12 | PixelFormat::Yuyv)
}

/// ITU-R BT.601-7, 2.5: luma 16 to 235, chroma 16 to 240, to red, green, blue 0 to 255.
fn from_yuv([y, u, v]: [f64; 3]) -> [f64; 3] {
    let (y, u, v) = ((y - 16.0) * 255.0 / 219.0, (u - 128.0) * 255.0 / 224.0, (v - 128.0) * 255.0 / 224.0);
    [y + 1.402 * v, y - 0.344_136_3 * u - 0.714_136_3 * v, y + 1.772 * u].map(|c| c.clamp(0.0, 255.0))
}

/// Resize from its definition, in f64, not rounded; YUV samples are rounded once before they become colours.
fn resize(frame: &Frame<'_>, view: &View, height: usize, width: usize) -> Vec<f64> {
    let size = frame.upright_size();
    let placement = gesto_gpu::Placement::new(view.fit, size, (width, height));
    let fill = match view.fit {
        Fit::Stretch => 0.0,
        Fit::Letterbox(fill) => f64::from(fill),
    };
    let mut out = Vec::new();
    let colour = |samples: [f64; 3]| {
        if is_yuv(frame.format) { from_yuv(samples.map(|s| (s + 0.5).floor())) } else { samples }
    };
    for y in 0..height {
        for x in 0..width {
            if x < placement.x
                || y < placement.y
                || x >= placement.x + placement.width
                || y >= placement.y + placement.height
            {
                out.extend([fill; 3]);
                continue;
            }
            let centre = |i: usize, from: usize, to: usize| (i as f64 + 0.5) * from as f64 / to as f64;
            let cx = centre(x - placement.x, size.0, placement.width);
            let cy = centre(y - placement.y, size.1, placement.height);
            if view.resize == Resize::Nearest {
                out.extend(colour(upright(frame, cx as usize, cy as usize)));
                continue;
            }
            let sx = (cx - 0.5).clamp(0.0, (size.0 - 1) as f64);
            let sy = (cy - 0.5).clamp(0.0, (size.1 - 1) as f64);
            let (x0, y0) = (sx as usize, sy as usize);
            let (x1, y1) = ((x0 + 1).min(size.0 - 1), (y0 + 1).min(size.1 - 1));
            let (fx, fy) = (sx - x0 as f64, sy - y0 as f64);
            out.extend(colour(std::array::from_fn(|c| {
                let at = |x, y| upright(frame, x, y)[c];
                let top = at(x0, y0) * (1.0 - fx) + at(x1, y0) * fx;
                let bottom = at(x0, y1) * (1.0 - fx) + at(x1, y1) * fx;
                top * (1.0 - fy) + bottom * fy
            })));
        }
    }
    out
}

#[test]
fn a_resizer_refuses_what_it_cannot_do() {
    if common::adapter("a_resizer_refuses_what_it_cannot_do") == Adapter::None {
        return;
    }
    let options = GpuOptions::default();
    let kind = |made: gesto_gpu::Result<GpuResizer>| made.map(|_| ()).unwrap_err().kind();
    assert_eq!(kind(GpuResizer::new(0, 32, &options)), ErrorKind::Shape);
    assert_eq!(kind(GpuResizer::new(1 << 20, 1 << 20, &options)), ErrorKind::Shape);
    let mut other = options.clone();
    other.copy_threads = 0;
    assert_eq!(kind(GpuResizer::new(32, 32, &other)), ErrorKind::Input);
    other = options.clone();
    other.adapter = AdapterChoice::Named("no adapter has this name".to_owned());
    assert_eq!(kind(GpuResizer::new(32, 32, &other)), ErrorKind::NoAdapter);

    let mut resizer = GpuResizer::new(32, 64, &options).unwrap();
    let pixels = [7; 5 * 4 * 3];
    let frame = Frame::packed(&pixels, 5, 4, PixelFormat::Rgb);
    let mut rgb = vec![0; 32 * 64 * 3];
    let mut short = frame;
    short.height = 5;
    for (frame, bytes) in [(frame, rgb.len() - 1), (short, rgb.len())] {
        let error = resizer.run(&frame, &View::default(), &mut rgb[..bytes]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input, "{error}");
    }
    // None of that does any harm.
    resizer.run(&frame, &View::default(), &mut rgb).unwrap();
    assert!(rgb.iter().all(|&byte| byte == 7));
}

#[test]
fn resize_agrees_with_its_definition() {
    let test = "resize_agrees_with_its_definition";
    let (height, width) = SIZE;
    let mut options = GpuOptions::default();
    (options.inspect, options.arithmetic) = (true, Arithmetic::F32);
    let Some(mut network) = network(test, height, width, options.clone()) else { return };
    let mut alone = GpuResizer::new(height, width, &options).unwrap();
    let mut bytes = vec![0; height * width * 3];
    let mut rng = Rng::new(7);
    let formats = [
        PixelFormat::Bgra,
        PixelFormat::Rgba,
        PixelFormat::Bgr,
        PixelFormat::Rgb,
        PixelFormat::Gray,
        PixelFormat::Nv12,
        PixelFormat::Yuyv,
    ];
    let turns = [Turn::None, Turn::Quarter, Turn::Half, Turn::ThreeQuarters];
    let sizes = [(135, 240), (240, 135), (96, 64), (1, 1), (7, 500), (31, 33), (54, 96), (500, 40)];
    let (mut cases, mut worst, mut wrong, mut numbers) = (0, 0.0f64, 0usize, 0usize);
    let (mut yuv_numbers, mut yuv_off) = (0usize, 0usize);
    for (i, &(w, h)) in sizes.iter().enumerate() {
        for (t, &turn) in turns.iter().enumerate() {
            for (fit, resize_by) in [
                (Fit::Stretch, Resize::Bilinear),
                (Fit::Letterbox(114), Resize::Bilinear),
                (Fit::Stretch, Resize::Nearest),
                (Fit::Letterbox(0), Resize::Nearest),
            ] {
                let format = formats[(i + t + cases) % formats.len()];
                let yuv = is_yuv(format);
                let (w, h) = if yuv { (2 * w, 2 * h) } else { (w, h) };
                let pitch = w * format.bytes() + rng.below(9);
                let data: Vec<u8> = (0..pitch * h).map(|_| rng.below(256) as u8).collect();
                let chroma_pitch = w + rng.below(9);
                let chroma: Vec<u8> = (0..chroma_pitch * h / 2).map(|_| rng.below(256) as u8).collect();
                let mut frame = Frame::packed(&data, w, h, format);
                (frame.pitch, frame.turn, frame.mirror) = (pitch, turn, cases % 3 == 0);
                frame.chroma = Chroma { data: &chroma, pitch: chroma_pitch };
                let view = View { fit, resize: resize_by };
                network.detect(&[frame], &view, &[1.0, 1.0]).unwrap();
                alone.run(&frame, &view, &mut bytes).unwrap();
                let wanted = resize(&frame, &view, height, width);
                for ((got, wanted), &byte) in resized(&network, 0).iter().zip(&wanted).zip(&bytes) {
                    assert_eq!(got.round(), f32::from(byte), "{w} x {h} {format:?} {turn:?} {view:?}");
                    let error = (f64::from(*got) - wanted).abs();
                    // Rounded to 8 bits: half a level, and a little for f32. A YUV sample that lies on the edge between two
                    // levels may fall to the other side, which moves a colour by up to 2.02 levels, with the luma 3.2.
                    let most = if yuv { 0.5 + 3.2 } else { 0.5 + 1e-3 };
                    assert!(error <= most, "{w} x {h} {format:?} {turn:?} {view:?}: {got} is not {wanted}");
                    if yuv {
                        yuv_numbers += 1;
                        yuv_off += usize::from(error > 0.5 + 2e-2);
                    } else {
                        worst = worst.max(error);
                        wrong += usize::from(resize_by == Resize::Nearest && error > 1e-3);
                    }
                    numbers += 1;
                }
                cases += 1;
            }
        }
    }
    assert_eq!(wrong, 0, "nearest copies pixels exactly");
    assert!(
        yuv_numbers > 10_000 && yuv_off * 100 < yuv_numbers,
        "{yuv_off} of {yuv_numbers} YUV numbers are off"
    );
    println!(
        "{test}: {cases} cases, {numbers} numbers, worst {worst:.4} of 255 on {}; {yuv_off} of {yuv_numbers} from YUV a level off",
        network.adapter().name
    );
}

#[test]
fn frames_in_flight_and_batches_give_what_single_frames_give() {
    let test = "frames_in_flight_and_batches_give_what_single_frames_give";
    let (height, width) = SIZE;
    let mut options = GpuOptions::default();
    options.in_flight = 3;
    options.arithmetic = Arithmetic::F32;
    let Some(mut flying) = network(test, height, width, options.clone()) else { return };
    let pictures: Vec<Vec<u8>> = (0..7).map(|i| picture(10 + i, height, width)).collect();
    let frame = |i: usize| Frame::packed(&pictures[i], width, height, PixelFormat::Rgb);
    let thresholds = [0.005, 0.02];
    let single: Vec<_> =
        (0..7).map(|i| flying.detect(&[frame(i)], &View::default(), &thresholds).unwrap()).collect();
    assert!(single.iter().any(|d| !d.candidates(0, 1).is_empty()), "the comparison has something to compare");

    let mut got = Vec::new();
    for i in 0..7 {
        if flying.under_way() == 3 {
            got.push(flying.wait().unwrap());
        }
        flying.submit(&[frame(i)], &View::default(), &thresholds).unwrap();
    }
    let refused = flying.submit(&[frame(0)], &View::default(), &thresholds).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Input);
    while flying.under_way() > 0 {
        got.push(flying.wait().unwrap());
    }
    for (a, b) in got.iter().zip(&single) {
        assert_eq!((a.candidates(0, 0), a.candidates(0, 1)), (b.candidates(0, 0), b.candidates(0, 1)));
    }

    (options.batch, options.in_flight, options.copy_threads) = (4, 1, 3);
    let Some(mut batched) = network(test, height, width, options) else { return };
    for range in [0..4, 4..7] {
        let frames: Vec<Frame<'_>> = range.clone().map(frame).collect();
        let detections = batched.detect(&frames, &View::default(), &thresholds).unwrap();
        assert_eq!(detections.pictures(), range.len());
        for (picture, i) in range.enumerate() {
            for head in 0..2 {
                assert_eq!(
                    detections.candidates(picture, head),
                    single[i].candidates(0, head),
                    "picture {i}"
                );
            }
        }
    }
    batched.resubmit(&thresholds).unwrap();
    let again = batched.wait().unwrap();
    assert_eq!(again.candidates(0, 1), single[4].candidates(0, 1));
}

#[test]
fn every_kernel_gives_the_same() {
    let test = "every_kernel_gives_the_same";
    let (height, width) = (32, 64);
    let picture = picture(20, height, width);
    let frame = Frame::packed(&picture, width, height, PixelFormat::Rgb);
    for (arithmetic, most) in [(Arithmetic::F32, 1e-4), (Arithmetic::Matrix, 6e-2)] {
        let mut first: Option<Vec<Option<Map>>> = None;
        let mut kernels = 0;
        let started = std::time::Instant::now();
        // Past the last kernel, and where matrix units are missing, construction says so.
        for kernel in 0.. {
            let mut options = GpuOptions::default();
            (options.arithmetic, options.inspect, options.kernel) = (arithmetic, true, Some(kernel));
            let Some(mut network) = network(test, height, width, options) else { break };
            // A software driver compiles a large kernel for half a minute; any GPU runs them all.
            if network.adapter().kind == "software" && started.elapsed().as_secs() > 60 {
                println!(
                    "SKIPPED {test} with {arithmetic:?} from kernel {kernel} on: too slow on a software driver"
                );
                break;
            }
            network.detect(&[frame], &View::default(), &[0.3, 0.5]).unwrap();
            let maps = network.feature_maps(0).unwrap();
            let first = first.get_or_insert_with(|| maps.clone());
            for (a, b) in first.iter().zip(&maps) {
                let (Some(a), Some(b)) = (a, b) else { continue };
                let error = relative(b, a);
                assert!(error < most, "{arithmetic:?}, kernel {kernel}: {error}");
            }
            kernels += 1;
            // The first layer's and the deepest map's shares of the work are small: name the kernel that did the most.
            println!("{arithmetic:?}, kernel {kernel}: {}", network.describe()[4]);
        }
        println!("{test}: {kernels} kernels with {arithmetic:?}");
    }
}

#[test]
fn bad_input_is_refused_with_a_kind() {
    let test = "bad_input_is_refused_with_a_kind";
    let model = shipped();
    let kind =
        |h, w, options: &GpuOptions| GpuNetwork::new(&model, h, w, options).map(|_| ()).map_err(|e| e.kind());
    let options = GpuOptions::default();
    for (h, w) in [(0, 64), (64, 0), (33, 64), (1 << 20, 1 << 20), (usize::MAX - 31, 32)] {
        assert_eq!(kind(h, w, &options), Err(ErrorKind::Shape), "{h} x {w}");
    }
    let mut none = options.clone();
    none.batch = 0;
    assert_eq!(kind(64, 64, &none), Err(ErrorKind::Input));
    let mut named = options.clone();
    named.adapter = gesto_gpu::AdapterChoice::Named("no such adapter".to_owned());
    assert_eq!(kind(64, 64, &named), Err(ErrorKind::NoAdapter));

    let Some(mut network) = network(test, 64, 64, options.clone()) else { return };
    let pixels = vec![0u8; 64 * 64 * 3];
    let good = Frame::packed(&pixels, 64, 64, PixelFormat::Rgb);
    let short = Frame::packed(&pixels, 64, 65, PixelFormat::Rgb);
    let view = View::default();
    let refuse = |network: &mut GpuNetwork, frames: &[Frame<'_>], thresholds: &[f32]| {
        assert_eq!(network.detect(frames, &view, thresholds).unwrap_err().kind(), ErrorKind::Input);
    };
    refuse(&mut network, &[], &[0.3, 0.5]);
    refuse(&mut network, &[good, good], &[0.3, 0.5]);
    refuse(&mut network, &[short], &[0.3, 0.5]);
    refuse(&mut network, &[good], &[0.3]);
    refuse(&mut network, &[good], &[f32::NAN, 0.5]);
    assert_eq!(network.wait().unwrap_err().kind(), ErrorKind::Input);
    network.detect(&[good], &view, &[0.3, 0.5]).unwrap();

    let mut huge = options;
    (huge.batch, huge.arithmetic) = (4000, Arithmetic::F32);
    let error = GpuNetwork::new(&model, 320, 224, &huge).map(|_| ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::OutOfMemory | ErrorKind::Shape), "{error}");
}

#[test]
fn adapters_say_what_they_lack() {
    if common::adapter("adapters_say_what_they_lack") == Adapter::None {
        return;
    }
    for adapter in gesto_gpu::adapters() {
        println!("{adapter:?}");
        assert!(!adapter.name.is_empty() && adapter.max_buffer > 1 << 20);
        assert!(adapter.matrix || adapter.lacks.iter().any(|line| line.contains("matrix")));
    }
}
