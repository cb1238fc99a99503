//! A run's tenants: the ledger's rows, and a job for each that nothing blocks.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::json;

use super::start::needed_days;
use crate::queue::JobKind;
use crate::queue::enqueue::{NewJob, enqueue};
use crate::run::RunFacts;
use crate::spec::Spec;
use crate::tx::Tx;

/// Writes the roster: the ledger's row of each tenant, blocked where its needs are missing, and a job for each of
/// the others. Called in the transaction that settles the roster job.
pub(crate) async fn fan_out(
    tx: &mut Tx,
    spec: &'static Spec,
    facts: &RunFacts,
    roster: &[i64],
    now: Timestamp,
) -> Result<(i64, i64), sqlx::Error> {
    let tenants: Vec<i64> = match &facts.only_tenants {
        Some(only) => only.clone(),
        None => roster.to_vec(),
    };
    sqlx::query(include_str!("roster_insert.sql"))
        .bind(facts.id)
        .bind(&tenants)
        .bind(roster)
        .bind(now.to_sqlx())
        .execute(tx.inner()?)
        .await?;
    for need in spec.needs.iter().filter(|n| n.hard && !facts.released) {
        sqlx::query(include_str!("roster_block.sql"))
            .bind(facts.id)
            .bind(need.batch)
            .bind(needed_days(need.days, facts.days))
            .bind(now.to_sqlx())
            .execute(tx.inner()?)
            .await?;
    }
    let waiting: Vec<i64> = sqlx::query_scalar(
        "SELECT tenant_id FROM yakin.run_tenants WHERE run_id = $1 AND state = 'waiting' ORDER BY tenant_id",
    )
    .bind(facts.id)
    .fetch_all(tx.inner()?)
    .await?;
    let jobs: Vec<NewJob<'_>> =
        waiting.iter().map(|tenant| tenant_job(spec, facts, *tenant, now)).collect();
    enqueue(tx, &jobs, now).await?;
    sqlx::query("UPDATE yakin.runs SET phase = 'tenants', tenants_total = $2 WHERE id = $1")
        .bind(facts.id)
        .bind(i32::try_from(tenants.len()).unwrap_or(i32::MAX))
        .execute(tx.inner()?)
        .await?;
    Ok((tenants.len() as i64, (tenants.len() - waiting.len()) as i64))
}

/// Whether an operator asked the run to stop. Keeps the run's row, so that a cancel comes before or after the caller.
pub(crate) async fn is_cancelled(tx: &mut Tx, run: i64) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT cancel_requested FROM yakin.runs WHERE id = $1 FOR UPDATE")
        .bind(run)
        .fetch_one(tx.inner()?)
        .await
}

/// The job of one tenant's piece.
pub(crate) fn tenant_job<'a>(
    spec: &Spec,
    facts: &RunFacts,
    tenant: i64,
    now: Timestamp,
) -> NewJob<'a> {
    NewJob {
        queue: spec.queue.name(),
        tenant,
        priority: spec.priority as i16,
        run: Some(facts.id),
        batch: spec.id,
        kind: JobKind::Tenant,
        payload: json!({}),
        unique_key: Some(format!("run {}", facts.id)),
        at: now,
        deadline: facts.deadline,
    }
}
