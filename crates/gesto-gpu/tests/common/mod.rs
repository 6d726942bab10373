//! What the tests share: the shipped network, random pictures, and skipping by name.

use std::io::Write as _;

use gesto_engine::Model;
use gesto_gpu::{Arithmetic, ErrorKind, GpuNetwork, GpuOptions};

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Adapter {
    Some,
    None,
}

/// Whether there is an adapter; says so by the test's name if not.
pub(crate) fn adapter(test: &str) -> Adapter {
    if !gesto_gpu::adapters().is_empty() {
        return Adapter::Some;
    }
    assert!(std::env::var_os("GESTO_REQUIRE_GPU").is_none(), "{test}: no GPU adapter, but one is required");
    println!(
        "SKIPPED {test}: no Vulkan, Metal or DX12 adapter (package mesa-vulkan-drivers has a software one)"
    );
    Adapter::None
}

/// A network of the shipped model, or `None`, said by name, where the machine cannot have it.
pub(crate) fn network(
    test: &str,
    height: usize,
    width: usize,
    mut options: GpuOptions,
) -> Option<GpuNetwork> {
    if adapter(test) == Adapter::None {
        return None;
    }
    options.experimental = gesto_engine::matrix_units();
    let wanted = options.arithmetic;
    match GpuNetwork::new(&shipped(), height, width, &options) {
        Ok(network) => Some(network),
        Err(error)
            if error.kind() == ErrorKind::Unsupported
                && (wanted != Arithmetic::F32 || options.kernel.is_some()) =>
        {
            // Unlike `println!`, this shows for tests that pass.
            _ = writeln!(std::io::stderr(), "SKIPPED {test} with {wanted:?}: {error}");
            None
        }
        Err(error) => panic!("{test}: {error}"),
    }
}

pub(crate) fn shipped() -> Model {
    const SHIPPED: &[u8] = include_bytes!("../../../../models/multi-n.safetensors");
    Model::from_bytes(SHIPPED).expect("the shipped network is sound")
}

/// Small xorshift generator, so that failures repeat.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 33) as usize) % n
    }
}

/// An RGB picture with smooth blobs and noise, so that every layer has something to do.
pub(crate) fn picture(seed: u64, height: usize, width: usize) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    let waves: Vec<(f32, f32, f32)> = (0..9)
        .map(|_| (rng.below(100) as f32 / 400.0, rng.below(100) as f32 / 400.0, rng.below(100) as f32 / 15.0))
        .collect();
    let mut out = Vec::with_capacity(height * width * 3);
    for y in 0..height {
        for x in 0..width {
            for c in 0..3 {
                let sum: f32 = (0..3)
                    .map(|i| {
                        let (fx, fy, phase) = waves[3 * c + i];
                        (x as f32 * fx + y as f32 * fy + phase).sin()
                    })
                    .sum();
                out.push((128.0 + 40.0 * sum + rng.below(17) as f32 - 8.0).clamp(0.0, 255.0) as u8);
            }
        }
    }
    out
}
