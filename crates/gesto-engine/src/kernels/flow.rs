//! Threads on their way through the dense steps without meeting: a piece begins as soon as what it needs is done.
//!
//! Every member does its own pieces in order. Who would have to wait looks for any other that is ready and that nobody has
//! begun: so a member that the system runs late, whose core is slow, or that does not come at all because another program has
//! its core, costs the others its share of the work, and the rest of the one piece that it may be at, instead of their time.

use std::sync::atomic::{AtomicU64, Ordering::*};

use super::team::{Barrier, Wait};
use crate::plan::pieces::{Need, Piece, State};

/// Pieces that are looked at in the time of an empty turn of a loop.
const LOOKS: usize = 8;

/// The pieces of a team, and how far each is in a frame.
#[derive(Debug)]
pub(super) struct Flow {
    pieces: Vec<Piece>,
    /// What is needed for all to be done.
    last: Vec<Need>,
    progress: Box<[Progress]>,
    /// How many frames have begun.
    frame: AtomicU64,
}

/// [`STATES`] times the frame, and how far a piece is in it. So nothing has to be reset, which would bring all of these from
/// other cores' caches. On a line of its own: others look on while one writes.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Progress(AtomicU64);

const STATES: u64 = State::Done as u64 + 1;

impl Flow {
    /// Each piece comes after those that it needs.
    pub(super) fn new((pieces, last): (Vec<Piece>, Vec<Need>)) -> Self {
        let progress = pieces.iter().map(|_| Progress::default()).collect();
        Self { pieces, last, progress, frame: AtomicU64::new(0) }
    }

    /// Before the members of a frame start.
    pub(super) fn reset(&self) {
        // Relaxed: the team's start publishes it.
        self.frame.fetch_add(1, Relaxed);
    }

    /// Does the member's own pieces and what others leave, and returns when all are done. `work` does a piece, and calls what
    /// it is given as soon as the piece's early tiles are written.
    ///
    /// # Panics
    /// When another member has panicked.
    pub(super) fn run(&self, index: usize, barrier: &Barrier, work: impl Fn(&Piece, &dyn Fn())) {
        let frame = Frame { flow: self, number: self.frame.load(Relaxed) };
        let pieces = &self.pieces;
        let mut all = (0..pieces.len()).peekable();
        let mut own = all.clone().filter(|&at| pieces[at].part == index).peekable();
        let mut wait = Wait::default();
        while !frame.are_met(&self.last) {
            while all.next_if(|&at| !frame.is_open(at)).is_some() {}
            while own.next_if(|&at| !frame.is_open(at)).is_some() {}
            let mine = own.peek().copied().filter(|&at| frame.is_ready(at));
            let next = mine.or_else(|| all.clone().find(|&at| frame.is_open(at) && frame.is_ready(at)));
            match next {
                Some(at) if frame.begin(at) => {
                    work(&pieces[at], &|| frame.reach(at, State::Early));
                    frame.reach(at, State::Done);
                    wait = Wait::default();
                }
                Some(_) => {} // somebody else was faster
                None => {
                    barrier.leave_if_abandoned();
                    wait.turn(1 + (all.len() / LOOKS) as u32);
                }
            }
        }
    }
}

/// The pieces in one frame.
#[derive(Clone, Copy)]
struct Frame<'a> {
    flow: &'a Flow,
    number: u64,
}

impl Frame<'_> {
    fn progress(self, state: State) -> u64 {
        STATES * self.number + state as u64
    }

    /// Whether nobody has begun a piece.
    fn is_open(self, at: usize) -> bool {
        // Relaxed: who begins a piece does so by `begin`.
        self.flow.progress[at].0.load(Relaxed) < self.progress(State::Begun)
    }

    fn is_ready(self, at: usize) -> bool {
        self.are_met(&self.flow.pieces[at].needs)
    }

    /// Whether all these pieces are as far as is needed. What they have written until then can be read.
    fn are_met(self, needs: &[Need]) -> bool {
        // Acquire: pairs with the release in `reach`.
        needs.iter().all(|need| self.flow.progress[need.piece].0.load(Acquire) >= self.progress(need.state))
    }

    /// Whether the caller is the first to begin a piece.
    fn begin(self, at: usize) -> bool {
        // Relaxed: it passes nothing on but itself. What the piece reads was acquired by `are_met`, on this thread.
        self.flow.progress[at].0.fetch_max(self.progress(State::Begun), Relaxed) < self.progress(State::Begun)
    }

    /// Tells others how far a piece is. Only who has begun it does so.
    fn reach(self, at: usize, state: State) {
        // Release: whoever acquires it in `are_met` sees what this thread has written, and what it had acquired before.
        self.flow.progress[at].0.store(self.progress(state), Release);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::UnsafeCell;
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use super::*;
    use crate::kernels::team::Team;

    /// Numbers without a pattern, the same every time.
    struct Numbers(u32);

    impl Numbers {
        fn below(&mut self, limit: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 17;
            self.0 ^= self.0 << 5;
            self.0 as usize % limit
        }
    }

    /// A piece of member `part` that needs the pieces in `needs`.
    fn piece(number: usize, part: usize, needs: &[(usize, State)]) -> Piece {
        let needs = needs.iter().map(|&(piece, state)| Need { piece, state }).collect();
        Piece { needs, ..Piece::new(0, 0, number, part) }
    }

    /// All of these pieces, each of them needed for all to be done.
    fn flow(pieces: Vec<Piece>) -> Flow {
        let last = (0..pieces.len()).map(|piece| Need { piece, state: State::Done }).collect();
        Flow::new((pieces, last))
    }

    /// Numbers that pieces write and read as kernels do maps: an order that is not kept is a data race, which Miri reports.
    struct Maps(Vec<UnsafeCell<usize>>);

    // SAFETY: whoever touches a number argues for it.
    unsafe impl Sync for Maps {}

    impl Maps {
        /// # Safety
        /// Nobody writes the number meanwhile.
        unsafe fn read(&self, at: usize) -> usize {
            // SAFETY: passed on from the caller.
            unsafe { *self.0[at].get() }
        }

        /// # Safety
        /// Nobody else touches the number meanwhile.
        unsafe fn add_one(&self, at: usize) {
            // SAFETY: passed on from the caller.
            unsafe { *self.0[at].get() += 1 };
        }
    }

    #[test]
    fn every_piece_is_done_once_and_after_what_it_needs() {
        let mut numbers = Numbers(7);
        let (rounds, count, frames) = if cfg!(miri) { (2, 12, 2) } else { (20, 40, 5) };
        for members in [1, 2, 3, 5] {
            for _ in 0..rounds {
                let mut pieces = Vec::new();
                // What is over when each begins: what it needs, and what that had needed.
                let mut over: Vec<Vec<State>> = Vec::new();
                for at in 0..count {
                    let mut needs = Vec::new();
                    let mut known = vec![State::Open; at];
                    for _ in 0..numbers.below(4).min(at) {
                        let earlier = at - 1 - numbers.below(at.min(6));
                        let state = if numbers.below(2) == 0 { State::Early } else { State::Done };
                        needs.push((earlier, state));
                        known[earlier] = known[earlier].max(state);
                        known
                            .iter_mut()
                            .zip(&over[earlier])
                            .for_each(|(known, over)| *known = *over.max(known));
                    }
                    over.push(known);
                    pieces.push(piece(at, numbers.below(members), &needs));
                }
                // Pieces that take long now and then, so that others wait and take over.
                let delays: Vec<usize> = (0..2 * count).map(|_| numbers.below(8)).collect();
                let delay = |at: usize| match delays[at] {
                    7 => std::thread::sleep(Duration::from_micros(20)),
                    some => (0..50 * some).for_each(|_| std::hint::spin_loop()),
                };
                let flow = flow(pieces);
                let mut team = Team::new(members);
                // Of each piece what it writes early, and late.
                let maps = Maps((0..2 * count).map(|_| UnsafeCell::new(0)).collect());
                for frame in 1..=frames {
                    flow.reset();
                    team.run_whoever_comes(|index, barrier| {
                        flow.run(index, barrier, |piece, publish| {
                            let at = piece.number;
                            for (earlier, &state) in over[at].iter().enumerate() {
                                // SAFETY: the test's claim: what is over has been written, and is not written again.
                                unsafe {
                                    assert!(state < State::Early || maps.read(2 * earlier) == frame);
                                    assert!(state < State::Done || maps.read(2 * earlier + 1) == frame);
                                }
                            }
                            delay(2 * at);
                            // SAFETY: the test's claim: only this thread does the piece, and whoever reads it waits.
                            unsafe { maps.add_one(2 * at) };
                            publish();
                            delay(2 * at + 1);
                            // SAFETY: as above.
                            unsafe { maps.add_one(2 * at + 1) };
                        });
                        for at in 0..2 * count {
                            // SAFETY: the test's claim: all is done when one comes back.
                            assert_eq!(unsafe { maps.read(at) }, frame);
                        }
                    });
                }
            }
        }
    }

    #[test]
    fn a_member_that_does_not_come_is_not_waited_for() {
        let done = State::Done;
        let flow = flow(vec![piece(0, 1, &[]), piece(1, 0, &[(0, done)]), piece(2, 2, &[(1, done)])]);
        let order = std::sync::Mutex::new(Vec::new());
        for _ in 0..2 {
            flow.reset();
            // Members 1 and 2 are not there at all.
            Team::new(1).run_whoever_comes(|index, barrier| {
                flow.run(index, barrier, |piece, _| order.lock().unwrap().push(piece.number));
            });
        }
        assert_eq!(order.into_inner().unwrap(), [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn nobody_comes_back_when_a_piece_panics() {
        for lost in 0..2 {
            let done = State::Done;
            let flow = flow(vec![piece(0, lost, &[]), piece(1, 1 - lost, &[(0, done)])]);
            flow.reset();
            let came_back = AtomicUsize::new(0);
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                Team::new(2).run(|index, barrier| {
                    flow.run(index, barrier, |_, _| panic!("as meant"));
                    came_back.fetch_add(1, Relaxed);
                });
            }));
            assert!(result.is_err());
            assert_eq!(came_back.into_inner(), 0);
        }
    }

    #[test]
    fn what_a_slow_member_has_not_begun_is_done_by_others() {
        // Member 0 is at its first piece until all others are done. Two of its own do not need that one: the next, for
        // which member 1 would wait, and the last.
        let done = State::Done;
        let flow = flow(vec![
            piece(0, 0, &[]),
            piece(1, 0, &[]),
            piece(2, 1, &[(1, done)]),
            piece(3, 0, &[(2, done)]),
        ]);
        flow.reset();
        let others = AtomicUsize::new(0);
        Team::new(2).run(|index, barrier| {
            flow.run(index, barrier, |piece, _| {
                if piece.number == 0 {
                    barrier.wait_until(|| others.load(Acquire) == 3);
                } else {
                    others.fetch_add(1, Release);
                }
            });
        });
        assert_eq!(others.into_inner(), 3);
    }

    #[test]
    fn early_tiles_are_told_of_before_the_piece_is_done() {
        // The first piece goes on only when the second, which needs its early tiles, is done.
        let flow = flow(vec![piece(0, 0, &[]), piece(1, 1, &[(0, State::Early)])]);
        flow.reset();
        let second = AtomicUsize::new(0);
        Team::new(2).run(|index, barrier| {
            flow.run(index, barrier, |piece, publish| {
                if piece.number == 0 {
                    publish();
                    barrier.wait_until(|| second.load(Acquire) == 1);
                } else {
                    second.store(1, Release);
                }
            });
        });
        assert_eq!(second.into_inner(), 1);
    }
}
