//! `yakin reports list`: which reports exist, and where their files lie.

use yakin_domain::evidence::Month;
use yakin_domain::look::{self, ReportFilter, ReportRow};
use yakin_engine::days::clock_text;
use yakin_engine::tenant;

use crate::arguments::Reports;
use crate::output::{End, UsageError, grouped, json, line};
use crate::place::Place;

/// Lists them, newest first.
pub async fn reports(place: &Place, command: &Reports) -> anyhow::Result<End> {
    let Reports::List { month, tenant, limit } = command;
    let month = month.as_deref().map(str::parse::<Month>).transpose();
    let month = month.map_err(|why| UsageError(format!("--month: {why}")))?;
    let pool = place.pool().await?;
    // a code that is nobody's is told, not taken for somebody without reports
    tenant::by_codes(&pool, tenant.as_slice()).await?;
    let filter = ReportFilter {
        tenant: tenant.as_deref(),
        month: month.map(Month::days),
        before: None,
        limit: *limit,
    };
    let rows = look::reports(&pool, None, &filter).await?;
    if place.json {
        json(&rows)?;
    } else if rows.is_empty() {
        line(
            "no report; `yakin run MONTHLY_002` makes those of a month, `yakin run WEEKLY_002` a week's",
        );
    } else {
        rows.iter().for_each(tell);
        if i64::try_from(rows.len()).is_ok_and(|n| n == *limit) {
            line(format!("the newest {limit}; --limit shows more, --month and --tenant fewer"));
        }
    }
    Ok(End::Done)
}

fn tell(report: &ReportRow) {
    line(format!(
        "{} · {} {} {} · {} bytes · {} · run {}",
        report.tenant.as_deref().unwrap_or("the service"),
        report.report_key,
        report.period_start.to_jiff(),
        report.format,
        grouped(report.size_bytes),
        clock_text(report.created_at.to_jiff()),
        report.run_id
    ));
    line(format!("    {}", report.key));
    line(format!("    SHA-256 {}", report.sha256.as_deref().unwrap_or("–")));
    if let Some(missing) = &report.incomplete {
        line(format!("    missing: {missing}"));
    }
}
