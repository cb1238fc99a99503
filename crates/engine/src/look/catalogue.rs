//! The catalogue as it stands in the database.

use serde::Serialize;
use serde_json::Value;
use sqlx::FromRow;
use sqlx::postgres::PgPool;
use utoipa::ToSchema;

use super::Instant;
use super::runs::{RunRow, runs_newest};
use crate::error::{Doing, EngineError};

/// A batch as it stands in the database.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub struct BatchRow {
    #[schema(example = "BATCH-204")]
    pub id: String,
    #[schema(example = "usage-aggregation")]
    pub slug: String,
    pub title: String,
    /// As registered or overridden: cron fields, `every …`, `on TOPIC` or `manual`.
    #[schema(example = "30 1 * * *")]
    pub schedule: String,
    pub enabled: bool,
    pub next_due: Option<Instant>,
    pub last_outcome: Option<String>,
    #[schema(value_type = Object)]
    pub spec: Value,
    /// What operators set over the specification.
    #[schema(value_type = Object)]
    pub overrides: Value,
}

/// All batches.
pub async fn batches(pool: &PgPool) -> Result<Vec<BatchRow>, EngineError> {
    let all = sqlx::query_as(include_str!("batches.sql")).bind(None::<&str>);
    all.fetch_all(pool).await.doing("reading the catalogue")
}

/// The batch of that id, where a node knows it.
pub async fn batch(pool: &PgPool, id: &str) -> Result<Option<BatchRow>, EngineError> {
    let one = sqlx::query_as(include_str!("batches.sql")).bind(id);
    one.fetch_optional(pool).await.doing("reading the catalogue")
}

/// How one batch stands.
#[derive(Debug)]
pub struct Standing {
    pub slug: String,
    pub title: String,
    pub enabled: bool,
    pub next_due: Option<Instant>,
    /// The newest run that has not ended.
    pub current: Option<RunRow>,
    /// The newest run that has.
    pub last: Option<RunRow>,
}

/// See [`Standing`].
pub async fn standing(pool: &PgPool, batch: &str) -> Result<Standing, EngineError> {
    type Row = (String, String, bool, Option<Instant>);
    let row: Option<Row> = sqlx::query_as(
        "SELECT slug, title, enabled, (SELECT min(due_at) FROM yakin.firings f
                                        WHERE f.batch_id = b.id AND f.state IN ('planned', 'held'))
           FROM yakin.batches b WHERE id = $1",
    )
    .bind(batch)
    .fetch_optional(pool)
    .await
    .doing("reading how a batch stands")?;
    let (slug, title, enabled, next_due) =
        row.ok_or_else(|| EngineError::unknown(format!("no node knows {batch} yet")))?;
    let [current, last] = runs_newest(pool, batch).await?;
    Ok(Standing { slug, title, enabled, next_due, current, last })
}
