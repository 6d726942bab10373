//! The network on real pictures against ONNX Runtime's stored answers (golden/README.md tells how they were made).

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use gesto_engine::isa::Detected;
use gesto_engine::model::{DFL_BINS, Head};
use gesto_engine::{Candidate, HeadMode, HeadOutput, Isa, Model, Network, Options};
use safetensors::SafeTensors;

struct Golden {
    name: String,
    height: usize,
    width: usize,
    rgb: Vec<u8>,
    tensors: Vec<u8>,
}

impl Golden {
    fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let mut paths: Vec<PathBuf> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|ext| ext == "png"));
        paths.sort();
        assert!(paths.len() >= 8, "golden pictures are there");
        paths.iter().map(|path| Self::read(path)).collect()
    }

    fn read(path: &Path) -> Self {
        let mut decoder = png::Decoder::new(std::io::BufReader::new(fs::File::open(path).unwrap()));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().unwrap();
        let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut rgb).unwrap();
        assert_eq!(info.color_type, png::ColorType::Rgb);
        let tensors = fs::read(path.with_extension("safetensors")).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        Self { name, height: info.height as usize, width: info.width as usize, rgb, tensors }
    }

    fn f32s(&self, tensor: &str) -> Vec<f32> {
        let file = SafeTensors::deserialize(&self.tensors).unwrap();
        file.tensor(tensor).unwrap().data().as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
    }

    fn indices(&self, head: &str) -> Vec<usize> {
        let file = SafeTensors::deserialize(&self.tensors).unwrap();
        let tensor = file.tensor(&format!("{head}.index")).unwrap();
        tensor.data().as_chunks().0.iter().map(|&b| i32::from_le_bytes(b) as usize).collect()
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Centre, width and height in input pixels.
fn decode_box(output: &HeadOutput<'_>, candidate: &Candidate, stride: f32) -> [f32; 4] {
    let logits = output.box_logits(candidate);
    let side = |i: usize| {
        let bins = &logits[i * DFL_BINS..][..DFL_BINS];
        let max = bins.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let (mut sum, mut weighted) = (0.0, 0.0);
        for (bin, logit) in bins.iter().enumerate() {
            let e = (logit - max).exp();
            sum += e;
            weighted += e * bin as f32;
        }
        weighted / sum
    };
    let [left, top, right, bottom] = std::array::from_fn(side);
    let (x, y) = (candidate.x as f32 + 0.5, candidate.y as f32 + 0.5);
    [x + (right - left) / 2.0, y + (bottom - top) / 2.0, left + right, top + bottom].map(|v| v * stride)
}

/// What one anchor point says, in input pixels and probabilities.
struct Row {
    boxed: [f32; 4],
    score: f32,
    keypoints: Vec<[f32; 3]>,
}

impl Row {
    fn of(output: &HeadOutput<'_>, candidate: &Candidate, head: &Head) -> Self {
        let stride = head.levels[candidate.level as usize].stride as f32;
        let mut raw = vec![0.0; 3 * head.keypoints];
        output.keypoints(candidate, &mut raw);
        let place = |got: &[f32; 3]| {
            let x = (got[0] * 2.0 + candidate.x as f32) * stride;
            let y = (got[1] * 2.0 + candidate.y as f32) * stride;
            [x, y, sigmoid(got[2])]
        };
        Self {
            boxed: decode_box(output, candidate, stride),
            score: sigmoid(candidate.logit),
            keypoints: raw.as_chunks::<3>().0.iter().map(place).collect(),
        }
    }
}

/// Means over all anchor points.
struct Mean {
    boxed: [f64; 4],
    score: f64,
    keypoints: Vec<[f64; 3]>,
}

impl Mean {
    fn of(output: &HeadOutput<'_>, head: &Head) -> Self {
        let mut mean = Self { boxed: [0.0; 4], score: 0.0, keypoints: vec![[0.0; 3]; head.keypoints] };
        let share = 1.0 / output.candidates().len() as f64;
        let add = |mean: &mut f64, x: f32| *mean += share * f64::from(x);
        for candidate in output.candidates() {
            let row = Row::of(output, candidate, head);
            mean.boxed.iter_mut().zip(row.boxed).for_each(|(mean, x)| add(mean, x));
            add(&mut mean.score, row.score);
            for (mean, point) in mean.keypoints.iter_mut().zip(row.keypoints) {
                mean.iter_mut().zip(point).for_each(|(mean, x)| add(mean, x));
            }
        }
        mean
    }
}

fn intersection_over_union(a: [f32; 4], b: [f32; 4]) -> f32 {
    let overlap = |c: usize| {
        let low = (a[c] - a[c + 2] / 2.0).max(b[c] - b[c + 2] / 2.0);
        let high = (a[c] + a[c + 2] / 2.0).min(b[c] + b[c + 2] / 2.0);
        (high - low).max(0.0)
    };
    let both = overlap(0) * overlap(1);
    both / (a[2] * a[3] + b[2] * b[3] - both)
}

/// Past the harness, which shows what is printed of failed tests only.
fn skipped(isa: Isa, why: &str) {
    _ = writeln!(std::io::stderr(), "skipped: tier {isa}: {why}");
}

/// Runs `check(isa)` for every tier of this machine whose numbers are of `bf16`'s kind; names the others.
fn on_tiers(bf16: bool, mut check: impl FnMut(Isa)) {
    let mut ran = 0;
    let of_kind = |isa: &Isa| isa.name().ends_with("bf16") == bf16 && !isa.is_int8();
    for isa in Isa::ALL.into_iter().filter(of_kind) {
        match Detected::get().missing(isa) {
            Some(why) => skipped(isa, why),
            None if Detected::get().is_emulated(isa) => skipped(isa, "too slow in software"),
            None => {
                check(isa);
                ran += 1;
            }
        }
    }
    assert!(bf16 || ran > 0, "the portable tier is everywhere");
}

fn network(isa: Isa, golden: &Golden, model: &Model) -> Network {
    let mut options = Options::default();
    options.isa = Some(isa);
    options.threads = 2;
    let mut network = Network::new(model, golden.height, golden.width, &options).unwrap();
    network.input_mut().copy_from_slice(&golden.rgb);
    network
}

fn shipped() -> Model {
    Model::from_bytes(include_bytes!("../../../models/multi-n.safetensors").as_slice()).unwrap()
}

#[test]
fn f32_tiers_agree_with_onnx_runtime() {
    let model = shipped();
    for golden in Golden::all() {
        on_tiers(false, |isa| {
            let mut network = network(isa, &golden, &model);
            network.set_heads(HeadMode::Dense);
            let heads = network.heads().to_vec();
            let outputs = network.run(&[0.0, 0.0]);
            let (mut pixels, mut probabilities, mut means) = (0.0f32, 0.0f32, 0.0f64);
            for (h, head) in heads.iter().enumerate() {
                let output = outputs.head(h);
                let rows = golden.f32s(&format!("{}.rows", head.name));
                let classes = head.classes.len();
                let width = 4 + classes + 3 * head.keypoints;
                for (&index, want) in golden.indices(&head.name).iter().zip(rows.chunks_exact(width)) {
                    let candidate = &output.candidates()[index];
                    assert_eq!(candidate.anchor as usize, index);
                    let got = Row::of(&output, candidate, head);
                    let (boxed, rest) = want.split_at(4);
                    let (scores, keypoints) = rest.split_at(classes);
                    for (got, want) in got.boxed.iter().zip(boxed) {
                        pixels = pixels.max((got - want).abs());
                    }
                    let best = scores.iter().copied().fold(0.0, f32::max);
                    probabilities = probabilities.max((got.score - best).abs());
                    // Of classes that are equal but for rounding, either may win.
                    let class = candidate.class as usize;
                    assert!(best - scores[class] <= 1e-4, "{} {isa}: class {class} at {index}", golden.name);
                    for (got, want) in got.keypoints.iter().zip(keypoints.as_chunks::<3>().0) {
                        pixels = pixels.max((got[0] - want[0]).abs()).max((got[1] - want[1]).abs());
                        probabilities = probabilities.max((got[2] - want[2]).abs());
                    }
                }
                let mean = Mean::of(&output, head);
                let want = golden.f32s(&format!("{}.mean", head.name));
                let (boxed, keypoints) = (&want[..4], want[4 + classes..].as_chunks::<3>().0);
                for (got, want) in mean.boxed.iter().zip(boxed) {
                    means = means.max((got - f64::from(*want)).abs());
                }
                for (got, want) in mean.keypoints.iter().zip(keypoints) {
                    for (got, want) in got.iter().zip(want) {
                        means = means.max((got - f64::from(*want)).abs());
                    }
                }
                if classes == 1 {
                    means = means.max((mean.score - f64::from(want[4])).abs());
                }
            }
            println!("{} {isa}: {pixels} pixels, {probabilities}, means {means}", golden.name);
            assert!(pixels <= 0.05, "{} {isa}: boxes are off by {pixels} pixels", golden.name);
            assert!(probabilities <= 1e-4, "{} {isa}: probabilities are off by {probabilities}", golden.name);
            // One row of 1,470 that is off by 0.15 pixels moves them by as much.
            assert!(means <= 1e-4, "{} {isa}: means over all rows are off by {means}", golden.name);
        });
    }
}

#[test]
fn lazy_heads_give_the_dense_bits_on_every_picture() {
    let model = shipped();
    let thresholds = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
    let mut compared = 0;
    for golden in Golden::all() {
        let mut check = |isa| {
            let mut dense = network(isa, &golden, &model);
            let mut lazy = dense.fork(1);
            dense.set_heads(HeadMode::Dense);
            lazy.input_mut().copy_from_slice(&golden.rgb);
            let heads = dense.heads().to_vec();
            let dense = dense.run(&vec![thresholds[0]; heads.len()]);
            for threshold in thresholds {
                let lazy = lazy.run(&vec![threshold; heads.len()]);
                for (h, head) in heads.iter().enumerate() {
                    let (dense, lazy) = (dense.head(h), lazy.head(h));
                    let passes = |candidate: &&Candidate| sigmoid(candidate.logit) >= threshold;
                    let want: Vec<&Candidate> = dense.candidates().iter().filter(passes).collect();
                    let what = format!("{} {isa} {} at {threshold}", golden.name, head.name);
                    assert_eq!(want, lazy.candidates().iter().collect::<Vec<_>>(), "{what}");
                    let (mut a, mut b) = (vec![0.0; 3 * head.keypoints], vec![0.0; 3 * head.keypoints]);
                    for candidate in want {
                        let same = dense.box_logits(candidate) == lazy.box_logits(candidate);
                        assert!(same, "{what}: the box of {candidate:?}");
                        dense.keypoints(candidate, &mut a);
                        lazy.keypoints(candidate, &mut b);
                        assert_eq!(a, b, "{what}: {candidate:?}");
                        compared += 1;
                    }
                }
            }
        };
        on_tiers(false, &mut check);
        on_tiers(true, &mut check);
    }
    assert!(compared > 1000, "{compared} candidates were compared");
}

#[test]
fn bf16_tiers_find_what_f32_finds() {
    let model = shipped();
    for golden in Golden::all() {
        on_tiers(true, |isa| finds_what_f32_finds(&golden, isa, &model, 0.9));
    }
}

#[test]
fn int8_finds_what_f32_finds() {
    let model = shipped();
    let mut calibration = gesto_engine::Calibration::new(&model);
    for golden in Golden::all().iter().filter(|golden| golden.height == 256) {
        calibration.add(&golden.rgb, golden.height, golden.width);
    }
    let model = Model::from_bytes(model.to_bytes_with_scales(&calibration.scales()).unwrap()).unwrap();
    // One of them is enough: all give the same bits.
    let has = |isa: &Isa| Detected::get().missing(*isa).is_none() && !Detected::get().is_emulated(*isa);
    let isa = [Isa::AmxInt8, Isa::Avx512Vnni].into_iter().find(has).unwrap_or(Isa::PortableInt8);
    for golden in Golden::all() {
        finds_what_f32_finds(&golden, isa, &model, 0.75);
    }
}

/// Every candidate of the f32 kernels above 0.4 has one of the same class and nearly the same box.
fn finds_what_f32_finds(golden: &Golden, isa: Isa, model: &Model, overlap: f32) {
    let mut exact = network(Isa::Portable, golden, model);
    let mut rounded = network(isa, golden, model);
    let heads = rounded.heads().to_vec();
    let (exact, rounded) = (exact.run(&[0.4, 0.4]), rounded.run(&[0.2, 0.2]));
    for (h, head) in heads.iter().enumerate() {
        let (exact, rounded) = (exact.head(h), rounded.head(h));
        for want in exact.candidates() {
            let boxed = |output: &HeadOutput<'_>, candidate: &Candidate| {
                decode_box(output, candidate, head.levels[candidate.level as usize].stride as f32)
            };
            let of = boxed(&exact, want);
            let same_class = rounded.candidates().iter().filter(|got| got.class == want.class);
            let best =
                same_class.map(|got| intersection_over_union(boxed(&rounded, got), of)).fold(0.0, f32::max);
            assert!(
                best > overlap,
                "{} {isa} {}: {want:?} is matched with IoU {best} only",
                golden.name,
                head.name
            );
        }
    }
}

/// Twice the channels: other planes, blocks and shares of every step.
#[test]
fn the_larger_weights_agree_on_every_tier() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/multi-s.safetensors");
    let model = Model::from_bytes(fs::read(path).unwrap()).unwrap();
    let mut compared = 0;
    for golden in Golden::all().into_iter().step_by(3) {
        let mut plain = network(Isa::Portable, &golden, &model);
        let heads = plain.heads().to_vec();
        let plain = plain.run(&[0.4, 0.4]);
        let mut check = |isa, least_overlap: f32, least_score: f32| {
            let mut tier = network(isa, &golden, &model);
            let tier = tier.run(&[least_score, least_score]);
            for (h, head) in heads.iter().enumerate() {
                let (want, got) = (plain.head(h), tier.head(h));
                for candidate in want.candidates() {
                    let row = Row::of(&want, candidate, head);
                    let best = got.candidates().iter().filter(|other| other.class == candidate.class);
                    let best = best
                        .map(|other| intersection_over_union(row.boxed, Row::of(&got, other, head).boxed))
                        .fold(0.0, f32::max);
                    let what = format!("{} {isa} {} {candidate:?}", golden.name, head.name);
                    assert!(best >= least_overlap, "{what}: overlap {best}");
                    compared += 1;
                }
            }
        };
        on_tiers(false, |isa| check(isa, 0.999, 0.399));
        on_tiers(true, |isa| check(isa, 0.9, 0.25));
    }
    assert!(compared > 20, "{compared} candidates");
}
