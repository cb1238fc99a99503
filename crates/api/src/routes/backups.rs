//! Backup sets, and what has been proven of each.

use axum::Json;
use axum::extract::State;
use jiff::civil::Date;
use yakin_domain::look::{self, BackupRow};

use crate::app::App;
use crate::extract::{Asked, day};
use crate::page::{Page, PageQuery};
use crate::problem::Problem;

/// Backup sets, newest first, with their proofs
#[utoipa::path(get, path = "/admin/batch/backups", tag = "evidence", params(PageQuery),
    responses((status = 200, description = "the sets", body = Page<BackupRow>)))]
pub async fn list(
    State(app): State<App>,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<Page<BackupRow>>, Problem> {
    let limit = query.limit()?;
    let before: Option<(Date, String)> = query.key()?;
    day("cursor", before.as_ref().map(|(date, _)| *date))?;
    let before = before.as_ref().map(|(date, set)| (*date, set.as_str()));
    let rows = look::backups(&app.engine.pool, before, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |set| (set.business_date.to_jiff(), set.backup_id.clone()))))
}
