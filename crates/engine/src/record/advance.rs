//! Open runs move on through their phases when nothing is left to do in one, and end exactly once.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::{Value, json};
use sqlx::postgres::PgPool;

use super::runs::cancel_jobs;
use super::start::try_start;
use super::{performance, plan};
use crate::queue::JobKind;
use crate::queue::enqueue::{NewJob, enqueue};
use crate::registry::{Registry, has_tenants};
use crate::spec::{Phase, Spec};
use crate::tenant::PLATFORM;
use crate::tx::Tx;

/// Moves every open run on that has nothing left to do in its phase; returns the runs that ended.
pub async fn advance(
    pool: &PgPool,
    registry: &Registry,
    now: Timestamp,
) -> Result<Vec<Ending>, sqlx::Error> {
    let open: Vec<(i64, String)> =
        sqlx::query_as(include_str!("runs_idle.sql")).bind(registry.ids()).fetch_all(pool).await?;
    let mut ended = Vec::new();
    for (run, batch) in open {
        let Some(known) = registry.get(&batch) else { continue };
        match advance_one(pool, known.spec(), run, now).await {
            Ok(ending) => ended.extend(ending),
            Err(error) => tracing::error!(%error, run, "a run could not be moved on; tried again"),
        }
    }
    Ok(ended)
}

async fn advance_one(
    pool: &PgPool,
    spec: &'static Spec,
    run: i64,
    now: Timestamp,
) -> Result<Option<Ending>, sqlx::Error> {
    let mut tx = Tx::engine(pool).await?;
    let open: Option<(String, Option<String>, bool)> = sqlx::query_as(
        "SELECT state, phase, cancel_requested FROM yakin.runs
          WHERE id = $1 AND state <> 'ended' FOR UPDATE SKIP LOCKED",
    )
    .bind(run)
    .fetch_optional(tx.inner()?)
    .await?;
    match open {
        None => return tx.rollback().await.map(|()| None),
        Some((state, Some(phase), cancelled)) if state == "running" => {
            if cancelled {
                // what was under way at the cancel may have come back for another try
                cancel_jobs(&mut tx, run, now).await?;
            }
            if !has_jobs(&mut tx, run).await? {
                next_phase(&mut tx, spec, run, (&phase, cancelled), now).await?;
            }
        }
        Some(_) => try_start(&mut tx, spec, run, now).await?,
    }
    let ending = Ending::of(&mut tx, run).await?;
    tx.commit().await?;
    if ending.is_some()
        && let Err(error) = crate::tenant::clear_staging(pool, run).await
    {
        // the run has ended all the same; see `sweep_staging`
        tracing::warn!(%error, run, "what the run staged could not be cleared; tried again within the hour");
    }
    Ok(ending)
}

/// A run's end, for metrics and logs.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Ending {
    pub id: i64,
    pub slug: String,
    pub outcome: String,
    pub reason: Option<String>,
    pub seconds: f64,
    pub by_firing: bool,
}

impl Ending {
    /// The end that this very transaction wrote: a run that another node ended meanwhile is that node's to tell.
    async fn of(tx: &mut Tx, run: i64) -> Result<Option<Ending>, sqlx::Error> {
        sqlx::query_as(
            "SELECT r.id, b.slug, r.outcome, r.reason,
                    coalesce(extract(epoch FROM r.real_ended - r.real_started), 0)::float8 AS seconds,
                    r.planned_at IS NOT NULL AS by_firing
               FROM yakin.runs r JOIN yakin.batches b ON b.id = r.batch_id
              WHERE r.id = $1 AND r.state = 'ended' AND r.xmin = pg_current_xact_id_if_assigned()::xid",
        )
        .bind(run)
        .fetch_optional(tx.inner()?)
        .await
    }
}

/// Whether the run has unfinished jobs of its phase. A statement of its own, after the run's row is locked: it sees
/// what committed meanwhile.
async fn has_jobs(tx: &mut Tx, run: i64) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM yakin.jobs WHERE run_id = $1 AND kind <> 'follow_up')",
    )
    .bind(run)
    .fetch_one(tx.inner()?)
    .await
}

async fn next_phase(
    tx: &mut Tx,
    spec: &'static Spec,
    run: i64,
    (phase, cancelled): (&str, bool),
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    // how the phase's own job ended; for tenants the ledger's rows tell
    let last: Option<(String, Option<String>)> = sqlx::query_as(
        "SELECT outcome, error FROM yakin.job_history WHERE run_id = $1 AND kind = $2
          ORDER BY job_id DESC, token DESC LIMIT 1",
    )
    .bind(run)
    .bind(phase)
    .fetch_optional(tx.inner()?)
    .await?;
    let stopped = last.filter(|(outcome, _)| outcome != "done");
    let next = |kind: JobKind| (kind.word(), kind);
    let was_cancelled = stopped.as_ref().is_some_and(|(outcome, _)| outcome == "cancelled");
    let more_to_do = phase == "prepare" || phase == "tenants" && spec.has(Phase::Finish);
    if phase != "tenants" && was_cancelled || cancelled && more_to_do {
        return end(tx, spec, run, Verdict::new("cancelled", "cancelled by an operator"), now)
            .await;
    }
    let (name, kind) = match (phase, stopped) {
        ("prepare" | "roster" | "global", Some((_, error))) => {
            let reason = format!("{phase}: {}", error.unwrap_or_default());
            return end(tx, spec, run, Verdict::new("failed", &reason), now).await;
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
pub(super) struct Verdict {
    outcome: Option<&'static str>,
    reason: Option<String>,
}

impl Verdict {
    pub(super) fn new(outcome: &'static str, reason: &str) -> Verdict {
        Verdict { outcome: Some(outcome), reason: Some(reason.chars().take(1000).collect()) }
    }

    fn of_tenants(trouble: Option<String>) -> Verdict {
        Verdict { outcome: None, reason: trouble }
    }
}

/// Ends the run and its firing, gives its locks back, records performance; all in the caller's transaction.
pub(super) async fn end(
    tx: &mut Tx,
    spec: &Spec,
    run: i64,
    verdict: Verdict,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let plans: Vec<Value> = sqlx::query_scalar(
        // always in the same order: the plan's hash names it
        "SELECT plan FROM (
            SELECT 0, phase.n, phase.plan FROM yakin.runs, jsonb_array_elements(plan) WITH ORDINALITY AS phase (plan, n)
             WHERE id = $1
            UNION ALL
            SELECT 1, tenant_id, plan FROM yakin.run_tenants WHERE run_id = $1 AND plan IS NOT NULL
         ) AS each_plan (place, n, plan) ORDER BY place, n",
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

/// Inserts the job of a phase.
pub(super) async fn enqueue_phase(
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
