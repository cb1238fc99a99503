//! New jobs, together with the transaction that wants them.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::Serialize;
use serde_json::{Value, json};

use super::JobKind;
use crate::spec::Spec;
use crate::tx::Tx;

/// A job to insert.
#[derive(Clone, Debug, Serialize)]
pub struct NewJob<'a> {
    pub queue: &'a str,
    #[serde(rename = "tenant_id")]
    pub tenant: i64,
    pub priority: i16,
    #[serde(rename = "run_id")]
    pub run: Option<i64>,
    #[serde(rename = "batch_id")]
    pub batch: &'a str,
    pub kind: JobKind,
    pub payload: Value,
    /// While a job of this key waits or runs in its lane, another is left out.
    pub unique_key: Option<String>,
    #[serde(rename = "run_at")]
    pub at: Timestamp,
    #[serde(rename = "deadline_at")]
    pub deadline: Option<Timestamp>,
}

/// Inserts `jobs`; returns the ids of those that were new.
pub async fn enqueue(
    tx: &mut Tx,
    jobs: &[NewJob<'_>],
    now: Timestamp,
) -> Result<Vec<i64>, sqlx::Error> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_scalar("SELECT yakin.enqueue($1, $2)")
        .bind(sqlx::types::Json(jobs))
        .bind(now.to_sqlx())
        .fetch_one(tx.inner()?)
        .await
}

/// Inserts the follow-up jobs that the transaction's work asked for, as jobs of the batch.
pub(crate) async fn insert_follow_ups(
    tx: &mut Tx,
    spec: &Spec,
    run: Option<i64>,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let wanted = std::mem::take(&mut tx.follow_ups);
    let jobs: Vec<NewJob<'_>> = wanted
        .into_iter()
        .map(|act| NewJob {
            queue: spec.queue.name(),
            tenant: act.tenant,
            priority: spec.priority as i16,
            run: act.run.or(run),
            batch: spec.id,
            kind: JobKind::FollowUp,
            payload: json!({"name": act.name, "payload": act.payload}),
            unique_key: None,
            at: now,
            deadline: None,
        })
        .collect();
    enqueue(tx, &jobs, now).await.map(|_| ())
}
