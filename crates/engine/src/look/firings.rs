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

/// The firings of a Tokyo day, or of any range of instants.
pub async fn timetable(
    pool: &PgPool,
    from: Timestamp,
    until: Timestamp,
) -> Result<Vec<FiringRow>, EngineError> {
    sqlx::query_as(include_str!("timetable.sql"))
        .bind(from.to_sqlx())
        .bind(until.to_sqlx())
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
