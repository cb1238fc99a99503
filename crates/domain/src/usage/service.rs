//! What the service's own logs say of a day: BATCH-204's record, on which limits and bills rest.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use serde_json::Value;
use yakin_engine::days::{Days, after, day_of};
use yakin_engine::prelude::*;

use super::source::Source;
use super::staging::{self, Recipe};

/// Days after its own during which a day may still change by itself.
const PROVISIONAL_DAYS: i64 = 3;

/// API calls, sessions, and who was active.
pub const ACTIVITY: Source = Source {
    name: "activity",
    logs: &["api_call_logs", "login_logs", "user_sessions"],
    sql: include_str!("activity.sql"),
    nothing: r#"{"calls": 0, "call_users": 0, "successful": 0, "client_errors": 0,
        "server_errors": 0, "response_ms_sum": 0, "response_ms_mean": null,
        "response_ms_p95": null, "response_ms_max": null, "request_bytes": 0,
        "response_bytes": 0, "sessions": 0, "session_seconds": 0, "active_users": 0}"#,
};

/// Where the record comes from.
pub const RECIPE: Recipe = Recipe {
    scope: include_str!("service_scope.sql"),
    sources: &[
        ACTIVITY,
        Source {
            name: "reports",
            logs: &["report_generation_logs"],
            sql: include_str!("reports.sql"),
            nothing: r#"{"reports_generated": 0, "reports_completed": 0, "report_users": 0}"#,
        },
        Source {
            name: "files",
            logs: &[],
            sql: include_str!("files.sql"),
            nothing: r#"{"storage_bytes": 0, "files": 0}"#,
        },
    ],
};

/// The days before `day` that a run at `now` looks at again, because late rows may still have come
/// in.
pub fn days_to_recheck(day: Date, now: Timestamp) -> Vec<Date> {
    let since = after(day_of(now), -1 - PROVISIONAL_DAYS);
    (1..=PROVISIONAL_DAYS)
        .rev()
        .map(|back| after(day, -back))
        .filter(|earlier| *earlier >= since)
        .collect()
}

/// Whether a day that has been recorded has other rows by now.
pub async fn differs(run: &PlatformRun, day: Date) -> Result<bool, Stop> {
    let (start, end) = Days::one(day).instants();
    let scope = staging::scope(run, day, RECIPE.scope).await?;
    let found: Vec<bool> = run
        .read(async |tx| {
            Ok(sqlx::query_scalar(include_str!("day_differs.sql"))
                .bind(start.to_sqlx())
                .bind(end.to_sqlx())
                .bind(day.to_sqlx())
                .bind(&scope)
                .fetch_all(tx)
                .await?)
        })
        .await?;
    Ok(found.contains(&true))
}

/// What became of a tenant's staged days.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// Days that were written.
    pub written: Vec<Date>,
    /// Billed days that would be different today, and by what.
    pub billed: Vec<(Date, Value)>,
    /// Days that became final.
    pub finalized: u64,
}

/// Writes the staged days that differ. A billed day stays as it is: its difference is returned and,
/// with `correct`, becomes a correction that a later invoice settles.
pub async fn store(tx: &mut Tx, run: &TenantRun, correct: bool) -> Result<Stored, Stop> {
    let first_provisional = after(day_of(run.now()), -PROVISIONAL_DAYS).to_sqlx();
    let written: Vec<jiff_sqlx::Date> = sqlx::query_scalar(include_str!("service_store.sql"))
        .bind(run.id())
        .bind(first_provisional)
        .fetch_all(&mut *tx)
        .await?;
    // after the write: an invoice that bound a day while it waited is seen here
    let billed: Vec<jiff_sqlx::Date> = sqlx::query_scalar(include_str!("billed_days.sql"))
        .bind(run.id())
        .fetch_all(&mut *tx)
        .await?;
    let differences: Vec<(jiff_sqlx::Date, Value)> = match billed.is_empty() {
        true => Vec::new(),
        false => {
            sqlx::query_as(include_str!("billed_differences.sql"))
                .bind(run.id())
                .bind(billed)
                .bind(correct)
                .fetch_all(&mut *tx)
                .await?
        }
    };
    let finalized = sqlx::query(include_str!("service_finalize.sql"))
        .bind(first_provisional)
        .bind(run.tenant())
        .execute(&mut *tx)
        .await?;
    Ok(Stored {
        written: written.into_iter().map(Date::from).collect(),
        billed: differences.into_iter().map(|(day, by)| (day.into(), by)).collect(),
        finalized: finalized.rows_affected(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn recheck(day: Date, now: &str) -> Vec<String> {
        days_to_recheck(day, now.parse().unwrap()).iter().map(Date::to_string).collect()
    }

    #[test]
    fn the_night_looks_three_days_back_and_a_late_backfill_does_not() {
        let day = date(2026, 10, 17);
        assert_eq!(
            recheck(day, "2026-10-18T01:30:00+09:00"),
            ["2026-10-14", "2026-10-15", "2026-10-16"]
        );
        assert_eq!(recheck(day, "2026-10-19T09:00:00+09:00"), ["2026-10-15", "2026-10-16"]);
        assert!(recheck(day, "2026-10-25T01:30:00+09:00").is_empty());
    }
}
