//! Alerts: a person takes one on, and it reminds nobody any more.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::json;
use sqlx::postgres::PgPool;

use crate::error::{Doing, EngineError};
use crate::record::audit::{Act, record};
use crate::tx::Tx;

/// Acknowledges an open alert.
pub async fn acknowledge(
    pool: &PgPool,
    alert: i64,
    act: &Act,
    now: Timestamp,
) -> Result<(), EngineError> {
    let doing = "acknowledging an alert";
    let mut tx = Tx::engine(pool).await.doing(doing)?;
    let found: Option<(String, String, Option<jiff_sqlx::Timestamp>, Option<String>)> =
        sqlx::query_as(
            "SELECT rule, subject, resolved_at, acknowledged_by FROM yakin.alerts WHERE id = $1 FOR UPDATE",
        )
        .bind(alert)
        .fetch_optional(tx.inner().doing(doing)?)
        .await
        .doing(doing)?;
    let Some((rule, subject, resolved, by)) = found else {
        return Err(EngineError::unknown(format!("no alert {alert}; `yakin alerts` lists them")));
    };
    if resolved.is_some() {
        return Err(EngineError::conflict(format!("alert {alert} is resolved already")));
    }
    if let Some(by) = by {
        return Err(EngineError::conflict(format!(
            "alert {alert} is acknowledged by {by} already"
        )));
    }
    sqlx::query("UPDATE yakin.alerts SET acknowledged_at = $2, acknowledged_by = $3 WHERE id = $1")
        .bind(alert)
        .bind(now.to_sqlx())
        .bind(&act.actor)
        .execute(tx.inner().doing(doing)?)
        .await
        .doing(doing)?;
    let details = json!({"rule": rule, "subject": subject});
    record(&mut tx, act, "acknowledge", &format!("alert {alert}"), details).await.doing(doing)?;
    tx.commit().await.doing(doing)
}
