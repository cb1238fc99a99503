//! The attempts under way in this node, and how each is told to stop.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::queue::Job;

/// A job and the fencing token of one attempt at it. A job that was lost may be claimed by the same node again, while
/// the attempt before has not heard of it yet: they are two.
pub(crate) type Attempted = (i64, i64);

/// How an attempt is told to stop.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    /// Its run may be cancelled; a follow-up belongs to work that has committed, and goes on.
    run: Option<i64>,
    /// Its run was cancelled by a person.
    pub cancelled: CancellationToken,
    /// It is no longer this node's.
    pub lost: CancellationToken,
}

/// The attempts that this node holds.
#[derive(Debug, Default)]
pub(crate) struct HeldJobs(Mutex<HashMap<Attempted, Held>>);

impl HeldJobs {
    /// Holds an attempt.
    pub fn hold(&self, job: &Job) -> Held {
        let run = job.run.filter(|_| !job.is_follow_up());
        let held = Held { run, ..Held::default() };
        self.with(|all| all.insert((job.id, job.token), held.clone()));
        held
    }

    /// It has ended.
    pub fn let_go(&self, attempt: Attempted) {
        self.with(|all| all.remove(&attempt));
    }

    /// All of them, and their runs that may be cancelled.
    pub fn list(&self) -> (Vec<Attempted>, Vec<i64>) {
        self.with(|all| {
            (all.keys().copied().collect(), all.values().filter_map(|held| held.run).collect())
        })
    }

    /// Tells those that are lost, and those of cancelled runs.
    pub fn tell(&self, lost: &[Attempted], cancelled: &[i64]) {
        self.with(|all| {
            for (attempt, held) in all.iter() {
                if lost.contains(attempt) {
                    held.lost.cancel();
                } else if held.run.is_some_and(|run| cancelled.contains(&run)) {
                    held.cancelled.cancel();
                }
            }
        });
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.with(|all| all.len())
    }

    fn with<T>(&self, f: impl FnOnce(&mut HashMap<Attempted, Held>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
