//! Hours of requests: each counted once from the calls' log, then read back and merged.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use sqlx::types::Json;
use yakin_engine::days::Days;
use yakin_engine::outcome::Stop;
use yakin_engine::tx::Tx;

use super::durations::Durations;

/// Endpoints of a day that are told apart; calls of others are put together.
const MOST_ENDPOINTS: i64 = 300;
/// The hours of a day.
const HOURS: i64 = 24;

/// What counting wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Counted {
    pub hours: i64,
    pub endpoint_hours: i64,
    pub company_days: i64,
    /// Calls with a duration below zero: in no figure.
    pub impossible: i64,
}

impl Counted {
    /// Adds another day's.
    pub fn add(&mut self, other: Counted) {
        self.hours += other.hours;
        self.endpoint_hours += other.endpoint_hours;
        self.company_days += other.company_days;
        self.impossible += other.impossible;
    }

    /// Rows written.
    pub fn rows(&self) -> i64 {
        self.hours + self.endpoint_hours + self.company_days
    }
}

/// The days of which an hour has not been counted.
pub async fn uncounted(tx: &mut Tx, days: Days) -> Result<Vec<Date>, Stop> {
    let found: Vec<jiff_sqlx::Date> = sqlx::query_scalar(
        "SELECT day::date FROM generate_series($1::timestamp, $2::timestamp - interval '1 day', interval '1 day') AS day
          WHERE (SELECT count(*) FROM app.request_hours
                  WHERE hour >= day AT TIME ZONE 'Asia/Tokyo'
                    AND hour < (day + interval '1 day') AT TIME ZONE 'Asia/Tokyo') < $3
          ORDER BY day",
    )
    .bind(days.start.at(0, 0, 0, 0).to_sqlx())
    .bind(days.end.at(0, 0, 0, 0).to_sqlx())
    .bind(HOURS)
    .fetch_all(tx)
    .await?;
    Ok(found.into_iter().map(|day| day.to_jiff()).collect())
}

/// Counts the hours of a day that have not been counted.
pub async fn count(tx: &mut Tx, day: Date, run: i64) -> Result<Counted, Stop> {
    let (start, end) = Days::one(day).instants();
    Ok(sqlx::query_as(include_str!("count_hours.sql"))
        .bind(start.to_sqlx())
        .bind(end.to_sqlx())
        .bind(run)
        .bind(MOST_ENDPOINTS)
        .fetch_one(tx)
        .await?)
}

/// A counted hour, all endpoints together.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Hour {
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub hour: Timestamp,
    pub requests: i64,
    peak_minute: Option<jiff_sqlx::Timestamp>,
    pub peak_minute_requests: i64,
    pub impossible: i64,
    durations: Json<Durations>,
    pub client_errors: i64,
    pub server_errors: i64,
}

impl Hour {
    /// How long its requests took.
    pub fn durations(&self) -> &Durations {
        &self.durations
    }

    /// The minute with the most requests, the first of several.
    pub fn peak_minute(&self) -> Option<Timestamp> {
        self.peak_minute.map(|minute| minute.to_jiff())
    }
}

/// An endpoint over some time, hours merged.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Endpoint {
    pub method: String,
    pub endpoint: String,
    pub requests: i64,
    pub total_ms: i64,
    pub max_ms: i32,
    durations: Json<Durations>,
    statuses: Json<BTreeMap<String, i64>>,
}

impl Endpoint {
    /// How long its requests took.
    pub fn durations(&self) -> &Durations {
        &self.durations
    }

    /// Requests by their status.
    pub fn statuses(&self) -> impl Iterator<Item = (u16, i64)> + '_ {
        self.statuses.iter().filter_map(|(status, n)| Some((status.parse().ok()?, *n)))
    }

    /// Requests with a status of these.
    pub fn answered(&self, which: std::ops::RangeInclusive<u16>) -> i64 {
        self.statuses().filter(|(status, _)| which.contains(status)).map(|(_, n)| n).sum()
    }
}

/// A company's calls of a day.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct CompanyDay {
    pub code: String,
    pub name: String,
    #[sqlx(try_from = "jiff_sqlx::Date")]
    pub usage_date: Date,
    pub requests: i64,
    pub server_errors: i64,
    pub rejected: i64,
}

/// An endpoint's calls of a day.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct EndpointDay {
    pub method: String,
    pub endpoint: String,
    #[sqlx(try_from = "jiff_sqlx::Date")]
    pub usage_date: Date,
    pub requests: i64,
}

/// The counted hours of these days, in order.
pub async fn hours(tx: &mut Tx, days: Days) -> Result<Vec<Hour>, Stop> {
    let (start, end) = days.instants();
    Ok(sqlx::query_as(include_str!("hours.sql"))
        .bind(start.to_sqlx())
        .bind(end.to_sqlx())
        .fetch_all(tx)
        .await?)
}

/// How many hours of these days had requests.
pub async fn with_data(tx: &mut Tx, days: Days) -> Result<i64, Stop> {
    let (start, end) = days.instants();
    Ok(sqlx::query_scalar(
        "SELECT count(*) FROM app.request_hours WHERE hour >= $1 AND hour < $2 AND requests > 0",
    )
    .bind(start.to_sqlx())
    .bind(end.to_sqlx())
    .fetch_one(tx)
    .await?)
}

/// The endpoints of these days, the busiest first.
pub async fn endpoints(tx: &mut Tx, days: Days) -> Result<Vec<Endpoint>, Stop> {
    let (start, end) = days.instants();
    Ok(sqlx::query_as(include_str!("endpoints.sql"))
        .bind(start.to_sqlx())
        .bind(end.to_sqlx())
        .fetch_all(tx)
        .await?)
}

/// What each company called on each of these days.
pub async fn companies(tx: &mut Tx, days: Days) -> Result<Vec<CompanyDay>, Stop> {
    Ok(sqlx::query_as(include_str!("companies.sql"))
        .bind(days.start.to_sqlx())
        .bind(days.end.to_sqlx())
        .fetch_all(tx)
        .await?)
}

/// What was called on each of these days.
pub async fn endpoint_days(tx: &mut Tx, days: Days) -> Result<Vec<EndpointDay>, Stop> {
    Ok(sqlx::query_as(include_str!("endpoint_days.sql"))
        .bind(days.start.to_sqlx())
        .bind(days.end.to_sqlx())
        .fetch_all(tx)
        .await?)
}
