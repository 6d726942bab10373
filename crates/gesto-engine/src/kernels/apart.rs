//! Keeps a team's workers off the processor that their caller runs on.
//!
//! A scheduler that would rather leave a processor asleep (on a virtual machine waking one is dear) may wake a worker on the
//! caller's, where it gets nothing done until the caller has computed the whole frame by itself.

use std::sync::OnceLock;

/// A worker thread and where it may run. Filled by the thread itself when it starts.
#[derive(Debug, Default)]
pub(super) struct Place(OnceLock<system::Thread>);

/// The processor that a worker is kept off, as its team remembers it.
#[derive(Debug, Default)]
pub(super) struct Avoided(Option<usize>);

impl Place {
    /// Called by the worker.
    pub(super) fn tell(&self) {
        if let Some(thread) = system::Thread::current() {
            _ = self.0.set(thread);
        }
    }

    /// Called by the team's caller before it wakes the worker: a system call when the caller has moved, nothing else.
    /// `members` are the team's; without a processor for each there is nothing to be gained.
    pub(super) fn keep_off_mine(&self, members: usize, avoided: &mut Avoided) {
        let Some(thread) = self.0.get() else { return };
        let here = system::here();
        if avoided.0 != Some(here) {
            avoided.0 = Some(here);
            thread.keep_off(here, members);
        }
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
mod system {
    use rustix::thread::{CpuSet, Pid, gettid, sched_getaffinity, sched_getcpu, sched_setaffinity};

    #[derive(Debug)]
    pub(super) struct Thread {
        id: Pid,
        /// Where it might run when it started: what the process was given.
        allowed: CpuSet,
    }

    impl Thread {
        pub(super) fn current() -> Option<Self> {
            Some(Self { id: gettid(), allowed: sched_getaffinity(None).ok()? })
        }

        /// Refused where the process is not the master of its threads; then they run where the scheduler likes.
        pub(super) fn keep_off(&self, processor: usize, members: usize) {
            if processor < CpuSet::MAX_CPU && self.allowed.count() as usize >= members.max(2) {
                let mut rest = self.allowed;
                rest.unset(processor);
                _ = sched_setaffinity(Some(self.id), &rest);
            }
        }
    }

    pub(super) fn here() -> usize {
        sched_getcpu()
    }
}

/// Other systems have no such call, or none that is meant for this; nor has Miri.
#[cfg(not(all(target_os = "linux", not(miri))))]
mod system {
    #[derive(Debug)]
    pub(super) enum Thread {}

    impl Thread {
        pub(super) fn current() -> Option<Self> {
            None
        }

        pub(super) fn keep_off(&self, _processor: usize, _members: usize) {
            match *self {}
        }
    }

    pub(super) fn here() -> usize {
        0
    }
}

#[cfg(all(test, target_os = "linux", not(miri)))]
mod tests {
    use std::io::Write as _;

    use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

    use crate::kernels::team::Team;

    /// Where this thread and the worker of a team of two may run, after a job begun on `processor` alone.
    fn affinity_after_a_job(team: &mut Team, processor: usize) -> CpuSet {
        let mut only = CpuSet::new();
        only.set(processor);
        sched_setaffinity(None, &only).unwrap();
        let worker = std::sync::Mutex::new(None);
        // The first job waits for the worker's start, the second finds it where it was sent.
        for _ in 0..2 {
            team.run(|index, _| {
                if index == 1 {
                    *worker.lock().unwrap() = sched_getaffinity(None).ok();
                }
            });
        }
        worker.into_inner().unwrap().unwrap()
    }

    #[test]
    fn a_worker_leaves_its_caller_s_processor_and_no_other() {
        let allowed = sched_getaffinity(None).unwrap();
        if allowed.count() < 2 {
            // Unlike `println!`, this shows for tests that pass.
            _ = writeln!(std::io::stderr(), "skipped: one processor for all");
            return;
        }
        let here = sched_getcpu();
        let other = (0..CpuSet::MAX_CPU).find(|&cpu| cpu != here && allowed.is_set(cpu)).unwrap();
        let mut team = Team::new(2);
        for processor in [here, other, here] {
            let mut rest = allowed;
            rest.unset(processor);
            assert_eq!(affinity_after_a_job(&mut team, processor), rest);
        }
        // With more members than processors some share one anyway.
        sched_setaffinity(None, &allowed).unwrap();
        let mut crowd = Team::new(allowed.count() as usize + 1);
        let seen = std::sync::Mutex::new(Vec::new());
        for _ in 0..2 {
            crowd.run(|_, _| seen.lock().unwrap().push(sched_getaffinity(None).unwrap()));
        }
        assert!(seen.into_inner().unwrap().iter().all(|each| *each == allowed));
    }
}
