//! Reports that exist, of tenants and of the service; their files lie in the storage.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use yakin_domain::evidence::Month;
use yakin_domain::look::{self, ReportCursor, ReportFilter, ReportRow};
use yakin_engine::days::day_of;

use crate::app::App;
use crate::extract::{Asked, day, text};
use crate::guard::By;
use crate::page::{self, Page};
use crate::problem::Problem;

/// Which reports.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ReportsQuery {
    /// Of the tenant of this code only.
    #[param(max_length = 31, example = "aoba-joho")]
    pub tenant: Option<String>,
    /// Whose period begins in this Tokyo month.
    #[param(max_length = 7, example = "2026-10")]
    pub month: Option<String>,
    /// How many, 1 to 500; 50 unless said.
    #[param(minimum = 1, maximum = 500, example = 50)]
    pub limit: Option<i64>,
    /// The `next_cursor` of the page before.
    #[param(max_length = 400)]
    pub cursor: Option<String>,
}

/// Reports, newest first: whose, of which period, their files' keys and digests
///
/// A token for all tenants also sees the service's own, whose `tenant` is null.
#[utoipa::path(get, path = "/admin/batch/reports", tag = "tenants", params(ReportsQuery),
    responses((status = 200, description = "the reports", body = Page<ReportRow>)))]
pub async fn list(
    State(app): State<App>,
    by: By,
    Asked(query): Asked<ReportsQuery>,
) -> Result<Json<Page<ReportRow>>, Problem> {
    let limit = page::limit(query.limit, 50)?;
    let before: Option<ReportCursor> = page::key(query.cursor.as_deref())?;
    day("cursor", before.as_ref().map(|(at, ..)| day_of(*at)))?;
    let month = query.month.as_deref().map(str::parse::<Month>).transpose();
    let month = month.map_err(|why| Problem::malformed(format!("month: {why}")))?;
    let filter = ReportFilter {
        tenant: text("tenant", query.tenant.as_deref(), 31)?,
        month: month.map(Month::days),
        before,
        limit: limit + 1,
    };
    let rows = look::reports(&app.engine.pool, by.tenants(), &filter).await?;
    Ok(Json(Page::of(rows, limit, ReportRow::cursor)))
}
