//! Taking jobs: due ones are made ready, then claimed in fair turns between tenants.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::postgres::PgPool;

use super::{Job, LEASE_SECONDS};

/// At most so many scheduled jobs become ready in one step.
const PROMOTE_AT_MOST: i32 = 10_000;

/// Claims up to `limit` jobs of `queue` for `node`, of the batches it knows.
pub async fn claim(
    pool: &PgPool,
    queue: &str,
    limit: i32,
    node: i64,
    batches: &[String],
) -> Result<Vec<Job>, sqlx::Error> {
    sqlx::query_as(include_str!("claim.sql"))
        .bind(queue)
        .bind(limit)
        .bind(node)
        .bind(batches)
        .bind(LEASE_SECONDS)
        .fetch_all(pool)
        .await
}

/// Makes scheduled jobs ready whose time has come; returns how many.
pub async fn promote(pool: &PgPool, now: Timestamp) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar("SELECT yakin.promote($1, $2)")
        .bind(now.to_sqlx())
        .bind(PROMOTE_AT_MOST)
        .fetch_one(pool)
        .await
}
