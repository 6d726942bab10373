//! The whole network on every tier against the plain reference.

use std::io::Write as _;

use gesto_engine::isa::Detected;
use gesto_engine::reference::{self, Map};
use gesto_engine::{HeadMode, Isa, Model, Network, Options};

fn model() -> Model {
    Model::from_bytes(include_bytes!("../../../models/multi-n.safetensors").as_slice()).unwrap()
}

/// A picture with edges, gradients and noise, the same every time.
fn picture(height: usize, width: usize) -> Vec<u8> {
    let mut state = 12345u32;
    let mut rgb = Vec::with_capacity(3 * height * width);
    for y in 0..height {
        for x in 0..width {
            for c in 0..3 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let shape = if (x / 17 + y / 23) % 2 == 0 { 60 } else { 180 };
                rgb.push((shape + (x + y * c) % 50 + (state >> 28) as usize) as u8);
            }
        }
    }
    rgb
}

/// Past the harness, which shows what is printed of failed tests only.
fn skipped(isa: Isa, why: &str) {
    _ = writeln!(std::io::stderr(), "skipped: tier {isa}: {why}");
}

/// Runs `check` with the options of every tier that this machine has; names the others.
fn on_every_tier(threads: &[usize], mut check: impl FnMut(Isa, Options)) {
    // The shipped model has no scales for the 8-bit tiers.
    for isa in Isa::ALL.into_iter().filter(|isa| !isa.is_int8()) {
        if let Some(why) = Detected::get().missing(isa) {
            skipped(isa, why);
            continue;
        }
        for &threads in threads {
            let mut options = Options::default();
            options.isa = Some(isa);
            options.threads = threads;
            check(isa, options);
        }
    }
}

fn is_bf16(isa: Isa) -> bool {
    matches!(isa, Isa::AmxBf16 | Isa::Avx512Bf16)
}

fn close(got: f32, want: f32, tolerance: f32) -> bool {
    (got - want).abs() <= tolerance * (1.0 + want.abs())
}

/// How far numbers are from what they should be: each by itself, or all together.
enum Tolerance {
    Each(f32),
    /// Root mean square of the errors over that of the numbers.
    Mean(f32),
}

#[derive(Default)]
struct Errors {
    squares: f64,
    of: f64,
}

impl Errors {
    fn add(&mut self, got: f32, want: f32, tolerance: &Tolerance, what: &str, at: &gesto_engine::Candidate) {
        assert!(got.is_finite());
        if let Tolerance::Each(each) = tolerance {
            assert!(close(got, want, *each), "{what} {got}, not {want}, at {at:?}");
        }
        self.squares += f64::from(got - want).powi(2);
        self.of += f64::from(want).powi(2);
    }

    fn check(&self, tolerance: &Tolerance, what: &str) {
        if let Tolerance::Mean(mean) = tolerance {
            let error = (self.squares / self.of.max(1e-30)).sqrt();
            assert!(error <= f64::from(*mean), "{what}: error {error}");
        }
    }
}

fn same_raw_maps(network: &mut Network, maps: &[Map], tolerance: &Tolerance) {
    network.set_heads(HeadMode::Dense);
    let heads = network.heads().to_vec();
    let outputs = network.run(&vec![0.0; heads.len()]);
    for (h, head) in heads.iter().enumerate() {
        let output = outputs.head(h);
        let mut keypoints = vec![0.0; 3 * head.keypoints];
        let anchors: usize =
            head.levels.iter().map(|l| maps[l.classes.index()].data.len() / head.classes.len()).sum();
        assert_eq!(output.candidates().len(), anchors, "a threshold of 0 lets every anchor point pass");
        let mut errors: [Errors; 3] = Default::default();
        for (a, candidate) in output.candidates().iter().enumerate() {
            assert_eq!(candidate.anchor as usize, a);
            let level = &head.levels[candidate.level as usize];
            let cell = |id: gesto_engine::model::ValueId| {
                maps[id.index()].cell(candidate.y as usize, candidate.x as usize)
            };
            let best = cell(level.classes).iter().copied().fold(f32::NEG_INFINITY, f32::max);
            errors[0].add(candidate.logit, best, tolerance, "class", candidate);
            for (got, &want) in output.box_logits(candidate).into_iter().zip(cell(level.boxes)) {
                errors[1].add(got, want, tolerance, "box", candidate);
            }
            if let Some(id) = level.keypoints {
                output.keypoints(candidate, &mut keypoints);
                for (&got, &want) in keypoints.iter().zip(cell(id)) {
                    errors[2].add(got, want, tolerance, "keypoint", candidate);
                }
            }
        }
        for (errors, what) in errors.iter().zip(["classes", "boxes", "keypoints"]) {
            errors.check(tolerance, what);
        }
    }
}

#[test]
fn every_f32_tier_gives_the_reference_at_every_shape() {
    let model = model();
    for (height, width) in [(32, 32), (64, 96), (256, 128), (320, 224), (224, 320), (640, 640)] {
        let rgb = picture(height, width);
        let maps = reference::run(&model, &rgb, height, width, reference::exact);
        on_every_tier(&[1, 2, 3], |isa, options| {
            if is_bf16(isa) {
                return;
            }
            if height == 640 && options.threads != 2 {
                return; // one count of threads is enough for the largest
            }
            println!("{isa} {height}x{width} {} threads", options.threads);
            let mut network = Network::new(&model, height, width, &options).unwrap();
            network.input_mut().copy_from_slice(&rgb);
            same_raw_maps(&mut network, &maps, &Tolerance::Each(2e-4));
            // Again: borders are still zero, nothing of the first frame is left.
            same_raw_maps(&mut network, &maps, &Tolerance::Each(2e-4));
        });
    }
}

#[test]
fn every_bf16_tier_gives_the_rounded_reference() {
    let model = model();
    for (height, width) in [(32, 64), (96, 64), (64, 224)] {
        let rgb = picture(height, width);
        // Weights and activations rounded to bf16, sums in f32; one flipped rounding moves a number by 1/256 of itself.
        let maps = reference::run(&model, &rgb, height, width, reference::to_bf16);
        on_every_tier(&[1, 2], |isa, options| {
            if !is_bf16(isa) {
                return;
            }
            println!("{isa} {height}x{width} {} threads", options.threads);
            let mut network = Network::new(&model, height, width, &options).unwrap();
            network.input_mut().copy_from_slice(&rgb);
            same_raw_maps(&mut network, &maps, &Tolerance::Mean(0.02));
            same_raw_maps(&mut network, &maps, &Tolerance::Mean(0.02));
        });
    }
}

#[test]
fn lazy_heads_give_the_dense_bits() {
    let model = model();
    for (height, width) in [(64, 96), (320, 224)] {
        let rgb = picture(height, width);
        on_every_tier(&[1, 2], |isa, mut options| {
            // In software a frame of the matrix unit takes seconds.
            let emulated = Detected::get().is_emulated(isa);
            if emulated && (height > 64 || options.threads > 1) {
                skipped(isa, &format!("{height}x{width}, {} threads: too slow in software", options.threads));
                return;
            }
            let all = [0.0005, 0.002, 0.01, 0.05, 0.2, 0.9];
            options.heads = HeadMode::Dense;
            let mut dense = Network::new(&model, height, width, &options).unwrap();
            let mut lazy = dense.fork(options.threads);
            lazy.set_heads(HeadMode::Lazy);
            dense.input_mut().copy_from_slice(&rgb);
            lazy.input_mut().copy_from_slice(&rgb);
            for &threshold in if emulated { &all[1..2] } else { &all[..] } {
                let thresholds = [threshold; 2];
                let (dense, lazy) = (dense.run(&thresholds), lazy.run(&thresholds));
                for h in 0..2 {
                    let (dense, lazy) = (dense.head(h), lazy.head(h));
                    assert_eq!(dense.candidates(), lazy.candidates());
                    println!("{isa} {height}x{width} at {threshold}: {} candidates", lazy.candidates().len());
                    for candidate in lazy.candidates() {
                        assert_eq!(dense.box_logits(candidate), lazy.box_logits(candidate));
                        let (mut a, mut b) = ([0.0; 51], [0.0; 51]);
                        dense.keypoints(candidate, &mut a);
                        lazy.keypoints(candidate, &mut b);
                        assert_eq!(a, b);
                    }
                }
            }
        });
    }
}

/// The shipped file with only some of its heads.
fn with_heads(keep: &[&str]) -> Model {
    let bytes: &[u8] = include_bytes!("../../../models/multi-n.safetensors");
    let file = safetensors::SafeTensors::deserialize(bytes).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(bytes).unwrap();
    let mut metadata = header.metadata().clone().unwrap();
    let heads: Vec<serde_json::Value> = serde_json::from_str(&metadata["heads"]).unwrap();
    let kept: Vec<_> = heads.iter().filter(|head| keep.contains(&head["name"].as_str().unwrap())).collect();
    metadata.insert("heads".into(), serde_json::to_string(&kept).unwrap());
    let dropped = |name: &str| {
        heads.iter().any(|head| {
            let head = head["name"].as_str().unwrap();
            !keep.contains(&head) && name.starts_with(&format!("{head}."))
        })
    };
    let tensors: Vec<_> = file.tensors().into_iter().filter(|(name, _)| !dropped(name)).collect();
    Model::from_bytes(safetensors::serialize(tensors, Some(metadata)).unwrap()).unwrap()
}

#[test]
fn single_head_models_give_what_the_head_gives_beside_others() {
    let (height, width) = (96, 64);
    let rgb = picture(height, width);
    let mut both = Network::new(&model(), height, width, &Options::default()).unwrap();
    both.input_mut().copy_from_slice(&rgb);
    let both = both.run(&[1e-6, 1e-6]);
    for (h, name) in ["hand", "body"].into_iter().enumerate() {
        let mut single = Network::new(&with_heads(&[name]), height, width, &Options::default()).unwrap();
        assert_eq!(single.heads().len(), 1);
        single.input_mut().copy_from_slice(&rgb);
        let single = single.run(&[1e-6]);
        let (single, both) = (single.head(0), both.head(h));
        assert!(!single.candidates().is_empty(), "{name}");
        assert_eq!(single.candidates(), both.candidates());
        for candidate in single.candidates() {
            assert_eq!(single.box_logits(candidate), both.box_logits(candidate));
        }
    }
}

#[test]
fn impossible_requests_are_refused() {
    use gesto_engine::ErrorKind;
    let model = model();
    let kind = |height, width, threads| {
        let mut options = Options::default();
        options.threads = threads;
        Network::new(&model, height, width, &options).unwrap_err().kind()
    };
    for (height, width) in [(0, 32), (32, 0), (33, 32), (320, 225), (usize::MAX - 31, 32), (1 << 20, 1 << 20)]
    {
        assert_eq!(kind(height, width, 1), ErrorKind::Shape, "{height}x{width}");
    }
    assert_eq!(kind(32, 32, 0), ErrorKind::Config);
    assert_eq!(kind(32, 32, 100_000), ErrorKind::Config);
}

/// A candidate, its box logits and its keypoints.
type Raw = (gesto_engine::Candidate, [f32; 64], [f32; 51]);

/// The shipped network with scales found on `rgb`.
fn quantised(rgb: &[u8], height: usize, width: usize) -> Model {
    let model = model();
    let mut calibration = gesto_engine::Calibration::new(&model);
    calibration.add(rgb, height, width);
    Model::from_bytes(model.to_bytes_with_scales(&calibration.scales()).unwrap()).unwrap()
}

#[test]
fn every_int8_tier_gives_the_same_bits_close_to_the_reference() {
    let (height, width) = (64, 96);
    let rgb = picture(height, width);
    let model = quantised(&rgb, height, width);
    let maps = reference::run(&model, &rgb, height, width, reference::exact);
    let mut first: Option<Vec<Raw>> = None;
    // Plain Rust last: what the others gave must be what it gives.
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_int8()) {
        if let Some(why) = Detected::get().missing(isa) {
            skipped(isa, why);
            continue;
        }
        for (threads, heads) in [(1, HeadMode::Dense), (2, HeadMode::Lazy)] {
            let mut options = Options::default();
            (options.isa, options.threads, options.heads) = (Some(isa), threads, heads);
            let mut network = Network::new(&model, height, width, &options).unwrap();
            network.input_mut().copy_from_slice(&rgb);
            network.run(&[0.5, 0.5]);
            // Again: borders still hold each map's zero.
            let outputs = network.run(&[0.0005, 0.0005]);
            let mut all = Vec::new();
            for h in 0..2 {
                let output = outputs.head(h);
                for candidate in output.candidates() {
                    let mut keypoints = [0.0; 51];
                    output.keypoints(candidate, &mut keypoints);
                    all.push((*candidate, output.box_logits(candidate), keypoints));
                }
            }
            assert!(all.len() > 10, "{isa}: {} candidates", all.len());
            match &first {
                Some(first) => assert!(*first == all, "{isa} on {threads} threads gives other bits"),
                None => first = Some(all),
            }
        }
        if isa == Isa::PortableInt8 {
            let mut options = Options::default();
            options.isa = Some(isa);
            let mut network = Network::new(&model, height, width, &options).unwrap();
            network.input_mut().copy_from_slice(&rgb);
            same_raw_maps(&mut network, &maps, &Tolerance::Mean(0.15));
        }
    }
}

#[test]
fn int8_needs_scales() {
    let mut options = Options::default();
    options.isa = Some(Isa::PortableInt8);
    let error = Network::new(&model(), 64, 64, &options).unwrap_err();
    assert_eq!(error.kind(), gesto_engine::ErrorKind::Config);
    assert!(error.to_string().contains("gesto model quantize"), "{error}");
}

/// Everything that a frame gives, to the bit.
fn bits(
    network: &mut Network,
    thresholds: &[f32],
) -> Vec<(usize, gesto_engine::Candidate, [f32; 64], Vec<f32>)> {
    let keypoints: Vec<usize> = network.heads().iter().map(|head| head.keypoints).collect();
    let outputs = network.run(thresholds);
    let mut all = Vec::new();
    for (h, count) in keypoints.into_iter().enumerate() {
        let output = outputs.head(h);
        for candidate in output.candidates() {
            let mut keypoints = vec![0.0; 3 * count];
            output.keypoints(candidate, &mut keypoints);
            all.push((h, *candidate, output.box_logits(candidate), keypoints));
        }
    }
    all
}

#[test]
fn teams_of_any_size_give_the_bits_of_one_thread_on_amx_frame_after_frame() {
    let (height, width) = (96, 64);
    let pictures = [picture(height, width), vec![200; 3 * height * width]];
    let model = quantised(&pictures[0], height, width);
    for isa in [Isa::AmxBf16, Isa::AmxInt8] {
        if let Some(why) = Detected::get().missing(isa) {
            skipped(isa, why);
            continue;
        }
        let mut options = Options::default();
        options.isa = Some(isa);
        let mut alone = Network::new(&model, height, width, &options).unwrap();
        // Some anchor points of both heads pass, and not all: the lazy heads run on some tiles.
        let thresholds = [0.0001, 0.002];
        let wanted: Vec<_> = pictures
            .iter()
            .map(|rgb| {
                alone.input_mut().copy_from_slice(rgb);
                bits(&mut alone, &thresholds)
            })
            .collect();
        let count = |h| wanted[0].iter().filter(|(head, ..)| *head == h).count();
        println!("{isa}: {} and {} candidates", count(0), count(1));
        assert!((0..2).all(|h| (1..126).contains(&count(h))));
        for threads in [2, 3, 5, 8, 9] {
            let mut team = alone.fork(threads);
            for (rgb, wanted) in pictures.iter().zip(&wanted).cycle().take(3) {
                team.input_mut().copy_from_slice(rgb);
                assert!(bits(&mut team, &thresholds) == *wanted, "{isa}: {threads} threads give other bits");
            }
        }
    }
}
