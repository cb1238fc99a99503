//! What people watch live: changes of runs, firings and alerts, numbered in the order of their commits by the database.

use serde::Serialize;
use serde_json::Value;
use sqlx::FromRow;
use sqlx::postgres::PgPool;

use crate::error::{Doing, EngineError};

/// Where the database says that something can be read.
pub const CHANNEL: &str = "yakin_events";

/// How many are forgotten in one statement.
const CHUNK: i64 = 10_000;

/// A change of a run, a firing or an alert.
#[derive(Clone, Debug, Serialize, FromRow)]
pub struct Event {
    pub id: i64,
    /// run, firing or alert.
    pub kind: String,
    pub batch_id: Option<String>,
    pub data: Value,
}

/// The events after `id`, in order. (Numbers may be left out by transactions that came to nothing; none comes later.)
pub async fn after(pool: &PgPool, id: i64, limit: i64) -> Result<Vec<Event>, EngineError> {
    sqlx::query_as(
        "SELECT id, kind, batch_id, data FROM yakin.events WHERE id > $1 ORDER BY id LIMIT $2",
    )
    .bind(id)
    .bind(limit.clamp(1, 10_000))
    .fetch_all(pool)
    .await
    .doing("reading events")
}

/// The numbers of the oldest event that is kept and of the newest; 0 where there is none.
pub async fn range(pool: &PgPool) -> Result<(i64, i64), EngineError> {
    sqlx::query_as("SELECT coalesce(min(id), 0), coalesce(max(id), 0) FROM yakin.events")
        .fetch_one(pool)
        .await
        .doing("reading events")
}

/// Forgets what is older than a day, piece by piece.
pub(crate) async fn forget_old(pool: &PgPool) -> Result<(), sqlx::Error> {
    loop {
        let forgotten = sqlx::query(
            "DELETE FROM yakin.events WHERE id IN (
                SELECT id FROM yakin.events WHERE real_at < clock_timestamp() - interval '1 day'
                 ORDER BY real_at LIMIT $1)",
        )
        .bind(CHUNK)
        .execute(pool)
        .await?;
        if forgotten.rows_affected() < CHUNK.unsigned_abs() {
            return Ok(());
        }
    }
}
