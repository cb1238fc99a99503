//! What people are told, and what they did: alerts and the audit.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::Serialize;
use serde_json::Value;
use sqlx::FromRow;
use sqlx::postgres::PgPool;
use utoipa::ToSchema;

use super::Instant;
use crate::error::{Doing, EngineError};

/// An alert.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub struct AlertRow {
    pub id: i64,
    pub rule: String,
    pub subject: String,
    pub severity: String,
    pub message: String,
    pub opened_at: Instant,
    /// When a person took it on.
    pub acknowledged_at: Option<Instant>,
    pub acknowledged_by: Option<String>,
    pub resolved_at: Option<Instant>,
}

/// An alert's place in the list: whether it is resolved, its severity, when it opened, its number.
pub type AlertKey = (bool, String, Timestamp, i64);

/// Open alerts, or also those resolved: the open ones first, then the gravest, then the newest; at most 1,000.
pub async fn alerts(pool: &PgPool, also_resolved: bool) -> Result<Vec<AlertRow>, EngineError> {
    alerts_after(pool, also_resolved, None, 1000).await
}

/// The same behind that place.
pub async fn alerts_after(
    pool: &PgPool,
    also_resolved: bool,
    after: Option<&AlertKey>,
    limit: i64,
) -> Result<Vec<AlertRow>, EngineError> {
    sqlx::query_as(include_str!("alerts.sql"))
        .bind(also_resolved)
        .bind(after.map(|key| key.0))
        .bind(after.map(|key| &key.1))
        .bind(after.map(|key| key.2.to_sqlx()))
        .bind(after.map(|key| key.3))
        .bind(limit.clamp(1, 10_000))
        .fetch_all(pool)
        .await
        .doing("reading alerts")
}

/// A line of the audit.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub struct AuditRow {
    pub id: i64,
    pub real_time: Instant,
    pub actor: String,
    pub action: String,
    pub subject: String,
    pub reason: String,
    #[schema(value_type = Object)]
    pub details: Value,
    /// Its number in the chain.
    pub seq: Option<i64>,
    /// The chain's digest up to it, in hex.
    pub digest: Option<String>,
}

/// The newest acts.
pub async fn audit(pool: &PgPool, limit: i64) -> Result<Vec<AuditRow>, EngineError> {
    audit_before(pool, None, limit).await
}

/// The newest acts with a lower number.
pub async fn audit_before(
    pool: &PgPool,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<AuditRow>, EngineError> {
    sqlx::query_as(
        "SELECT a.id, a.real_time, a.actor, a.action, a.subject, a.reason, a.details, c.seq,
                encode(c.digest, 'hex') AS digest
           FROM yakin.audit a LEFT JOIN yakin.audit_chain c ON c.audit_id = a.id
          WHERE $1::bigint IS NULL OR a.id < $1 ORDER BY a.id DESC LIMIT $2",
    )
    .bind(before)
    .bind(limit.clamp(1, 10_000))
    .fetch_all(pool)
    .await
    .doing("reading the audit")
}
