//! The life of a run: created, waiting (approval, needs, locks), running through its phases, ended once.

use jiff::{Timestamp, ToSpan};
use jiff_sqlx::ToSqlx;
use serde_json::{Value, json};
use sqlx::postgres::PgPool;

use crate::days::Days;
use crate::outcome::Stop;
use crate::run::RunFacts;
use crate::spec::Spec;
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

/// Inserts the run, waiting; [`super::start::try_start`] starts it.
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
    cancel_jobs(tx, run, now).await?;
    Ok(true)
}

/// Ends the jobs of a cancelled run that do not run at this moment.
pub(super) async fn cancel_jobs(tx: &mut Tx, run: i64, now: Timestamp) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("run_cancel_jobs.sql"))
        .bind(run)
        .bind(now.to_sqlx())
        .execute(tx.inner()?)
        .await
        .map(|_| ())
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
        Option<jiff_sqlx::Timestamp>,
    );
    let row: Row = sqlx::query_as(
        "SELECT period_start, period_end, params, dry_run, run_at, only_tenants, deadline_at,
                released_by IS NOT NULL, planned_at FROM yakin.runs
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
        planned_at: row.8.map(|p| p.to_jiff()),
    })
}
