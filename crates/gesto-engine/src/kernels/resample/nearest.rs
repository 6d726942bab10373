//! Nearest samples: one pixel each.

use super::Tier;
use super::read::{self, Visitor};
use crate::picture::Picture;
use crate::resample::axis::{Axis, Turn};

/// Tables of a resize by nearest neighbours, in the order of the network's pixels.
#[derive(Debug, Clone)]
pub(crate) struct Pick {
    swapped: bool,
    columns: Vec<usize>,
    rows: Vec<usize>,
    /// Bytes from a column's pixel, and from a row's, to those of column and row 0 of the picture; where the colours lie.
    fast: Option<(Vec<usize>, Vec<usize>, [u8; 3])>,
}

impl Pick {
    /// For pictures of this size, format and stride.
    pub(crate) fn new(picture: &Picture<'_>, turn: Turn, columns: Axis, rows: Axis) -> Self {
        let table = |axis: Axis| (0..axis.to).map(|i| axis.nearest(i)).collect::<Vec<_>>();
        let (columns, rows) = (table(columns), table(rows));
        let fast = read::packed(picture.format()).filter(|(bytes, _)| *bytes == 4).map(|(bytes, colours)| {
            let (along, down) = (bytes, picture.plane(0).stride);
            let (column, row) = if turn.swapped { (down, along) } else { (along, down) };
            (columns.iter().map(|x| x * column).collect(), rows.iter().map(|y| y * row).collect(), colours)
        });
        Self { swapped: turn.swapped, columns, rows, fast }
    }

    /// Samples row `y` of the target from column `first` on, as red, green, blue and zero.
    pub(super) fn sample(
        &self,
        tier: Tier,
        picture: &Picture<'_>,
        y: usize,
        first: usize,
        line: &mut [[u8; 4]],
    ) {
        let columns = first..first + line.len();
        if let Some((columns_at, rows_at, colours)) = &self.fast {
            let data = &picture.plane(0).data[rows_at[y]..];
            for (to, &at) in line.iter_mut().zip(&columns_at[columns]) {
                *to = data[at..at + 4].try_into().unwrap_or_default();
            }
            return order(tier, line, *colours);
        }
        let to = Plain { columns: &self.columns[columns], row: self.rows[y], swapped: self.swapped, line };
        read::visit(picture, to);
        read::to_rgb(tier, picture.format(), line);
    }
}

struct Plain<'a> {
    columns: &'a [usize],
    row: usize,
    swapped: bool,
    line: &'a mut [[u8; 4]],
}

impl Visitor for Plain<'_> {
    #[inline(always)]
    fn visit(self, pixel: impl Fn(usize, usize) -> [u8; 3]) {
        for (to, &column) in self.line.iter_mut().zip(self.columns) {
            let (x, y) = if self.swapped { (self.row, column) } else { (column, self.row) };
            let [a, b, c] = pixel(x, y);
            *to = [a, b, c, 0];
        }
    }
}

/// Puts red, green and blue in order, and zero behind them.
fn order(tier: Tier, line: &mut [[u8; 4]], colours: [u8; 3]) {
    match tier {
        // SAFETY: the tier proves the instructions.
        #[cfg(target_arch = "x86_64")]
        Tier::Avx2(_) | Tier::Avx512(_) => unsafe { super::avx2::order(line, colours) },
        Tier::Plain => {
            for pixel in line {
                let [r, g, b] = colours.map(|c| pixel[usize::from(c)]);
                *pixel = [r, g, b, 0];
            }
        }
    }
}
