//! The resize inside the first layer against the same resize as a pass of its own: the same bits, on every tier.

use std::io::Write as _;

use gesto_engine::isa::Detected;
use gesto_engine::picture::{Orientation, Picture, PixelFormat, Plane, Rotation};
use gesto_engine::resample::{Method, Resampler};
use gesto_engine::{Isa, Model, Network, Options};

fn model() -> Model {
    Model::from_bytes(include_bytes!("../../../models/multi-n.safetensors").as_slice()).unwrap()
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8 / 2 + (i / 97 % 128) as u8).collect()
}

#[test]
fn a_fused_resize_gives_the_bits_of_a_pass_of_its_own() {
    let model = model();
    let bytes = bytes(200 * 150 * 4);
    let formats =
        [PixelFormat::Bgra8, PixelFormat::Rgb8, PixelFormat::Gray8, PixelFormat::Nv12, PixelFormat::Yuyv];
    let turned = |rotation, mirrored| Orientation { rotation, mirrored };
    let orientations = [
        turned(Rotation::None, false),
        turned(Rotation::Cw90, true),
        turned(Rotation::Cw180, false),
        turned(Rotation::Cw270, false),
    ];
    let mut compared = 0;
    // The shipped model has no scales for the 8-bit tiers.
    for isa in Isa::ALL.into_iter().filter(|isa| !isa.is_int8()) {
        if let Some(why) = Detected::get().missing(isa) {
            // Unlike `println!`, this shows for tests that pass.
            _ = writeln!(std::io::stderr(), "skipped: {isa} ({why})");
            continue;
        }
        for (threads, (height, width)) in [(1, (64, 32)), (2, (96, 64)), (3, (32, 64))] {
            let mut options = Options::default();
            options.isa = Some(isa);
            options.threads = threads;
            let mut network = Network::new(&model, height, width, &options).unwrap();
            let thresholds = [0.0, 0.0];
            for (i, format) in formats.into_iter().enumerate() {
                let stride = format.row_bytes(150);
                let (luma, chroma) = bytes.split_at(stride * 200);
                let planes = [luma, chroma].map(|data| Plane { data, stride });
                let picture = Picture::new(format, 150, 200, planes, orientations[i % 4]).unwrap();
                let target = [3, 2, width as u32 - 7, height as u32 - 5];
                let method = if i % 2 == 0 { Method::Bilinear } else { Method::Nearest };
                let mut resampler = Resampler::new(method, height, width);
                // Frame after frame: what an earlier one left must not matter.
                network.run_picture(&mut resampler, &picture, target, &thresholds);
                let fused_plane = network.input_plane();
                let outputs = network.run_picture(&mut resampler, &picture, target, &thresholds);
                let fused = collect(outputs);

                network.resample(&mut resampler, &picture, target);
                let rgb = network.input_mut().to_vec();
                let outputs = network.run(&thresholds);
                let apart = collect(outputs);
                assert!(!fused.is_empty());
                assert!(fused == apart, "{isa}, {threads} threads, {format}");
                let plane = network.input_plane();
                assert!(fused_plane == plane);
                let numbers = rgb.as_chunks::<3>().0.iter().map(|rgb| rgb.map(f32::from));
                assert!(numbers.eq(plane), "the plane holds the picture's numbers");
                compared += 1;
            }
        }
    }
    assert!(compared >= 15, "at least the portable tier was compared");
}

/// All that a frame gave, bit by bit.
fn collect(outputs: gesto_engine::Outputs<'_>) -> Vec<u32> {
    let mut bits = Vec::new();
    for head in 0..2 {
        let output = outputs.head(head);
        for candidate in output.candidates() {
            bits.extend([candidate.anchor, candidate.class, candidate.logit.to_bits()]);
            bits.extend(output.box_logits(candidate).map(f32::to_bits));
        }
    }
    bits
}
