//! AVX-512.

mod f32;

pub(super) use f32::{cells, conv};
