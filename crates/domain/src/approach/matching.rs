//! The engineers a standing offer is about, in the order it names them.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use rust_decimal::Decimal;
use serde::Serialize;
use yakin_engine::days::after;
use yakin_engine::outcome::Stop;
use yakin_engine::tx::Tx;

use super::criteria::Criteria;

/// The most engineers one mail names.
pub const MOST_ENGINEERS: i64 = 20;

/// An engineer who fits.
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
pub struct Fit {
    pub engineer_id: i64,
    #[serde(skip)]
    pub name: String,
    #[serde(skip)]
    pub area: Option<String>,
    #[serde(skip)]
    pub monthly_rate: Option<Decimal>,
    /// From when; none when that is not known.
    #[serde(skip)]
    available_on: Option<jiff_sqlx::Date>,
    /// At once.
    #[serde(skip)]
    pub at_once: bool,
    /// The best skills with their levels.
    #[serde(skip)]
    pub skills: String,
    /// Of all that is said of him: unchanged data has the same.
    pub digest: String,
    /// Offered unchanged by the delivery before this one.
    pub continued: bool,
}

impl Fit {
    /// From when; none when that is not known.
    pub fn available_on(&self) -> Option<Date> {
        self.available_on.map(|d| d.to_jiff())
    }
}

/// A skill that the criteria name and nobody knows.
pub async fn unknown_skill(tx: &mut Tx, criteria: &Criteria) -> Result<Option<String>, Stop> {
    Ok(sqlx::query_scalar(
        "SELECT name FROM unnest($1::text[]) AS wanted (name)
          WHERE NOT EXISTS (SELECT FROM app.skills WHERE skills.name = wanted.name) ORDER BY name LIMIT 1",
    )
    .bind(names(criteria))
    .fetch_optional(tx)
    .await?)
}

fn names(criteria: &Criteria) -> Vec<&str> {
    criteria.skills.iter().map(|s| s.name.as_str()).collect()
}

/// Who fits on `today`, for the delivery that is due at `slot`; what was offered unchanged since `since` comes last.
pub async fn matches(
    tx: &mut Tx,
    criteria: &Criteria,
    approach: i64,
    today: Date,
    (since, slot): (Timestamp, Timestamp),
) -> Result<Vec<Fit>, Stop> {
    let levels: Vec<i16> = criteria.skills.iter().map(|s| s.level).collect();
    let statuses: Vec<&str> = criteria.statuses.iter().map(|s| s.word()).collect();
    let start_by = criteria.start_within_days.map(|days| after(today, days).to_sqlx());
    Ok(sqlx::query_as(include_str!("matches.sql"))
        .bind(today.to_sqlx())
        .bind(names(criteria))
        .bind(levels)
        .bind(&criteria.areas)
        .bind(criteria.max_monthly_rate)
        .bind(start_by)
        .bind(statuses)
        .bind(approach)
        .bind(since.to_sqlx())
        .bind(slot.to_sqlx())
        .bind(MOST_ENGINEERS)
        .fetch_all(tx)
        .await?)
}
