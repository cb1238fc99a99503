//! Dead letters: jobs that gave up and wait for a person.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPool;

use super::end;
use super::runs::{Again, again_in};
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

/// What became of dead letters that were to run again.
#[derive(Debug, Default, serde::Serialize, utoipa::ToSchema)]
pub struct Requeued {
    /// Follow-ups that were put in again as they were.
    pub follow_ups: usize,
    /// Runs that were started for pieces of earlier runs.
    pub runs: Vec<i64>,
    /// What still waits.
    pub left: Vec<Left>,
}

/// Letters of one run that still wait, and why.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Left {
    /// The run they are of.
    pub run: i64,
    pub reason: String,
}

/// Requeues dead letters: follow-ups as they were, pieces of a run as a rerun of exactly those tenants. Each rerun is
/// started in the transaction that settles its letters; where one is refused, its letters still wait and are told of.
///
/// # Errors
/// `Unknown` when nothing of the kind waits, and the reason when nothing could be requeued.
pub async fn requeue(
    pool: &PgPool,
    registry: &Registry,
    which: &str,
    act: &Act,
    now: Timestamp,
) -> Result<Requeued, EngineError> {
    let mut done =
        Requeued { follow_ups: follow_ups(pool, which, act, now).await?, ..Requeued::default() };
    let mut refused = None;
    for run in runs(pool, which).await? {
        match pieces(pool, registry, (which, run), act, now).await {
            Ok(started) => done.runs.extend(started),
            Err(error @ EngineError::Database { .. }) => return Err(error),
            Err(error) => {
                done.left.push(Left { run, reason: error.to_string() });
                refused.get_or_insert(error);
            }
        }
    }
    match refused {
        _ if done.follow_ups > 0 || !done.runs.is_empty() => Ok(done),
        Some(error) => Err(error),
        None => Err(none_waits(which)),
    }
}

/// Puts follow-ups in again; returns how many.
async fn follow_ups(
    pool: &PgPool,
    which: &str,
    act: &Act,
    now: Timestamp,
) -> Result<usize, EngineError> {
    let mut done = 0;
    loop {
        let mut tx = Tx::engine(pool).await.doing(REQUEUEING)?;
        let letters = lock(&mut tx, which, Kind::FollowUps).await?;
        if letters.is_empty() {
            tx.rollback().await.doing(REQUEUEING)?;
            return Ok(done);
        }
        let jobs: Vec<NewJob<'_>> = letters.iter().map(|l| again_as_it_was(l, now)).collect();
        enqueue(&mut tx, &jobs, now).await.doing(REQUEUEING)?;
        settle(&mut tx, &letters, "requeued", act, now).await.doing(REQUEUEING)?;
        tx.commit().await.doing(REQUEUEING)?;
        done += letters.len();
    }
}

/// The runs whose pieces wait, oldest first.
async fn runs(pool: &PgPool, which: &str) -> Result<Vec<i64>, EngineError> {
    sqlx::query_scalar(
        "SELECT DISTINCT run_id FROM yakin.dead_letters
          WHERE state = 'waiting' AND (fingerprint = $1 OR id::text = $1) AND kind <> 'follow_up' AND run_id IS NOT NULL
          ORDER BY run_id",
    )
    .bind(which)
    .fetch_all(pool)
    .await
    .doing("reading dead letters")
}

/// Runs pieces of a run again; none when somebody else did meanwhile.
async fn pieces(
    pool: &PgPool,
    registry: &Registry,
    (which, run): (&str, i64),
    act: &Act,
    now: Timestamp,
) -> Result<Option<i64>, EngineError> {
    let mut tx = Tx::engine(pool).await.doing(REQUEUEING)?;
    let letters = lock(&mut tx, which, Kind::PiecesOf(run)).await?;
    if letters.is_empty() {
        tx.rollback().await.doing(REQUEUEING)?;
        return Ok(None);
    }
    let tenants: Vec<i64> = letters.iter().map(|l| l.tenant_id).collect();
    let whole = tenants.contains(&crate::tenant::PLATFORM);
    let again = if whole { Again::All } else { Again::Tenants(tenants) };
    let started = async {
        let begun = again_in(&mut tx, registry, (run, again), None, act, now).await?;
        settle(&mut tx, &letters, "requeued", act, now).await.doing(REQUEUEING)?;
        Ok(Some(begun.run))
    };
    let started = started.await;
    end(tx, REQUEUEING, started).await
}

/// Discards dead letters: a person decided that the work is not wanted. Returns how many.
pub async fn discard(
    pool: &PgPool,
    which: &str,
    act: &Act,
    now: Timestamp,
) -> Result<usize, EngineError> {
    let doing = "discarding dead letters";
    let mut done = 0;
    loop {
        let mut tx = Tx::engine(pool).await.doing(doing)?;
        let letters = lock(&mut tx, which, Kind::All).await?;
        if letters.is_empty() {
            tx.rollback().await.doing(doing)?;
            return if done == 0 { Err(none_waits(which)) } else { Ok(done) };
        }
        settle(&mut tx, &letters, "discarded", act, now).await.doing(doing)?;
        tx.commit().await.doing(doing)?;
        done += letters.len();
    }
}

const REQUEUEING: &str = "requeueing dead letters";

/// Which of the letters named.
#[derive(Clone, Copy)]
enum Kind {
    All,
    FollowUps,
    PiecesOf(i64),
}

/// The letters of a kind that wait, locked so that nobody else settles them; the oldest first. Of a run, all.
async fn lock(tx: &mut Tx, which: &str, kind: Kind) -> Result<Vec<DeadLetter>, EngineError> {
    let (of, limit) = match kind {
        Kind::All => ("", Some(MOST)),
        Kind::FollowUps => ("AND kind = 'follow_up'", Some(MOST)),
        Kind::PiecesOf(_) => ("AND kind <> 'follow_up' AND run_id = $3", None),
    };
    let sql = format!(
        "SELECT id, tenant_id, batch_id, run_id, kind, cause, error, fingerprint, attempts, job, died_at
           FROM yakin.dead_letters
          WHERE state = 'waiting' AND (fingerprint = $1 OR id::text = $1) {of}
          ORDER BY id LIMIT $2 FOR UPDATE"
    );
    let query = sqlx::query_as(AssertSqlSafe(sql)).bind(which).bind(limit);
    let query = if let Kind::PiecesOf(run) = kind { query.bind(run) } else { query };
    query.fetch_all(tx.inner().doing(REQUEUEING)?).await.doing(REQUEUEING)
}

fn none_waits(which: &str) -> EngineError {
    EngineError::unknown(format!("no dead letter '{which}' waits; `yakin dead list` shows them"))
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
