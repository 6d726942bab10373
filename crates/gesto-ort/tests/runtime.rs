//! The runtime's processor kernels against the plain evaluation. Needs ONNX Runtime's library: the variable
//! `ORT_DYLIB_PATH` names it. Without one each test prints its name and that it was skipped; `GESTO_REQUIRE_ORT=1`
//! makes that a failure, for CI.

use std::io::Write as _;

use gesto_engine::Model;
use gesto_engine::reference;
use gesto_onnx::Precision;
use gesto_ort::{ErrorKind, Library, Options, OrtNetwork, Provider};

const SHIPPED: &[u8] = include_bytes!("../../../models/multi-n.safetensors");
const PICTURE: &[u8] = include_bytes!("../../gesto-engine/tests/golden/two-people-320x224.png");

fn library(test: &str) -> bool {
    match gesto_ort::version(&Library::Found) {
        Ok(version) => {
            println!("{test}: ONNX Runtime {version}");
            true
        }
        Err(why) => {
            assert!(std::env::var_os("GESTO_REQUIRE_ORT").is_none(), "{test}: {why}");
            // Unlike `println!`, this shows for tests that pass.
            _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
            false
        }
    }
}

/// `height * width` pixels of RGB.
fn picture() -> (Vec<u8>, usize, usize) {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(PICTURE));
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    (pixels, info.height as usize, info.width as usize)
}

fn onnx(height: usize, width: usize) -> (Model, Vec<u8>) {
    let model = Model::from_bytes(SHIPPED).unwrap();
    let options =
        gesto_onnx::Options { precision: Precision::F32, ..gesto_onnx::Options::new(height, width) };
    let file = gesto_onnx::export(&model, &options).unwrap();
    (model, file)
}

#[test]
fn class_probabilities_are_those_of_the_plain_evaluation() {
    if !library("class_probabilities_are_those_of_the_plain_evaluation") {
        return;
    }
    let (pixels, height, width) = picture();
    let (model, file) = onnx(height, width);
    let mut network = OrtNetwork::new(&file, &Options::default()).unwrap();
    assert_eq!((network.height(), network.width(), network.anchors()), (height, width, 1470));
    let planes = network.input_mut().chunks_exact_mut(height * width);
    for (channel, plane) in planes.enumerate() {
        for (to, pixel) in plane.iter_mut().zip(pixels.as_chunks::<3>().0) {
            *to = f32::from(pixel[channel]) / 255.0;
        }
    }
    let heads = network.heads().to_vec();
    let outputs = network.run().unwrap();
    let maps = reference::run(&model, &pixels, height, width, reference::exact);
    let mut passed = 0;
    for (h, head) in model.graph().heads.iter().enumerate() {
        assert_eq!((&heads[h].name, &heads[h].classes), (&head.name, &head.classes));
        let rows = outputs.head(h);
        let mut first = 0;
        for level in &head.levels {
            let map = &maps[level.classes.index()];
            for (cell, logits) in map.data.chunks_exact(map.channels).enumerate() {
                for (class, logit) in logits.iter().enumerate() {
                    let wanted = 1.0 / (1.0 + (-logit).exp());
                    let got = rows.row(4 + class)[first + cell];
                    assert!(
                        (got - wanted).abs() < 1e-3,
                        "{} class {class}: {got} is not {wanted}",
                        head.name
                    );
                    passed += usize::from(got > 0.5);
                }
            }
            first += map.data.len() / map.channels;
        }
    }
    assert!(passed > 2, "the picture shows people and a gesture, but nothing passed");
}

#[test]
fn what_is_no_model_of_the_family_is_refused() {
    if !library("what_is_no_model_of_the_family_is_refused") {
        return;
    }
    let error = OrtNetwork::new(b"not a model", &Options::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Model, "{error}");
    let (_, mut file) = onnx(64, 64);
    file.truncate(file.len() / 2);
    assert!(OrtNetwork::new(&file, &Options::default()).is_err());
}

#[test]
fn a_missing_provider_is_named() {
    if !library("a_missing_provider_is_named") {
        return;
    }
    let (_, file) = onnx(64, 64);
    let mut missing = 0;
    for provider in Provider::ALL {
        if let Err(why) = provider.check(&Library::Found) {
            assert_eq!(why.kind(), ErrorKind::Provider, "{why}");
            assert!(why.to_string().contains(provider.name()), "{why}");
            let mut options = Options::default();
            options.provider = provider;
            assert_eq!(OrtNetwork::new(&file, &options).unwrap_err().kind(), ErrorKind::Provider);
            missing += 1;
        }
    }
    assert!(missing > 0, "no library has Apple's and Windows' providers both");
}
