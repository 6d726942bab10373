//! From the file's bytes to the first result.

use std::time::{Duration, Instant};

use gesto_engine::{Model, Network, Options};

#[test]
fn the_first_result_comes_soon() {
    let bytes: &[u8] = include_bytes!("../../../models/multi-n.safetensors");
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let begin = Instant::now();
        let model = Model::from_bytes(bytes).unwrap();
        let mut network = Network::new(&model, 320, 224, &Options::default()).unwrap();
        network.run(&[0.3, 0.5]);
        best = best.min(begin.elapsed());
    }
    println!("model read, planned, packed and run once in {best:?}");
    // 60 ms are asked of a quiet machine and an optimised build (`gesto bench model` tells); this one may be neither.
    assert!(best < Duration::from_millis(600), "start to first result took {best:?}");
}
