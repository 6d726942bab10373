//! Leave to use a graphics processor's matrix units through wgpu.

/// The token that wgpu asks for before it hands out cooperative matrices, which it calls experimental.
///
/// Making it is an `unsafe` act in wgpu without a contract about memory: the caller acknowledges that wgpu's own
/// implementation of such a feature may have bugs that safe code can run into. This project makes it here, beside its
/// other `unsafe` code, for one user: the shaders of `gesto-gpu`. They load and store whole matrices at offsets
/// that a plan computed and bounded, and are tested against the plain evaluation, map by map, on every device that
/// runs the tests. The library `gesto` always hands it over; a program that uses `gesto-gpu` by itself can leave it out of
/// its options and gets vector arithmetic.
#[must_use]
pub fn matrix_units() -> wgpu_types::ExperimentalFeatures {
    // SAFETY: no memory contract, as said above; the acknowledgement is this module's documentation.
    unsafe { wgpu_types::ExperimentalFeatures::enabled() }
}
