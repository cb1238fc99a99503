//! Writes firings ahead, so that a deploy or a crash at their minute loses none.

use jiff::{Timestamp, ToSpan};
use jiff_sqlx::ToSqlx;
use sqlx::postgres::PgPool;

use super::cron::{Plan, text};
use crate::error::{Doing, EngineError};
use crate::registry::Registry;
use crate::spec::Spec;
use crate::tx::Tx;

/// How far ahead firings are written at every instant.
pub const AHEAD_HOURS: i64 = 48;
/// A step writes so much further, so that the next ones have nothing to do.
const GRAIN_MINUTES: i64 = 30;
/// At most so many firings of one batch in one step; the next step goes on.
const AT_MOST: usize = 2_000;

/// Makes the node's batches known. Additive: what other nodes registered stays. A batch whose schedule in the code
/// changed is planned anew, unless an operator's override stands.
pub async fn register(
    pool: &PgPool,
    registry: &Registry,
    now: Timestamp,
) -> Result<(), EngineError> {
    let doing = "registering the catalogue";
    for batch in registry.all() {
        let spec = batch.spec();
        let mut tx = Tx::engine(pool).await.doing(doing)?;
        // two that insert a batch at once would stumble over its slug, for which there is no ON CONFLICT
        sqlx::query("SELECT pg_advisory_xact_lock(7284414)")
            .execute(tx.inner().doing(doing)?)
            .await
            .doing(doing)?;
        let changed: bool = sqlx::query_scalar(include_str!("register.sql"))
            .bind(spec.id)
            .bind(spec.slug)
            .bind(spec.title)
            .bind(sqlx::types::Json(spec))
            .bind(text(spec.schedule))
            .fetch_one(tx.inner().doing(doing)?)
            .await
            .doing(doing)?;
        if changed {
            replan(&mut tx, spec.id, now).await.doing(doing)?;
        }
        tx.commit().await.doing(doing)?;
    }
    refuse_needs_on_disabled(pool, registry).await
}

async fn refuse_needs_on_disabled(pool: &PgPool, registry: &Registry) -> Result<(), EngineError> {
    let disabled: Vec<String> =
        sqlx::query_scalar("SELECT id FROM yakin.batches WHERE NOT enabled ORDER BY id")
            .fetch_all(pool)
            .await
            .doing("reading disabled batches")?;
    for spec in registry.all().map(|b| b.spec()) {
        let dead = spec.needs.iter().find(|n| n.hard && disabled.iter().any(|d| d == n.batch));
        if let (Some(need), false) = (dead, disabled.iter().any(|d| d == spec.id)) {
            return Err(EngineError::refused(format!(
                "{} needs {}, which is disabled; enable it (`yakin set {} enabled=true --reason …`) or disable {}",
                spec.id, need.batch, need.batch, spec.id
            )));
        }
    }
    Ok(())
}

/// What there is to do for a planner.
#[derive(Debug, sqlx::FromRow)]
pub struct ToDo {
    /// Batches that are not planned far enough ahead.
    pub to_plan: Vec<String>,
    pub firings: bool,
    pub arrivals: bool,
    pub runs: bool,
    pub next_job: Option<jiff_sqlx::Timestamp>,
    /// The next that is not due yet.
    pub next_arrival: Option<jiff_sqlx::Timestamp>,
}

/// Looks for everything that a planner's step does, with one statement.
pub async fn look(pool: &PgPool, registry: &Registry, now: Timestamp) -> Result<ToDo, sqlx::Error> {
    let ahead = now.saturating_add(AHEAD_HOURS.hours()).unwrap_or(Timestamp::MAX);
    sqlx::query_as(include_str!("planner_look.sql"))
        .bind(now.to_sqlx())
        .bind(registry.ids())
        .bind(ahead.to_sqlx())
        .fetch_one(pool)
        .await
}

/// Writes the missing firings of these batches; returns how many.
pub async fn plan(pool: &PgPool, batches: &[String], now: Timestamp) -> Result<u64, sqlx::Error> {
    let mut written = 0;
    for id in batches {
        let mut tx = Tx::engine(pool).await?;
        written += plan_batch(&mut tx, id, now).await?;
        tx.commit().await?;
    }
    Ok(written)
}

/// Withdraws a batch's unstarted future firings and plans it anew as it stands now, in the caller's transaction.
/// The past is never replayed; of a disabled batch what was due and unstarted is withdrawn too.
pub async fn replan(tx: &mut Tx, batch: &str, now: Timestamp) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("withdraw.sql"))
        .bind(batch)
        .bind(now.to_sqlx())
        .execute(tx.inner()?)
        .await?;
    plan_batch(tx, batch, now).await.map(|_| ())
}

async fn plan_batch(tx: &mut Tx, batch: &str, now: Timestamp) -> Result<u64, sqlx::Error> {
    type Row = (String, bool, Option<jiff_sqlx::Timestamp>);
    let row: Option<Row> = sqlx::query_as(
        "SELECT schedule, enabled, planned_until FROM yakin.batches WHERE id = $1 FOR UPDATE SKIP LOCKED",
    )
    .bind(batch)
    .fetch_optional(tx.inner()?)
    .await?;
    let Some((schedule, enabled, planned_until)) = row else { return Ok(0) };
    let plan =
        Plan::parse(&schedule).map_err(|e| sqlx::Error::Decode(format!("{batch}: {e}").into()))?;
    let ahead = AHEAD_HOURS.hours().minutes(GRAIN_MINUTES);
    let until = now.saturating_add(ahead).unwrap_or(Timestamp::MAX);
    let from = planned_until.map_or(now, |t| t.to_jiff());
    let (instants, planned) =
        if enabled { instants(&plan, from, until) } else { (Vec::new(), until.max(from)) };
    let written = sqlx::query(include_str!("plan.sql"))
        .bind(batch)
        .bind(&instants)
        .bind(planned.to_sqlx())
        .execute(tx.inner()?)
        .await?
        .rows_affected();
    Ok(written)
}

/// The instants after `from` up to `until`, at most [`AT_MOST`], and how far the plan then reaches.
fn instants(
    plan: &Plan,
    from: Timestamp,
    until: Timestamp,
) -> (Vec<jiff_sqlx::Timestamp>, Timestamp) {
    let (mut instants, mut last) = (Vec::new(), from);
    while let Some(next) = plan.next_after(last).filter(|t| *t <= until) {
        if instants.len() == AT_MOST {
            return (instants, last);
        }
        last = next;
        instants.push(next.to_sqlx());
    }
    (instants, until.max(from))
}

/// The instant until which retries may be planned of a run that a firing of `spec`, due at `due`, starts `now`: one that is
/// made up for later has its time from then.
pub fn deadline(spec: &Spec, due: Timestamp, now: Timestamp) -> Timestamp {
    let from = |start: Timestamp| {
        let given = spec.deadline.and_then(|d| start.checked_add(d).ok());
        let default = || window_end(spec, start).or_else(|| start.checked_add(24.hours()).ok());
        given.or_else(default).unwrap_or(Timestamp::MAX)
    };
    let by_due = from(due);
    if by_due > now { by_due } else { from(now) }
}

/// The end of the window that `due` falls into, in Asia/Tokyo.
pub fn window_end(spec: &Spec, due: Timestamp) -> Option<Timestamp> {
    let window = spec.window?;
    let local = due.to_zoned(crate::clock::tokyo());
    let minute = i64::from(local.hour()) * 60 + i64::from(local.minute());
    let mut wait = i64::from(window.until_minute) - minute;
    if wait < 0 {
        wait += 24 * 60;
    }
    let whole_minute = due.as_second() - due.as_second().rem_euclid(60);
    Timestamp::from_second(whole_minute + wait * 60).ok()
}

/// Whether a run may start at `instant`, by its window.
pub fn in_window(spec: &Spec, instant: Timestamp) -> bool {
    let Some(window) = spec.window else { return true };
    let local = instant.to_zoned(crate::clock::tokyo());
    let minute = local.hour() as u16 * 60 + local.minute() as u16;
    if window.from_minute <= window.until_minute {
        (window.from_minute..window.until_minute).contains(&minute)
    } else {
        minute >= window.from_minute || minute < window.until_minute
    }
}
