//! What a run is made of: its tenants, its log, its performance; and the pieces that wait for a person.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::Serialize;
use serde_json::Value;
use sqlx::FromRow;
use sqlx::postgres::PgPool;
use utoipa::ToSchema;

use super::{Day, Instant};
use crate::error::{Doing, EngineError};

/// A tenant of a run.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub struct RunTenantRow {
    pub tenant_id: i64,
    pub state: String,
    pub reused: bool,
    pub attempts: i32,
    pub duration_ms: Option<i64>,
    pub rows_written: i64,
    #[schema(value_type = Option<String>)]
    pub amount: Option<rust_decimal::Decimal>,
    pub currency: Option<String>,
    pub reason: Option<String>,
    #[schema(value_type = Object)]
    pub counts: Value,
    /// Its place in the list: 1 failed, 2 blocked, 3 waiting, 4 cancelled, 5 done.
    pub rank: i32,
}

/// A run's tenants, troubled ones first.
pub async fn run_tenants(pool: &PgPool, run: i64) -> Result<Vec<RunTenantRow>, EngineError> {
    run_tenants_after(pool, run, None, 10_000).await
}

/// Those after a rank and tenant of the same order.
pub async fn run_tenants_after(
    pool: &PgPool,
    run: i64,
    after: Option<(i32, i64)>,
    limit: i64,
) -> Result<Vec<RunTenantRow>, EngineError> {
    let (rank, tenant) = after.unwrap_or((0, 0));
    sqlx::query_as(
        "SELECT * FROM (
            SELECT tenant_id, state, reused, attempts, duration_ms, rows_written, amount, currency, reason, counts,
                   array_position(ARRAY['failed', 'blocked', 'waiting', 'cancelled', 'done'], state) AS rank
              FROM yakin.run_tenants WHERE run_id = $1) AS ranked
          WHERE (rank, tenant_id) > ($2, $3) ORDER BY rank, tenant_id LIMIT $4",
    )
    .bind(run)
    .bind(rank)
    .bind(tenant)
    .bind(limit.clamp(1, 10_000))
    .fetch_all(pool)
    .await
    .doing("reading a run's tenants")
}

/// A tenant's piece that waits for a person: blocked, or failed, and done by no later run.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub struct WaitingRow {
    pub run_id: i64,
    pub batch_id: String,
    pub title: String,
    pub tenant_id: i64,
    pub state: String,
    pub reason: Option<String>,
    pub period_start: Option<Day>,
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

/// A line of a run's log.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub struct LogRow {
    pub logged_at: Instant,
    pub level: String,
    pub tenant_id: i64,
    pub attempt: i32,
    pub message: String,
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Value>,
}

/// The newest lines of a run's log, oldest first; of some tenants' pieces alone, when they are named.
pub async fn run_logs(
    pool: &PgPool,
    run: i64,
    of: Option<&[i64]>,
    limit: i64,
) -> Result<Vec<LogRow>, EngineError> {
    sqlx::query_as(
        "SELECT * FROM (SELECT logged_at, level, tenant_id, attempt, message, metadata, job_id, token, line
                          FROM yakin.run_logs
                         WHERE run_id = $1 AND ($3::bigint[] IS NULL OR tenant_id = ANY ($3))
                         ORDER BY logged_at DESC, job_id DESC, token DESC, line DESC
                         LIMIT $2) AS newest ORDER BY logged_at, job_id, token, line",
    )
    .bind(run)
    .bind(limit.clamp(1, 10_000))
    .bind(of)
    .fetch_all(pool)
    .await
    .doing("reading a run's log")
}

/// What a run cost, beside earlier runs of its batch.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub struct PerformanceRow {
    pub run_id: i64,
    pub batch_id: String,
    pub duration_ms: i64,
    pub cpu_ms: i64,
    pub memory_bytes: i64,
    pub records_processed: i64,
    /// The mean of the last 5 to 20 successful runs of the same kind of day.
    pub mean_ms: Option<i64>,
    /// Over 1.5 times that mean, and at least ten seconds.
    pub slow: bool,
}

/// A run's performance, once it has ended.
pub async fn performance(pool: &PgPool, run: i64) -> Result<Option<PerformanceRow>, EngineError> {
    sqlx::query_as(
        "SELECT run_id, batch_id, duration_ms, cpu_ms, memory_bytes, records_processed, mean_ms, slow
           FROM yakin.run_performance WHERE run_id = $1",
    )
    .bind(run)
    .fetch_optional(pool)
    .await
    .doing("reading a run's performance")
}
