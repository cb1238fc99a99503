//! Runs by hand: start, rerun, cancel, approve, unblock.

mod keys;

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Value, json};
use sqlx::postgres::PgPool;

use crate::error::{Doing, EngineError};
use crate::record::audit::{Act, record};
use crate::record::runs::{self, NewRun, create, deadline_by_hand};
use crate::record::start::try_start;
use crate::registry::Registry;
use crate::spec::{Overlap, Scope, Spec};
use crate::tx::Tx;

/// A run that a person wants.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub date: Option<Date>,
    pub tenants: Vec<i64>,
    pub params: Vec<(String, String)>,
    pub dry_run: bool,
}

/// A call that may come again: under the same key of the same caller it starts no second run, for seven days.
#[derive(Clone, Debug)]
pub struct Once {
    pub caller: String,
    pub key: String,
    /// SHA-256 of what was asked for: another request under the same key is a mistake.
    pub request: [u8; 32],
}

/// A run that a call asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    pub run: i64,
    /// It had been started by an earlier call under the same key.
    pub repeated: bool,
}

/// Starts a run of `batch` now; returns its number.
pub async fn start(
    pool: &PgPool,
    registry: &Registry,
    batch: &str,
    wanted: Wanted,
    trigger: &'static str,
    act: &Act,
    now: Timestamp,
) -> Result<i64, EngineError> {
    let (spec, run) = wanted_run(registry, batch, wanted, trigger, act, now)?;
    Ok(begin(pool, spec, run, "run", None, act).await?.run)
}

/// The same for a call over HTTP, which may come again under its key.
pub async fn start_once(
    pool: &PgPool,
    registry: &Registry,
    (batch, wanted): (&str, Wanted),
    once: Option<&Once>,
    act: &Act,
    now: Timestamp,
) -> Result<Begun, EngineError> {
    let (spec, run) = wanted_run(registry, batch, wanted, "api", act, now)?;
    begin(pool, spec, run, "run", once, act).await
}

/// What is wanted as a run that may be.
fn wanted_run(
    registry: &Registry,
    batch: &str,
    wanted: Wanted,
    trigger: &'static str,
    act: &Act,
    now: Timestamp,
) -> Result<(&'static Spec, NewRun), EngineError> {
    let spec = registry.find(batch).map_err(EngineError::Unknown)?.spec();
    let params = crate::params::check(spec.id, spec.params, &wanted.params)?;
    let days = match wanted.date {
        Some(date) => {
            let days = spec.period.holding(date);
            if days.is_none() {
                return Err(EngineError::refused(format!(
                    "{} works on no period; leave the date out",
                    spec.id
                )));
            }
            days
        }
        None => spec.period.at(now),
    };
    if let Some(days) = days.filter(|d| d.start > crate::days::day_of(now)) {
        return Err(EngineError::refused(format!(
            "the period {days} lies in the future; expected a past or present day"
        )));
    }
    if spec.scope == Scope::Global && !wanted.tenants.is_empty() {
        return Err(EngineError::refused(format!(
            "{} works for all tenants at once; leave the tenants out",
            spec.id
        )));
    }
    let run = NewRun {
        planned_at: None,
        trigger,
        rerun_of: None,
        days,
        params,
        only_tenants: (!wanted.tenants.is_empty()).then_some(wanted.tenants),
        dry_run: wanted.dry_run,
        requested_by: act.actor.clone(),
        deadline: deadline_by_hand(now),
        released_by: None,
        now,
    };
    Ok((spec, run))
}

async fn begin(
    pool: &PgPool,
    spec: &'static Spec,
    run: NewRun,
    action: &str,
    once: Option<&Once>,
    act: &Act,
) -> Result<Begun, EngineError> {
    let doing = "starting a run";
    let now = run.now;
    let mut tx = Tx::engine(pool).await.doing(doing)?;
    sqlx::query("SELECT FROM yakin.batches WHERE id = $1 FOR UPDATE")
        .bind(spec.id)
        .execute(tx.inner().doing(doing)?)
        .await
        .doing(doing)?;
    if let Some(once) = once
        && let Some(begun) = keys::begun(&mut tx, once).await?
    {
        return Ok(begun);
    }
    let open: Option<i64> = sqlx::query_scalar(
        "SELECT min(id) FROM yakin.runs WHERE batch_id = $1 AND state <> 'ended' AND NOT dry_run",
    )
    .bind(spec.id)
    .fetch_one(tx.inner().doing(doing)?)
    .await
    .doing(doing)?;
    if let (Some(open), Overlap::Forbid, false) = (open, spec.overlap, run.dry_run) {
        return Err(EngineError::conflict(format!(
            "run {open} of {} is still open; wait for it (`yakin run-show {open}`) or cancel it",
            spec.id
        )));
    }
    let details = json!({"period": run.days.map(|d| d.to_string()), "params": run.params, "tenants": run.only_tenants,
                         "dry_run": run.dry_run, "rerun_of": run.rerun_of});
    let id = create(&mut tx, spec, run).await.doing(doing)?;
    if let Some(once) = once {
        keys::keep(&mut tx, once, id).await?;
    }
    record(&mut tx, act, action, &format!("{} run {id}", spec.id), details).await.doing(doing)?;
    try_start(&mut tx, spec, id, now).await.doing(doing)?;
    tx.commit().await.doing(doing)?;
    Ok(Begun { run: id, repeated: false })
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

/// Which tenants a rerun is for.
#[derive(Clone, Debug)]
pub enum Again {
    /// The same as before.
    All,
    /// Those that failed or were blocked; all, when the run failed before or after its tenants.
    Failed,
    /// These; with `released`, their blocks are lifted on the record.
    Tenants { ids: Vec<i64>, released: bool },
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
    let doing = "reading the run";
    let old: Option<Ended> = sqlx::query_as(
        "SELECT batch_id, period_start, period_end, params, only_tenants, dry_run, state, outcome
           FROM yakin.runs WHERE id = $1",
    )
    .bind(run)
    .fetch_optional(pool)
    .await
    .doing(doing)?;
    let old =
        old.ok_or_else(|| EngineError::unknown(format!("no run {run}; `yakin runs` lists them")))?;
    if old.state != "ended" {
        return Err(EngineError::conflict(format!(
            "run {run} has not ended; cancel it first or wait"
        )));
    }
    let spec = registry.find(&old.batch_id).map_err(EngineError::Unknown)?.spec();
    let (only_tenants, released) = match again {
        Again::All => (old.only_tenants, false),
        Again::Tenants { ids, released } => (Some(ids), released),
        Again::Failed => {
            let failed: Vec<i64> = sqlx::query_scalar(
                "SELECT tenant_id FROM yakin.run_tenants WHERE run_id = $1 AND state <> 'done' ORDER BY tenant_id",
            )
            .bind(run)
            .fetch_all(pool)
            .await
            .doing(doing)?;
            let fine = old.outcome.as_deref() == Some("succeeded");
            if failed.is_empty() && fine && spec.scope == Scope::EachTenant {
                return Err(EngineError::conflict(format!(
                    "no tenant of run {run} failed or was blocked"
                )));
            }
            (if failed.is_empty() { old.only_tenants } else { Some(failed) }, false)
        }
    };
    let days = old.period_start.zip(old.period_end);
    let new = NewRun {
        planned_at: None,
        trigger: "rerun",
        rerun_of: Some(run),
        days: days.map(|(s, e)| crate::days::Days { start: s.to_jiff(), end: e.to_jiff() }),
        params: old.params,
        only_tenants,
        dry_run: old.dry_run,
        requested_by: act.actor.clone(),
        deadline: deadline_by_hand(now),
        released_by: released.then(|| act.actor.clone()),
        now,
    };
    let action = if released { "unblock" } else { "rerun" };
    Ok(begin(pool, spec, new, action, None, act).await?.run)
}

/// Asks an open run to stop.
pub async fn cancel(pool: &PgPool, run: i64, act: &Act, now: Timestamp) -> Result<(), EngineError> {
    let doing = "cancelling a run";
    let mut tx = Tx::engine(pool).await.doing(doing)?;
    if !runs::cancel(&mut tx, run, now).await.doing(doing)? {
        return Err(EngineError::conflict(format!(
            "run {run} is not open; there is nothing to cancel"
        )));
    }
    record(&mut tx, act, "cancel", &format!("run {run}"), json!({})).await.doing(doing)?;
    tx.commit().await.doing(doing)
}

/// Approves (or with `agree` false, cancels) a run that waits for a second person.
pub async fn approve(
    pool: &PgPool,
    run: i64,
    agree: bool,
    act: &Act,
    now: Timestamp,
) -> Result<(), EngineError> {
    if !agree {
        return cancel(pool, run, act, now).await;
    }
    let doing = "approving a run";
    let mut tx = Tx::engine(pool).await.doing(doing)?;
    let asked: Option<String> = sqlx::query_scalar(
        "SELECT requested_by FROM yakin.runs WHERE id = $1 AND state = 'waiting' AND waiting_for LIKE 'approval%' FOR UPDATE",
    )
    .bind(run)
    .fetch_optional(tx.inner().doing(doing)?)
    .await
    .doing(doing)?;
    let Some(asked) = asked else {
        return Err(EngineError::conflict(format!("run {run} does not wait for an approval")));
    };
    if asked == act.actor {
        return Err(EngineError::conflict(format!(
            "{asked} asked for run {run}; a second person must approve it"
        )));
    }
    sqlx::query("UPDATE yakin.runs SET approved_by = $2 WHERE id = $1")
        .bind(run)
        .bind(&act.actor)
        .execute(tx.inner().doing(doing)?)
        .await
        .doing(doing)?;
    record(&mut tx, act, "approve", &format!("run {run}"), json!({})).await.doing(doing)?;
    tx.commit().await.doing(doing)
}
