//! Reports that exist: whose, of which period, where their files lie, and what their covers say is missing.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::Serialize;
use sqlx::FromRow;
use sqlx::postgres::PgPool;
use utoipa::ToSchema;
use yakin_engine::days::Days;
use yakin_engine::error::{Doing, EngineError};
use yakin_engine::look::{Day, Instant};

use super::{Bound, begin};

/// A form of a report: its PDF, its workbook.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub struct ReportRow {
    /// The code of the tenant it is for; null for the service's own.
    #[schema(example = "aoba-joho")]
    pub tenant: Option<String>,
    #[schema(example = "company-monthly")]
    pub report_key: String,
    /// The first day of the month or week it is of.
    pub period_start: Day,
    /// pdf, xlsx, html or json.
    #[schema(example = "pdf")]
    pub format: String,
    /// Its file's key in the storage.
    #[schema(example = "tenant/aoba-joho/reports/2026-10/monthly_report_aoba-joho_2026-10.pdf")]
    pub key: String,
    pub size_bytes: i64,
    /// SHA-256 of its file.
    pub sha256: Option<String>,
    /// What its cover says is missing.
    pub incomplete: Option<String>,
    pub created_at: Instant,
    /// The run that made it.
    pub run_id: i64,
    /// Its place among those of the same instant: the tenant, 0 for the service.
    #[serde(skip)]
    #[schema(ignore)]
    pub place: i64,
}

/// Where a list goes on: behind this instant, place and key.
pub type ReportCursor = (Timestamp, i64, String);

impl ReportRow {
    /// Its place in the list.
    pub fn cursor(&self) -> ReportCursor {
        (self.created_at.to_jiff(), self.place, self.key.clone())
    }
}

/// Which reports are wanted, newest first; what is set must all be so.
#[derive(Clone, Debug, Default)]
pub struct ReportFilter<'a> {
    /// Of the tenant of this code; else also the service's own.
    pub tenant: Option<&'a str>,
    /// Whose period begins in this month.
    pub month: Option<Days>,
    /// Those behind this place.
    pub before: Option<ReportCursor>,
    pub limit: i64,
}

const OF_TENANTS: &str = concat!(
    "SELECT tenant, place, report_key, period_start, format, key, size_bytes, sha256, incomplete, created_at, run_id FROM (",
    include_str!("reports.sql"),
    include_str!("reports_order.sql")
);
const OF_ALL: &str = concat!(
    "SELECT tenant, place, report_key, period_start, format, key, size_bytes, sha256, incomplete, created_at, run_id FROM (",
    include_str!("reports.sql"),
    include_str!("reports_platform.sql"),
    include_str!("reports_order.sql")
);

/// The reports that are wanted. A caller who is bound to tenants sees theirs alone.
pub async fn reports(
    pool: &PgPool,
    bound: Bound<'_>,
    filter: &ReportFilter<'_>,
) -> Result<Vec<ReportRow>, EngineError> {
    let doing = "reading reports";
    let mut tx = begin(pool, bound).await.doing(doing)?;
    let (at, place, key) = match &filter.before {
        Some((at, place, key)) => (Some(at.to_sqlx()), Some(*place), Some(key.as_str())),
        None => (None, None, None),
    };
    let rows = sqlx::query_as(if bound.is_some() { OF_TENANTS } else { OF_ALL })
        .bind(bound)
        .bind(filter.tenant)
        .bind(filter.month.map(|m| m.start.to_sqlx()))
        .bind(filter.month.map(|m| m.end.to_sqlx()))
        .bind(at)
        .bind(place)
        .bind(key)
        .bind(filter.limit.clamp(1, 10_000))
        .fetch_all(&mut tx)
        .await
        .doing(doing)?;
    tx.commit().await.doing(doing)?;
    Ok(rows)
}
