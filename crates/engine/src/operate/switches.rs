//! Big switches: pause a queue, stop everything.

use serde_json::json;
use sqlx::postgres::PgPool;

use crate::error::{Doing, EngineError};
use crate::record::audit::{Act, record};
use crate::registry::nearest;
use crate::spec::Queue;
use crate::tx::Tx;

/// Pauses or resumes a queue: running attempts end, no new one begins.
pub async fn pause(pool: &PgPool, queue: &str, paused: bool, act: &Act) -> Result<(), EngineError> {
    let doing = "pausing a queue";
    let names = Queue::ALL.map(Queue::name);
    if !names.contains(&queue) {
        let near = nearest(queue, names.into_iter());
        return Err(EngineError::refused(format!(
            "unknown queue '{queue}'{near}; queues are {}",
            names.join(", ")
        )));
    }
    let mut tx = Tx::engine(pool).await.doing(doing)?;
    sqlx::query("UPDATE yakin.queues SET paused = $2, reason = $3 WHERE name = $1")
        .bind(queue)
        .bind(paused)
        .bind(paused.then_some(act.reason.as_str()))
        .execute(tx.inner().doing(doing)?)
        .await
        .doing(doing)?;
    record(&mut tx, act, if paused { "pause" } else { "resume" }, queue, json!({}))
        .await
        .doing(doing)?;
    tx.commit().await.doing(doing)
}

/// Stops or resumes everything: no firing starts, no job is claimed, on any node.
pub async fn stop_all(pool: &PgPool, stopped: bool, act: &Act) -> Result<(), EngineError> {
    let doing = "stopping everything";
    let mut tx = Tx::engine(pool).await.doing(doing)?;
    sqlx::query("UPDATE yakin.control SET stopped = $1, stopped_reason = $2")
        .bind(stopped)
        .bind(stopped.then_some(act.reason.as_str()))
        .execute(tx.inner().doing(doing)?)
        .await
        .doing(doing)?;
    let action = if stopped { "stop-all" } else { "resume-all" };
    record(&mut tx, act, action, "all queues and firings", json!({})).await.doing(doing)?;
    tx.commit().await.doing(doing)
}
