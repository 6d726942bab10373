//! How much memory the program takes.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use super::program::{gesto, sample};

/// Most of a process's memory that was ever resident, asked of the shipped network at 320 x 224.
const MOST: u64 = 60_000_000;

/// Not in a test of the library: its harness and the comparisons of other tests would count as well.
#[test]
fn the_detector_stays_below_60_megabytes() {
    for isa in ["", "portable"] {
        let mut command = gesto();
        // Standard input stays open: after the picture the process waits for more, and can be asked.
        command.arg("detect").arg(sample("astronaut.png")).args(["-", "--json", "-", "--threads", "2"]);
        command.env("GESTO_ISA", isa).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let status = fs::read_to_string(format!("/proc/{}/status", child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(line.contains("\"people\":[{"), "{line}");
        let status = status.unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the peak is told");
        let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        let peak = 1024 * peak;
        assert!(peak > 10_000_000, "{peak} bytes do not hold the weights");
        assert!(peak < MOST, "tier {isa:?}: {peak} bytes were resident");
    }
}
