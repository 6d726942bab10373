//! Wall-clock times of a repeated call.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde::Serialize;

#[derive(Serialize)]
pub struct Times {
    pub median_ms: f64,
    pub p99_ms: f64,
    pub min_ms: f64,
    /// One over the median.
    pub fps: f64,
}

/// Runs `call` `warmup` times, then times it `runs` times.
pub fn measure(warmup: usize, runs: usize, mut call: impl FnMut() -> Result<()>) -> Result<Times> {
    ensure!(runs > 0, "at least one timed run is needed");
    for _ in 0..warmup {
        call()?;
    }
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        let start = Instant::now();
        call()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let median_ms = times[runs / 2];
    let nearest_rank = (runs * 99).div_ceil(100) - 1;
    Ok(Times { median_ms, p99_ms: times[nearest_rank], min_ms: times[0], fps: 1e3 / median_ms })
}

/// The widest f32 unit that the runtimes may pick by themselves on this processor.
pub fn widest_isa() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            return "avx512-f32";
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return "avx2-f32";
        }
    }
    "portable"
}
