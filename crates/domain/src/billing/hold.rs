//! What a person decides about a held invoice. As the platform (the number alone says whose it is) or as its tenant.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use yakin_engine::tx::Tx;

/// What became of the decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    Done,
    /// There is no such invoice, or it is not held (any more).
    NotHeld,
}

/// Lets a held invoice go on: document, mail and export follow.
pub async fn release(
    tx: &mut Tx,
    number: &str,
    actor: &str,
    reason: &str,
    at: Timestamp,
) -> Result<Decided, sqlx::Error> {
    decide(tx, include_str!("release.sql"), number, actor, reason, at).await
}

/// Voids a held invoice. Its number stays used; a new invoice needs `force_recalc`.
pub async fn reject(
    tx: &mut Tx,
    number: &str,
    actor: &str,
    reason: &str,
    at: Timestamp,
) -> Result<Decided, sqlx::Error> {
    decide(tx, include_str!("reject.sql"), number, actor, reason, at).await
}

async fn decide(
    tx: &mut Tx,
    sql: &'static str,
    number: &str,
    actor: &str,
    reason: &str,
    at: Timestamp,
) -> Result<Decided, sqlx::Error> {
    let decided = sqlx::query(sql)
        .bind(number)
        .bind(actor)
        .bind(reason)
        .bind(at.to_sqlx())
        .execute(tx)
        .await?;
    Ok(if decided.rows_affected() > 0 { Decided::Done } else { Decided::NotHeld })
}
