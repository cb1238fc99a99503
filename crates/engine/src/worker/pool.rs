//! The loop of a working node: permits first, then claims; drained gracefully.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::execute::{execute, execute_with};
use crate::engine::Engine;
use crate::queue::claim;
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

/// Attempts end in crowds: when most permits are taken, one claim serves all that are given back in this time.
const GATHER: Duration = Duration::from_millis(1);
/// The first look again for jobs that are ready and could not be got; then twice as long each time.
const SOON: Duration = Duration::from_millis(2);
const LATEST: Duration = Duration::from_secs(1);

/// Works one queue until `stop`; then hands in what runs within `drain`, and leaves the rest to rescue.
pub async fn work_queue(
    engine: Arc<Engine>,
    queue: Queue,
    permits: usize,
    stop: CancellationToken,
    drain: Duration,
) {
    let free = Arc::new(Semaphore::new(permits));
    let under_way = TaskTracker::new();
    let mut again = SOON;
    while !stop.is_cancelled() {
        let first = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            first = free.clone().acquire_owned() => first,
        };
        let Ok(first) = first else { break };
        if free.available_permits() < permits / 2 {
            tokio::time::sleep(GATHER).await;
        }
        let more = free.available_permits();
        let taken = match u32::try_from(more).ok().filter(|n| *n > 0) {
            Some(n) => free.clone().try_acquire_many_owned(n).ok(),
            None => None,
        };
        let mut held = first;
        if let Some(more) = taken {
            held.merge(more);
        }
        let claimed = engine.claim(queue, held.num_permits()).await;
        let none = claimed.jobs.is_empty();
        for job in claimed.jobs {
            let Some(permit) = held.split(1) else { break };
            let engine = engine.clone();
            // a follow-up holds no run open; in virtual time its end may let time go on
            let planner_waits = !job.is_follow_up() || engine.clock.is_set();
            // (boxed: spawning moves a future about, and this one is large)
            under_way.spawn(Box::pin(async move {
                execute_with(&engine, job, permit).await;
                engine.job_ended.notify_waiters();
                if planner_waits {
                    engine.wake_planner.notify_one();
                }
            }));
        }
        drop(held);
        engine.claim_loop_alive();
        if none {
            let rest = if claimed.some_ready { again } else { engine.claim_rest() };
            again = (again * 2).min(LATEST);
            tokio::select! {
                () = engine.job_arrived(queue) => {}
                () = tokio::time::sleep(rest) => {}
                () = stop.cancelled() => {}
            }
        } else {
            again = SOON;
        }
    }
    under_way.close();
    if tokio::time::timeout(drain, under_way.wait()).await.is_err() {
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
            let jobs = engine.claim(queue, 16).await.jobs;
            round += jobs.len();
            futures::future::join_all(jobs.into_iter().map(|job| execute(engine, job))).await;
        }
        worked += round;
        if round == 0 {
            return Ok(worked);
        }
    }
}
