//! Tonight's firings: hold, release, bypass, move.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::json;
use sqlx::postgres::PgPool;

use crate::days::clock_text;
use crate::error::{Doing, EngineError};
use crate::record::audit::{Act, record};
use crate::tx::Tx;

/// What to do with a firing.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// It does not start until released.
    Hold,
    /// It may start again; if its time has passed, it starts now.
    Release,
    /// It never runs.
    Bypass,
    /// It is due at another instant; it still runs once.
    Move(Timestamp),
}

/// Changes the unstarted firing of `batch` that is due (or planned) at `due`.
pub async fn change(
    pool: &PgPool,
    batch: &str,
    due: Timestamp,
    change: Change,
    act: &Act,
    now: Timestamp,
) -> Result<(), EngineError> {
    let doing = "changing a firing";
    let mut tx = Tx::engine(pool).await.doing(doing)?;
    let row: Option<(jiff_sqlx::Timestamp, jiff_sqlx::Timestamp, String)> = sqlx::query_as(
        "SELECT planned_at, due_at, state FROM yakin.firings
          WHERE batch_id = $1 AND (due_at = $2 OR planned_at = $2)
          ORDER BY (state IN ('planned', 'held')) DESC, (due_at = $2) DESC, planned_at LIMIT 1 FOR UPDATE",
    )
    .bind(batch)
    .bind(due.to_sqlx())
    .fetch_optional(tx.inner().doing(doing)?)
    .await
    .doing(doing)?;
    let Some((planned_at, due_at, state)) = row else {
        let when = clock_text(due);
        return Err(EngineError::unknown(format!(
            "{batch} has no firing at {when}; `yakin timetable --date {}` shows that day's (written {} hours ahead)",
            crate::days::day_of(due),
            crate::schedule::planner::AHEAD_HOURS
        )));
    };
    let (name, state_now, due_now, outcome, allowed) = match change {
        Change::Hold => ("hold", "held", due_at.to_jiff(), None, &["planned"][..]),
        Change::Release => ("release", "planned", due_at.to_jiff().max(now), None, &["held"][..]),
        Change::Bypass => {
            ("bypass", "ended", due_at.to_jiff(), Some("bypassed"), &["planned", "held"][..])
        }
        Change::Move(to) => ("move", state.as_str(), to, None, &["planned", "held"][..]),
    };
    if !allowed.contains(&state.as_str()) {
        return Err(EngineError::conflict(format!(
            "the firing of {batch} at {} is {state}; {name} wants it {}",
            clock_text(due_at.to_jiff()),
            allowed.join(" or ")
        )));
    }
    if let Change::Move(to) = change
        && to < now
    {
        return Err(EngineError::refused(format!(
            "cannot move to {}: that is past",
            clock_text(to)
        )));
    }
    sqlx::query(
        "UPDATE yakin.firings SET state = $3, due_at = $4, outcome = $5, reason = $6,
                ended_at = CASE WHEN $5 IS NULL THEN NULL ELSE $7::timestamptz END
          WHERE batch_id = $1 AND planned_at = $2",
    )
    .bind(batch)
    .bind(planned_at)
    .bind(state_now)
    .bind(due_now.to_sqlx())
    .bind(outcome)
    .bind(outcome.map(|_| act.reason.as_str()))
    .bind(now.to_sqlx())
    .execute(tx.inner().doing(doing)?)
    .await
    .doing(doing)?;
    let subject = format!("{batch} {}", clock_text(planned_at.to_jiff()));
    let details = json!({"due": due_at.to_jiff(), "due_now": due_now});
    record(&mut tx, act, name, &subject, details).await.doing(doing)?;
    tx.commit().await.doing(doing)
}
