//! Dead letters: jobs that gave up and wait for a person.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::{Value, json};
use sqlx::postgres::PgPool;

use super::runs::{Again, rerun};
use crate::error::{Doing, EngineError};
use crate::look::Instant;
use crate::queue::JobKind;
use crate::queue::enqueue::{NewJob, enqueue};
use crate::record::audit::{Act, record};
use crate::registry::Registry;
use crate::tx::Tx;

/// A dead letter that waits.
#[derive(Clone, Debug, serde::Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct DeadLetter {
    pub id: i64,
    pub tenant_id: i64,
    pub batch_id: String,
    pub run_id: Option<i64>,
    pub kind: String,
    pub cause: String,
    pub error: String,
    pub fingerprint: String,
    pub attempts: i32,
    #[schema(value_type = Object)]
    pub job: Value,
    pub died_at: Instant,
}

/// So many are read at once.
const MOST: i64 = 10_000;

/// The waiting dead letters named by number, or all of a fingerprint, or all, the oldest first.
pub async fn waiting(pool: &PgPool, which: Option<&str>) -> Result<Vec<DeadLetter>, EngineError> {
    page(pool, which, 0, MOST).await
}

/// Dead letters of one cause.
#[derive(Clone, Debug, serde::Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct DeadGroup {
    pub fingerprint: String,
    pub letters: i64,
    #[schema(example = "BATCH-302")]
    pub batch_id: String,
    #[schema(example = "data")]
    pub cause: String,
    /// Of the oldest one.
    pub error: String,
    pub oldest_died_at: Instant,
}

/// The groups of dead letters that wait, largest first; at most 1,000.
pub async fn groups(pool: &PgPool) -> Result<Vec<DeadGroup>, EngineError> {
    sqlx::query_as(
        "SELECT fingerprint, count(*) AS letters, (array_agg(batch_id ORDER BY id))[1] AS batch_id,
                (array_agg(cause ORDER BY id))[1] AS cause, (array_agg(error ORDER BY id))[1] AS error,
                min(died_at) AS oldest_died_at
           FROM yakin.dead_letters WHERE state = 'waiting'
          GROUP BY fingerprint ORDER BY count(*) DESC, fingerprint LIMIT 1000",
    )
    .fetch_all(pool)
    .await
    .doing("reading dead letters")
}

/// Those of [`waiting`] with greater numbers than `after`, in their order.
pub async fn page(
    pool: &PgPool,
    which: Option<&str>,
    after: i64,
    limit: i64,
) -> Result<Vec<DeadLetter>, EngineError> {
    sqlx::query_as(
        "SELECT id, tenant_id, batch_id, run_id, kind, cause, error, fingerprint, attempts, job, died_at
           FROM yakin.dead_letters
          WHERE state = 'waiting' AND ($1::text IS NULL OR fingerprint = $1 OR id::text = $1) AND id > $2
          ORDER BY id LIMIT $3",
    )
    .bind(which)
    .bind(after)
    .bind(limit.clamp(1, MOST))
    .fetch_all(pool)
    .await
    .doing("reading dead letters")
}

/// Requeues dead letters: follow-ups as they were, pieces of a run as a rerun of exactly those tenants. Returns the
/// numbers of the reruns.
pub async fn requeue(
    pool: &PgPool,
    registry: &Registry,
    which: &str,
    act: &Act,
    now: Timestamp,
) -> Result<Vec<i64>, EngineError> {
    let letters = some(pool, which).await?;
    let mut runs: Vec<(i64, Vec<i64>)> = Vec::new();
    for letter in letters.iter().filter(|l| l.kind != JobKind::FollowUp.word()) {
        let Some(run) = letter.run_id else { continue };
        match runs.iter_mut().find(|(id, _)| *id == run) {
            Some((_, tenants)) => tenants.push(letter.tenant_id),
            None => runs.push((run, vec![letter.tenant_id])),
        }
    }
    let (follow_ups, pieces): (Vec<_>, Vec<_>) =
        letters.into_iter().partition(|l| l.kind == JobKind::FollowUp.word());
    let doing = "requeueing dead letters";
    let mut tx = Tx::engine(pool).await.doing(doing)?;
    let jobs: Vec<NewJob<'_>> = follow_ups.iter().map(|l| again_as_it_was(l, now)).collect();
    enqueue(&mut tx, &jobs, now).await.doing(doing)?;
    settle(&mut tx, &follow_ups, "requeued", act, now).await.doing(doing)?;
    tx.commit().await.doing(doing)?;
    let mut reruns = Vec::new();
    for (run, tenants) in runs {
        let whole = tenants.contains(&crate::tenant::PLATFORM);
        let again =
            if whole { Again::All } else { Again::Tenants { ids: tenants, released: false } };
        reruns.push(rerun(pool, registry, run, again, act, now).await?);
        // run by run: when the next one is refused, these are not waiting any more
        let of_run: Vec<_> = pieces.iter().filter(|l| l.run_id == Some(run)).cloned().collect();
        let mut tx = Tx::engine(pool).await.doing(doing)?;
        settle(&mut tx, &of_run, "requeued", act, now).await.doing(doing)?;
        tx.commit().await.doing(doing)?;
    }
    Ok(reruns)
}

/// Discards dead letters: a person decided that the work is not wanted. Returns how many.
pub async fn discard(
    pool: &PgPool,
    which: &str,
    act: &Act,
    now: Timestamp,
) -> Result<usize, EngineError> {
    let doing = "discarding dead letters";
    let letters = some(pool, which).await?;
    let mut tx = Tx::engine(pool).await.doing(doing)?;
    settle(&mut tx, &letters, "discarded", act, now).await.doing(doing)?;
    tx.commit().await.doing(doing)?;
    Ok(letters.len())
}

async fn some(pool: &PgPool, which: &str) -> Result<Vec<DeadLetter>, EngineError> {
    let letters = waiting(pool, Some(which)).await?;
    if letters.is_empty() {
        return Err(EngineError::unknown(format!(
            "no dead letter '{which}' waits; `yakin dead list` shows them"
        )));
    }
    Ok(letters)
}

fn again_as_it_was(letter: &DeadLetter, now: Timestamp) -> NewJob<'_> {
    NewJob {
        queue: letter.job["queue"].as_str().unwrap_or("default"),
        tenant: letter.tenant_id,
        priority: letter.job["priority"].as_i64().and_then(|p| i16::try_from(p).ok()).unwrap_or(20),
        run: letter.run_id,
        batch: &letter.batch_id,
        kind: JobKind::FollowUp,
        payload: letter.job["payload"].clone(),
        unique_key: None,
        at: now,
        deadline: None,
    }
}

async fn settle(
    tx: &mut Tx,
    letters: &[DeadLetter],
    state: &str,
    act: &Act,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    if letters.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = letters.iter().map(|l| l.id).collect();
    sqlx::query("UPDATE yakin.dead_letters SET state = $2, settled_by = $3, settled_at = $4 WHERE id = ANY ($1)")
        .bind(&ids)
        .bind(state)
        .bind(&act.actor)
        .bind(now.to_sqlx())
        .execute(tx.inner()?)
        .await?;
    record(
        tx,
        act,
        &format!("dead {state}"),
        &format!("{} dead letters", ids.len()),
        json!({"ids": ids}),
    )
    .await
}
