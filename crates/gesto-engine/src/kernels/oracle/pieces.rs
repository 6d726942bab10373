//! The pieces of a whole plan, run by the kernels themselves, against what the plan says that they touch and need.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::sync::Mutex;

use super::conv::whole;
use super::{Numbers, on_tier};
use crate::calibration::Calibration;
use crate::isa::{Isa, Token};
use crate::kernels::frame::Member;
use crate::kernels::memory::{Arena, SharedArena};
use crate::model::Model;
use crate::plan::Plan;
use crate::plan::layout::Grid;
use crate::plan::pieces::{Need, Piece, State, pieces};

/// Bytes of this make NaN in bf16 and in f32: whatever is computed from them is NaN as well.
const POISON: u8 = 0xff;

fn plan(token: Token) -> Plan {
    let file = include_bytes!("../../../../../models/multi-n.safetensors");
    let model = Model::from_bytes(file.as_slice()).unwrap();
    let quantised = || {
        let mut numbers = Numbers::new(1);
        let rgb: Vec<u8> = (0..3 * 32 * 32).map(|_| numbers.below(256) as u8).collect();
        let mut calibration = Calibration::new(&model);
        calibration.add(&rgb, 32, 32);
        Model::from_bytes(model.to_bytes_with_scales(&calibration.scales()).unwrap()).unwrap()
    };
    let grid = Grid { height: 128, width: 96 };
    let plan = if token.isa().is_int8() {
        Plan::new(&quantised(), grid, token)
    } else {
        Plan::new(&model, grid, token)
    };
    plan.unwrap()
}

/// Bytes that are small numbers in every format.
fn small_numbers(len: usize) -> Vec<u8> {
    let mut numbers = Numbers::new(2);
    let mut word = || (0x3c00 | numbers.below(0x200) | numbers.below(2) << 15) as u16;
    (0..len / 2).flat_map(|_| word().to_le_bytes()).collect()
}

/// Which of `len` bytes lie in some of the ranges.
fn mask<const N: usize>(len: usize, ranges: [&[Range<usize>]; N]) -> Vec<bool> {
    let mut mask = vec![false; len];
    ranges.into_iter().flatten().for_each(|range| mask[range.clone()].fill(true));
    mask
}

fn poison_all_but(kept: &[bool], bytes: &mut [u8]) {
    bytes.iter_mut().zip(kept).filter(|(_, kept)| !**kept).for_each(|(byte, _)| *byte = POISON);
}

/// All bytes of an arena in the middle of a piece.
///
/// # Safety
/// Nobody touches the arena while the slice lives.
unsafe fn bytes_of<'a>(arena: SharedArena<'a>, len: usize) -> &'a mut [u8] {
    // SAFETY: the arena has so many bytes; the rest is the caller's word.
    unsafe { std::slice::from_raw_parts_mut(arena.at(0), len) }
}

/// Runs a piece with all bytes poisoned that it shall not read, and, as soon as it says that its early tiles are written,
/// those that its late ones shall not touch.
fn touches_no_more_than_is_said(
    plan: &Plan,
    piece: &Piece,
    members: usize,
    arena: &mut Arena,
    before: &[u8],
) {
    let name = format!("stage {}, step {}, part {} of {members}", piece.stage, piece.step, piece.part);
    let [early, late] = piece.touched(plan, members);
    let read = mask(before.len(), [&early.reads, &late.reads]);
    let written_early = mask(before.len(), [&early.writes]);
    let written_late = mask(before.len(), [&late.writes]);
    let touched_late = mask(before.len(), [&late.reads, &late.writes]);
    let run = |arena: &mut Arena, publish: &dyn Fn(SharedArena<'_>)| {
        let arena = arena.shared();
        Member::new(plan, arena, piece.part, members).piece(piece, &[], &|| publish(arena));
    };
    whole(arena).copy_from_slice(before);
    run(arena, &|_| {});
    let wanted = whole(arena).to_vec();
    // Of what it may write it need not write everything.
    let is_right = |at: usize, got: u8| got == wanted[at] || wanted[at] == before[at] && got == POISON;

    whole(arena).copy_from_slice(before);
    poison_all_but(&read, whole(arena));
    let elsewhere = RefCell::new(whole(arena).to_vec());
    let published = Cell::new(0);
    run(arena, &|arena| {
        published.set(published.get() + 1);
        // SAFETY: the piece is the only one, and waits for this.
        let bytes = unsafe { bytes_of(arena, before.len()) };
        for (at, &got) in bytes.iter().enumerate().filter(|&(at, _)| written_early[at] && !written_late[at]) {
            assert!(is_right(at, got), "{name}: an early tile is not yet written at {at}");
        }
        poison_all_but(&touched_late, bytes);
        elsewhere.borrow_mut().copy_from_slice(bytes);
    });
    assert_eq!(published.get(), usize::from(piece.early > 0), "{name}");
    for (at, (&got, &before)) in whole(arena).iter().zip(&*elsewhere.borrow()).enumerate() {
        if written_late[at] {
            assert!(is_right(at, got), "{name}: what it writes at {at} depends on what it shall not read");
        } else {
            assert_eq!(got, before, "{name}: writes at {at}, where it shall not");
        }
    }
}

fn check_touched(token: Token) {
    let plan = plan(token);
    let mut arena = plan.arena(1);
    let before = small_numbers(arena.len());
    for members in [1, 3] {
        for piece in pieces(&plan, 0, members).0 {
            touches_no_more_than_is_said(&plan, &piece, members, &mut arena, &before);
        }
    }
}

#[test]
fn amx_bf16_pieces_touch_no_more_than_is_said() {
    on_tier(Isa::AmxBf16, |token, _| check_touched(token));
}

#[test]
fn amx_int8_pieces_touch_no_more_than_is_said() {
    on_tier(Isa::AmxInt8, |token, _| check_touched(token));
}

/// A frame whose pieces run one at a time, in an order drawn at random from those that their needs allow.
struct Drawn<'a> {
    plan: &'a Plan,
    arena: SharedArena<'a>,
    members: usize,
    pieces: &'a [Piece],
    states: Mutex<Vec<State>>,
    numbers: Mutex<Numbers>,
}

impl Drawn<'_> {
    /// Runs what is ready until nothing is. When early tiles are written, others come in between.
    fn run(&self) {
        let member = Member::new(self.plan, self.arena, 0, self.members);
        while let Some(at) = self.begin_any() {
            let publish = || {
                self.states.lock().unwrap()[at] = State::Early;
                // Tiles are a thread's: those of this one stay what they are.
                std::thread::scope(|scope| _ = scope.spawn(|| self.run()));
            };
            member.piece(&self.pieces[at], &[], &publish);
            self.states.lock().unwrap()[at] = State::Done;
        }
    }

    fn begin_any(&self) -> Option<usize> {
        let (mut states, mut numbers) = (self.states.lock().unwrap(), self.numbers.lock().unwrap());
        let is_ready = |&at: &usize| {
            let met = |need: &Need| states[need.piece] >= need.state;
            states[at] == State::Open && self.pieces[at].needs.iter().all(met)
        };
        let ready: Vec<usize> = (0..self.pieces.len()).filter(is_ready).collect();
        // Mostly the last ones, which are furthest from where they are in order.
        let at = match numbers.below(4) {
            _ if ready.is_empty() => return None,
            0 => ready[numbers.below(ready.len())],
            _ => ready[ready.len() - 1],
        };
        states[at] = State::Begun;
        Some(at)
    }
}

fn check_orders(token: Token) {
    let plan = plan(token);
    let mut arena = plan.arena(1);
    let cells = plan.input.grid.run() * 4 * plan.kernels.format().bytes();
    let picture = small_numbers(cells);
    // All maps but the picture begin as a frame would find them on a new network.
    let mut start = whole(&mut arena).to_vec();
    start[plan.input.place..plan.input.place + cells].copy_from_slice(&picture);
    let everything = |arena: &mut Arena, members: usize, seed: Option<u64>| {
        whole(arena).copy_from_slice(&start);
        let (pieces, last) = pieces(&plan, 0, members);
        let arena = arena.shared();
        let Some(seed) = seed else {
            let member = Member::new(&plan, arena, 0, members);
            pieces.iter().for_each(|piece| member.piece(piece, &[], &|| {}));
            return;
        };
        let states = Mutex::new(vec![State::Open; pieces.len()]);
        let numbers = Mutex::new(Numbers::new(seed));
        let drawn = Drawn { plan: &plan, arena, members, pieces: &pieces, states, numbers };
        drawn.run();
        let states = drawn.states.into_inner().unwrap();
        assert!(states.iter().all(|&state| state == State::Done), "{members} members: some are never ready");
        assert!(last.iter().all(|need| states[need.piece] >= need.state));
    };
    everything(&mut arena, 1, None);
    let wanted = whole(&mut arena).to_vec();
    assert!(wanted.iter().zip(&start).filter(|(a, b)| a != b).count() > wanted.len() / 4);
    for members in [2, 3, 8] {
        for seed in [3, 4] {
            everything(&mut arena, members, Some(seed));
            assert!(whole(&mut arena) == &wanted[..], "{members} members, order {seed}: other maps");
        }
    }
}

#[test]
fn amx_bf16_pieces_give_the_same_maps_in_any_order_that_they_allow() {
    on_tier(Isa::AmxBf16, |token, _| check_orders(token));
}

#[test]
fn amx_int8_pieces_give_the_same_maps_in_any_order_that_they_allow() {
    on_tier(Isa::AmxInt8, |token, _| check_orders(token));
}
