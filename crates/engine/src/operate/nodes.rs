//! Nodes: one is told to end what it runs, begin nothing, and leave.

use serde_json::json;
use sqlx::postgres::PgPool;

use crate::error::{Doing, EngineError};
use crate::record::audit::{Act, record};
use crate::tx::Tx;

/// Tells a node to drain; it hears of it with its next heartbeat, within ten seconds.
pub async fn drain(pool: &PgPool, node: i64, act: &Act) -> Result<(), EngineError> {
    let doing = "draining a node";
    let mut tx = Tx::engine(pool).await.doing(doing)?;
    let told: Option<(String, bool)> = sqlx::query_as(
        "UPDATE yakin.nodes SET draining = draining OR real_ended IS NULL WHERE id = $1
         RETURNING name, real_ended IS NULL",
    )
    .bind(node)
    .fetch_optional(tx.inner().doing(doing)?)
    .await
    .doing(doing)?;
    let Some((name, lives)) = told else {
        return Err(EngineError::unknown(format!("no node {node}; `yakin nodes` lists them")));
    };
    if !lives {
        return Err(EngineError::conflict(format!("node {node} ({name}) has left already")));
    }
    let subject = format!("node {node}");
    record(&mut tx, act, "drain", &subject, json!({"name": name})).await.doing(doing)?;
    tx.commit().await.doing(doing)
}
