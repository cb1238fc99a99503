//! Append-only: who did what, when and why.

use serde_json::Value;

use crate::tx::Tx;

/// Who acts and why; every changing act of a person carries one.
#[derive(Clone, Debug)]
pub struct Act {
    pub actor: String,
    pub reason: String,
}

/// Writes the act in the transaction that performs it.
pub async fn record(
    tx: &mut Tx,
    act: &Act,
    action: &str,
    subject: &str,
    details: Value,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO yakin.audit (actor, action, subject, reason, details) VALUES ($1, $2, $3, $4, $5)")
        .bind(&act.actor)
        .bind(action)
        .bind(subject)
        .bind(&act.reason)
        .bind(details)
        .execute(tx.inner()?)
        .await
        .map(|_| ())
}
