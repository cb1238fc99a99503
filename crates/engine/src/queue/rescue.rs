//! Jobs of workers that fell silent: raise the token, terminate exactly their backends, then settle them as lost.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::Executor;
use sqlx::postgres::PgPool;

use super::settle::{Settlement, settle};
use super::{Job, LEASE_SECONDS};
use crate::outcome::{Cause, Stop};
use crate::registry::Registry;
use crate::tx::Tx;

/// Rescues jobs whose lease ran out; returns how many went back to the queue or to the dead letters.
pub async fn rescue(
    pool: &PgPool,
    registry: &Registry,
    now: Timestamp,
) -> Result<usize, sqlx::Error> {
    let expired = expired(pool, registry).await?;
    if expired.is_empty() {
        return Ok(0);
    }
    let raised: Vec<Job> = sqlx::query_as(include_str!("rescue_raise.sql"))
        .bind(LEASE_SECONDS)
        .bind(registry.ids())
        .fetch_all(pool)
        .await?;
    if let Err(error) = terminate(pool, &raised, &expired, registry).await {
        // their tokens are raised: whatever goes on commits nothing
        tracing::warn!(%error, jobs = raised.len(), "backends of lost attempts could not be ended");
    }
    let lost: Vec<Settlement> = raised
        .iter()
        .filter_map(|job| {
            let spec = registry.get(&job.batch)?.spec();
            let stop = Stop::retry(Cause::Lost, "the worker fell silent; its lease ran out");
            Some(Settlement::stopped(job, spec, &stop, now))
        })
        .collect();
    Ok(settle(pool, &lost, &[], now).await?.len())
}

/// The attempts (job, token) of known batches whose lease ran out.
async fn expired(pool: &PgPool, registry: &Registry) -> Result<Vec<(i64, i64)>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, token FROM yakin.jobs
          WHERE state = 'running' AND lease_until < clock_timestamp() AND batch_id = ANY ($1)
          ORDER BY lease_until, id LIMIT 1000",
    )
    .bind(registry.ids())
    .fetch_all(pool)
    .await
}

/// When the next lease of a known batch's job runs out, from now; none where none is to run out. (What has run out
/// already could not be rescued by the last look.)
pub async fn next_expiry(
    pool: &PgPool,
    registry: &Registry,
) -> Result<Option<Duration>, sqlx::Error> {
    let seconds: Option<f64> = sqlx::query_scalar(
        "SELECT extract(epoch FROM min(lease_until) - clock_timestamp())::float8 FROM yakin.jobs
          WHERE state = 'running' AND lease_until > clock_timestamp() AND batch_id = ANY ($1)",
    )
    .bind(registry.ids())
    .fetch_one(pool)
    .await?;
    Ok(seconds.map(|s| Duration::from_secs_f64(s.max(0.0)) + Duration::from_millis(1)))
}

/// Ends the backends of exactly the attempts that were lost: those raised, and those that could not be raised because
/// their own silent transaction holds the row; with any earlier of the same job, whose rescuer may have died before it
/// came to this. An attempt whose heartbeat came at the last instant is left alone, and so is another Yakin's on the same
/// server: its jobs have the same numbers.
async fn terminate(
    pool: &PgPool,
    raised: &[Job],
    expired: &[(i64, i64)],
    registry: &Registry,
) -> Result<(), sqlx::Error> {
    let still = self::expired(pool, registry).await?;
    let lost = raised.iter().map(|job| (job.id, job.token - 1));
    let lost = lost.chain(expired.iter().copied().filter(|attempt| still.contains(attempt)));
    let (jobs, tokens): (Vec<i64>, Vec<i64>) = lost.unzip();
    let mut tx = Tx::engine(pool).await?;
    // backends belong to the login, which need not be the engine's role itself
    tx.inner()?.execute("SET LOCAL ROLE NONE").await?;
    sqlx::query(include_str!("rescue_terminate.sql"))
        .bind(jobs)
        .bind(tokens)
        .execute(tx.inner()?)
        .await?;
    tx.commit().await
}
