//! What each step of a run came to, as rows: what a later attempt, or a later run of the week, need not do again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use serde_json::json;
use sqlx::types::Json;
use yakin_engine::days::Days;
use yakin_engine::outcome::Report;
use yakin_engine::tx::Tx;

use super::{Step, Tally};

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// A part of it is not configured on this node.
    Incomplete,
    NotConfigured,
    Failed,
    /// An earlier run of the week had done it.
    Reused,
}

impl Outcome {
    /// Its word in the table.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Incomplete => "incomplete",
            Outcome::NotConfigured => "not_configured",
            Outcome::Failed => "failed",
            Outcome::Reused => "reused",
        }
    }

    /// What a step that came to its end came to.
    pub fn of(tally: &Tally) -> Outcome {
        match (tally.missing.is_empty(), tally.configured) {
            (true, _) => Outcome::Done,
            (false, true) => Outcome::Incomplete,
            (false, false) => Outcome::NotConfigured,
        }
    }
}

/// A step's row.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Row {
    pub step: String,
    pub outcome: String,
    pub attempts: i32,
    pub before: Json<BTreeMap<String, i64>>,
    pub after: Json<BTreeMap<String, i64>>,
    pub missing: Vec<String>,
    pub notes: Json<Vec<Report>>,
    pub error: Option<String>,
}

/// The Monday of the ISO week.
pub fn week(date: Date) -> Date {
    Days::week_of(date).start
}

/// The rows of a run, in order of their steps' names.
pub async fn rows(tx: &mut Tx, run: i64) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as(
        "SELECT step, outcome, attempts, before, after, missing, notes, error
           FROM app.maintenance_results WHERE run_id = $1 ORDER BY step LIMIT 100",
    )
    .bind(run)
    .fetch_all(tx)
    .await
}

/// The tally that an attempt goes on with.
pub fn begin(earlier: Option<&Row>) -> Tally {
    earlier.map_or_else(Tally::default, |row| Tally {
        before: row.before.0.clone(),
        after: row.after.0.clone(),
        ..Tally::default()
    })
}

/// Which steps other runs have done in the week; health only since `fresh`, because it passes.
pub async fn reuse(
    tx: &mut Tx,
    run: i64,
    date: Date,
    fresh: Timestamp,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT DISTINCT step FROM app.maintenance_results
          WHERE week = $2 AND run_id <> $1 AND outcome = 'done' AND (step <> 'health' OR ended_at > $3)
          ORDER BY step LIMIT 100",
    )
    .bind(run)
    .bind(week(date).to_sqlx())
    .bind(fresh.to_sqlx())
    .fetch_all(tx)
    .await
}

/// Keeps what a step came to; a further attempt goes over an earlier one.
pub async fn keep(
    tx: &mut Tx,
    (run, date, at): (i64, Date, Timestamp),
    step: Step,
    outcome: Outcome,
    tally: &Tally,
    error: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("keep_result.sql"))
        .bind(run)
        .bind(step.word())
        .bind(week(date).to_sqlx())
        .bind(outcome.word())
        .bind(json!(tally.before))
        .bind(json!(tally.after))
        .bind(&tally.missing)
        .bind(json!(tally.notes))
        .bind(error)
        .bind(at.to_sqlx())
        .execute(tx)
        .await
        .map(|_| ())
}
