//! What people are told, and what they did: alerts and the audit.

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

/// Open alerts, or also those resolved; the gravest first.
pub async fn alerts(pool: &PgPool, also_resolved: bool) -> Result<Vec<AlertRow>, EngineError> {
    sqlx::query_as(
        "SELECT id, rule, subject, severity, message, opened_at, acknowledged_at, acknowledged_by,
                resolved_at FROM yakin.alerts
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
