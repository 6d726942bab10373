//! Every kernel of every tier against a scalar reference of the same arithmetic, on steps drawn at random: odd sizes,
//! strides, narrow cells, residuals, sums at half resolution, tiles with tails, one to three threads.
//!
//! The arena around a step is part of the test: borders must end as zeros, and no other byte may change.
//!
//! And the pieces of whole plans against what is said of them: which bytes they touch, and what they wait for.

mod bytes;
mod case;
mod conv;
mod filtered;
mod pieces;
mod pool;
mod scalar;

use std::io::Write as _;

use proptest::test_runner::{Config, TestRunner};

use crate::isa::{Detected, Isa, Token};
use crate::plan::layout::Format;

/// Runs `check` with the tier's token and how many random cases it shall draw, or names the tier as skipped.
fn on_tier(isa: Isa, check: impl FnOnce(Token, u32)) {
    let detected = Detected::get();
    match detected.token(isa) {
        // Quantising the weights is what takes long there; memory is accessed as by the f32 kernels.
        Ok(_) if cfg!(miri) && isa.is_int8() => skipped(&format!("tier {isa}"), "too slow under Miri"),
        Ok(token) if cfg!(miri) => check(token, 2),
        // Some ten thousand times slower than the unit itself.
        Ok(token) if detected.is_emulated(isa) => check(token, 40),
        Ok(token) => check(token, 400),
        Err(why) => skipped(&format!("tier {isa}"), &why.to_string()),
    }
}

/// Not by `println`, which the test harness shows of failed tests only.
fn skipped(what: &str, why: &str) {
    _ = writeln!(std::io::stderr(), "skipped: {what}: {why}");
}

/// A runner of `cases` that draws the same ones every time.
fn runner(cases: u32) -> TestRunner {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: if cfg!(miri) { 0 } else { 200 },
        ..Config::default()
    };
    let algorithm = config.rng_algorithm;
    TestRunner::new_with_rng(config, proptest::test_runner::TestRng::deterministic_rng(algorithm))
}

/// Numbers that look random and are the same for one seed.
#[derive(Debug, Clone)]
struct Numbers(u64);

impl Numbers {
    fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    fn below(&mut self, end: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }

    /// Between -1 and 1.
    fn number(&mut self) -> f32 {
        self.below(2001) as f32 / 1000.0 - 1.0
    }
}

/// A number as a plane of `format` holds it.
fn stored(format: Format, number: f32) -> f32 {
    match format {
        Format::F32 => number,
        Format::Bf16 => half::bf16::from_f32(number).to_f32(),
        // Some byte; what it means is another matter.
        Format::U8 => (128.0 + 40.0 * number).round().clamp(0.0, 255.0),
    }
}

fn read(format: Format, bytes: &[u8]) -> f32 {
    match format {
        Format::F32 => f32::from_le_bytes(bytes[..4].try_into().unwrap()),
        Format::Bf16 => half::bf16::from_le_bytes(bytes[..2].try_into().unwrap()).to_f32(),
        Format::U8 => f32::from(bytes[0]),
    }
}

fn write(format: Format, bytes: &mut [u8], number: f32) {
    match format {
        Format::F32 => bytes[..4].copy_from_slice(&number.to_le_bytes()),
        Format::Bf16 => bytes[..2].copy_from_slice(&half::bf16::from_f32(number).to_le_bytes()),
        Format::U8 => bytes[0] = number as u8,
    }
}
