//! Intel's matrix unit (AMX): `C += A B` with A 16 cells by 32 channels, B 32 by 16 channels of bf16, C in f32; of bytes 64
//! channels instead of 32, and C in 32-bit integers.

mod conv;
pub(crate) mod detect;
#[cfg(feature = "emulate-amx")]
pub(crate) mod emulate;
mod tile;
mod unit;

pub(super) use self::conv::{ProductsBf16, ProductsBytes, conv, multiply_registers, tiling};
use self::tile::TileConfig;
pub(crate) use self::unit::Unit;
