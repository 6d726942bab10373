//! Pending frames of all streams, shared out fairly.
//!
//! Each stream has a lane. A lane of newest frames holds one: a newer frame takes the place of the one that waits,
//! so latency cannot grow. Whose turn it is: the lane that has used the least time so far, by the cost that was measured
//! (start-time fair queueing, Goyal, Vin and Cheng 1996). A stream of huge or frequent frames waits for itself and not
//! for the others. Streams of one client share one client's part: each is charged for all of them.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::job::Job;

/// A lane's number.
pub(crate) type LaneId = u64;

/// What happens to a frame that finds the lane full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// It takes the place of the one that waits.
    Newest,
    /// It is turned away; this many may wait.
    Bounded(usize),
}

/// What became of a submitted frame.
pub(crate) enum Submitted {
    /// It waits.
    Queued,
    /// It waits, and this older one does no longer.
    Replaced(Job),
    /// No room, no such lane, or the server shuts down.
    Refused(Job),
}

struct Lane {
    policy: Policy,
    /// The client that shares its part among its lanes; `None` for one that stands alone.
    client: Option<IpAddr>,
    pending: VecDeque<Job>,
    /// A worker has a frame of this lane; results of a lane keep their order.
    busy: bool,
    /// Time used so far; lifted to [`Lanes::now`] when the lane wakes up, so rest earns no credit.
    spent: Duration,
}

#[derive(Default)]
struct Lanes {
    lanes: HashMap<LaneId, Lane>,
    next: LaneId,
    /// What the lane whose frame was taken last had used by then (the virtual time of start-time fair queueing).
    now: Duration,
    closed: bool,
}

/// The queue; shared by sessions and workers.
#[derive(Default)]
pub(crate) struct Queue {
    lanes: Mutex<Lanes>,
    wake: Condvar,
}

impl Queue {
    /// Opens a lane of `client`.
    pub(crate) fn open(&self, policy: Policy, client: Option<IpAddr>) -> LaneId {
        let mut lanes = self.lock();
        let id = lanes.next;
        lanes.next += 1;
        let lane = Lane { policy, client, pending: VecDeque::new(), busy: false, spent: Duration::ZERO };
        lanes.lanes.insert(id, lane);
        id
    }

    /// Closes a lane; a frame that waits in it is forgotten.
    pub(crate) fn close_lane(&self, id: LaneId) {
        self.lock().lanes.remove(&id);
    }

    /// Puts a frame into a lane.
    pub(crate) fn submit(&self, id: LaneId, job: Job) -> Submitted {
        let mut lanes = self.lock();
        if lanes.closed {
            return Submitted::Refused(job);
        }
        let now = lanes.now;
        let Some(lane) = lanes.lanes.get_mut(&id) else { return Submitted::Refused(job) };
        if lane.pending.is_empty() && !lane.busy {
            lane.spent = lane.spent.max(now);
        }
        let outcome = match lane.policy {
            Policy::Newest => match lane.pending.pop_front() {
                Some(older) => Submitted::Replaced(older),
                None => Submitted::Queued,
            },
            Policy::Bounded(most) if lane.pending.len() >= most => return Submitted::Refused(job),
            Policy::Bounded(_) => Submitted::Queued,
        };
        lane.pending.push_back(job);
        drop(lanes);
        self.wake.notify_one();
        outcome
    }

    /// Waits for a frame; `None` when the queue is closed.
    pub(crate) fn take(&self) -> Option<(LaneId, Job)> {
        let mut lanes = self.lock();
        loop {
            if lanes.closed {
                return None;
            }
            let ready = lanes.lanes.iter_mut().filter(|(_, lane)| !lane.busy && !lane.pending.is_empty());
            if let Some((&id, lane)) = ready.min_by_key(|(id, lane)| (lane.spent, **id))
                && let Some(job) = lane.pending.pop_front()
            {
                lane.busy = true;
                lanes.now = lane.spent.max(lanes.now);
                return Some((id, job));
            }
            lanes = self.wake.wait(lanes).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Tells what a frame that was taken has cost; the lane's next one may then be taken.
    pub(crate) fn finish(&self, id: LaneId, cost: Duration) {
        let mut lanes = self.lock();
        let client = lanes.lanes.get(&id).and_then(|lane| lane.client);
        let siblings =
            client.map_or(1, |_| lanes.lanes.values().filter(|lane| lane.client == client).count());
        if let Some(lane) = lanes.lanes.get_mut(&id) {
            lane.busy = false;
            lane.spent += cost * u32::try_from(siblings).unwrap_or(u32::MAX);
        }
        drop(lanes);
        self.wake.notify_one();
    }

    /// Ends the workers and hands back what still waits.
    pub(crate) fn close(&self) -> Vec<Job> {
        let mut lanes = self.lock();
        lanes.closed = true;
        let left = lanes.lanes.values_mut().flat_map(|lane| lane.pending.drain(..)).collect();
        drop(lanes);
        self.wake.notify_all();
        left
    }

    fn lock(&self) -> MutexGuard<'_, Lanes> {
        // Every change of the lanes is complete before anything that could panic.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use gesto::Orientation;
    use gesto_media::Picture;

    use super::*;
    use crate::engine::job::{Answer, Payload, Reply};
    use crate::settings::{Network, Settings, Thresholds};

    struct Nowhere;
    impl Reply for Nowhere {
        fn answer(self: Box<Self>, _: Answer<'_>) {}
    }

    /// A job that is recognised by its picture's width.
    fn job(width: u32) -> Job {
        let network = Network {
            size: [64, 64],
            fit: String::new(),
            resize: String::new(),
            unit: String::new(),
            hands: true,
            body: true,
        };
        Job {
            payload: Payload::Picture(Picture::from_rgb(width, 1, vec![0; 3 * width as usize]).unwrap()),
            orientation: Orientation::default(),
            settings: Arc::new(Settings { network, thresholds: Thresholds::default() }),
            received: Instant::now(),
            reply: Box::new(Nowhere),
        }
    }

    fn width(job: &Job) -> u32 {
        match &job.payload {
            Payload::Picture(picture) => picture.width(),
            Payload::Encoded { width, .. } => *width,
        }
    }

    #[test]
    fn a_newer_frame_replaces_the_one_that_waits() {
        let queue = Queue::default();
        let lane = queue.open(Policy::Newest, None);
        assert!(matches!(queue.submit(lane, job(1)), Submitted::Queued));
        assert!(matches!(queue.submit(lane, job(2)), Submitted::Replaced(old) if width(&old) == 1));
        let (_, taken) = queue.take().unwrap();
        assert_eq!(width(&taken), 2);
        // One is being worked on, one waits, and that one is the newest.
        assert!(matches!(queue.submit(lane, job(3)), Submitted::Queued));
        assert!(matches!(queue.submit(lane, job(4)), Submitted::Replaced(old) if width(&old) == 3));
    }

    #[test]
    fn a_bounded_lane_turns_away_and_keeps_order() {
        let queue = Queue::default();
        let lane = queue.open(Policy::Bounded(2), None);
        for w in [1, 2] {
            assert!(matches!(queue.submit(lane, job(w)), Submitted::Queued));
        }
        assert!(matches!(queue.submit(lane, job(3)), Submitted::Refused(_)));
        for w in [1, 2] {
            let (id, taken) = queue.take().unwrap();
            assert_eq!(width(&taken), w);
            queue.finish(id, Duration::ZERO);
        }
    }

    #[test]
    fn a_costly_lane_does_not_slow_the_cheap_one() {
        let queue = Queue::default();
        let (cheap, costly) = (queue.open(Policy::Newest, None), queue.open(Policy::Newest, None));
        let mut turns = [0, 0];
        for _ in 0..110 {
            for (lane, w) in [(cheap, 1), (costly, 2)] {
                queue.submit(lane, job(w));
            }
            let (id, _) = queue.take().unwrap();
            let of_cheap = id == cheap;
            turns[usize::from(!of_cheap)] += 1;
            queue.finish(id, Duration::from_millis(if of_cheap { 5 } else { 50 }));
        }
        assert!(
            (95..=105).contains(&turns[0]),
            "{turns:?}: ten cheap frames for one that costs ten times as much"
        );
    }

    #[test]
    fn many_streams_of_one_client_share_its_part() {
        let queue = Queue::default();
        let [one, many]: [IpAddr; 2] = [[192, 0, 2, 1].into(), [192, 0, 2, 2].into()];
        let lone = queue.open(Policy::Newest, Some(one));
        let lanes: Vec<_> = (0..9).map(|_| queue.open(Policy::Newest, Some(many))).collect();
        let mut of_lone = 0;
        for _ in 0..200 {
            for lane in lanes.iter().chain([&lone]) {
                queue.submit(*lane, job(1));
            }
            let (id, _) = queue.take().unwrap();
            of_lone += usize::from(id == lone);
            queue.finish(id, Duration::from_millis(5));
        }
        assert!((90..=110).contains(&of_lone), "{of_lone} of 200: half, though it is one of ten");
    }

    #[test]
    fn rest_earns_no_credit() {
        let queue = Queue::default();
        let (worker, rester) = (queue.open(Policy::Newest, None), queue.open(Policy::Newest, None));
        for _ in 0..50 {
            queue.submit(worker, job(1));
            let (id, _) = queue.take().unwrap();
            queue.finish(id, Duration::from_millis(10));
        }
        let mut of_rester = 0;
        for _ in 0..20 {
            queue.submit(worker, job(1));
            queue.submit(rester, job(2));
            let (id, _) = queue.take().unwrap();
            of_rester += usize::from(id == rester);
            queue.finish(id, Duration::from_millis(10));
        }
        assert!((9..=11).contains(&of_rester), "{of_rester} of 20");
    }

    #[test]
    fn closing_wakes_the_workers_and_returns_what_waits() {
        let queue = Arc::new(Queue::default());
        let lane = queue.open(Policy::Newest, None);
        let waiting = std::thread::spawn({
            let queue = Arc::clone(&queue);
            move || {
                let first = queue.take();
                assert!(first.is_some());
                queue.take().is_none()
            }
        });
        queue.submit(lane, job(1));
        std::thread::sleep(Duration::from_millis(50));
        queue.submit(lane, job(2));
        // Busy lane: the second frame is still there.
        assert_eq!(queue.close().len(), 1);
        assert!(waiting.join().unwrap());
        assert!(matches!(queue.submit(lane, job(3)), Submitted::Refused(_)));
    }
}
