//! Alerts from the state of the database: opened once, reminded, resolved when their condition is gone.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::postgres::PgPool;

use super::alert_messages::{self, Route};
use crate::tx::Tx;

/// An alert that was just opened, reminded of, or resolved.
#[derive(Debug, sqlx::FromRow)]
pub struct Change {
    pub what: String,
    pub id: i64,
    pub rule: String,
    pub subject: String,
    pub severity: String,
    pub message: String,
}

/// Compares the conditions of all rules with the open alerts, in one transaction of one node at a time; each change
/// becomes a message on the routes that want its severity.
pub async fn evaluate(pool: &PgPool, routes: &[Route], now: Timestamp) -> Result<(), sqlx::Error> {
    let mut tx = Tx::engine(pool).await?;
    let mine: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock(7284413)")
        .fetch_one(tx.inner()?)
        .await?;
    if !mine {
        return tx.rollback().await;
    }
    let changes: Vec<Change> = sqlx::query_as(include_str!("alerts_evaluate.sql"))
        .bind(now.to_sqlx())
        .fetch_all(tx.inner()?)
        .await?;
    alert_messages::insert(&mut tx, routes, &changes, now).await?;
    tx.commit().await?;
    for change in changes {
        tracing::warn!(
            target: "yakin::alert", rule = change.rule, subject = change.subject,
            severity = change.severity, "alert {}: {}", change.what, change.message
        );
    }
    Ok(())
}
