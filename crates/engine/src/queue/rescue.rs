//! Jobs of workers that fell silent: raise the token, terminate exactly their backends, then settle them as lost.

use jiff::Timestamp;
use sqlx::postgres::PgPool;

use super::settle::{Settlement, settle};
use super::{Job, LEASE_SECONDS, label};
use crate::outcome::{Cause, Stop};
use crate::registry::Registry;
use crate::tx::Tx;

/// Rescues jobs whose lease ran out; returns how many went back to the queue or to the dead letters.
pub async fn rescue(
    pool: &PgPool,
    node: i64,
    registry: &Registry,
    now: Timestamp,
) -> Result<usize, sqlx::Error> {
    let expired: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT id, token FROM yakin.jobs WHERE state = 'running' AND lease_until < clock_timestamp()
          ORDER BY lease_until, id LIMIT 1000",
    )
    .fetch_all(pool)
    .await?;
    if expired.is_empty() {
        return Ok(0);
    }
    let raised: Vec<Job> = sqlx::query_as(include_str!("rescue_raise.sql"))
        .bind(node)
        .bind(LEASE_SECONDS)
        .bind(registry.ids())
        .fetch_all(pool)
        .await?;
    let labels: Vec<String> = expired.iter().map(|(id, token)| label(*id, *token)).collect();
    // Also those not raised: their rows are locked by the silent transaction itself, which ends here.
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ANY ($1)",
    )
    .bind(labels)
    .execute(pool)
    .await?;
    let lost: Vec<Settlement> = raised
        .iter()
        .filter_map(|job| {
            let spec = registry.get(&job.batch)?.spec();
            let stop = Stop::retry(Cause::Lost, "the worker fell silent; its lease ran out");
            Some(Settlement::stopped(job, spec, &stop, now))
        })
        .collect();
    let mut tx = Tx::engine(pool).await?;
    let settled = settle(&mut tx, &lost, now).await?;
    tx.commit().await?;
    Ok(settled.len())
}
