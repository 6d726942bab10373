//! Threads that share one frame: woken once a frame, kept in step by spinning inside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering::*};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use super::apart::{Avoided, Place};

/// How long a worker looks out for the next frame before it sleeps. Longer than the gap between two frames of
/// back-to-back work, far shorter than a camera's frame time.
const LINGER: Duration = Duration::from_micros(50);
/// How long a worker that was called looks out for its job: longer than a camera's JPEG takes to decode.
const CALLED: Duration = Duration::from_millis(2);
/// Turns of a spin loop before it offers the core to others.
const SPINS: u32 = 2_000;

/// A team of `size` threads: the caller and `size - 1` workers.
#[derive(Debug)]
pub(crate) struct Team {
    shared: Arc<Shared>,
    workers: Vec<Worker>,
}

#[derive(Debug)]
struct Worker {
    handle: JoinHandle<()>,
    thread: Thread,
    place: Arc<Place>,
    avoided: Avoided,
}

/// Keeps the members of a team in step within one job.
#[derive(Debug)]
pub(crate) struct Barrier {
    size: u32,
    arrived: AtomicU32,
    round: AtomicU32,
}

/// What the workers look at.
#[derive(Debug)]
struct Shared {
    /// The number of the job in the upper half; [`CLOSED`], and how many workers are at it, in the lower one.
    gate: AtomicU64,
    /// Workers that have done the job.
    finished: AtomicU32,
    /// A job is about to come.
    called: AtomicBool,
    quit: AtomicBool,
    panicked: AtomicBool,
    /// A closure on the caller's stack, valid while the gate is open or a worker is inside.
    job: AtomicPtr<Job<'static>>,
    barrier: Barrier,
}

/// No worker may begin the job any more.
const CLOSED: u64 = 1 << 31;
const INSIDE: u64 = CLOSED - 1;

struct Job<'a>(&'a (dyn Fn(usize, &Barrier) + Sync));

impl Team {
    /// Starts the workers; a team of one has none.
    pub(crate) fn new(size: usize) -> Self {
        let shared = Arc::new(Shared {
            gate: AtomicU64::new(CLOSED),
            finished: AtomicU32::new(0),
            called: AtomicBool::new(false),
            quit: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
            job: AtomicPtr::new(std::ptr::null_mut()),
            barrier: Barrier { size: size as u32, arrived: AtomicU32::new(0), round: AtomicU32::new(0) },
        });
        let workers = (1..size)
            .map(|index| {
                let (shared, place) = (Arc::clone(&shared), Arc::<Place>::default());
                let builder = thread::Builder::new().name(format!("gesto-{index}"));
                let work = {
                    let place = Arc::clone(&place);
                    move || {
                        place.tell();
                        shared.work(index);
                    }
                };
                let handle = builder.spawn(work).expect("the system can start a thread");
                Worker { thread: handle.thread().clone(), handle, place, avoided: Avoided::default() }
            })
            .collect();
        Self { shared, workers }
    }

    /// Number of threads, the caller's included.
    pub(crate) fn size(&self) -> usize {
        self.workers.len() + 1
    }

    /// Wakes the workers for a job that is about to come: for [`CALLED`] they look out for it, then they sleep again.
    pub(crate) fn call(&mut self) {
        self.keep_apart();
        self.shared.called.store(true, Release);
        self.wake();
    }

    fn keep_apart(&mut self) {
        let members = self.size();
        for worker in &mut self.workers {
            worker.place.keep_off_mine(members, &mut worker.avoided);
        }
    }

    fn wake(&self) {
        self.workers.iter().for_each(|worker| worker.thread.unpark());
    }

    /// Runs `job(index, barrier)` once on every thread and returns when all are done.
    ///
    /// # Panics
    /// When a member panicked. Kernels do not; should one ever, the frame must not look finished, and no other follows.
    pub(crate) fn run(&mut self, job: impl Fn(usize, &Barrier) + Sync) {
        self.start(&job, self.workers.len() as u32);
    }

    /// Runs `job(index, barrier)` on the caller's thread, and once on every worker that gets to it before the caller is done:
    /// for jobs that share out their work among those who are there. Returns when all of these are done.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub(crate) fn run_whoever_comes(&mut self, job: impl Fn(usize, &Barrier) + Sync) {
        self.start(&job, 0);
    }

    /// `least` workers have to take part.
    fn start(&mut self, job: &(dyn Fn(usize, &Barrier) + Sync), least: u32) {
        assert!(!self.shared.panicked.load(Acquire), "a worker thread panicked earlier");
        if self.workers.is_empty() {
            return job(0, &self.shared.barrier);
        }
        self.keep_apart();
        let shared = &*self.shared;
        let mut erased = Job(job);
        shared.finished.store(0, Relaxed);
        shared.job.store((&raw mut erased).cast(), Relaxed);
        let number = (shared.gate.load(Relaxed) >> 32).wrapping_add(1) << 32;
        shared.gate.store(number, Release);
        // Who comes too late for this job need not look out for it.
        shared.called.store(false, Release);
        self.wake();
        // Also when `job` unwinds here, the workers are done with it before it goes.
        let wait = WaitOnDrop { shared, least };
        job(0, &shared.barrier);
        drop(wait);
        assert!(!shared.panicked.load(Acquire), "a worker thread panicked");
    }
}

struct WaitOnDrop<'a> {
    shared: &'a Shared,
    /// Workers that have to take part.
    least: u32,
}

impl Drop for WaitOnDrop<'_> {
    fn drop(&mut self) {
        let Self { shared, least } = self;
        if thread::panicking() {
            // Workers would wait at the barrier for this thread for ever.
            shared.panicked.store(true, Release);
            shared.barrier.abandon();
        }
        spin_until(|| shared.finished.load(Acquire) >= *least);
        shared.gate.fetch_or(CLOSED, AcqRel);
        spin_until(|| shared.gate.load(Acquire) & INSIDE == 0);
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.quit.store(true, Release);
        for worker in self.workers.drain(..) {
            worker.thread.unpark();
            // A worker's panic was reported by `run`.
            let _ = worker.handle.join();
        }
    }
}

impl Shared {
    fn work(&self, index: usize) {
        let mut last = 0;
        while let Some(number) = self.enter(last) {
            last = number;
            let job = self.job.load(Relaxed).cast::<Job<'_>>();
            let run = || {
                // SAFETY: `Team::start` stored a pointer to a closure that lives on its stack until the gate is closed and nobody is
                // inside, which needs this thread's decrement below; entering acquired what opening the gate released.
                let job = unsafe { &*job };
                (job.0)(index, &self.barrier);
            };
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err() {
                self.panicked.store(true, Release);
                self.barrier.abandon();
            }
            self.finished.fetch_add(1, Release);
            self.gate.fetch_sub(1, Release);
        }
    }

    /// Waits for another job than `last` and takes part in it; `None` when the team ends.
    fn enter(&self, last: u64) -> Option<u64> {
        let mut idle_since = None;
        let mut spins = 0;
        loop {
            let gate = self.gate.load(Acquire);
            let number = gate >> 32;
            if number != last && gate & CLOSED == 0 {
                if self.gate.compare_exchange(gate, gate + 1, AcqRel, Relaxed).is_ok() {
                    return Some(number);
                }
                continue;
            }
            if self.quit.load(Acquire) {
                return None;
            }
            std::hint::spin_loop();
            spins += 1;
            if spins < SPINS {
                continue;
            }
            let patience = if self.called.load(Acquire) { CALLED } else { LINGER };
            if idle_since.get_or_insert_with(Instant::now).elapsed() < patience {
                thread::yield_now();
            } else {
                thread::park();
                idle_since = None;
            }
        }
    }
}

impl Barrier {
    /// Waits for every member of the team.
    pub(crate) fn wait(&self) {
        if self.size == 1 {
            return;
        }
        let round = self.round.load(Acquire);
        if self.arrived.fetch_add(1, AcqRel) + 1 == self.size {
            self.arrived.store(0, Relaxed);
            self.round.store(round.wrapping_add(1), Release);
        } else {
            spin_until(|| self.round.load(Acquire) != round || self.is_abandoned());
            self.leave_if_abandoned();
        }
    }

    /// Waits for something that another member does, as long as all are there.
    pub(crate) fn wait_until(&self, done: impl Fn() -> bool) {
        spin_until(|| done() || self.is_abandoned());
        self.leave_if_abandoned();
    }

    const ABANDONED: u32 = 1 << 31;

    /// Ends the job of everyone who waits from now on: a member will not come any more.
    fn abandon(&self) {
        self.arrived.store(Self::ABANDONED, Release);
    }

    fn is_abandoned(&self) -> bool {
        self.arrived.load(Acquire) >= Self::ABANDONED
    }

    /// Unwinds when a member will not come any more: what follows would read what that one left half done, or what others,
    /// who have not noticed yet, still write. Without a message: the panic that began it had one.
    pub(super) fn leave_if_abandoned(&self) {
        if self.is_abandoned() {
            std::panic::resume_unwind(Box::new("a member of the team panicked"));
        }
    }
}

fn spin_until(done: impl Fn() -> bool) {
    let mut wait = Wait::default();
    while !done() {
        wait.turn(1);
    }
}

/// A member's wait for what others do, turn by turn.
#[derive(Debug, Default)]
pub(super) struct Wait {
    spins: u32,
}

impl Wait {
    /// Lets a moment pass; now and then it offers the core to others. `spins`: how many turns of a loop that does nothing
    /// else the last look at what is waited for took.
    pub(super) fn turn(&mut self, spins: u32) {
        let before = self.spins / SPINS;
        self.spins = self.spins.wrapping_add(spins);
        if self.spins / SPINS == before {
            std::hint::spin_loop();
        } else {
            thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn every_member_runs_every_job_in_step() {
        for size in 1..=4 {
            let mut team = Team::new(size);
            let counter = AtomicUsize::new(0);
            for round in 1..=200 {
                team.run(|_, barrier| {
                    counter.fetch_add(1, Relaxed);
                    barrier.wait();
                    assert_eq!(counter.load(Relaxed), size * (2 * round - 1));
                    barrier.wait();
                    counter.fetch_add(1, Relaxed);
                    barrier.wait();
                });
                if round == 100 {
                    thread::sleep(Duration::from_millis(2)); // workers fall asleep and are woken
                }
            }
            assert_eq!(counter.into_inner(), size * 400);
        }
    }

    #[test]
    fn called_workers_do_the_job_that_follows_soon_or_late() {
        let mut team = Team::new(3);
        let counter = AtomicUsize::new(0);
        for pause in [Duration::ZERO, CALLED / 4, 2 * CALLED] {
            team.call();
            thread::sleep(pause);
            team.run(|_, _| {
                counter.fetch_add(1, Relaxed);
            });
            assert!(!team.shared.called.load(Relaxed), "nobody looks out for a job that has come");
        }
        assert_eq!(counter.into_inner(), 9);
    }

    #[test]
    fn a_panic_on_a_worker_is_reported() {
        let mut team = Team::new(2);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            team.run(|index, barrier| {
                assert!(index == 0, "as meant");
                barrier.wait();
            });
        }));
        assert!(result.is_err());
    }

    #[test]
    fn after_a_panic_nobody_goes_on() {
        for lost in 0..3 {
            let gone_on = AtomicUsize::new(0);
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                Team::new(3).run(|index, barrier| {
                    assert!(index != lost, "as meant");
                    if index == 2 {
                        barrier.wait_until(|| false);
                    } else {
                        barrier.wait();
                    }
                    gone_on.fetch_add(1, Relaxed);
                });
            }));
            assert!(result.is_err());
            assert_eq!(gone_on.into_inner(), 0);
        }
    }

    #[test]
    fn a_panic_on_the_caller_s_thread_leaves_no_worker_waiting() {
        let mut team = Team::new(3);
        let mut run = || {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                team.run(|index, barrier| {
                    assert!(index != 0, "as meant");
                    barrier.wait();
                });
            }))
        };
        assert!(run().is_err());
        assert!(run().is_err(), "a team that lost a member runs nothing more");
    }
}
