//! A database that was restored from a backup has no queue: the runs that were open in it can never end by themselves, so
//! the first node that joins ends them, once.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::json;
use sqlx::postgres::PgPool;

use crate::record::audit::{Act, record};
use crate::tx::Tx;

/// Ends what was open as failed (interrupted), where the queue's mark is missing: backups leave it out together with the
/// queue's rows. Two nodes at once are safe: one waits for the other and finds the mark.
pub(crate) async fn end_interrupted(pool: &PgPool, now: Timestamp) -> Result<(), sqlx::Error> {
    const MARKED: &str = "SELECT EXISTS (SELECT FROM yakin.queue_mark)";
    if sqlx::query_scalar::<_, bool>(MARKED).fetch_one(pool).await? {
        return Ok(());
    }
    let mut tx = Tx::engine(pool).await?;
    let marked = sqlx::query("INSERT INTO yakin.queue_mark DEFAULT VALUES ON CONFLICT DO NOTHING")
        .execute(tx.inner()?)
        .await?;
    if marked.rows_affected() == 0 {
        return tx.rollback().await;
    }
    let runs: Vec<i64> = sqlx::query_scalar(include_str!("restored.sql"))
        .bind(now.to_sqlx())
        .fetch_all(tx.inner()?)
        .await?;
    let act = Act {
        actor: "yakin".to_owned(),
        reason: "the database came back from a backup, without its queue".to_owned(),
    };
    record(&mut tx, &act, "end interrupted runs", "database", json!({"runs": runs})).await?;
    tx.commit().await?;
    tracing::warn!(
        ?runs,
        "this database was restored: its open runs ended as failed (interrupted)"
    );
    Ok(())
}
