//! The audit: who did what, when and why; and whether it still stands as it was written.

use axum::Json;
use axum::extract::State;
use yakin_engine::look::{self, AuditRow};
use yakin_engine::record::audit::{self, Chain};

use crate::app::{App, to_its_end};
use crate::extract::Asked;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;

/// Acts, newest first
#[utoipa::path(get, path = "/admin/batch/audit", tag = "evidence", params(PageQuery),
    responses((status = 200, description = "the acts", body = Page<AuditRow>)))]
pub async fn list(
    State(app): State<App>,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<Page<AuditRow>>, Problem> {
    let limit = query.limit()?;
    let rows = look::audit_before(&app.engine.pool, query.key()?, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |act| act.id)))
}

/// Reckon the audit's chain anew
///
/// `faults` names what was changed, added or removed; it is empty when nothing was. One call at a time, for 25 seconds at
/// most; `yakin audit verify` takes the time it needs.
#[utoipa::path(get, path = "/admin/batch/audit/verify", tag = "evidence",
    responses((status = 200, description = "where the chain stands", body = Chain),
              (status = 429, description = "too many calls, or another one reckons; `Retry-After` says how long to wait",
               body = Problem, content_type = "application/problem+json",
               headers(("Retry-After" = u64, description = "seconds")))))]
pub async fn verify(State(app): State<App>) -> Result<Json<Chain>, Problem> {
    let (place, pool) = (app.whole()?, app.engine.pool.clone());
    let longest = app.settings.longest_reading;
    let reckoned = to_its_end(async move {
        let _place = place;
        audit::verify_within(&pool, Some(longest)).await
    });
    Ok(Json(reckoned.await??))
}
