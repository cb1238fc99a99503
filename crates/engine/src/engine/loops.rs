//! The loops of a serving node: when each last went round, and how long they rest.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use super::Engine;
use crate::spec::Queue;

/// The planner looks no sooner again, and no later.
const PLAN_REST: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));
/// A loop without work looks for jobs so often: where arrivals are heard of, and where they are not.
const CLAIM_REST: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(1));
/// Runs are started for arrivals no more often: what arrives meanwhile goes into one.
const ARRIVALS_REST_MS: i64 = 1000;
/// In virtual time, where a night passes in seconds.
const VIRTUAL_REST: Duration = Duration::from_millis(20);

impl Engine {
    pub(crate) fn claim_loop_alive(&self) {
        self.claim_looped_ms.store(self.uptime_ms(), Ordering::Relaxed);
    }

    pub(crate) fn plan_loop_alive(&self) {
        self.plan_looped_ms.store(self.uptime_ms(), Ordering::Relaxed);
    }

    /// Real seconds since the planner last finished a step: its health. 0 on a node that does not plan.
    pub fn planner_behind(&self) -> f64 {
        if self.plans { self.since(&self.planned_ms) } else { 0.0 }
    }

    /// Real seconds since the planner's and the claims' loops last went round, well or not: the watchdog's measure.
    pub(crate) fn loops_silent(&self) -> (f64, f64) {
        (self.since(&self.plan_looped_ms), self.since(&self.claim_looped_ms))
    }

    /// How long the planner rests: until the next scheduled job or arrival is due, at most a poll.
    pub(crate) fn plan_rest(&self) -> Duration {
        let poll = if self.clock.is_set() { VIRTUAL_REST } else { PLAN_REST.1 };
        let next = Timestamp::from_microsecond(self.next_due.load(Ordering::Relaxed));
        let Ok(next) = next else { return poll };
        let until = Duration::try_from(next.duration_since(self.clock.now())).unwrap_or_default();
        // what is due and still there is locked at this instant
        until.clamp(PLAN_REST.0, poll)
    }

    /// Whether it is time to start runs for what has arrived, and if so, notes that they are. Only where arrivals are
    /// heard of is there a pace to keep.
    pub(crate) fn may_start_arrived(&self) -> bool {
        let (now, last) = (self.uptime_ms(), self.arrived_ms.load(Ordering::Relaxed));
        let may = !self.listening.load(Ordering::Relaxed) || now - last >= ARRIVALS_REST_MS;
        if may {
            self.arrived_ms.store(now, Ordering::Relaxed);
        }
        may
    }

    /// How often a loop without work looks for jobs without being told.
    pub(crate) fn claim_rest(&self) -> Duration {
        match (self.clock.is_set(), self.listening.load(Ordering::Relaxed)) {
            (true, _) => VIRTUAL_REST,
            (false, true) => CLAIM_REST.0,
            (false, false) => CLAIM_REST.1,
        }
    }

    /// Arrivals are heard of from now on, or no longer; those of the meantime are looked for.
    pub(crate) fn listens(&self, listening: bool) {
        self.listening.store(listening, Ordering::Relaxed);
        Queue::ALL.into_iter().for_each(|queue| self.wake(queue));
    }

    fn since(&self, then: &AtomicI64) -> f64 {
        (self.uptime_ms() - then.load(Ordering::Relaxed)) as f64 / 1000.0
    }

    pub(super) fn uptime_ms(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}
