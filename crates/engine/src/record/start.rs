//! A waiting run starts when nothing is in its way any more: approval, needs, locks.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use super::advance::{Verdict, end, enqueue_phase};
use crate::days::{Days, after};
use crate::queue::JobKind;
use crate::registry::has_tenants;
use crate::spec::{Approval, Need, NeedDays, Overlap, Phase, Spec};
use crate::tx::Tx;
use crate::virtual_time;

/// What a waiting run waits for.
#[derive(Debug, sqlx::FromRow)]
struct Waiting {
    trigger: String,
    period_start: Option<jiff_sqlx::Date>,
    period_end: Option<jiff_sqlx::Date>,
    dry_run: bool,
    cancel_requested: bool,
    approved_by: Option<String>,
    run_at: jiff_sqlx::Timestamp,
}

impl Waiting {
    fn days(&self) -> Option<Days> {
        Some(Days { start: self.period_start?.to_jiff(), end: self.period_end?.to_jiff() })
    }
}

/// Starts a waiting run if nothing is in its way any more; otherwise notes what is, or ends it.
pub async fn try_start(
    tx: &mut Tx,
    spec: &'static Spec,
    run: i64,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let waiting: Option<Waiting> = sqlx::query_as(
        "SELECT trigger, period_start, period_end, dry_run, cancel_requested, approved_by, run_at
           FROM yakin.runs WHERE id = $1 AND state = 'waiting' FOR UPDATE SKIP LOCKED",
    )
    .bind(run)
    .fetch_optional(tx.inner()?)
    .await?;
    let Some(waiting) = waiting else { return Ok(()) };
    if !virtual_time::stand(tx, now).await? {
        return Ok(());
    }
    if waiting.cancel_requested {
        return end(tx, spec, run, Verdict::new("cancelled", "cancelled before it started"), now)
            .await;
    }
    if spec.approval == Approval::SecondPerson && waiting.approved_by.is_none() && !waiting.dry_run
    {
        return wait(tx, run, "approval of a second person").await;
    }
    if spec.overlap == Overlap::Queue
        && !waiting.dry_run
        && let Some(open) = open_before(tx, spec, run).await?
    {
        return wait(tx, run, &format!("run {open}")).await;
    }
    // A person who starts a run has decided: missing needs block tenants one by one, they do not hold the run.
    let needs = match waiting.trigger.as_str() {
        "firing" => judge_needs(tx, spec, &waiting, now).await?,
        _ => Needs::Met { without: Vec::new() },
    };
    let without = match needs {
        Needs::Met { without } => without,
        Needs::Wait(what) => return wait(tx, run, &format!("needs {what}")).await,
        Needs::Skip(reason) => {
            return end(tx, spec, run, Verdict::new("skipped", &reason), now).await;
        }
    };
    if let Some(name) = take_locks(tx, spec, run).await? {
        return wait(tx, run, &format!("lock {name}")).await;
    }
    for what in without {
        note(tx, run, &format!("went on without {what}")).await?;
    }
    let (phase, kind) = match (spec.has(Phase::Prepare), has_tenants(spec)) {
        (true, _) => ("prepare", JobKind::Prepare),
        (false, true) => ("roster", JobKind::Roster),
        (false, false) => ("global", JobKind::Global),
    };
    sqlx::query(
        "UPDATE yakin.runs SET state = 'running', waiting_for = NULL, phase = $2, run_at = $3,
                real_started = clock_timestamp() WHERE id = $1",
    )
    .bind(run)
    .bind(phase)
    .bind(now.to_sqlx())
    .execute(tx.inner()?)
    .await?;
    enqueue_phase(tx, spec, run, kind, now).await
}

/// The oldest run of the batch that is open before this one.
async fn open_before(tx: &mut Tx, spec: &Spec, run: i64) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT min(id) FROM yakin.runs
          WHERE batch_id = $1 AND id < $2 AND state <> 'ended' AND NOT dry_run",
    )
    .bind(spec.id)
    .bind(run)
    .fetch_one(tx.inner()?)
    .await
}

async fn wait(tx: &mut Tx, run: i64, what: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE yakin.runs SET waiting_for = $2 WHERE id = $1 AND waiting_for IS DISTINCT FROM $2",
    )
    .bind(run)
    .bind(what)
    .execute(tx.inner()?)
    .await
    .map(|_| ())
}

async fn note(tx: &mut Tx, run: i64, text: &str) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE yakin.runs SET notes = notes || to_jsonb($2::text) WHERE id = $1")
        .bind(run)
        .bind(text)
        .execute(tx.inner()?)
        .await
        .map(|_| ())
}

/// Whether a run may start as far as its needs go.
#[derive(Debug)]
enum Needs {
    /// Soft needs whose time is over are named.
    Met {
        without: Vec<String>,
    },
    Wait(String),
    Skip(String),
}

/// Judges all needs: one hard need whose time is over skips the run, whatever else it waits for.
async fn judge_needs(
    tx: &mut Tx,
    spec: &'static Spec,
    waiting: &Waiting,
    now: Timestamp,
) -> Result<Needs, sqlx::Error> {
    let (mut without, mut wait_for) = (Vec::new(), None);
    for need in spec.needs {
        let Some(what) = missing(tx, spec, need, waiting.days()).await? else { continue };
        let over = waiting.run_at.to_jiff().checked_add(need.wait).is_ok_and(|end| now >= end);
        match (over, need.hard) {
            (false, _) => wait_for = wait_for.or(Some(what)),
            (true, false) => without.push(what),
            (true, true) => {
                let minutes = need.wait.as_secs() / 60;
                return Ok(Needs::Skip(format!(
                    "needs: {what} is not there after {minutes} minutes"
                )));
            }
        }
    }
    Ok(wait_for.map_or(Needs::Met { without }, Needs::Wait))
}

/// The first period of a need that is not settled yet, as text. A soft need on a batch that is disabled or unknown
/// counts as met; a global batch asks for all tenants.
async fn missing(
    tx: &mut Tx,
    spec: &Spec,
    need: &Need,
    days: Option<Days>,
) -> Result<Option<String>, sqlx::Error> {
    let first: Option<(jiff_sqlx::Date, bool)> = sqlx::query_as(include_str!("need_unsettled.sql"))
        .bind(need.batch)
        .bind(needed_days(need.days, days))
        .bind(need.hard)
        .bind(!has_tenants(spec))
        .fetch_optional(tx.inner()?)
        .await?;
    Ok(first.map(|(day, tenants_left)| {
        let whom = if tenants_left { " for all tenants" } else { "" };
        format!("{} of {}{whom}", need.batch, day.to_jiff())
    }))
}

/// The first days of the needed periods.
pub(crate) fn needed_days(which: NeedDays, days: Option<Days>) -> Vec<jiff_sqlx::Date> {
    let Some(days) = days else { return Vec::new() };
    match which {
        NeedDays::Same => vec![days.start.to_sqlx()],
        NeedDays::EveryDay => days.each().map(|d| d.to_sqlx()).collect(),
        NeedDays::LastDay => vec![after(days.end, -1).to_sqlx()],
    }
}

/// Takes the run's locks in name order; the name of the first that is not free, if any.
async fn take_locks(
    tx: &mut Tx,
    spec: &Spec,
    run: i64,
) -> Result<Option<&'static str>, sqlx::Error> {
    let mut locks: Vec<_> = spec.locks.iter().collect();
    locks.sort_by_key(|l| l.name);
    for lock in locks {
        let taken: bool = sqlx::query_scalar(include_str!("lock_take.sql"))
            .bind(lock.name)
            .bind(run)
            .bind(lock.exclusive)
            .fetch_one(tx.inner()?)
            .await?;
        if !taken {
            sqlx::query("DELETE FROM yakin.locks WHERE run_id = $1")
                .bind(run)
                .execute(tx.inner()?)
                .await?;
            return Ok(Some(lock.name));
        }
    }
    Ok(None)
}
