//! Virtual time is one row that all nodes share. Whoever starts something at an instant keeps time standing there
//! until the start is committed, so that a step by another node sees it.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::postgres::PgPool;

use crate::tx::Tx;

/// Keeps virtual time where it is until the caller's transaction ends; `false` when it has moved on from `now`.
/// In real time: `true`, and nothing is kept.
pub(crate) async fn stand(tx: &mut Tx, now: Timestamp) -> Result<bool, sqlx::Error> {
    let shared: Option<jiff_sqlx::Timestamp> = sqlx::query_scalar(
        "SELECT virtual_now FROM yakin.control WHERE virtual_now IS NOT NULL FOR SHARE",
    )
    .fetch_optional(tx.inner()?)
    .await?;
    Ok(shared.is_none_or(|shared| shared.to_jiff() == now))
}

/// Steps the shared time on from `now`, where this node has planned, if nothing is under way; the new time.
pub(crate) async fn step(
    tx: &mut Tx,
    now: Timestamp,
    batches: &[String],
) -> Result<Option<Timestamp>, sqlx::Error> {
    let ours: Option<bool> =
        sqlx::query_scalar("SELECT true FROM yakin.control WHERE virtual_now = $1 FOR UPDATE")
            .bind(now.to_sqlx())
            .fetch_optional(tx.inner()?)
            .await?;
    if ours.is_none() {
        return Ok(None);
    }
    // a statement of its own, after the lock: it sees what was started meanwhile
    let next: Option<jiff_sqlx::Timestamp> =
        sqlx::query_scalar(include_str!("virtual_time_step.sql"))
            .bind(batches)
            .fetch_optional(tx.inner()?)
            .await?;
    Ok(next.map(|t| t.to_jiff()))
}

/// Sets the shared virtual time of a database, or returns it to real time.
pub async fn set_virtual_time(
    pool: &PgPool,
    now: Option<Timestamp>,
    until: Option<Timestamp>,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE yakin.control SET virtual_now = $1, virtual_until = $2")
        .bind(now.map(|t| t.to_sqlx()))
        .bind(until.map(|t| t.to_sqlx()))
        .execute(pool)
        .await
        .map(|_| ())
}
