//! What a node claims of a queue: nothing while it is paused, and whether more waits than it could get.

use crate::engine::Engine;
use crate::queue::{Job, claim};
use crate::spec::Queue;

/// Jobs claimed.
#[derive(Debug, Default)]
pub struct Claimed {
    pub jobs: Vec<Job>,
    /// Jobs were ready when the claim began. When none was got all the same, others hold their lanes at this instant,
    /// a cap is reached, or they are of batches that this node does not know.
    pub some_ready: bool,
}

impl Engine {
    /// Claims up to `limit` jobs of a queue, unless it is paused or everything is stopped.
    pub async fn claim(&self, queue: Queue, limit: usize) -> Claimed {
        self.try_claim(queue, limit).await.unwrap_or_else(|error| {
            tracing::error!(%error, queue = queue.name(), "claiming jobs failed");
            Claimed::default()
        })
    }

    async fn try_claim(&self, queue: Queue, limit: usize) -> Result<Claimed, sqlx::Error> {
        if !self.may_claim(queue).await? {
            return Ok(Claimed::default());
        }
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let known = self.registry.ids();
        let jobs = claim::claim(&self.pool, queue.name(), limit, self.node, &known).await?;
        Ok(Claimed { jobs, some_ready: true })
    }

    /// Whether the queue is open and has ready jobs; on the way, the shared virtual time and fresh overrides are taken
    /// over.
    async fn may_claim(&self, queue: Queue) -> Result<bool, sqlx::Error> {
        type Row = (bool, Option<jiff_sqlx::Timestamp>, bool);
        let (open, virtual_now, waiting): Row = sqlx::query_as(include_str!("may_claim.sql"))
            .bind(queue.name())
            .fetch_one(&self.pool)
            .await?;
        if let Some(now) = virtual_now {
            self.clock.set(now.to_jiff());
        }
        if open && waiting {
            self.read_overrides().await?;
        }
        Ok(open && waiting)
    }
}
