//! Intel's matrix unit (AMX): `C += A B` with A 16 cells by 32 channels, B 32 by 16 channels of bf16, C in f32.

mod conv;
pub(crate) mod detect;
#[cfg(feature = "emulate-amx")]
pub(crate) mod emulate;
mod tile;

pub(super) use self::conv::{cells, conv, multiply_registers};
pub(in crate::kernels) use self::tile::TileConfig;
pub(super) use self::tile::release;
