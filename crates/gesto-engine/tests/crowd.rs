//! Lazy heads when many points pass: the dense way again, and never slower than it.
//!
//! Timed in turns, and in the thread's own processor time where the system tells it, so that whatever else the machine does
//! hits both alike.

use std::time::Duration;

use gesto_engine::{HeadMode, Model, Network, Options};

const HEIGHT: usize = 320;
const WIDTH: usize = 224;
/// What the choice itself may cost.
const ALLOWED: f64 = 1.03;
/// Frames of each mode in a round, and rounds before a slow one counts as slow.
const FRAMES: usize = 12;
const ROUNDS: usize = 12;

fn networks() -> (Network, Network) {
    let model = Model::from_bytes(include_bytes!("../../../models/multi-n.safetensors").as_slice()).unwrap();
    let mut dense = Network::new(&model, HEIGHT, WIDTH, &Options::default()).unwrap();
    let mut state = 1u32;
    dense.input_mut().fill_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let mut lazy = dense.fork(1);
    let picture = dense.input_mut().to_vec();
    lazy.input_mut().copy_from_slice(&picture);
    dense.set_heads(HeadMode::Dense);
    (dense, lazy)
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// For each head, the thresholds that let these shares of all anchor points pass.
fn thresholds(network: &mut Network, share: f64) -> Vec<f32> {
    let heads = network.heads().len();
    let outputs = network.run(&vec![0.0; heads]);
    (0..heads)
        .map(|h| {
            let output = outputs.head(h);
            let mut logits: Vec<f32> = output.candidates().iter().map(|c| c.logit).collect();
            logits.sort_by(|a, b| b.total_cmp(a));
            let last = ((logits.len() as f64 * share) as usize).clamp(1, logits.len()) - 1;
            if share >= 1.0 { 0.0 } else { sigmoid(logits[last]) }
        })
        .collect()
}

/// Time that stands still while other programs have the processor.
#[cfg(unix)]
fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The wall's time.
#[cfg(not(unix))]
fn now() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}

/// The time that three of four frames take longer than: noise only ever adds.
fn lower_quartile(times: &mut [Duration]) -> f64 {
    times.sort();
    times[times.len() / 4].as_secs_f64()
}

#[test]
fn a_crowd_costs_what_dense_heads_cost() {
    let (mut dense, mut lazy) = networks();
    for share in [0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0] {
        let limits = thresholds(&mut dense, share);
        let passed: usize = {
            let outputs = lazy.run(&limits);
            (0..limits.len()).map(|h| outputs.head(h).candidates().len()).sum()
        };
        dense.run(&limits);
        let (work, most) = (lazy.macs_of_last_frame(), dense.macs_of_last_frame());
        assert!(work <= most, "{passed} points: {work} multiplications instead of {most}");
        let (mut lazy_times, mut dense_times) = (Vec::new(), Vec::new());
        let mut ratio = f64::INFINITY;
        for _ in 0..ROUNDS {
            for _ in 0..FRAMES {
                for (network, times) in [(&mut lazy, &mut lazy_times), (&mut dense, &mut dense_times)] {
                    let start = now();
                    network.run(&limits);
                    times.push(now() - start);
                }
            }
            ratio = lower_quartile(&mut lazy_times) / lower_quartile(&mut dense_times);
            if ratio <= ALLOWED {
                break;
            }
        }
        println!(
            "{passed} points: {ratio:.3} of the dense time, {:.3} of its work",
            work as f64 / most as f64
        );
        assert!(ratio <= ALLOWED, "{passed} points: lazy heads take {ratio:.3} of the dense time");
    }
}
