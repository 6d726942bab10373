//! A network that has nothing to do leaves the processors alone.

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use gesto_engine::{Model, Network, Options};

/// Time that all threads of this process have been on a processor; nothing where the system does not tell.
fn time_on_processors() -> Option<Duration> {
    let tasks = fs::read_dir("/proc/self/task").ok()?;
    let mut total = Duration::ZERO;
    for task in tasks {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        total += Duration::from_nanos(text.split_whitespace().next()?.parse().ok()?);
    }
    Some(total)
}

// The only test of this file: the others' threads would count.
#[test]
fn waiting_threads_sleep() {
    if time_on_processors().is_none() {
        // Unlike `println!`, this shows for tests that pass.
        _ = writeln!(std::io::stderr(), "skipped: this system does not tell how long threads have run");
        return;
    }
    let bytes: &[u8] = include_bytes!("../../../models/multi-n.safetensors");
    let model = Model::from_bytes(bytes).unwrap();
    let mut options = Options::default();
    options.threads = 4;
    let mut network = Network::new(&model, 64, 64, &options).unwrap();
    for _ in 0..3 {
        network.run(&[0.3, 0.5]);
        // Longer than the workers look out for another frame.
        std::thread::sleep(Duration::from_millis(20));
        let before = time_on_processors().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        let spent = time_on_processors().unwrap() - before;
        println!("4 threads used {spent:?} of processor time in 300 ms without a frame");
        assert!(spent < Duration::from_millis(3), "idle threads burn: {spent:?} in 300 ms");
    }
    for _ in 0..3 {
        // A frame was announced and does not come: three threads look out for it for 2 ms each, and no longer.
        let before = time_on_processors().unwrap();
        network.wake();
        std::thread::sleep(Duration::from_millis(300));
        let spent = time_on_processors().unwrap() - before;
        println!("3 threads used {spent:?} of processor time for a frame that did not come");
        assert!(spent < Duration::from_millis(9), "threads look out for a frame for ever: {spent:?}");
    }
}
