//! The weekly report: what its chapters hold. It is kept as JSON and says everything the documents show.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::changes::Change;
use super::database::Database;
use super::durations::Durations;

/// A week's report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// `2026-W43`.
    pub week: String,
    /// Monday.
    pub first: Date,
    /// Sunday.
    pub last: Date,
    pub coverage: Coverage,
    pub total: Timing,
    pub responses: Responses,
    pub errors: Errors,
    pub database: Chapter<Database>,
    pub api: Api,
    /// This week and the three before it, the oldest first.
    pub weeks: Vec<WeekLine>,
    /// What became worse, the service as a whole first.
    pub changes: Vec<Change>,
    /// The rules of `changes`.
    pub change_percent: u64,
    pub min_requests: u64,
}

/// A chapter, or why it is missing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chapter<T> {
    Here(T),
    Missing(String),
}

/// How much of the week was recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    pub hours: i64,
    pub with_data: i64,
    /// One digit behind the point.
    pub percent: f64,
    /// At least 80 per cent.
    pub complete: bool,
    /// Calls with a duration below zero: in no figure.
    pub impossible: i64,
}

/// The least coverage of a complete report, per cent.
const COMPLETE_PERCENT: i64 = 80;

impl Coverage {
    /// Of so many hours, those with data.
    pub fn of(hours: i64, with_data: i64, impossible: i64) -> Coverage {
        let percent = (with_data * 1_000 + hours / 2) / hours.max(1);
        let complete = with_data * 100 >= hours * COMPLETE_PERCENT;
        Coverage { hours, with_data, percent: percent as f64 / 10.0, complete, impossible }
    }
}

/// How long requests took. Percentiles and the rest are none where there was no request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    pub requests: u64,
    pub mean_ms: Option<f64>,
    pub p50_ms: Option<u32>,
    pub p95_ms: Option<u32>,
    pub p99_ms: Option<u32>,
    pub max_ms: Option<u32>,
    pub over_1s_percent: Option<f64>,
    pub over_3s_percent: Option<f64>,
}

impl Timing {
    /// Of merged durations; sum and maximum are exact where they are known.
    pub fn of(durations: &Durations, total_ms: Option<i64>, max_ms: Option<i32>) -> Timing {
        let requests = durations.count();
        let mean = total_ms.filter(|_| requests > 0).map(|total| total as f64 / requests as f64);
        Timing {
            requests,
            mean_ms: mean.map(super::changes::rounded),
            p50_ms: durations.percentile(50),
            p95_ms: durations.percentile(95),
            p99_ms: durations.percentile(99),
            max_ms: max_ms.and_then(|ms| ms.try_into().ok()),
            over_1s_percent: percent(durations.over(1_000), requests),
            over_3s_percent: percent(durations.over(3_000), requests),
        }
    }
}

/// A part of all in per cent, three digits behind the point; none of nothing.
pub fn percent(part: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| super::changes::rounded(part as f64 * 100.0 / all as f64))
}

/// The speed of endpoints and hours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Responses {
    /// Those that took most time in all, at most a hundred.
    pub endpoints: Vec<EndpointTiming>,
    /// Endpoints in all.
    pub endpoints_in_all: usize,
    /// 0 to 23, the days of the week merged.
    pub by_hour: Vec<Timing>,
    /// The 168 hours of the week; none without data.
    pub hours: Vec<Option<HourTiming>>,
}

/// An endpoint's speed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointTiming {
    pub endpoint: String,
    pub total_ms: i64,
    pub timing: Timing,
    /// p95 of the week before, where it was called.
    pub p95_before_ms: Option<u32>,
    /// p95 of four weeks, the oldest first.
    pub p95_weeks: Vec<Option<u32>>,
}

/// An hour's speed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HourTiming {
    pub requests: i64,
    pub p50_ms: Option<u32>,
    pub p95_ms: Option<u32>,
}

/// The answers that were errors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Errors {
    pub client_errors: i64,
    pub server_errors: i64,
    pub client_percent: Option<f64>,
    pub server_percent: Option<f64>,
    /// Monday to Sunday: shares of 4xx and 5xx; none without data.
    pub days: Vec<Option<(f64, f64)>>,
    /// The largest ten.
    pub groups: Vec<Group>,
    /// Whether there is a week before to compare with.
    pub compared: bool,
    /// Not there in the week before: the largest twenty, and how many in all.
    pub new: Vec<Group>,
    pub new_in_all: usize,
    /// There in the week before only.
    pub vanished: Vec<Group>,
    pub vanished_in_all: usize,
}

/// Errors of one status at one endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub status: u16,
    pub endpoint: String,
    pub count: i64,
    pub before: i64,
}

/// The calls of the API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Api {
    pub calls: i64,
    /// Calls of no company we know.
    pub without_company: i64,
    /// `2026-10-20 10:02`.
    pub peak_minute: Option<String>,
    pub peak_minute_calls: i64,
    /// 429 and 403.
    pub rejected: i64,
    pub rejected_percent: Option<f64>,
    /// The busiest twenty.
    pub endpoints: Vec<Caller>,
    pub companies: Vec<Caller>,
    pub companies_in_all: usize,
}

/// An endpoint or a company, and its calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Caller {
    pub name: String,
    pub calls: i64,
    /// 429 and 403.
    pub rejected: i64,
    pub server_errors: i64,
    /// Monday to Sunday.
    pub days: Vec<i64>,
}

/// One of the four weeks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WeekLine {
    pub week: String,
    pub coverage_percent: f64,
    pub requests: u64,
    pub p95_ms: Option<u32>,
    pub client_percent: Option<f64>,
    pub server_percent: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_without_data_lower_the_coverage() {
        let of = |missing: i64| Coverage::of(168, 168 - missing, 0);
        assert_eq!((of(30).percent, of(30).complete), (82.1, true));
        assert_eq!((of(40).percent, of(40).complete), (76.2, false));
        assert_eq!((of(0).percent, of(168).percent), (100.0, 0.0));
        assert_eq!((of(33).complete, of(34).complete), (true, false));
    }

    #[test]
    fn two_hours_merge_into_the_mean_of_their_requests() {
        let mut durations = Durations::default();
        durations.add(100, 100);
        durations.add(200, 300);
        let timing = Timing::of(&durations, Some(100 * 100 + 300 * 200), Some(200));
        assert_eq!((timing.requests, timing.mean_ms, timing.p50_ms), (400, Some(175.0), Some(200)));
        assert_eq!(Timing::of(&Durations::default(), Some(0), None), Timing::default());
    }
}
