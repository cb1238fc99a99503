//! What a node claims of a queue: nothing while it is paused, and whether more waits than it could get.

use crate::engine::{Engine, STEP};
use crate::queue::{Job, claim};
use crate::spec::Queue;

/// Jobs claimed.
#[derive(Debug, Default)]
pub struct Claimed {
    pub jobs: Vec<Job>,
    /// Jobs were ready. When none was got all the same, others hold their lanes at this instant, a cap is reached, or
    /// they are of batches that this node does not know.
    pub some_ready: bool,
}

impl Engine {
    /// Claims up to `limit` jobs of a queue, unless it is paused or everything is stopped.
    pub async fn claim(&self, queue: Queue, limit: usize) -> Claimed {
        self.queue.within(STEP, self.try_claim(queue, limit)).await.unwrap_or_else(|error| {
            tracing::error!(%error, queue = queue.name(), "claiming jobs failed");
            Claimed::default()
        })
    }

    async fn try_claim(&self, queue: Queue, limit: usize) -> Result<Claimed, sqlx::Error> {
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let known = self.registry.ids();
        let pool = self.queue.now();
        let claim = claim::claim(&pool, queue.name(), limit, self.node, &known);
        if self.clock.is_set() {
            // the time of these jobs is not before the one taken over
            let some_ready = self.take_over(queue).await?;
            return Ok(Claimed { jobs: claim.await?, some_ready });
        }
        // side by side: a job that has just arrived waits for one answer of the database, not for three
        let (jobs, some_ready) = tokio::join!(claim, self.take_over(queue));
        let some_ready = some_ready.unwrap_or_else(|error| {
            tracing::error!(%error, "reading overrides failed; those that were known go on");
            true
        });
        Ok(Claimed { jobs: jobs?, some_ready })
    }

    /// Takes over the shared virtual time and fresh overrides. Whether the queue is open and has ready jobs.
    async fn take_over(&self, queue: Queue) -> Result<bool, sqlx::Error> {
        let (some_ready, virtual_now): (bool, Option<jiff_sqlx::Timestamp>) =
            sqlx::query_as(include_str!("take_over.sql"))
                .bind(queue.name())
                .fetch_one(&self.queue.now())
                .await?;
        if let Some(now) = virtual_now {
            self.clock.set(now.to_jiff());
        }
        if some_ready {
            self.read_overrides().await?;
        }
        Ok(some_ready)
    }
}
