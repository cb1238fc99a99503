//! Runs by hand: start, rerun, cancel, approve, unblock.

mod again;
mod keys;

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::json;
use sqlx::postgres::PgPool;

pub(super) use again::again_in;
pub use again::{Again, rerun, rerun_once};

use super::{end, lock_batch};
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
    let mut tx = Tx::engine(pool).await.doing(doing)?;
    let begun = begin_in(&mut tx, spec, run, action, once, act).await;
    end(tx, doing, begun).await
}

/// The same within a transaction of the caller's, which must not commit when the run is refused.
async fn begin_in(
    tx: &mut Tx,
    spec: &'static Spec,
    run: NewRun,
    action: &str,
    once: Option<&Once>,
    act: &Act,
) -> Result<Begun, EngineError> {
    let doing = "starting a run";
    let now = run.now;
    if spec.scope == Scope::Global && run.only_tenants.is_some() {
        return Err(EngineError::refused(format!(
            "{} works for all tenants at once; leave the tenants out",
            spec.id
        )));
    }
    lock_batch(tx, spec.id, doing).await?;
    if let Some(once) = once
        && let Some(begun) = keys::begun(tx, once).await?
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
    let id = create(tx, spec, run).await.doing(doing)?;
    if let Some(once) = once {
        keys::keep(tx, once, id).await?;
    }
    record(tx, act, action, &format!("{} run {id}", spec.id), details).await.doing(doing)?;
    try_start(tx, spec, id, now).await.doing(doing)?;
    Ok(Begun { run: id, repeated: false })
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

/// Approves a run that waits for a second person; with `agree` false, rejects it: it is cancelled.
pub async fn approve(
    pool: &PgPool,
    run: i64,
    agree: bool,
    act: &Act,
    now: Timestamp,
) -> Result<(), EngineError> {
    let doing = "approving a run";
    let mut tx = Tx::engine(pool).await.doing(doing)?;
    let asked: Option<String> = sqlx::query_scalar(
        "SELECT requested_by FROM yakin.runs
          WHERE id = $1 AND state = 'waiting' AND waiting_for LIKE 'approval%' AND approved_by IS NULL FOR UPDATE",
    )
    .bind(run)
    .fetch_optional(tx.inner().doing(doing)?)
    .await
    .doing(doing)?;
    let Some(asked) = asked else {
        return Err(EngineError::conflict(format!("run {run} does not wait for an approval")));
    };
    if !agree {
        runs::cancel(&mut tx, run, now).await.doing(doing)?;
        record(&mut tx, act, "reject", &format!("run {run}"), json!({})).await.doing(doing)?;
        return tx.commit().await.doing(doing);
    }
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
