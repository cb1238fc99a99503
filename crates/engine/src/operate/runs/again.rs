//! Ended runs again: all of one, what failed of it, or tenants whose blocks are lifted.

use jiff::Timestamp;
use serde_json::Value;
use sqlx::postgres::PgPool;

use super::{Begun, Once, begin_in};
use crate::days::Days;
use crate::error::{Doing, EngineError};
use crate::operate::end;
use crate::record::audit::Act;
use crate::record::runs::{NewRun, deadline_by_hand};
use crate::registry::Registry;
use crate::spec::Scope;
use crate::tx::Tx;

const DOING: &str = "running a run again";

/// Which tenants a rerun is for.
#[derive(Clone, Debug)]
pub enum Again {
    /// The same as before.
    All,
    /// Those that failed or were blocked; all, when the run failed before or after its tenants.
    Failed,
    /// These.
    Tenants(Vec<i64>),
    /// These, which the run left blocked: their blocks are lifted on the record.
    Released(Vec<i64>),
}

/// The facts of an ended run that a rerun takes over.
#[derive(Debug, sqlx::FromRow)]
struct Ended {
    batch_id: String,
    period_start: Option<jiff_sqlx::Date>,
    period_end: Option<jiff_sqlx::Date>,
    params: Value,
    only_tenants: Option<Vec<i64>>,
    dry_run: bool,
    state: String,
    outcome: Option<String>,
}

/// Runs an ended run again, for the same period and parameters; returns the new run's number.
pub async fn rerun(
    pool: &PgPool,
    registry: &Registry,
    run: i64,
    again: Again,
    act: &Act,
    now: Timestamp,
) -> Result<i64, EngineError> {
    Ok(rerun_once(pool, registry, (run, again), None, act, now).await?.run)
}

/// The same for a call over HTTP, which may come again under its key.
pub async fn rerun_once(
    pool: &PgPool,
    registry: &Registry,
    (run, again): (i64, Again),
    once: Option<&Once>,
    act: &Act,
    now: Timestamp,
) -> Result<Begun, EngineError> {
    let mut tx = Tx::engine(pool).await.doing(DOING)?;
    let begun = again_in(&mut tx, registry, (run, again), once, act, now).await;
    end(tx, DOING, begun).await
}

/// The same within a transaction of the caller's, which must not commit when the run is refused.
pub(in crate::operate) async fn again_in(
    tx: &mut Tx,
    registry: &Registry,
    (run, again): (i64, Again),
    once: Option<&Once>,
    act: &Act,
    now: Timestamp,
) -> Result<Begun, EngineError> {
    let old: Option<Ended> = sqlx::query_as(
        "SELECT batch_id, period_start, period_end, params, only_tenants, dry_run, state, outcome
           FROM yakin.runs WHERE id = $1",
    )
    .bind(run)
    .fetch_optional(tx.inner().doing(DOING)?)
    .await
    .doing(DOING)?;
    let old =
        old.ok_or_else(|| EngineError::unknown(format!("no run {run}; `yakin runs` lists them")))?;
    if old.state != "ended" {
        return Err(EngineError::conflict(format!(
            "run {run} has not ended; cancel it first or wait"
        )));
    }
    let spec = registry.find(&old.batch_id).map_err(EngineError::Unknown)?.spec();
    let released = matches!(again, Again::Released(_));
    let only_tenants = match again {
        Again::All => old.only_tenants,
        Again::Tenants(ids) => Some(ids),
        Again::Released(ids) => {
            blocked(tx, run, &ids).await?;
            Some(ids)
        }
        Again::Failed => {
            let failed = failed(tx, run).await?;
            let fine = old.outcome.as_deref() == Some("succeeded");
            if failed.is_empty() && fine && spec.scope == Scope::EachTenant {
                return Err(EngineError::conflict(format!(
                    "no tenant of run {run} failed or was blocked"
                )));
            }
            if failed.is_empty() { old.only_tenants } else { Some(failed) }
        }
    };
    let days = old.period_start.zip(old.period_end);
    let new = NewRun {
        planned_at: None,
        trigger: "rerun",
        rerun_of: Some(run),
        days: days.map(|(s, e)| Days { start: s.to_jiff(), end: e.to_jiff() }),
        params: old.params,
        only_tenants,
        dry_run: old.dry_run,
        requested_by: act.actor.clone(),
        deadline: deadline_by_hand(now),
        released_by: released.then(|| act.actor.clone()),
        now,
    };
    let action = if released { "unblock" } else { "rerun" };
    begin_in(tx, spec, new, action, once, act).await
}

/// The tenants of a run that it did not end as done.
async fn failed(tx: &mut Tx, run: i64) -> Result<Vec<i64>, EngineError> {
    sqlx::query_scalar(
        "SELECT tenant_id FROM yakin.run_tenants WHERE run_id = $1 AND state <> 'done' ORDER BY tenant_id",
    )
    .bind(run)
    .fetch_all(tx.inner().doing(DOING)?)
    .await
    .doing(DOING)
}

/// Refuses tenants that the run did not leave blocked: there is nothing to lift.
async fn blocked(tx: &mut Tx, run: i64, tenants: &[i64]) -> Result<(), EngineError> {
    let others: Option<String> = sqlx::query_scalar(
        "SELECT string_agg(id::text, ', ' ORDER BY id) FROM unnest($2::bigint[]) AS id
          WHERE NOT EXISTS (SELECT FROM yakin.run_tenants r
                             WHERE (r.run_id, r.tenant_id, r.state) = ($1, id, 'blocked'))",
    )
    .bind(run)
    .bind(tenants)
    .fetch_one(tx.inner().doing(DOING)?)
    .await
    .doing(DOING)?;
    match others {
        None => Ok(()),
        Some(others) => Err(EngineError::conflict(format!(
            "run {run} did not block tenant {others}; `yakin run-show {run}` names whom it did"
        ))),
    }
}
