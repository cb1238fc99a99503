//! The catalogue as it stands in the database.

use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::PgPool;
use sqlx::{FromRow, Row};
use utoipa::ToSchema;

use super::Instant;
use super::runs::RunRow;
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

/// See [`Standing`]. One statement: it is asked thousands of times a second, and each more would be waited for.
pub async fn standing(pool: &PgPool, batch: &str) -> Result<Standing, EngineError> {
    let doing = "reading how a batch stands";
    let rows = sqlx::query(concat!(
        "SELECT b.slug, b.title AS batch_title, b.enabled,
                (SELECT min(due_at) FROM yakin.firings f
                  WHERE f.batch_id = b.id AND f.state IN ('planned', 'held')) AS next_due, run.*
           FROM yakin.batches b LEFT JOIN (",
        include_str!("run.sql"),
        " WHERE r.id IN ((SELECT max(id) FROM yakin.runs WHERE batch_id = $1 AND state <> 'ended'),
                         (SELECT max(id) FROM yakin.runs WHERE batch_id = $1 AND state = 'ended'))) AS run ON true
          WHERE b.id = $1
          ORDER BY run.id LIMIT 2"
    ))
    .bind(batch)
    .fetch_all(pool)
    .await
    .doing(doing)?;
    let first =
        rows.first().ok_or_else(|| EngineError::unknown(format!("no node knows {batch} yet")))?;
    let read = || -> Result<Standing, sqlx::Error> {
        let mut standing = Standing {
            slug: first.try_get("slug")?,
            title: first.try_get("batch_title")?,
            enabled: first.try_get("enabled")?,
            next_due: first.try_get("next_due")?,
            current: None,
            last: None,
        };
        for row in &rows {
            if row.try_get::<Option<i64>, _>("id")?.is_some() {
                let run = RunRow::from_row(row)?;
                let place = match run.state.as_str() {
                    "ended" => &mut standing.last,
                    _ => &mut standing.current,
                };
                *place = Some(run);
            }
        }
        Ok(standing)
    };
    read().doing(doing)
}
