//! Firings, planned and actual.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use serde::Serialize;
use sqlx::FromRow;
use sqlx::postgres::PgPool;
use utoipa::ToSchema;

use super::Instant;
use crate::days::Days;
use crate::error::{Doing, EngineError};

/// One firing, planned and actual.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub struct FiringRow {
    pub batch_id: String,
    pub title: String,
    pub planned_at: Instant,
    pub due_at: Instant,
    pub state: String,
    pub outcome: Option<String>,
    pub reason: Option<String>,
    pub run_id: Option<i64>,
    pub started_at: Option<Instant>,
    pub ended_at: Option<Instant>,
    pub waiting_for: Option<String>,
    pub seconds: Option<f64>,
    /// Its batch starts at once for what arrives.
    pub at_once: bool,
}

/// Of a range that has more firings so many are shown at once, those that did not end well among them.
pub const SHOWN: usize = 5000;

/// The firings of a range of instants, at most [`SHOWN`].
pub async fn timetable(
    pool: &PgPool,
    from: Timestamp,
    until: Timestamp,
) -> Result<Vec<FiringRow>, EngineError> {
    sqlx::query_as(concat!(
        "SELECT * FROM (",
        include_str!("firing.sql"),
        include_str!("timetable.sql"),
        ") AS shown ORDER BY due_at, batch_id, planned_at"
    ))
    .bind(from.to_sqlx())
    .bind(until.to_sqlx())
    .bind(i64::try_from(SHOWN).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await
    .doing("reading the timetable")
}

/// A firing's place in a list: when it is due, its batch, and when it was planned.
pub type FiringKey = (Timestamp, String, Timestamp);

/// The firings of a range of instants by when they are due, behind that place.
pub async fn firings_after(
    pool: &PgPool,
    (from, until): (Timestamp, Timestamp),
    after: Option<&FiringKey>,
    limit: i64,
) -> Result<Vec<FiringRow>, EngineError> {
    sqlx::query_as(concat!(include_str!("firing.sql"), include_str!("firings_page.sql")))
        .bind(from.to_sqlx())
        .bind(until.to_sqlx())
        .bind(after.map(|(due, ..)| due.to_sqlx()))
        .bind(after.map(|(_, batch, _)| batch))
        .bind(after.map(|(.., planned)| planned.to_sqlx()))
        .bind(limit.clamp(1, 10_000))
        .fetch_all(pool)
        .await
        .doing("reading the timetable")
}

/// See [`timetable`].
pub async fn timetable_of(pool: &PgPool, date: Date) -> Result<Vec<FiringRow>, EngineError> {
    let (from, until) = Days::one(date).instants();
    timetable(pool, from, until).await
}

/// How many firings of a batch came to an outcome, or stand in a state.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub struct OutcomeRow {
    pub batch_id: String,
    pub title: String,
    pub outcome: String,
    pub firings: i64,
}

/// What became of the firings due from one instant until another.
pub async fn outcomes(
    pool: &PgPool,
    from: Timestamp,
    until: Timestamp,
) -> Result<Vec<OutcomeRow>, EngineError> {
    sqlx::query_as(include_str!("outcomes.sql"))
        .bind(from.to_sqlx())
        .bind(until.to_sqlx())
        .fetch_all(pool)
        .await
        .doing("counting outcomes")
}
