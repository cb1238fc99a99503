//! Append-only: who did what, when and why; each act's digest covers the one before (`yakin.audit_chain`).

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::PgPool;
use sqlx::{Executor, FromRow, Postgres};
use utoipa::ToSchema;

use crate::error::{Doing, EngineError};
use crate::tx::{Role, Tx};

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

/// Where the audit's chain stands, and where it breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow, ToSchema)]
pub struct Chain {
    /// How many acts it holds.
    pub acts: i64,
    /// The last one's digest, in hex; empty where there is none.
    pub head: String,
    /// What is wrong, the first 100 places; empty when nothing is.
    pub faults: Vec<String>,
}

/// Reckons the whole chain anew and compares it with what stands; one pass, in the database.
pub async fn verify(pool: &PgPool) -> Result<Chain, EngineError> {
    verify_within(pool, None).await
}

/// The same, ended by the database after so long.
pub async fn verify_within(pool: &PgPool, longest: Option<Duration>) -> Result<Chain, EngineError> {
    let doing = "verifying the audit";
    let mut tx = Tx::begin(pool, Role::Engine, "", true).await.doing(doing)?;
    if let Some(longest) = longest {
        tx.limit(longest).await.doing(doing)?;
    }
    let found = sqlx::query_as(include_str!("audit_verify.sql")).fetch_one(&mut tx).await;
    let chain = found.doing(doing)?;
    tx.commit().await.doing(doing)?;
    Ok(chain)
}

/// NUMBER:DIGEST of the chain as it stands; nothing where it holds no act.
pub async fn head<'c, E: Executor<'c, Database = Postgres>>(
    from: E,
) -> Result<Option<String>, EngineError> {
    sqlx::query_scalar(
        "SELECT seq || ':' || encode(digest, 'hex') FROM yakin.audit_chain ORDER BY seq DESC LIMIT 1",
    )
    .fetch_optional(from)
    .await
    .doing("reading the audit's chain")
}

/// The digest of the chain's act number `seq`, in hex, where there is one.
pub async fn digest_at(pool: &PgPool, seq: i64) -> Result<Option<String>, EngineError> {
    sqlx::query_scalar("SELECT encode(digest, 'hex') FROM yakin.audit_chain WHERE seq = $1")
        .bind(seq)
        .fetch_optional(pool)
        .await
        .doing("reading the audit's chain")
}
