//! The dense steps cut into pieces, and which piece waits for which, so that threads need not meet after every step.
//!
//! Steps are cut as for threads that meet: a part for each. But a piece begins with the rows beside its neighbours', so that
//! the next step's pieces there, which read them, hardly ever wait.

use super::touched::Touched;
use super::{ConvStep, Plan, Share, Step, Tile};
use std::ops::Range;

/// How far a piece is in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Open,
    Begun,
    /// Its early tiles are written, and it touches nothing again that they alone touch.
    Early,
    Done,
}

/// One thread's part of one step.
#[derive(Debug)]
pub(crate) struct Piece {
    /// Where the step stands in [`Plan::dense`].
    pub(crate) stage: usize,
    pub(crate) step: usize,
    /// Which of the steps that are cut it is.
    pub(crate) number: usize,
    /// Which part, and so whose.
    pub(crate) part: usize,
    /// Those of a convolution that it computes, and on what: tiles in the order of computing.
    pub(crate) blocks: Range<usize>,
    pub(crate) tiles: Vec<Tile>,
    /// How many tiles come first because others wait for them; an even number.
    pub(crate) early: usize,
    /// What has to be done before it begins.
    pub(crate) needs: Vec<Need>,
}

/// An earlier piece, and how far it has to be. What that one needs is left out: it comes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) piece: usize,
    pub(crate) state: State,
}

/// The pieces of all dense steps from stage `first` on for a team of so many members, each after those that it needs, and what
/// is needed for all to be done.
///
/// # Panics
/// When a step runs by minimal filtering, or on folded tiles: both touch more than [`Touched`] knows of.
pub(crate) fn pieces(plan: &Plan, first: usize, members: usize) -> (Vec<Piece>, Vec<Need>) {
    let (mut pieces, mut all) = (Vec::new(), Earlier::default());
    let mut number = 0;
    for (stage, steps) in plan.dense.iter().enumerate().skip(first) {
        let before = pieces.len();
        for (at, step) in steps.iter().enumerate() {
            for part in 0..members {
                let mut piece = Piece::new(stage, at, number, part);
                if let Step::Conv(conv) = step {
                    let plain = conv.winograd.is_none() && !conv.tiling.folded;
                    assert!(plain, "{}: pieces are of plain tiles", conv.name);
                    piece.cut(conv, conv.share(part, members, conv.tiles.len()));
                }
                piece.needs = all.add(piece.touched(plan, members), before);
                pieces.push(piece);
            }
            number += 1;
        }
    }
    let last = all.needs(pieces.len(), |_| State::Done).0;
    (pieces, last)
}

impl Piece {
    /// One without needs that touches nothing.
    pub(crate) fn new(stage: usize, step: usize, number: usize, part: usize) -> Self {
        Self { stage, step, number, part, blocks: 0..0, tiles: Vec::new(), early: 0, needs: Vec::new() }
    }

    /// What it reads and writes until its early tiles are written, and from then on; one of so many members' pieces.
    pub(crate) fn touched(&self, plan: &Plan, members: usize) -> [Touched; 2] {
        match &plan.dense[self.stage][self.step] {
            Step::Conv(conv) => {
                let (early, late) = self.tiles.split_at(self.early);
                let reach = plan.kernels.reach(conv);
                [early, late].map(|tiles| Touched::by_conv(conv, reach, &self.blocks, tiles))
            }
            Step::Pool(pool) => [Touched::default(), Touched::by_pool(pool, self.part, members)],
        }
    }

    /// Takes a share of a convolution, the tiles first that neighbours read: a row and what is beside it.
    fn cut(&mut self, conv: &ConvStep, share: Share) {
        let tiles = &conv.tiles[share.tiles.clone()];
        let per_tile = conv.tiles.first().map_or(1, |tile| tile.count as usize);
        let edge = (conv.cells.grid.pitch() * 3 / 2 + 2).div_ceil(per_tile).next_multiple_of(2);
        let above = if share.tiles.start > 0 { edge } else { 0 };
        let below = if share.tiles.end < conv.tiles.len() { edge } else { 0 };
        // Few tiles are done as soon as their edges are, and a share of some blocks is read as a whole.
        if tiles.len() < above + below + edge || share.blocks.len() < conv.blocks.len() {
            self.tiles = tiles.to_vec();
        } else {
            let (above, rest) = tiles.split_at(above);
            let (middle, below) = rest.split_at(rest.len() - below);
            self.tiles = [above, below, middle].concat();
            self.early = above.len() + below.len();
        }
        self.blocks = share.blocks;
    }
}

/// What the pieces so far touch, and what is over when each begins.
#[derive(Debug, Default)]
struct Earlier {
    /// Until its early tiles are written, and from then on.
    touched: Vec<[Touched; 2]>,
    /// For each piece how far those before it are at least when it begins.
    over: Vec<Vec<State>>,
}

impl Earlier {
    /// Adds a piece and gives what it needs of those before `before`.
    fn add(&mut self, touched: [Touched; 2], before: usize) -> Vec<Need> {
        let conflicts = |other: &Touched| touched.iter().any(|touched| touched.conflicts(other));
        let (needs, over) = self.needs(before, |earlier| match &self.touched[earlier] {
            [_, late] if conflicts(late) => State::Done,
            [early, _] if conflicts(early) => State::Early,
            _ => State::Open,
        });
        self.touched.push(touched);
        self.over.push(over);
        needs
    }

    /// What has to be said so that each of the first `count` pieces is as far as `wanted`, and how far they are then.
    fn needs(&self, count: usize, wanted: impl Fn(usize) -> State) -> (Vec<Need>, Vec<State>) {
        let (mut needs, mut over) = (Vec::new(), vec![State::Open; count]);
        for piece in (0..count).rev() {
            if over[piece] == State::Done {
                continue;
            }
            let state = wanted(piece);
            if state > over[piece] {
                needs.push(Need { piece, state });
                over[piece] = state;
                for (over, before) in over.iter_mut().zip(&self.over[piece]) {
                    *over = (*over).max(*before);
                }
            }
        }
        (needs, over)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io::Write as _;

    use super::*;
    use crate::isa::{Detected, Isa};
    use crate::model::Model;
    use crate::plan::layout::{Grid, LINE};

    /// What a piece reads and writes until its early tiles are written and from then on, found cell by cell: the numbers of
    /// units of 16 bytes, each with whether it is written. Chunks are whole units.
    fn units(plan: &Plan, piece: &Piece, members: usize) -> [HashMap<usize, bool>; 2] {
        let mut units = [HashMap::new(), HashMap::new()];
        let mut touch = |when: usize, from: usize, bytes: usize, written: bool| {
            for unit in from / 16..(from + bytes).div_ceil(16) {
                *units[when].entry(unit).or_default() |= written;
            }
        };
        match &plan.dense[piece.stage][piece.step] {
            Step::Conv(conv) => {
                let number = if conv.full_precision { 4 } else { 2 };
                // Every tap is read as far as the widest.
                let lanes = conv.taps.iter().map(|tap| tap.lanes as usize).max().unwrap();
                for (at, tile) in piece.tiles.iter().enumerate() {
                    let when = usize::from(at >= piece.early);
                    for row in 0..plan.kernels.reach(conv) {
                        let cell = tile.input as usize * conv.input_cell + row * conv.row;
                        for tap in &conv.taps {
                            touch(when, cell.strict_add_signed(tap.bytes), 2 * lanes, false);
                        }
                    }
                    let blocks = &conv.blocks[piece.blocks.clone()];
                    for chunk in blocks.iter().flat_map(|block| &conv.chunks[block.chunks.clone()]) {
                        for cell in tile.output as usize..(tile.output + tile.count) as usize {
                            touch(when, chunk.output + cell * chunk.cell, 16 * number, true);
                            if let Some(place) = chunk.residual {
                                touch(when, place + cell * chunk.cell, 16 * number, false);
                            }
                            if let Some(place) = chunk.partial {
                                touch(when, place + conv.cells.halved[cell] as usize * LINE, LINE, false);
                            }
                        }
                    }
                }
            }
            Step::Pool(pool) => {
                for planes in pool.planes.iter().skip(piece.part).step_by(members) {
                    for (i, &place) in planes.iter().enumerate() {
                        touch(1, place, pool.grid.run() * pool.cell, i > 0);
                    }
                }
            }
        }
        units
    }

    #[test]
    fn of_amx_pieces_that_touch_the_same_bytes_the_later_stage_s_waits() {
        let Ok(token) = Detected::get().token(Isa::AmxBf16) else {
            // Unlike `println!`, this shows for tests that pass.
            _ = writeln!(std::io::stderr(), "skipped: the pieces of amx-bf16 (no matrix unit)");
            return;
        };
        let file = include_bytes!("../../../../models/multi-n.safetensors");
        let model = Model::from_bytes(file.as_slice()).unwrap();
        let plan = Plan::new(&model, Grid { height: 128, width: 96 }, token).unwrap();
        for members in [1, 2, 3, 5] {
            let (pieces, last) = pieces(&plan, 1, members);
            assert_eq!(pieces.len(), members * plan.dense.iter().skip(1).flatten().count());
            assert_eq!(pieces.iter().any(|piece| piece.early > 0), members > 1);
            let units: Vec<_> = pieces.iter().map(|piece| units(&plan, piece, members)).collect();
            // How far others are when a piece begins: as its needs say, and as theirs had said.
            let mut over: Vec<Vec<State>> = Vec::new();
            let follow = |over: &[Vec<State>], needs: &[Need]| {
                let mut known = vec![State::Open; pieces.len()];
                for need in needs {
                    known[need.piece] = known[need.piece].max(need.state);
                    known
                        .iter_mut()
                        .zip(&over[need.piece])
                        .for_each(|(known, over)| *known = *over.max(known));
                }
                known
            };
            for (at, piece) in pieces.iter().enumerate() {
                assert!(piece.needs.iter().all(|need| need.piece < at));
                over.push(follow(&over, &piece.needs));
                for before in 0..at {
                    for (touched, state) in units[before].iter().zip([State::Early, State::Done]) {
                        let meets = |(unit, written): (&usize, &bool)| {
                            let mut both = units[at].iter().filter_map(|touched| touched.get(unit));
                            both.any(|other| *written || *other)
                        };
                        if touched.iter().any(meets) {
                            let stages = [pieces[before].stage, piece.stage];
                            assert!(stages[0] < stages[1], "{members} members, stages {stages:?}");
                            assert!(over[at][before] >= state, "{members} members, stages {stages:?}");
                        }
                    }
                }
            }
            assert!(follow(&over, &last).iter().all(|&state| state == State::Done));
        }
    }
}
