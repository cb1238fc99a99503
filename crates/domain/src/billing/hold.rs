//! What a person decides about a held invoice. As the platform: the number alone says whose it is.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use yakin_engine::tx::Tx;

/// A held invoice that may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Released {
    pub tenant_id: i64,
    pub invoice_id: i64,
    /// The run that issued it.
    pub run_id: i64,
    pub document_ready: bool,
}

/// Lets a held invoice go on: mail and export follow. `None` when there is no such invoice, or it is not held.
pub async fn release(
    tx: &mut Tx,
    number: &str,
    actor: &str,
    reason: &str,
    at: Timestamp,
) -> Result<Option<Released>, sqlx::Error> {
    sqlx::query_as(include_str!("release.sql"))
        .bind(number)
        .bind(actor)
        .bind(reason)
        .bind(at.to_sqlx())
        .fetch_optional(tx)
        .await
}

/// Voids a held invoice; false when there is none. Its number stays used, its days' usage may change again; a new
/// invoice needs `force_recalc`.
pub async fn reject(
    tx: &mut Tx,
    number: &str,
    actor: &str,
    reason: &str,
    at: Timestamp,
) -> Result<bool, sqlx::Error> {
    let voided = sqlx::query(include_str!("reject.sql"))
        .bind(number)
        .bind(actor)
        .bind(reason)
        .bind(at.to_sqlx())
        .execute(tx)
        .await?;
    Ok(voided.rows_affected() > 0)
}
