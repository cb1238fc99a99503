//! The standing offers of a tenant whose time has come, and one of them locked.

use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff_sqlx::ToSqlx;
use serde_json::Value;
use yakin_engine::outcome::Stop;
use yakin_engine::tx::Tx;

use super::rhythm::{Every, Rhythm};

/// A standing offer that is due.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Due {
    pub approach_id: i64,
    pub name: String,
    pub criteria: Value,
    pub recipients: Vec<String>,
    pub language: String,
    pub owner_id: Option<i64>,
    pub failures: i32,
    rhythm: String,
    at_time: jiff_sqlx::Time,
    weekday: Option<i16>,
    month_day: Option<i16>,
    zone: String,
    next_delivery_at: jiff_sqlx::Timestamp,
}

/// The ids of what is due at `now`, the longest waiting first.
pub async fn due(
    tx: &mut Tx,
    now: Timestamp,
    only: Option<i64>,
    most: i64,
) -> Result<Vec<i64>, Stop> {
    Ok(sqlx::query_scalar(include_str!("due.sql"))
        .bind(now.to_sqlx())
        .bind(only)
        .bind(most)
        .fetch_all(tx)
        .await?)
}

/// Locks one that is still due; `None` when another has it or had it meanwhile.
pub async fn lock(tx: &mut Tx, approach: i64, now: Timestamp) -> Result<Option<Due>, Stop> {
    Ok(sqlx::query_as(include_str!("lock.sql"))
        .bind(approach)
        .bind(now.to_sqlx())
        .fetch_optional(tx)
        .await?)
}

impl Due {
    /// The scheduled time that came.
    pub fn since(&self) -> Timestamp {
        self.next_delivery_at.to_jiff()
    }

    /// Its rhythm, or what is wrong with it.
    pub fn rhythm(&self) -> Result<Rhythm, String> {
        let zone =
            TimeZone::get(&self.zone).map_err(|_| format!("zone '{}' is unknown", self.zone))?;
        let weekday = self.weekday.and_then(|n| i8::try_from(n).ok());
        let month_day = self.month_day.and_then(|n| i8::try_from(n).ok());
        let every = match (self.rhythm.as_str(), weekday, month_day) {
            ("daily", None, None) => Some(Every::Day),
            ("weekly", Some(day), None) => {
                Weekday::from_monday_one_offset(day).ok().map(Every::Week)
            }
            ("monthly", None, Some(day)) => Some(Every::Month(day)),
            _ => None,
        };
        let every = every.ok_or_else(|| format!("rhythm '{}' lacks its day", self.rhythm))?;
        Ok(Rhythm { every, at: self.at_time.to_jiff(), zone })
    }
}
