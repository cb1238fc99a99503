//! The life of a run: created, waiting (approval, needs, locks), running through its phases, ended once.

use jiff::{Timestamp, ToSpan};
use jiff_sqlx::ToSqlx;
use serde_json::{Value, json};
use sqlx::postgres::PgPool;

use super::{performance, plan};
use crate::days::Days;
use crate::outcome::Stop;
use crate::queue::JobKind;
use crate::queue::enqueue::{NewJob, enqueue};
use crate::registry::{Registry, has_tenants};
use crate::run::RunFacts;
use crate::spec::{Approval, NeedDays, Phase, Spec};
use crate::tenant::PLATFORM;
use crate::tx::Tx;

/// A run to create.
#[derive(Clone, Debug)]
pub struct NewRun {
    pub planned_at: Option<Timestamp>,
    pub trigger: &'static str,
    pub rerun_of: Option<i64>,
    pub days: Option<Days>,
    pub params: Value,
    pub only_tenants: Option<Vec<i64>>,
    pub dry_run: bool,
    pub requested_by: String,
    pub deadline: Timestamp,
    /// Who released blocked tenants for this run, on the record.
    pub released_by: Option<String>,
    pub now: Timestamp,
}

impl NewRun {
    /// The run of a firing: its period follows from the planned instant, its parameters are the defaults.
    pub fn by_firing(
        spec: &Spec,
        planned_at: Timestamp,
        deadline: Timestamp,
        now: Timestamp,
    ) -> NewRun {
        NewRun {
            planned_at: Some(planned_at),
            trigger: "firing",
            rerun_of: None,
            days: spec.period.at(planned_at),
            params: crate::params::check(spec.id, spec.params, &[]).unwrap_or(json!({})),
            only_tenants: None,
            dry_run: false,
            requested_by: "schedule".to_owned(),
            deadline,
            released_by: None,
            now,
        }
    }
}

/// Inserts the run, waiting; [`try_start`] starts it.
pub async fn create(tx: &mut Tx, spec: &Spec, run: NewRun) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(include_str!("run_create.sql"))
        .bind(spec.id)
        .bind(run.planned_at.map(|t| t.to_sqlx()))
        .bind(run.trigger)
        .bind(run.rerun_of)
        .bind(run.days.map(|d| d.start.to_sqlx()))
        .bind(run.days.map(|d| d.end.to_sqlx()))
        .bind(run.params)
        .bind(run.only_tenants)
        .bind(run.dry_run)
        .bind(run.requested_by)
        .bind(run.deadline.to_sqlx())
        .bind(run.now.to_sqlx())
        .bind(run.released_by)
        .fetch_one(tx.inner()?)
        .await
}

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
    if waiting.cancel_requested {
        return end(tx, spec, run, Verdict::new("cancelled", "cancelled before it started"), now)
            .await;
    }
    if spec.approval == Approval::SecondPerson && waiting.approved_by.is_none() && !waiting.dry_run
    {
        return wait(tx, run, "approval of a second person").await;
    }
    // A person who starts a run has decided: missing needs block tenants one by one, they do not hold the run.
    if waiting.trigger == "firing" {
        if let Some(missing) = missing_needs(tx, spec, waiting.days()).await? {
            let longest = missing.1.wait;
            let over =
                waiting.run_at.to_jiff().checked_add(longest).is_ok_and(|until| now >= until);
            if !over {
                return wait(tx, run, &format!("needs {}", missing.0)).await;
            }
            if missing.1.hard {
                let reason = format!(
                    "needs: {} is not there after {} minutes",
                    missing.0,
                    longest.as_secs() / 60
                );
                return end(tx, spec, run, Verdict::new("skipped", &reason), now).await;
            }
            note(tx, run, &format!("went on without {}", missing.0)).await?;
        }
    }
    if let Some(name) = take_locks(tx, spec, run).await? {
        return wait(tx, run, &format!("lock {name}")).await;
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

/// The first period of a need that no run has settled yet, as text, with its need.
async fn missing_needs(
    tx: &mut Tx,
    spec: &'static Spec,
    days: Option<Days>,
) -> Result<Option<(String, &'static crate::spec::Need)>, sqlx::Error> {
    for need in spec.needs {
        let missing: Option<jiff_sqlx::Date> =
            sqlx::query_scalar(include_str!("need_unsettled.sql"))
                .bind(need.batch)
                .bind(needed_days(need.days, days))
                .fetch_optional(tx.inner()?)
                .await?;
        if let Some(day) = missing {
            return Ok(Some((format!("{} of {}", need.batch, day.to_jiff()), need)));
        }
    }
    Ok(None)
}

/// The first days of the needed periods.
pub(crate) fn needed_days(which: NeedDays, days: Option<Days>) -> Vec<jiff_sqlx::Date> {
    let Some(days) = days else { return Vec::new() };
    match which {
        NeedDays::Same => vec![days.start.to_sqlx()],
        NeedDays::EveryDay => days.each().map(|d| d.to_sqlx()).collect(),
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

async fn enqueue_phase(
    tx: &mut Tx,
    spec: &Spec,
    run: i64,
    kind: JobKind,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let deadline: Option<jiff_sqlx::Timestamp> =
        sqlx::query_scalar("SELECT deadline_at FROM yakin.runs WHERE id = $1")
            .bind(run)
            .fetch_one(tx.inner()?)
            .await?;
    let job = NewJob {
        queue: spec.queue.name(),
        tenant: PLATFORM,
        priority: spec.priority as i16,
        run: Some(run),
        batch: spec.id,
        kind,
        payload: json!({}),
        unique_key: Some(format!("run {run} {}", kind.word())),
        at: now,
        deadline: deadline.map(|d| d.to_jiff()),
    };
    enqueue(tx, &[job], now).await.map(|_| ())
}

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

/// Moves every open run on that has nothing left to do in its phase; returns the runs that ended.
pub async fn advance(
    pool: &PgPool,
    registry: &Registry,
    now: Timestamp,
) -> Result<Vec<Ending>, sqlx::Error> {
    let open: Vec<(i64, String, String)> =
        sqlx::query_as(include_str!("runs_idle.sql")).bind(registry.ids()).fetch_all(pool).await?;
    let mut ended = Vec::new();
    for (run, batch, state) in open {
        let Some(known) = registry.get(&batch) else { continue };
        let mut tx = Tx::engine(pool).await?;
        if state == "waiting" {
            try_start(&mut tx, known.spec(), run, now).await?;
        } else if let Some(phase) = idle_phase(&mut tx, run).await? {
            next_phase(&mut tx, known.spec(), run, &phase, now).await?;
        }
        let ending = Ending::of(&mut tx, run).await?;
        tx.commit().await?;
        if let Some(ending) = ending {
            crate::tenant::clear_staging(pool, run).await?;
            ended.push(ending);
        }
    }
    Ok(ended)
}

/// A run's end, for metrics and logs.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Ending {
    pub id: i64,
    pub slug: String,
    pub outcome: String,
    pub reason: Option<String>,
    pub seconds: f64,
}

impl Ending {
    /// The end that this very transaction wrote: a run that another node ended meanwhile is that node's to tell.
    async fn of(tx: &mut Tx, run: i64) -> Result<Option<Ending>, sqlx::Error> {
        sqlx::query_as(
            "SELECT r.id, b.slug, r.outcome, r.reason,
                    coalesce(extract(epoch FROM r.real_ended - r.real_started), 0)::float8 AS seconds
               FROM yakin.runs r JOIN yakin.batches b ON b.id = r.batch_id
              WHERE r.id = $1 AND r.state = 'ended' AND r.xmin = pg_current_xact_id_if_assigned()::xid",
        )
        .bind(run)
        .fetch_optional(tx.inner()?)
        .await
    }
}

/// Locks the run and looks again whether it has nothing left to do in its phase.
async fn idle_phase(tx: &mut Tx, run: i64) -> Result<Option<String>, sqlx::Error> {
    let phase: Option<String> = sqlx::query_scalar(
        "SELECT phase FROM yakin.runs WHERE id = $1 AND state = 'running' FOR UPDATE SKIP LOCKED",
    )
    .bind(run)
    .fetch_optional(tx.inner()?)
    .await?;
    // a statement of its own, after the lock: it sees what committed meanwhile
    let busy: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM yakin.jobs WHERE run_id = $1 AND kind <> 'follow_up')",
    )
    .bind(run)
    .fetch_one(tx.inner()?)
    .await?;
    Ok(phase.filter(|_| !busy))
}

async fn next_phase(
    tx: &mut Tx,
    spec: &'static Spec,
    run: i64,
    phase: &str,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    // how the phase's own job ended; for tenants the ledger's rows tell
    let last: Option<(String, Option<String>)> = sqlx::query_as(
        "SELECT outcome, error FROM yakin.job_history WHERE run_id = $1 AND kind = $2
          ORDER BY real_ended DESC, token DESC LIMIT 1",
    )
    .bind(run)
    .bind(phase)
    .fetch_optional(tx.inner()?)
    .await?;
    let stopped = last.filter(|(outcome, _)| outcome != "done");
    let next = |kind: JobKind| (kind.word(), kind);
    let (name, kind) = match (phase, stopped) {
        ("prepare" | "roster" | "global", Some((outcome, error))) => {
            let outcome = if outcome == "cancelled" { "cancelled" } else { "failed" };
            let reason = format!("{phase}: {}", error.unwrap_or_default());
            return end(tx, spec, run, Verdict::new(outcome, &reason), now).await;
        }
        ("prepare", None) if has_tenants(spec) => next(JobKind::Roster),
        ("prepare", None) => next(JobKind::Global),
        ("tenants", _) if spec.has(Phase::Finish) => next(JobKind::Finish),
        ("finish", Some((_, error))) => {
            return end(
                tx,
                spec,
                run,
                Verdict::of_tenants(error.map(|e| format!("finish: {e}"))),
                now,
            )
            .await;
        }
        _ => return end(tx, spec, run, Verdict::of_tenants(None), now).await,
    };
    sqlx::query("UPDATE yakin.runs SET phase = $2 WHERE id = $1")
        .bind(run)
        .bind(name)
        .execute(tx.inner()?)
        .await?;
    enqueue_phase(tx, spec, run, kind, now).await
}

/// How a run ends: given, or by how its tenants ended.
#[derive(Debug)]
struct Verdict {
    outcome: Option<&'static str>,
    reason: Option<String>,
}

impl Verdict {
    fn new(outcome: &'static str, reason: &str) -> Verdict {
        Verdict { outcome: Some(outcome), reason: Some(reason.chars().take(1000).collect()) }
    }

    fn of_tenants(trouble: Option<String>) -> Verdict {
        Verdict { outcome: None, reason: trouble }
    }
}

/// Ends the run and its firing, gives its locks back, records performance; all in the caller's transaction.
async fn end(
    tx: &mut Tx,
    spec: &Spec,
    run: i64,
    verdict: Verdict,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let plans: Vec<Value> = sqlx::query_scalar(
        "SELECT plan FROM yakin.run_tenants WHERE run_id = $1 AND plan IS NOT NULL
         UNION ALL SELECT plan FROM yakin.runs WHERE id = $1 AND plan IS NOT NULL",
    )
    .bind(run)
    .fetch_all(tx.inner()?)
    .await?;
    let plan = (!plans.is_empty()).then(|| plan::sum(&plans));
    sqlx::query(include_str!("run_end.sql"))
        .bind(run)
        .bind(verdict.outcome)
        .bind(verdict.reason)
        .bind(now.to_sqlx())
        .bind(plan.as_ref().map(plan::hash))
        .bind(plan)
        .execute(tx.inner()?)
        .await?;
    performance::record(tx, spec, run, now).await
}

/// Asks an open run to stop: what has not begun is cancelled now, what runs is told.
pub async fn cancel(tx: &mut Tx, run: i64, now: Timestamp) -> Result<bool, sqlx::Error> {
    let open = sqlx::query(
        "UPDATE yakin.runs SET cancel_requested = true WHERE id = $1 AND state <> 'ended'",
    )
    .bind(run)
    .execute(tx.inner()?)
    .await?
    .rows_affected();
    if open == 0 {
        return Ok(false);
    }
    sqlx::query(include_str!("run_cancel_jobs.sql"))
        .bind(run)
        .bind(now.to_sqlx())
        .execute(tx.inner()?)
        .await?;
    Ok(true)
}

/// The default deadline of a run a person starts.
pub fn deadline_by_hand(now: Timestamp) -> Timestamp {
    now.checked_add(24.hours()).unwrap_or(Timestamp::MAX)
}

/// The facts that a run's attempts share.
pub async fn facts(pool: &PgPool, run: i64) -> Result<RunFacts, Stop> {
    type Row = (
        Option<jiff_sqlx::Date>,
        Option<jiff_sqlx::Date>,
        Value,
        bool,
        jiff_sqlx::Timestamp,
        Option<Vec<i64>>,
        Option<jiff_sqlx::Timestamp>,
        bool,
    );
    let row: Row = sqlx::query_as(
        "SELECT period_start, period_end, params, dry_run, run_at, only_tenants, deadline_at,
                released_by IS NOT NULL FROM yakin.runs
          WHERE id = $1",
    )
    .bind(run)
    .fetch_one(pool)
    .await?;
    let days =
        row.0.zip(row.1).map(|(start, end)| Days { start: start.to_jiff(), end: end.to_jiff() });
    Ok(RunFacts {
        id: run,
        days,
        params: row.2,
        dry_run: row.3,
        now: row.4.to_jiff(),
        only_tenants: row.5,
        deadline: row.6.map(|d| d.to_jiff()),
        released: row.7,
    })
}
