//! Backup sets, and what has been proven of each.

use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use serde::Serialize;
use sqlx::FromRow;
use sqlx::postgres::PgPool;
use utoipa::ToSchema;
use yakin_engine::error::{Doing, EngineError};
use yakin_engine::look::{Day, Instant};

use super::begin;

/// A backup set.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub struct BackupRow {
    #[schema(example = "BKP_20261101_001")]
    pub backup_id: String,
    /// databases or files.
    #[schema(example = "databases")]
    pub kind: String,
    pub business_date: Day,
    /// writing, written, verified, failed or expired.
    #[schema(example = "verified")]
    pub state: String,
    pub databases: Vec<String>,
    /// How many files are in it.
    pub files: Option<i64>,
    pub bytes: Option<i64>,
    pub begun_at: Instant,
    pub ended_at: Option<Instant>,
    /// SHA-256 of its manifest.
    pub manifest_sha256: Option<String>,
    /// Proof: read back to its last byte.
    pub verified_at: Option<Instant>,
    /// Proof: restored, and compared.
    pub recovery_tested_at: Option<Instant>,
    /// Proof: it lies in a second place.
    pub copied_at: Option<Instant>,
    pub expires_on: Day,
    pub error: Option<String>,
    pub run_id: i64,
}

/// The newest sets; with `before`, those behind that business date and id.
pub async fn backups(
    pool: &PgPool,
    before: Option<(Date, &str)>,
    limit: i64,
) -> Result<Vec<BackupRow>, EngineError> {
    let doing = "reading backup sets";
    let mut tx = begin(pool, None).await.doing(doing)?;
    let (date, id) = before.unzip();
    let rows = sqlx::query_as(
        "SELECT backup_id, kind, business_date, state, databases, files, bytes, begun_at, ended_at, manifest_sha256,
                verified_at, recovery_tested_at, copied_at, expires_on, error, run_id
           FROM app.backup_sets
          WHERE $1::date IS NULL OR (business_date, backup_id) < ($1, $2)
          ORDER BY business_date DESC, backup_id DESC LIMIT $3",
    )
    .bind(date.map(ToSqlx::to_sqlx))
    .bind(id)
    .bind(limit.clamp(1, 10_000))
    .fetch_all(&mut tx)
    .await
    .doing(doing)?;
    tx.commit().await.doing(doing)?;
    Ok(rows)
}
