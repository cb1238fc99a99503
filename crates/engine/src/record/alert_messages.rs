//! Alerts on their way to people: a row per change and route, taken by a node that has the route, sent, and marked.
//! At least once: a node that dies between sending and marking leaves the message to another two minutes later.

use std::time::Duration;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use serde_json::json;
use sqlx::postgres::PgPool;

use super::alerts::Change;
use crate::spec::Severity;
use crate::tx::Tx;

/// A way to people, by its name in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub name: String,
    /// The lowest severity it is for.
    pub from: Severity,
}

impl Route {
    fn wants(&self, severity: &str) -> bool {
        Severity::of(severity).is_some_and(|s| s >= self.from)
    }
}

/// A message that is to be sent now.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Message {
    #[sqlx(rename = "message_id")]
    pub id: i64,
    /// None for the morning's report.
    pub alert_id: Option<i64>,
    /// opened, reminded, resolved or morning.
    pub what: String,
    pub route: String,
    pub severity: String,
    pub subject: String,
    pub message: String,
    pub attempts: i32,
}

/// How often a message is tried, and how long after each failure: base × 2^(n−1), an hour at the most.
const ATTEMPTS: i32 = 10;
const BASE: SignedDuration = SignedDuration::from_secs(30);
const LONGEST: SignedDuration = SignedDuration::from_hours(1);

/// How long a message may be under way in real time: less than the two minutes for which it is taken.
pub const UNDER_WAY: Duration = Duration::from_secs(100);

pub(super) async fn insert(
    tx: &mut Tx,
    routes: &[Route],
    changes: &[Change],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let mut rows = Vec::new();
    for change in changes {
        for route in routes.iter().filter(|r| r.wants(&change.severity)) {
            rows.push(json!({"alert_id": change.id, "what": change.what, "route": route.name,
                "severity": change.severity, "subject": format!("{} {}", change.rule, change.subject),
                "message": change.message}));
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO yakin.alert_messages (alert_id, what, route, severity, subject, message, created_at, due_at)
         SELECT m.*, $2, $2 FROM jsonb_to_recordset($1) AS m (alert_id bigint, what text, route text, severity text,
                subject text, message text)",
    )
    .bind(serde_json::Value::from(rows))
    .bind(now.to_sqlx())
    .execute(tx.inner()?)
    .await
    .map(|_| ())
}

/// A day's report of the morning for these routes, each once.
pub async fn insert_morning(
    pool: &PgPool,
    routes: &[String],
    day: Date,
    (subject, message): (&str, &str),
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO yakin.alert_messages (what, morning, route, severity, subject, message, created_at, due_at)
         SELECT 'morning', $2, route, 'info', $3, $4, $5, $5 FROM unnest($1::text[]) AS route
         ON CONFLICT (morning, route) WHERE morning IS NOT NULL DO NOTHING",
    )
    .bind(routes)
    .bind(day.to_sqlx())
    .bind(subject)
    .bind(message)
    .bind(now.to_sqlx())
    .execute(pool)
    .await
    .map(|_| ())
}

/// Whether each of these routes has its report of that morning.
pub async fn has_morning(pool: &PgPool, routes: &[String], day: Date) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT NOT EXISTS (SELECT FROM unnest($1::text[]) AS wanted (route)
                             WHERE NOT EXISTS (SELECT FROM yakin.alert_messages m
                                                WHERE (m.morning, m.route) = ($2, wanted.route)))",
    )
    .bind(routes)
    .bind(day.to_sqlx())
    .fetch_one(pool)
    .await
}

/// Takes the next message of a route that is due; for two minutes of real time no other node takes it.
pub async fn take(
    pool: &PgPool,
    route: &str,
    now: Timestamp,
) -> Result<Option<Message>, sqlx::Error> {
    sqlx::query_as(include_str!("alert_messages_take.sql"))
        .bind(route)
        .bind(now.to_sqlx())
        .fetch_optional(pool)
        .await
}

/// Marks a taken message: sent, or tried again later (with `error`), or failed when its attempts are spent. Returns
/// whether it was still this attempt's to mark.
pub async fn mark(
    pool: &PgPool,
    message: &Message,
    error: Option<&str>,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let state = match error {
        None => "sent",
        Some(_) if message.attempts >= ATTEMPTS => "failed",
        Some(_) => "pending",
    };
    let marked = sqlx::query(
        "UPDATE yakin.alert_messages SET state = $2, error = left($3, 1000), due_at = $4, real_taken = NULL
          WHERE message_id = $1 AND attempts = $5 AND state = 'pending'",
    )
    .bind(message.id)
    .bind(state)
    .bind(error)
    .bind((now + delay(message.attempts)).to_sqlx())
    .bind(message.attempts)
    .execute(pool)
    .await?;
    Ok(marked.rows_affected() == 1)
}

fn delay(attempts: i32) -> SignedDuration {
    let doublings = u32::try_from(attempts - 1).unwrap_or(0).min(10);
    (BASE * 2_i32.pow(doublings)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_wants_its_severity_and_what_is_graver() {
        let route = Route { name: "mail".to_owned(), from: Severity::High };
        let wanted = ["info", "medium", "high", "critical"].map(|s| route.wants(s));
        assert_eq!(wanted, [false, false, true, true]);
    }

    #[test]
    fn failures_wait_longer_and_longer_up_to_an_hour() {
        assert_eq!([1, 2, 3, 8, 9].map(|n| delay(n).as_secs()), [30, 60, 120, 3600, 3600]);
    }
}
