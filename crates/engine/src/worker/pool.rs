//! The loop of a working node: permits first, then claims; drained gracefully.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::execute::execute;
use crate::engine::Engine;
use crate::queue::{JobKind, claim};
use crate::spec::Queue;

/// How many attempts of each queue a node runs at once.
#[derive(Clone, Copy, Debug)]
pub struct Permits {
    pub default: usize,
    pub heavy: usize,
    pub notify: usize,
    pub monitor: usize,
}

impl Default for Permits {
    fn default() -> Permits {
        Permits { default: 16, heavy: 1, notify: 8, monitor: 4 }
    }
}

impl Permits {
    /// The permits of one queue.
    pub fn of(&self, queue: Queue) -> usize {
        match queue {
            Queue::Default => self.default,
            Queue::Heavy => self.heavy,
            Queue::Notify => self.notify,
            Queue::Monitor => self.monitor,
        }
    }
}

/// Works one queue until `stop`; then hands in what runs within `drain`, and leaves the rest to rescue.
pub async fn work_queue(
    engine: Arc<Engine>,
    queue: Queue,
    permits: usize,
    stop: CancellationToken,
    drain: Duration,
) {
    let free = Arc::new(Semaphore::new(permits));
    let all = u32::try_from(permits).unwrap_or(u32::MAX);
    while !stop.is_cancelled() {
        let first = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            first = free.clone().acquire_owned() => first,
        };
        let Ok(first) = first else { break };
        let more = free.available_permits();
        let taken = match u32::try_from(more).ok().filter(|n| *n > 0) {
            Some(n) => free.clone().try_acquire_many_owned(n).ok(),
            None => None,
        };
        let mut held = first;
        if let Some(more) = taken {
            held.merge(more);
        }
        let jobs = engine.claim(queue, held.num_permits()).await;
        let claimed = jobs.len();
        for job in jobs {
            let Some(permit) = held.split(1) else { break };
            let engine = engine.clone();
            // a follow-up holds no run open; in virtual time its end may let time go on
            let planner_waits = job.kind != JobKind::FollowUp || engine.clock.is_set();
            tokio::spawn(async move {
                execute(&engine, job).await;
                engine.job_ended.notify_waiters();
                if planner_waits {
                    engine.wake_planner.notify_one();
                }
                drop(permit);
            });
        }
        drop(held);
        engine.claim_loop_alive();
        if claimed == 0 {
            tokio::select! {
                () = engine.job_arrived(queue) => {}
                () = tokio::time::sleep(engine.poll_every()) => {}
                () = stop.cancelled() => {}
            }
        }
    }
    let finished = tokio::time::timeout(drain, free.acquire_many(all)).await;
    if finished.is_err() {
        tracing::warn!(
            queue = queue.name(),
            "draining took too long; the rest is rescued by another node"
        );
    }
}

/// Claims and executes until nothing is ready; for tests and foreground runs of one process.
pub async fn work_until_empty(engine: &Engine) -> Result<usize, sqlx::Error> {
    let mut worked = 0;
    loop {
        claim::promote(&engine.pool, engine.clock.now()).await?;
        let mut round = 0;
        for queue in Queue::ALL {
            let jobs = engine.claim(queue, 16).await;
            round += jobs.len();
            futures::future::join_all(jobs.into_iter().map(|job| execute(engine, job))).await;
        }
        worked += round;
        if round == 0 {
            return Ok(worked);
        }
    }
}
