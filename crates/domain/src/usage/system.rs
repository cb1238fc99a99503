//! The service's day as a whole, DAILY_002: the companies' rows summed, and how the service answered.

use jiff::civil::Date;
use jiff::civil::Weekday;
use jiff_sqlx::ToSqlx;
use yakin_engine::days::{Days, after};
use yakin_engine::prelude::*;

/// Under this tenant the service's own figures are staged: it is nobody's.
const SERVICE: i64 = 0;
/// A company with so many events on each of so many weekdays, and then none, has fallen silent.
const LIVELY: i64 = 50;
const WEEKDAYS: usize = 5;

/// The logs from which a run would count the service's line of `day`: none where it is there, unless it is counted again.
pub async fn logs_read(
    run: &PlatformRun,
    day: Date,
    again: bool,
) -> Result<Vec<&'static str>, Stop> {
    let there: bool = run
        .read(async |tx| {
            Ok(sqlx::query_scalar(
                "SELECT EXISTS (SELECT FROM app.system_stats_daily WHERE usage_date = $1)",
            )
            .bind(day.to_sqlx())
            .fetch_one(tx)
            .await?)
        })
        .await?;
    Ok(if there && !again { Vec::new() } else { vec!["api_call_logs"] })
}

/// Stages how the service answered on `day`, and how it was seen from outside: one pass over the API calls, one over the
/// probes.
pub async fn stage(run: &PlatformRun, day: Date) -> Result<(), Stop> {
    let (start, end) = Days::one(day).instants();
    let figures: [String; 2] = run
        .read(async |tx| {
            let mut figures = [String::new(), String::new()];
            let statements = [include_str!("responses.sql"), include_str!("probes.sql")];
            for (sql, figures) in statements.into_iter().zip(&mut figures) {
                *figures = sqlx::query_scalar(sql)
                    .bind(start.to_sqlx())
                    .bind(end.to_sqlx())
                    .fetch_one(&mut *tx)
                    .await?;
            }
            Ok(figures)
        })
        .await?;
    run.stage(async |tx| {
        sqlx::query(
            "INSERT INTO staging.usage_figures (tenant_id, run_id, usage_date, source, figures)
             VALUES ($1, $2, $3, 'responses', $4::jsonb || $5::jsonb)",
        )
        .bind(SERVICE)
        .bind(run.id())
        .bind(day.to_sqlx())
        .bind(&figures[0])
        .bind(&figures[1])
        .execute(tx)
        .await?;
        Ok(())
    })
    .await
}

/// What this run staged: the companies of the day, and how the service answered.
pub async fn staged(run: &PlatformRun, day: Date) -> Result<(Vec<i64>, String), Stop> {
    run.read(async |tx| {
        Ok(sqlx::query_as(
            "SELECT coalesce(array_agg(DISTINCT tenant_id) FILTER (WHERE tenant_id > 0), '{}'),
                    coalesce(max(figures::text) FILTER (WHERE tenant_id = $3), '{}')
               FROM staging.usage_figures WHERE run_id = $1 AND usage_date = $2",
        )
        .bind(run.id())
        .bind(day.to_sqlx())
        .bind(SERVICE)
        .fetch_one(tx)
        .await?)
    })
    .await
}

/// Writes the service's line of `day` where it differs; returns rows written and how many companies' rows are missing.
pub async fn store(
    tx: &mut Tx,
    run: &PlatformRun,
    companies: &[i64],
    figures: &str,
    recompute: bool,
) -> Result<(i64, i64), Stop> {
    Ok(sqlx::query_as(include_str!("system_store.sql"))
        .bind(run.period().start.to_sqlx())
        .bind(run.id())
        .bind(companies)
        .bind(figures)
        .bind(recompute)
        .fetch_one(tx)
        .await?)
}

/// The companies that did nothing on `day`, a weekday, after having been lively on each of the five before it.
pub async fn silent(tx: &mut Tx, day: Date, companies: &[i64]) -> Result<Vec<i64>, Stop> {
    if !is_weekday(day) {
        return Ok(Vec::new());
    }
    let before: Vec<jiff_sqlx::Date> = (1..=7)
        .map(|back| after(day, -back))
        .filter(|d| is_weekday(*d))
        .take(WEEKDAYS)
        .map(|d| d.to_sqlx())
        .collect();
    Ok(sqlx::query_scalar(include_str!("silent.sql"))
        .bind(day.to_sqlx())
        .bind(companies)
        .bind(before)
        .bind(LIVELY)
        .fetch_all(tx)
        .await?)
}

fn is_weekday(day: Date) -> bool {
    !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday)
}
