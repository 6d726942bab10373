//! Which anchor points pass the threshold, and which cells their boxes and keypoints need.

use super::best::Best;
use super::memory::SharedArena;
use crate::network::Candidate;
use crate::plan::layout::{Grid, LINE};
use crate::plan::{Level, Tile};

/// One head's candidates, and the tiles that its lazy steps run. Made once, refilled every frame.
#[derive(Debug)]
pub(crate) struct Selection {
    pub(crate) candidates: Vec<Candidate>,
    /// `[level][reach]`
    tiles: Vec<Vec<TileList>>,
    /// `[level][reach]`; empty when no lazy step goes by minimal filtering.
    squares: Vec<Vec<SquareList>>,
    /// For each level.
    needed: Vec<CellSet>,
}

/// Some cells of a grid, one bit each; the bits of borders stay clear.
#[derive(Debug)]
struct CellSet {
    grid: Grid,
    bits: Vec<u64>,
    inside: Vec<u64>,
    spread: Vec<u64>,
}

/// Squares of 2x2 cells to run, numbered row by row.
#[derive(Debug)]
struct SquareList {
    numbers: Vec<u32>,
    /// It is all of them.
    dense: bool,
}

/// Tiles to run, or none listed because the dense list is no longer.
#[derive(Debug)]
struct TileList {
    tiles: Vec<Tile>,
    dense: bool,
    dense_len: usize,
    /// Cells of one tile.
    cells: usize,
}

impl Selection {
    /// Room for every anchor point. `tiles(level)` gives the number of the level's dense tiles and their length in cells;
    /// with `squares` lazy steps may ask for those too.
    pub(crate) fn new(
        levels: &[Level],
        reaches: usize,
        squares: bool,
        tiles: impl Fn(usize) -> (usize, usize),
    ) -> Self {
        let squares_of = |level: &Level| {
            let count = level.grid.height.div_ceil(2) * level.grid.width.div_ceil(2);
            let list = || SquareList { numbers: Vec::with_capacity(count), dense: true };
            std::iter::repeat_with(list).take(if squares { reaches } else { 0 }).collect()
        };
        let anchors = levels.iter().map(|level| level.grid.height * level.grid.width).sum();
        let list = |level| {
            let (dense_len, cells) = tiles(level);
            TileList { tiles: Vec::with_capacity(dense_len), dense: true, dense_len, cells }
        };
        Self {
            candidates: Vec::with_capacity(anchors),
            tiles: (0..levels.len()).map(|level| (0..reaches).map(|_| list(level)).collect()).collect(),
            squares: levels.iter().map(squares_of).collect(),
            needed: levels.iter().map(|level| CellSet::new(level.grid)).collect(),
        }
    }

    /// The tiles that a lazy step of this level and reach runs; `None` for all of them.
    pub(crate) fn tiles(&self, level: usize, reach: usize) -> Option<&[Tile]> {
        let list = &self.tiles[level][reach];
        (!list.dense).then_some(&list.tiles)
    }

    /// The squares that a lazy step of this level and reach runs; `None` for all of them.
    ///
    /// # Panics
    /// When the selection was made without.
    pub(crate) fn squares(&self, level: usize, reach: usize) -> Option<&[u32]> {
        let list = &self.squares[level][reach];
        (!list.dense).then_some(&list.numbers)
    }

    /// Collects the candidates of one frame: anchor points with a class logit of at least `limit`. Reads the `best` class of
    /// each anchor point where the plan has found it, else all classes.
    ///
    /// # Safety
    /// `levels` belong to `arena`'s plan; no thread writes the class planes meanwhile.
    pub(super) unsafe fn collect(
        &mut self,
        levels: &[Level],
        arena: SharedArena<'_>,
        limit: f32,
        dense: bool,
        best: Option<&Best>,
    ) {
        self.candidates.clear();
        let mut anchor = 0;
        for (index, level) in levels.iter().enumerate() {
            let begin = self.candidates.len();
            anchor = match best {
                Some(best) => best.scan(index, level.grid, limit, anchor, &mut self.candidates),
                // SAFETY: passed on from the caller.
                None => unsafe { scan(index, level, arena, limit, anchor, &mut self.candidates) },
            };
            let found = &self.candidates[begin..];
            let needed = &mut self.needed[index];
            if !dense {
                needed.fill(found);
            }
            for (reach, list) in self.tiles[index].iter_mut().enumerate() {
                if !dense && reach > 0 {
                    needed.grow();
                }
                list.dense = dense || !list.cover(needed);
                if let Some(list) = self.squares[index].get_mut(reach) {
                    list.dense = dense || !list.cover(needed);
                }
            }
        }
    }
}

/// Looks through one level; gives the number of the anchor point after its last.
///
/// # Safety
/// As [`Selection::collect`].
unsafe fn scan(
    index: usize,
    level: &Level,
    arena: SharedArena<'_>,
    limit: f32,
    mut anchor: u32,
    found: &mut Vec<Candidate>,
) -> u32 {
    let Grid { height, width } = level.grid;
    for y in 0..height {
        for x in 0..width {
            let cell = (y * level.grid.pitch() + x) * LINE;
            let mut passes = false;
            for &plane in &level.classes {
                // SAFETY: the cell lies inside the plane, 16 numbers of f32.
                let logits = unsafe { arena.at(plane + cell).cast::<[f32; 16]>().read() };
                passes |= logits.iter().fold(false, |any, &logit| any | (logit >= limit));
            }
            if passes {
                let (mut class, mut logit) = (0, f32::NEG_INFINITY);
                for (p, &plane) in level.classes.iter().enumerate() {
                    // SAFETY: as above.
                    let logits = unsafe { arena.at(plane + cell).cast::<[f32; 16]>().read() };
                    for (i, &l) in logits.iter().enumerate() {
                        if l > logit {
                            (class, logit) = ((16 * p + i) as u32, l);
                        }
                    }
                }
                found.push(Candidate { anchor, level: index as u32, y: y as u32, x: x as u32, class, logit });
            }
            anchor += 1;
        }
    }
    anchor
}

impl CellSet {
    fn new(grid: Grid) -> Self {
        let words = grid.run().div_ceil(64);
        let mut set = Self { grid, bits: vec![0; words], inside: vec![0; words], spread: vec![0; words] };
        for p in (0..grid.run()).filter(|p| p % grid.pitch() < grid.width) {
            set.inside[p / 64] |= 1 << (p % 64);
        }
        set
    }

    /// The candidates' cells.
    fn fill(&mut self, candidates: &[Candidate]) {
        self.bits.fill(0);
        for candidate in candidates {
            let p = candidate.y as usize * self.grid.pitch() + candidate.x as usize;
            self.bits[p / 64] |= 1 << (p % 64);
        }
    }

    /// Adds all neighbours, diagonal ones too: 64 cells at a time, because in a crowd every cell is a candidate. The border
    /// between two rows keeps them apart.
    fn grow(&mut self) {
        spread(&self.bits, &mut self.spread, 1, &self.inside);
        spread(&self.spread, &mut self.bits, self.grid.pitch() as isize, &self.inside);
    }
}

/// `to` = the bits of `from`, and those `by` places before and after each, within `inside`.
fn spread(from: &[u64], to: &mut [u64], by: isize, inside: &[u64]) {
    for (word, (to, inside)) in to.iter_mut().zip(inside).enumerate() {
        let bit = 64 * word as isize;
        *to = (window(from, bit - by) | window(from, bit) | window(from, bit + by)) & inside;
    }
}

/// 64 bits from `bit` on, which may lie outside.
fn window(words: &[u64], bit: isize) -> u64 {
    let at = |word: isize| usize::try_from(word).ok().and_then(|word| words.get(word)).copied().unwrap_or(0);
    let (word, shift) = (bit.div_euclid(64), bit.rem_euclid(64));
    let both = u128::from(at(word + 1)) << 64 | u128::from(at(word));
    (both >> shift) as u64
}

impl SquareList {
    /// Covers the cells needed; false when that takes all squares.
    fn cover(&mut self, needed: &CellSet) -> bool {
        self.numbers.clear();
        let Grid { height, width } = needed.grid;
        let columns = width.div_ceil(2);
        for row in 0..height.div_ceil(2) {
            for left in (0..width).step_by(64) {
                let above = (2 * row * needed.grid.pitch() + left) as isize;
                let both =
                    window(&needed.bits, above) | window(&needed.bits, above + needed.grid.pitch() as isize);
                let own = !0 >> (64 - (width - left).min(64));
                let mut squares = (both | both >> 1 & own >> 1) & own & 0x5555_5555_5555_5555;
                while squares != 0 {
                    let column = (left + squares.trailing_zeros() as usize) / 2;
                    self.numbers.push((row * columns + column) as u32);
                    squares &= squares - 1;
                }
            }
        }
        self.numbers.len() < height.div_ceil(2) * columns
    }
}

impl TileList {
    /// Covers the cells needed; false when that takes as many tiles as the whole level.
    fn cover(&mut self, needed: &CellSet) -> bool {
        self.tiles.clear();
        let mut from = 0;
        while let Some(p) = next_set(&needed.bits, from) {
            if self.tiles.len() + 1 >= self.dense_len {
                return false;
            }
            let count = self.cells.min(needed.grid.run() - p);
            self.tiles.push(Tile { input: p as u32, output: p as u32, count: count as u32 });
            from = p + count;
        }
        true
    }
}

/// The first set bit at or after `from`.
fn next_set(words: &[u64], from: usize) -> Option<usize> {
    let mut at = from / 64;
    let mut word = words.get(at)? & (!0 << (from % 64));
    while word == 0 {
        at += 1;
        word = *words.get(at)?;
    }
    Some(64 * at + word.trailing_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tiles_cover_what_candidates_need(
            cells in prop::collection::vec((0u32..9, 0u32..7), 0..6),
            reach in 0usize..3,
            len in 1usize..17,
        ) {
            let grid = Grid { height: 9, width: 7 };
            let candidate = |&(y, x): &(u32, u32)| Candidate { anchor: 0, level: 0, y, x, class: 0, logit: 0.0 };
            let candidates: Vec<_> = cells.iter().map(candidate).collect();
            let dense_len = grid.run().div_ceil(len);
            let mut list = TileList { tiles: Vec::new(), dense: false, dense_len, cells: len };
            let mut needed = CellSet::new(grid);
            needed.fill(&candidates);
            (0..reach).for_each(|_| needed.grow());
            for p in 0..grid.run() as i64 {
                let (v, u, r) = (p / 8, p % 8, reach as i64);
                let near = |&(y, x): &(u32, u32)| (i64::from(y) - v).abs() <= r && (i64::from(x) - u).abs() <= r;
                let want = u < 7 && cells.iter().any(near);
                prop_assert_eq!(needed.bits[p as usize / 64] >> (p % 64) & 1 == 1, want, "cell {}", p);
            }
            let mut squares = SquareList { numbers: Vec::new(), dense: false };
            let some = squares.cover(&needed);
            prop_assert_eq!(some, squares.numbers.len() < 5 * 4);
            for number in 0..5 * 4 {
                let inside = |p: usize| needed.bits[p / 64] >> (p % 64) & 1 == 1;
                let (y, x) = (2 * (number / 4), 2 * (number % 4));
                let corners = [(y, x), (y, x + 1), (y + 1, x), (y + 1, x + 1)];
                let want = corners.into_iter().any(|(y, x)| y < 9 && x < 7 && inside(y * 8 + x));
                prop_assert_eq!(squares.numbers.contains(&(number as u32)), want, "square {}", number);
            }
            prop_assert!(squares.numbers.is_sorted());
            if list.cover(&needed) {
                prop_assert!(list.tiles.len() < dense_len.max(1));
                for (&(y, x), v, u) in cells.iter().flat_map(|c| {
                    let r = reach as i64;
                    (-r..=r).flat_map(move |v| (-r..=r).map(move |u| (c, v, u)))
                }) {
                    let (v, u) = (i64::from(y) + v, i64::from(x) + u);
                    if (0..9).contains(&v) && (0..7).contains(&u) {
                        let p = (v * 8 + u) as u32;
                        prop_assert!(list.tiles.iter().any(|t| t.output <= p && p < t.output + t.count));
                    }
                }
                for pair in list.tiles.windows(2) {
                    prop_assert!(pair[0].output + pair[0].count <= pair[1].output);
                }
            }
        }
    }

    #[test]
    fn a_crowd_takes_the_dense_tiles() {
        // Rows of 8 cells with their border, tiles of 4: nothing can be left out.
        let grid = Grid { height: 9, width: 7 };
        let everywhere: Vec<_> = (0..63)
            .map(|i| Candidate { anchor: i, level: 0, y: i / 7, x: i % 7, class: 0, logit: 0.0 })
            .collect();
        let mut needed = CellSet::new(grid);
        needed.fill(&everywhere);
        let mut list = TileList { tiles: Vec::new(), dense: false, dense_len: 18, cells: 4 };
        assert!(!list.cover(&needed));
    }
}
