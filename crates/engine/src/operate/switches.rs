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
    let queue = known(queue)?;
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
    if !paused {
        wake(&mut tx, &[queue]).await.doing(doing)?;
    }
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
    if !stopped {
        wake(&mut tx, &Queue::ALL.map(Queue::name)).await.doing(doing)?;
    }
    tx.commit().await.doing(doing)
}

/// Tells all nodes to look at these queues.
async fn wake(tx: &mut Tx, queues: &[&str]) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_notify('yakin_jobs', queue) FROM unnest($1) AS queue")
        .bind(queues)
        .execute(tx.inner()?)
        .await
        .map(|_| ())
}

/// A tenant's share of a queue: its turns against the others', and how many of its jobs may run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// 1 (usual) to 100: so many turns for each turn of a tenant of weight 1.
    Weight(i32),
    /// At most so many attempts at once on all nodes; none = no cap.
    Cap(Option<i32>),
}

/// Changes a tenant's share of a queue; taken with the next claim.
pub async fn share(
    pool: &PgPool,
    queue: &str,
    tenant: i64,
    share: Share,
    act: &Act,
) -> Result<(), EngineError> {
    let (doing, queue) = ("changing a tenant's share", known(queue)?);
    let (weight, cap) = match share {
        Share::Weight(weight @ 1..=100) => (Some(weight), None),
        Share::Cap(cap @ (None | Some(1..=1000))) => (None, cap),
        _ => {
            let expected = "expected a weight from 1 to 100, a cap from 1 to 1000";
            return Err(EngineError::refused(format!("{share:?}: {expected}")));
        }
    };
    let mut tx = Tx::engine(pool).await.doing(doing)?;
    // whoever ends attempts at this instant decided by the cap before; they come first, or wait
    sqlx::query("SELECT yakin.caps_stay(false)")
        .execute(tx.inner().doing(doing)?)
        .await
        .doing(doing)?;
    sqlx::query("SELECT yakin.lock_lanes(ARRAY[$1], ARRAY[$2::bigint])")
        .bind(queue)
        .bind(tenant)
        .execute(tx.inner().doing(doing)?)
        .await
        .doing(doing)?;
    let sql = match share {
        Share::Weight(_) => {
            "UPDATE yakin.lanes SET weight = $3 WHERE (queue, tenant_id) = ($1, $2)"
        }
        Share::Cap(_) => "UPDATE yakin.lanes SET cap = $3 WHERE (queue, tenant_id) = ($1, $2)",
    };
    sqlx::query(sql)
        .bind(queue)
        .bind(tenant)
        .bind(weight.or(cap))
        .execute(tx.inner().doing(doing)?)
        .await
        .doing(doing)?;
    let details = json!({"tenant": tenant, "weight": weight, "cap": cap});
    record(&mut tx, act, "lane", queue, details).await.doing(doing)?;
    tx.commit().await.doing(doing)
}

fn known(queue: &str) -> Result<&'static str, EngineError> {
    let names = Queue::ALL.map(Queue::name);
    names.into_iter().find(|name| *name == queue).ok_or_else(|| {
        let near = nearest(queue, names.into_iter());
        let all = names.join(", ");
        EngineError::unknown(format!("unknown queue '{queue}'{near}; queues are {all}"))
    })
}
