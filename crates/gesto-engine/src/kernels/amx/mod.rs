//! Intel's matrix unit (AMX).

pub(crate) mod detect;
mod tile;

use self::tile::TileConfig;
use crate::plan::layout::Grid;

/// Output cells of a tile: the unit's 16 rows, or as many as divide a row of a strided convolution evenly.
pub(super) fn cells(output: Grid, stride: usize) -> usize {
    if stride == 1 { 16 } else { output.width.div_ceil(output.width.div_ceil(16)) }
}
