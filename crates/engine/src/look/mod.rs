//! What people look at: read models that CLI, API and console share. Every list has an order and a limit.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use serde::Serialize;
use serde_json::Value;
use sqlx::FromRow;
use sqlx::postgres::PgPool;

use crate::days::Days;
use crate::error::{Doing, EngineError};

/// A batch as it stands in the database.
#[derive(Debug, Serialize, FromRow)]
pub struct BatchRow {
    pub id: String,
    pub slug: String,
    pub title: String,
    pub schedule: String,
    pub enabled: bool,
    #[serde(serialize_with = "instant_option")]
    pub next_due: Option<jiff_sqlx::Timestamp>,
    pub last_outcome: Option<String>,
    pub spec: Value,
    pub overrides: Value,
}

/// All batches.
pub async fn batches(pool: &PgPool) -> Result<Vec<BatchRow>, EngineError> {
    sqlx::query_as(include_str!("batches.sql")).fetch_all(pool).await.doing("reading the catalogue")
}

/// One firing, planned and actual.
#[derive(Debug, Serialize, FromRow)]
pub struct FiringRow {
    pub batch_id: String,
    pub title: String,
    #[serde(serialize_with = "instant")]
    pub planned_at: jiff_sqlx::Timestamp,
    #[serde(serialize_with = "instant")]
    pub due_at: jiff_sqlx::Timestamp,
    pub state: String,
    pub outcome: Option<String>,
    pub reason: Option<String>,
    pub run_id: Option<i64>,
    #[serde(serialize_with = "instant_option")]
    pub started_at: Option<jiff_sqlx::Timestamp>,
    #[serde(serialize_with = "instant_option")]
    pub ended_at: Option<jiff_sqlx::Timestamp>,
    pub waiting_for: Option<String>,
    pub seconds: Option<f64>,
    /// Its batch starts at once for what arrives.
    pub at_once: bool,
}

/// The firings of a Tokyo day, or of any range of instants.
pub async fn timetable(
    pool: &PgPool,
    from: Timestamp,
    until: Timestamp,
) -> Result<Vec<FiringRow>, EngineError> {
    sqlx::query_as(include_str!("timetable.sql"))
        .bind(from.to_sqlx())
        .bind(until.to_sqlx())
        .fetch_all(pool)
        .await
        .doing("reading the timetable")
}

/// See [`timetable`].
pub async fn timetable_of(pool: &PgPool, date: Date) -> Result<Vec<FiringRow>, EngineError> {
    let (from, until) = Days::one(date).instants();
    timetable(pool, from, until).await
}

/// A run.
#[derive(Debug, Serialize, FromRow)]
pub struct RunRow {
    pub id: i64,
    pub batch_id: String,
    pub title: String,
    pub trigger: String,
    #[serde(serialize_with = "date_option")]
    pub period_start: Option<jiff_sqlx::Date>,
    #[serde(serialize_with = "date_option")]
    pub period_end: Option<jiff_sqlx::Date>,
    pub dry_run: bool,
    pub state: String,
    pub phase: Option<String>,
    pub waiting_for: Option<String>,
    pub outcome: Option<String>,
    pub reason: Option<String>,
    pub notes: Value,
    pub requested_by: String,
    #[serde(serialize_with = "instant")]
    pub run_at: jiff_sqlx::Timestamp,
    pub seconds: Option<f64>,
    pub tenants_total: i32,
    pub tenants_done: i32,
    pub tenants_blocked: i32,
    pub tenants_failed: i32,
    pub rows_written: i64,
    pub amount_yen: Option<rust_decimal::Decimal>,
    pub counts: Value,
    pub params: Value,
    pub rerun_of: Option<i64>,
    pub plan: Option<Value>,
    pub plan_hash: Option<String>,
}

impl RunRow {
    /// The run's period.
    pub fn days(&self) -> Option<Days> {
        Some(Days { start: self.period_start?.to_jiff(), end: self.period_end?.to_jiff() })
    }
}

/// The newest runs, of one batch or all.
pub async fn runs(
    pool: &PgPool,
    batch: Option<&str>,
    limit: i64,
) -> Result<Vec<RunRow>, EngineError> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "{} WHERE ($1::text IS NULL OR r.batch_id = $1) ORDER BY r.id DESC LIMIT $2",
        include_str!("run.sql")
    )))
    .bind(batch)
    .bind(limit.clamp(1, 10_000))
    .fetch_all(pool)
    .await
    .doing("reading runs")
}

/// One run.
pub async fn run(pool: &PgPool, id: i64) -> Result<RunRow, EngineError> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!("{} WHERE r.id = $1", include_str!("run.sql"))))
        .bind(id)
        .fetch_optional(pool)
        .await
        .doing("reading a run")?
        .ok_or_else(|| EngineError::refused(format!("no run {id}; `yakin runs` lists them")))
}

/// A tenant of a run.
#[derive(Debug, Serialize, FromRow)]
pub struct RunTenantRow {
    pub tenant_id: i64,
    pub state: String,
    pub reused: bool,
    pub attempts: i32,
    pub duration_ms: Option<i64>,
    pub rows_written: i64,
    pub amount: Option<rust_decimal::Decimal>,
    pub currency: Option<String>,
    pub reason: Option<String>,
    pub counts: Value,
}

/// A run's tenants, troubled ones first.
pub async fn run_tenants(pool: &PgPool, run: i64) -> Result<Vec<RunTenantRow>, EngineError> {
    sqlx::query_as(
        "SELECT tenant_id, state, reused, attempts, duration_ms, rows_written, amount, currency, reason, counts
           FROM yakin.run_tenants WHERE run_id = $1
          ORDER BY array_position(ARRAY['failed', 'blocked', 'waiting', 'cancelled', 'done'], state), tenant_id
          LIMIT 10000",
    )
    .bind(run)
    .fetch_all(pool)
    .await
    .doing("reading a run's tenants")
}

/// A tenant's piece that waits for a person: blocked, or failed, and done by no later run.
#[derive(Debug, Serialize, FromRow)]
pub struct WaitingRow {
    pub run_id: i64,
    pub batch_id: String,
    pub title: String,
    pub tenant_id: i64,
    pub state: String,
    pub reason: Option<String>,
    #[serde(serialize_with = "date_option")]
    pub period_start: Option<jiff_sqlx::Date>,
}

/// What of the runs since an instant waits for a person.
pub async fn pieces_waiting(
    pool: &PgPool,
    since: Timestamp,
) -> Result<Vec<WaitingRow>, EngineError> {
    sqlx::query_as(include_str!("pieces_waiting.sql"))
        .bind(since.to_sqlx())
        .fetch_all(pool)
        .await
        .doing("reading what waits")
}

/// How many firings of a batch came to an outcome, or stand in a state.
#[derive(Debug, Serialize, FromRow)]
pub struct OutcomeRow {
    pub batch_id: String,
    pub title: String,
    pub outcome: String,
    pub firings: i64,
}

/// What became of the firings due from one instant until another.
pub async fn outcomes(
    pool: &PgPool,
    from: Timestamp,
    until: Timestamp,
) -> Result<Vec<OutcomeRow>, EngineError> {
    sqlx::query_as(include_str!("outcomes.sql"))
        .bind(from.to_sqlx())
        .bind(until.to_sqlx())
        .fetch_all(pool)
        .await
        .doing("counting outcomes")
}

/// A line of a run's log.
#[derive(Debug, Serialize, FromRow)]
pub struct LogRow {
    #[serde(serialize_with = "instant")]
    pub logged_at: jiff_sqlx::Timestamp,
    pub level: String,
    pub tenant_id: i64,
    pub attempt: i32,
    pub message: String,
    pub metadata: Option<Value>,
}

/// The newest lines of a run's log, oldest first.
pub async fn run_logs(pool: &PgPool, run: i64, limit: i64) -> Result<Vec<LogRow>, EngineError> {
    sqlx::query_as(
        "SELECT * FROM (SELECT logged_at, level, tenant_id, attempt, message, metadata, job_id, line
                          FROM yakin.run_logs WHERE run_id = $1 ORDER BY logged_at DESC, job_id DESC, line DESC
                         LIMIT $2) AS newest ORDER BY logged_at, job_id, line",
    )
    .bind(run)
    .bind(limit.clamp(1, 10_000))
    .fetch_all(pool)
    .await
    .doing("reading a run's log")
}

/// An alert.
#[derive(Debug, Serialize, FromRow)]
pub struct AlertRow {
    pub id: i64,
    pub rule: String,
    pub subject: String,
    pub severity: String,
    pub message: String,
    #[serde(serialize_with = "instant")]
    pub opened_at: jiff_sqlx::Timestamp,
    #[serde(serialize_with = "instant_option")]
    pub resolved_at: Option<jiff_sqlx::Timestamp>,
}

/// Open alerts, or also those resolved; the gravest first.
pub async fn alerts(pool: &PgPool, also_resolved: bool) -> Result<Vec<AlertRow>, EngineError> {
    sqlx::query_as(
        "SELECT id, rule, subject, severity, message, opened_at, resolved_at FROM yakin.alerts
          WHERE $1 OR resolved_at IS NULL
          ORDER BY array_position(ARRAY['critical', 'high', 'medium', 'info'], severity), opened_at DESC, id
          LIMIT 1000",
    )
    .bind(also_resolved)
    .fetch_all(pool)
    .await
    .doing("reading alerts")
}

/// A line of the audit.
#[derive(Debug, Serialize, FromRow)]
pub struct AuditRow {
    pub id: i64,
    #[serde(serialize_with = "instant")]
    pub real_time: jiff_sqlx::Timestamp,
    pub actor: String,
    pub action: String,
    pub subject: String,
    pub reason: String,
    pub details: Value,
}

/// The newest acts.
pub async fn audit(pool: &PgPool, limit: i64) -> Result<Vec<AuditRow>, EngineError> {
    sqlx::query_as(
        "SELECT id, real_time, actor, action, subject, reason, details FROM yakin.audit ORDER BY id DESC LIMIT $1",
    )
    .bind(limit.clamp(1, 10_000))
    .fetch_all(pool)
    .await
    .doing("reading the audit")
}

/// How far a run is: jobs left and done tenants, for progress bars.
#[derive(Debug, Serialize, FromRow)]
pub struct Progress {
    pub state: String,
    pub phase: Option<String>,
    pub waiting_for: Option<String>,
    pub tenants_total: i64,
    pub tenants_ended: i64,
    pub done: Option<i64>,
    pub total: Option<i64>,
    #[serde(serialize_with = "instant_option")]
    pub retry_at: Option<jiff_sqlx::Timestamp>,
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

fn instant<S: serde::Serializer>(
    value: &jiff_sqlx::Timestamp,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&value.to_jiff())
}

fn instant_option<S: serde::Serializer>(
    value: &Option<jiff_sqlx::Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    value.map(|t| t.to_jiff().to_string()).serialize(serializer)
}

fn date_option<S: serde::Serializer>(
    value: &Option<jiff_sqlx::Date>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    value.map(|d| d.to_jiff().to_string()).serialize(serializer)
}

/// What waits for people, and whether the queue is worked off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, FromRow)]
pub struct Waiting {
    /// Nodes that live.
    pub nodes: i64,
    pub dead_letters: i64,
    /// Alerts that are open.
    pub alerts: i64,
    /// Jobs that have been ready for over five minutes.
    pub overdue: i64,
}

/// What waits at this moment.
pub async fn waiting(pool: &PgPool) -> Result<Waiting, EngineError> {
    let found = sqlx::query_as(include_str!("waiting.sql")).fetch_one(pool).await;
    found.doing("reading what waits")
}
