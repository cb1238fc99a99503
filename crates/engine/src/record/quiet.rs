//! Runs that came to nothing, of batches that look every few minutes: past their keep they go, with their firings and
//! attempts. The database lets no other row of the ledger go (`yakin.refuse_unless_quiet`).

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::postgres::PgPool;

use crate::tx::Tx;

/// What goes with a run, the run itself last.
const WITH_IT: [&str; 5] = [
    "DELETE FROM yakin.job_history WHERE run_id = ANY ($1)",
    "DELETE FROM yakin.run_logs WHERE run_id = ANY ($1)",
    "DELETE FROM yakin.run_performance WHERE run_id = ANY ($1)",
    "DELETE FROM yakin.firings WHERE run_id = ANY ($1)",
    "DELETE FROM yakin.runs WHERE id = ANY ($1)",
];

/// How many quiet runs ended before an instant, up to `most`.
pub(crate) async fn count(pool: &PgPool, before: Timestamp, most: i64) -> Result<i64, sqlx::Error> {
    let mut tx = Tx::engine(pool).await?;
    let found = find(&mut tx, before, most).await?.len();
    tx.rollback().await?;
    Ok(found.try_into().unwrap_or(i64::MAX))
}

/// Removes up to `most` of them in one transaction; says how many.
pub(crate) async fn remove(
    pool: &PgPool,
    before: Timestamp,
    most: i64,
) -> Result<i64, sqlx::Error> {
    let mut tx = Tx::engine(pool).await?;
    let runs = find(&mut tx, before, most).await?;
    for sql in WITH_IT {
        sqlx::query(sql).bind(&runs).execute(tx.inner()?).await?;
    }
    tx.commit().await?;
    Ok(runs.len().try_into().unwrap_or(i64::MAX))
}

async fn find(tx: &mut Tx, before: Timestamp, most: i64) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar(include_str!("quiet_runs.sql"))
        .bind(before.to_sqlx())
        .bind(most)
        .fetch_all(tx.inner()?)
        .await
}
