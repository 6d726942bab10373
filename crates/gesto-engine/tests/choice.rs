//! The tier chosen by itself is the fastest one that this machine has.

use std::io::Write as _;
use std::time::{Duration, Instant};

use gesto_engine::isa::Detected;
use gesto_engine::{Isa, Model, Network, Options};

/// How much slower the choice may be than another tier: timings on a busy machine are no better.
const TOLERANCE: f64 = 1.25;

/// Frames timed at a time: some tens of milliseconds, since the system counts a thread's time in steps of a few.
const FRAMES: u32 = 12;

/// How long this thread has been on a processor, without the time that others had it; elsewhere than on Linux, all time.
fn time_on_processor(begin: Instant) -> Duration {
    let nanoseconds = std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok());
    nanoseconds.map_or_else(|| begin.elapsed(), Duration::from_nanos)
}

// The only test of this file: others would take its processors.
#[test]
fn no_other_tier_is_measurably_faster_than_the_chosen_one() {
    let bytes: &[u8] = include_bytes!("../../../models/multi-n.safetensors");
    let model = Model::from_bytes(bytes).unwrap();
    let network = |isa| {
        let mut options = Options::default();
        options.isa = isa;
        Network::new(&model, 256, 128, &options).unwrap()
    };
    let chosen = network(None).isa();
    // Tiers of bytes need a model made for them, and are never chosen by themselves.
    let others = [Isa::AmxBf16, Isa::Avx512F32, Isa::Avx512Bf16, Isa::Avx2F32, Isa::Portable];
    let mut tiers = Vec::new();
    for isa in others {
        match Detected::get().missing(isa) {
            Some(why) => _ = writeln!(std::io::stderr(), "skipped: {isa} ({why})"),
            None if Detected::get().is_emulated(isa) => {
                _ = writeln!(std::io::stderr(), "skipped: {isa} (software)")
            }
            None => tiers.push((isa, network(Some(isa)), Duration::MAX)),
        }
    }
    // In turns, so that whatever else runs disturbs all; the best of each is what the tier can do.
    let begin = Instant::now();
    for _ in 0..6 {
        for (_, network, best) in &mut tiers {
            let start = time_on_processor(begin);
            for _ in 0..FRAMES {
                network.run(&[0.3, 0.5]);
            }
            *best = ((time_on_processor(begin) - start) / FRAMES).min(*best);
        }
    }
    let time_of = |isa| tiers.iter().find(|tier| tier.0 == isa).expect("the choice is a tier").2;
    for (isa, _, best) in &tiers {
        println!("{isa}: {best:?}{}", if *isa == chosen { ", chosen" } else { "" });
    }
    for (isa, _, best) in &tiers {
        let times = time_of(chosen).as_secs_f64() / best.as_secs_f64();
        assert!(times < TOLERANCE, "{chosen} was chosen, but {isa} is {times:.2} times as fast");
    }
}
