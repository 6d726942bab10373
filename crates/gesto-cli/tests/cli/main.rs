//! The program as its users meet it: the real binary, its output, its exit code.

#![forbid(unsafe_code)]

mod bad_input;
mod bench;
mod bench_files;
mod eval;
mod export;
mod hostile;
#[cfg(unix)]
mod interrupt;
mod live;
mod memory;
mod outputs;
mod program;
mod quantize;
mod samples;
mod streams;
mod units;
