//! A week of the calendar, and its row: the report is made once and stays.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use sqlx::types::Json;
use yakin_engine::days::{Days, after};
use yakin_engine::outcome::{Cause, Stop};
use yakin_engine::run::PlatformRun;
use yakin_engine::tx::Tx;

use super::chapters::Report;

/// Monday 00:00 to the next Monday 00:00, Asia/Tokyo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Week(pub Days);

impl Week {
    /// The week of a run, which must be over.
    pub fn of(run: &PlatformRun) -> Result<Week, Stop> {
        let days = run.period();
        if run.now() < days.instants().1 {
            let why = format!("{days} is not over yet; name a day of an earlier week");
            return Err(Stop::give_up(Cause::Data, why));
        }
        Ok(Week(days))
    }

    /// `2025-W01`: the ISO year is that of its Thursday.
    pub fn iso(self) -> String {
        let week = self.0.start.iso_week_date();
        format!("{:04}-W{:02}", week.year(), week.week())
    }

    /// The week so many weeks before.
    pub fn back(self, weeks: i64) -> Week {
        let days =
            Days { start: after(self.0.start, -7 * weeks), end: after(self.0.end, -7 * weeks) };
        Week(days)
    }

    /// The last day, a Sunday.
    pub fn last(self) -> Date {
        after(self.0.end, -1)
    }

    /// The four weeks that end with this one.
    pub fn four(self) -> Days {
        Days { start: self.back(3).0.start, end: self.0.end }
    }
}

/// The week's report, where it was made.
pub async fn find(tx: &mut Tx, week: &str) -> Result<Option<Report>, Stop> {
    let found: Option<Json<Report>> =
        sqlx::query_scalar("SELECT report FROM app.performance_weeks WHERE iso_week = $1")
            .bind(week)
            .fetch_optional(tx)
            .await?;
    Ok(found.map(|json| json.0))
}

/// Keeps the week's report; returns whether it is new.
pub async fn keep(tx: &mut Tx, report: &Report, (run, at): (i64, Timestamp)) -> Result<bool, Stop> {
    let kept = sqlx::query(
        "INSERT INTO app.performance_weeks (iso_week, week_start, coverage_percent, complete, report, run_id, created_at)
         VALUES ($1, $2, round($3::numeric, 1), $4, $5, $6, $7) ON CONFLICT (iso_week) DO NOTHING",
    )
    .bind(&report.week)
    .bind(report.first.to_sqlx())
    .bind(report.coverage.percent)
    .bind(report.coverage.complete)
    .bind(Json(report))
    .bind(run)
    .bind(at.to_sqlx())
    .execute(tx)
    .await?;
    Ok(kept.rows_affected() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn the_week_over_new_year_belongs_to_the_year_of_its_thursday() {
        let iso = |y, m, d| Week(Days::week_of(date(y, m, d))).iso();
        assert_eq!([iso(2024, 12, 30), iso(2025, 1, 5)], ["2025-W01", "2025-W01"]);
        assert_eq!([iso(2024, 12, 29), iso(2025, 1, 6)], ["2024-W52", "2025-W02"]);
        assert_eq!([iso(2027, 1, 3), iso(2026, 12, 28)], ["2026-W53", "2026-W53"]);
    }

    #[test]
    fn four_weeks_end_with_this_one() {
        let week = Week(Days::week_of(date(2026, 10, 21)));
        let four = week.four();
        assert_eq!((four.start, four.end), (date(2026, 9, 28), date(2026, 10, 26)));
        assert_eq!((week.back(1).iso(), week.last()), ("2026-W42".to_owned(), date(2026, 10, 25)));
    }
}
