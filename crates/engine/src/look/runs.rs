//! Runs: how each stands, how far it is, and what became of it.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Value, json};
use sqlx::FromRow;
use sqlx::postgres::PgPool;
use utoipa::ToSchema;

use super::{Day, Instant};
use crate::days::Days;
use crate::error::{Doing, EngineError};
use crate::record::plan;

/// A run.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub struct RunRow {
    pub id: i64,
    #[schema(example = "BATCH-204")]
    pub batch_id: String,
    pub title: String,
    /// firing, operator, api or rerun.
    #[schema(example = "firing")]
    pub trigger: String,
    pub period_start: Option<Day>,
    pub period_end: Option<Day>,
    pub dry_run: bool,
    /// waiting, running or ended.
    #[schema(example = "ended")]
    pub state: String,
    pub phase: Option<String>,
    pub waiting_for: Option<String>,
    /// succeeded, partial, failed, skipped or cancelled.
    #[schema(example = "succeeded")]
    pub outcome: Option<String>,
    pub reason: Option<String>,
    /// What was remarked on its way.
    #[schema(value_type = Vec<String>)]
    pub notes: Value,
    pub requested_by: String,
    /// The run's "now", in schedule time.
    pub run_at: Instant,
    pub seconds: Option<f64>,
    pub tenants_total: i32,
    pub tenants_done: i32,
    pub tenants_blocked: i32,
    pub tenants_failed: i32,
    pub rows_written: i64,
    #[schema(value_type = Option<String>, example = "1254000")]
    pub amount_yen: Option<rust_decimal::Decimal>,
    /// The batch's own figures.
    #[schema(value_type = Object)]
    pub counts: Value,
    #[schema(value_type = Object)]
    pub params: Value,
    pub rerun_of: Option<i64>,
    /// The only tenants it was asked for.
    pub only_tenants: Option<Vec<i64>>,
    /// Of a dry run: what it would have done.
    #[schema(value_type = Option<Object>)]
    pub plan: Option<Value>,
    /// SHA-256 of the plan.
    pub plan_hash: Option<String>,
}

impl RunRow {
    /// The run's period.
    pub fn days(&self) -> Option<Days> {
        Some(Days { start: self.period_start?.to_jiff(), end: self.period_end?.to_jiff() })
    }
}

/// Which runs are wanted, newest first.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunFilter<'a> {
    /// A batch's id.
    pub batch: Option<&'a str>,
    /// waiting, running or ended.
    pub state: Option<&'a str>,
    pub outcome: Option<&'a str>,
    /// Only runs that were asked for these tenants alone.
    pub tenants: Option<&'a [i64]>,
    /// Those with a lower number.
    pub before: Option<i64>,
    pub limit: i64,
}

/// The newest runs, of one batch or all.
pub async fn runs(
    pool: &PgPool,
    batch: Option<&str>,
    limit: i64,
) -> Result<Vec<RunRow>, EngineError> {
    runs_of(pool, &RunFilter { batch, limit, ..RunFilter::default() }).await
}

/// The newest runs that are wanted.
pub async fn runs_of(pool: &PgPool, filter: &RunFilter<'_>) -> Result<Vec<RunRow>, EngineError> {
    sqlx::query_as(concat!(
        include_str!("run.sql"),
        " WHERE ($1::text IS NULL OR r.batch_id = $1) AND ($2::text IS NULL OR r.state = $2)
            AND ($3::text IS NULL OR r.outcome = $3) AND ($4::bigint[] IS NULL OR r.only_tenants <@ $4)
            AND ($5::bigint IS NULL OR r.id < $5)
          ORDER BY r.id DESC LIMIT $6"
    ))
    .bind(filter.batch)
    .bind(filter.state)
    .bind(filter.outcome)
    .bind(filter.tenants)
    .bind(filter.before)
    .bind(filter.limit.clamp(1, 10_000))
    .fetch_all(pool)
    .await
    .doing("reading runs")
}

/// What a run did for its tenants themselves.
#[derive(Debug, FromRow)]
struct Pieces {
    run_id: i64,
    rows_written: i64,
    amount_yen: Option<rust_decimal::Decimal>,
    counts: Value,
    plans: Option<Vec<Value>>,
}

/// Leaves of runs what they did for the tenants they were asked for: their other phases work with everybody's rows, and
/// what these counted, wrote and planned is not for those who may see some tenants alone.
pub async fn without_phases(pool: &PgPool, runs: &mut [RunRow]) -> Result<(), EngineError> {
    let ids: Vec<i64> = runs.iter().map(|run| run.id).collect();
    let pieces: Vec<Pieces> = sqlx::query_as(include_str!("run_pieces.sql"))
        .bind(&ids)
        .fetch_all(pool)
        .await
        .doing("reading runs")?;
    let mut pieces: HashMap<i64, Pieces> = pieces.into_iter().map(|p| (p.run_id, p)).collect();
    for run in runs {
        let own = pieces.remove(&run.id);
        let (rows, amount, counts, plans) = own.map_or_else(
            || (0, None, json!({}), None),
            |own| (own.rows_written, own.amount_yen, own.counts, own.plans),
        );
        (run.rows_written, run.amount_yen, run.counts) = (rows, amount, counts);
        run.plan = plans.as_deref().map(plan::sum);
        run.plan_hash = run.plan.as_ref().map(plan::hash);
        (run.notes, run.phase) = (json!([]), None);
    }
    Ok(())
}

/// One run.
pub async fn run(pool: &PgPool, id: i64) -> Result<RunRow, EngineError> {
    sqlx::query_as(concat!(include_str!("run.sql"), " WHERE r.id = $1"))
        .bind(id)
        .fetch_optional(pool)
        .await
        .doing("reading a run")?
        .ok_or_else(|| EngineError::unknown(format!("no run {id}; `yakin runs` lists them")))
}

/// How far a run is: jobs left and done tenants, for progress bars.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub struct Progress {
    pub state: String,
    pub phase: Option<String>,
    pub waiting_for: Option<String>,
    pub tenants_total: i64,
    pub tenants_ended: i64,
    pub done: Option<i64>,
    pub total: Option<i64>,
    pub retry_at: Option<Instant>,
}

/// See [`Progress`].
pub async fn progress(pool: &PgPool, run: i64) -> Result<Progress, EngineError> {
    sqlx::query_as(include_str!("progress.sql"))
        .bind(run)
        .fetch_one(pool)
        .await
        .doing("reading a run's progress")
}

/// Follow-up jobs of a run that can be worked now (those that wait for another try are left out).
pub async fn follow_ups(pool: &PgPool, run: i64) -> Result<i64, EngineError> {
    sqlx::query_scalar(
        "SELECT count(*) FROM yakin.jobs
          WHERE run_id = $1 AND kind = 'follow_up' AND state IN ('ready', 'running')",
    )
    .bind(run)
    .fetch_one(pool)
    .await
    .doing("reading a run's follow-up jobs")
}
