//! Starts due firings: each ends in exactly one outcome, or becomes exactly one run, in one transaction.

use jiff::{Timestamp, ToSpan};
use jiff_sqlx::ToSqlx;
use sqlx::postgres::PgPool;

use super::planner::{deadline, in_window, window_end};
use crate::days::clock_text;
use crate::record::runs::{NewRun, create};
use crate::record::start::try_start;
use crate::registry::Registry;
use crate::spec::{CatchUp, Overlap, Spec};
use crate::tx::Tx;
use crate::virtual_time;

/// How late a firing of a batch without catch-up may still start: deploys take seconds, not minutes.
const GRACE_SECONDS: i64 = 60;

/// What becomes of a due firing, or of what has arrived.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    Start,
    Wait,
    /// Another node holds the firing, its batch, or has just started it.
    Contended,
    End {
        outcome: &'static str,
        reason: String,
    },
}

/// What became of due firings in one step.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Started {
    /// How many became runs.
    pub runs: usize,
    /// Outcomes of those that ended without one: skipped or missed.
    pub ended: Vec<&'static str>,
    /// One was in another node's hands: whether it starts is not known yet.
    pub contended: bool,
}

impl Started {
    /// Counts what became of one; an error is logged, and it is tried again.
    pub(super) fn count(&mut self, batch: &str, verdict: Result<Verdict, sqlx::Error>) {
        match verdict {
            Ok(Verdict::Start) => self.runs += 1,
            Ok(Verdict::End { outcome, .. }) => self.ended.push(outcome),
            Ok(Verdict::Wait) => {}
            Ok(Verdict::Contended) => self.contended = true,
            Err(error) => {
                tracing::error!(%error, batch, "a firing could not be started; tried again")
            }
        }
    }

    /// Adds what became of others.
    pub(crate) fn add(&mut self, others: Started) {
        self.runs += others.runs;
        self.ended.extend(others.ended);
        self.contended |= others.contended;
    }
}

/// Starts what is due. A firing that cannot be started now is logged and tried again; the others go on.
pub async fn start_due(
    pool: &PgPool,
    registry: &Registry,
    now: Timestamp,
) -> Result<Started, sqlx::Error> {
    let due: Vec<(String, jiff_sqlx::Timestamp)> = sqlx::query_as(
        "SELECT f.batch_id, f.planned_at FROM yakin.firings f JOIN yakin.batches b ON b.id = f.batch_id
          WHERE f.state = 'planned' AND f.due_at <= $1 AND f.batch_id = ANY ($2) AND b.enabled
            AND NOT (SELECT stopped FROM yakin.control)
          ORDER BY f.due_at, f.batch_id, f.planned_at LIMIT 500",
    )
    .bind(now.to_sqlx())
    .bind(registry.ids())
    .fetch_all(pool)
    .await?;
    let mut started = Started::default();
    for (batch, planned_at) in due {
        let Some(known) = registry.get(&batch) else { continue };
        let verdict = start_one(pool, known.spec(), planned_at.to_jiff(), now).await;
        started.count(&batch, verdict);
    }
    Ok(started)
}

async fn start_one(
    pool: &PgPool,
    spec: &'static Spec,
    planned_at: Timestamp,
    now: Timestamp,
) -> Result<Verdict, sqlx::Error> {
    let mut tx = Tx::engine(pool).await?;
    if !virtual_time::stand(&mut tx, now).await? {
        tx.rollback().await?;
        return Ok(Verdict::Wait);
    }
    // one starter per batch at a time, so that two nodes cannot both see "no run is open"
    let mine: Option<jiff_sqlx::Timestamp> = sqlx::query_scalar(include_str!("take_firing.sql"))
        .bind(spec.id)
        .bind(planned_at.to_sqlx())
        .fetch_optional(tx.inner()?)
        .await?;
    let Some(due_at) = mine.map(|t| t.to_jiff()) else {
        tx.rollback().await?;
        return Ok(Verdict::Contended);
    };
    let verdict = judge(&mut tx, spec, planned_at, due_at, now).await?;
    match &verdict {
        Verdict::Wait | Verdict::Contended => {
            tx.rollback().await?;
            return Ok(verdict);
        }
        Verdict::End { outcome, reason } => {
            sqlx::query(
                "UPDATE yakin.firings SET state = 'ended', outcome = $3, reason = $4, ended_at = $5
                  WHERE batch_id = $1 AND planned_at = $2",
            )
            .bind(spec.id)
            .bind(planned_at.to_sqlx())
            .bind(outcome)
            .bind(reason)
            .bind(now.to_sqlx())
            .execute(tx.inner()?)
            .await?;
        }
        Verdict::Start => {
            let run = create(
                &mut tx,
                spec,
                NewRun::by_firing(spec, planned_at, deadline(spec, due_at, now), now),
            )
            .await?;
            sqlx::query(
                "UPDATE yakin.firings SET state = 'started', run_id = $3, started_at = $4
                  WHERE batch_id = $1 AND planned_at = $2",
            )
            .bind(spec.id)
            .bind(planned_at.to_sqlx())
            .bind(run)
            .bind(now.to_sqlx())
            .execute(tx.inner()?)
            .await?;
            try_start(&mut tx, spec, run, now).await?;
        }
    }
    tx.commit().await?;
    Ok(verdict)
}

async fn judge(
    tx: &mut Tx,
    spec: &Spec,
    planned_at: Timestamp,
    due_at: Timestamp,
    now: Timestamp,
) -> Result<Verdict, sqlx::Error> {
    let (newer, open, narrow): (Option<jiff_sqlx::Timestamp>, Option<i64>, bool) =
        sqlx::query_as(include_str!("judge_firing.sql"))
            .bind(spec.id)
            .bind(planned_at.to_sqlx())
            .bind(now.to_sqlx())
            .fetch_one(tx.inner()?)
            .await?;
    let late = due_at.saturating_add(GRACE_SECONDS.seconds()).is_ok_and(|grace| now > grace);
    let missed = |reason: String| Verdict::End { outcome: "missed", reason };
    Ok(match (spec.catch_up, newer) {
        (CatchUp::Latest, Some(newer)) => {
            missed(format!("superseded by the firing of {}", clock_text(newer.to_jiff())))
        }
        (CatchUp::None, _) if late => missed(format!("over {GRACE_SECONDS} seconds late")),
        // (one that is made up for in any case waits for the next window)
        (CatchUp::Latest | CatchUp::None, _)
            if window_end(spec, due_at).is_some_and(|end| now >= end) =>
        {
            missed("its window has passed".to_owned())
        }
        _ if !in_window(spec, now) => Verdict::Wait,
        (CatchUp::Every, _) if open.is_some() => Verdict::Wait,
        _ => match (spec.overlap, open) {
            // what somebody runs for some tenants does not stand for everybody's night
            (Overlap::Forbid, Some(_)) if narrow => Verdict::Wait,
            (Overlap::Forbid, Some(run)) => Verdict::End {
                outcome: "skipped",
                reason: format!("overlap: run {run} is still open"),
            },
            (Overlap::Queue, Some(_)) => Verdict::Wait,
            _ => Verdict::Start,
        },
    })
}
