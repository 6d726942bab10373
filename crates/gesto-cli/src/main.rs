//! The `gesto` program.

#![forbid(unsafe_code)]

fn main() {}
