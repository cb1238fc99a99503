//! Starts batches for what has arrived for them: the arrivals go, and a firing with its run comes, in one transaction.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::postgres::PgPool;

use super::planner::deadline;
use super::starter::{Started, Verdict};
use crate::record::runs::{NewRun, create};
use crate::record::start::try_start;
use crate::registry::Registry;
use crate::spec::Spec;
use crate::tx::Tx;
use crate::virtual_time;

/// Starts a run for each batch that something has arrived for, with the tenants that it came for. What cannot be started
/// now is logged and tried again; the others go on.
pub async fn start_arrived(
    pool: &PgPool,
    registry: &Registry,
    now: Timestamp,
) -> Result<Started, sqlx::Error> {
    let batches: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT batch_id FROM yakin.arrivals_to_start
          WHERE batch_id = ANY ($1) AND due_at <= $2 ORDER BY batch_id",
    )
    .bind(registry.ids())
    .bind(now.to_sqlx())
    .fetch_all(pool)
    .await?;
    let mut started = Started::default();
    for batch in batches {
        let Some(known) = registry.get(&batch) else { continue };
        started.count(&batch, start_for(pool, known.spec(), now).await);
    }
    Ok(started)
}

async fn start_for(
    pool: &PgPool,
    spec: &'static Spec,
    now: Timestamp,
) -> Result<Verdict, sqlx::Error> {
    let mut tx = Tx::engine(pool).await?;
    if !virtual_time::stand(&mut tx, now).await? {
        tx.rollback().await?;
        return Ok(Verdict::Wait);
    }
    // one starter per batch at a time, so that no tenant's piece is overlooked
    let mine: Option<String> = sqlx::query_scalar(
        "SELECT id FROM yakin.batches WHERE id = $1 AND enabled FOR UPDATE SKIP LOCKED",
    )
    .bind(spec.id)
    .fetch_optional(tx.inner()?)
    .await?;
    if mine.is_none() {
        tx.rollback().await?;
        return Ok(Verdict::Contended);
    }
    let tenants: Vec<i64> = sqlx::query_scalar(include_str!("arrivals_take.sql"))
        .bind(spec.id)
        .bind(now.to_sqlx())
        .fetch_all(tx.inner()?)
        .await?;
    if tenants.is_empty() {
        tx.rollback().await?;
        return Ok(Verdict::Wait);
    }
    start(&mut tx, spec, tenants, now).await?;
    tx.commit().await?;
    Ok(Verdict::Start)
}

/// Writes a firing of this instant, and its run for these tenants.
async fn start(
    tx: &mut Tx,
    spec: &'static Spec,
    tenants: Vec<i64>,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let planned_at: jiff_sqlx::Timestamp = sqlx::query_scalar(include_str!("arrivals_instant.sql"))
        .bind(spec.id)
        .bind(now.to_sqlx())
        .fetch_one(tx.inner()?)
        .await?;
    let by_firing = NewRun::by_firing(spec, planned_at.to_jiff(), deadline(spec, now, now), now);
    let run = create(tx, spec, NewRun { only_tenants: Some(tenants), ..by_firing }).await?;
    sqlx::query(
        "INSERT INTO yakin.firings (batch_id, planned_at, due_at, state, run_id, started_at)
         VALUES ($1, $2, $3, 'started', $4, $3)",
    )
    .bind(spec.id)
    .bind(planned_at)
    .bind(now.to_sqlx())
    .bind(run)
    .execute(tx.inner()?)
    .await?;
    try_start(tx, spec, run, now).await
}
