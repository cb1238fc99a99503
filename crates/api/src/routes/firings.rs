//! Firings of a day, planned and actual; and what a person may do to one before it starts.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use yakin_engine::days::{Days, clock_text, day_of};
use yakin_engine::look::{self, FiringKey, FiringRow};
use yakin_engine::operate::firings::{Change, change};
use yakin_engine::record::audit::Act;

use super::Said;
use crate::app::{App, act};
use crate::extract::{Asked, Body, Named, Why, day, known, reason};
use crate::guard::By;
use crate::page::{self, Page};
use crate::problem::Problem;

/// Which day's.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DayQuery {
    /// A Tokyo day; today unless said.
    #[param(value_type = Option<String>, format = Date, example = "2026-10-31")]
    pub date: Option<Date>,
    /// How many, 1 to 500; 200 unless said.
    #[param(minimum = 1, maximum = 500, example = 200)]
    pub limit: Option<i64>,
    /// The `next_cursor` of the page before.
    #[param(max_length = 400)]
    pub cursor: Option<String>,
}

/// The firings of a day, by when they are due
#[utoipa::path(get, path = "/admin/batch/firings", tag = "firings", params(DayQuery),
    responses((status = 200, description = "planned and actual", body = Page<FiringRow>)))]
pub async fn list(
    State(app): State<App>,
    Asked(query): Asked<DayQuery>,
) -> Result<Json<Page<FiringRow>>, Problem> {
    let date = day("date", query.date)?.unwrap_or_else(|| day_of(app.engine.clock.now()));
    let limit = page::limit(query.limit, 200)?;
    let after: Option<FiringKey> = page::key(query.cursor.as_deref())?;
    let day = Days::one(date).instants();
    let firings = look::firings_after(&app.engine.pool, day, after.as_ref(), limit + 1).await?;
    Ok(Json(Page::of(firings, limit, key)))
}

fn key(firing: &FiringRow) -> FiringKey {
    (firing.due_at.to_jiff(), firing.batch_id.clone(), firing.planned_at.to_jiff())
}

/// Hold a firing: it does not start until released
#[utoipa::path(post, path = "/admin/batch/firings/{batch}/{due}/hold", tag = "firings",
    params(("batch" = String, Path, description = "id or slug", example = "BATCH-302"),
           ("due" = String, Path, description = "when it is due or planned, RFC 3339", example = "2026-11-30T17:00:00Z")),
    request_body = Why,
    responses((status = 200, description = "it is held", body = Said),
              (status = 409, description = "it has started or ended", body = crate::problem::Problem,
               content_type = "application/problem+json")))]
pub async fn hold(
    State(app): State<App>,
    by: By,
    Named((batch, due)): Named<(String, String)>,
    Body(why): Body<Why>,
) -> Result<Json<Said>, Problem> {
    let act = why.act(&by.0)?;
    changed(&app, &batch, &due, Change::Hold, &act, "held").await
}

/// Release a held firing; if its time has passed it starts now
#[utoipa::path(post, path = "/admin/batch/firings/{batch}/{due}/release", tag = "firings",
    params(("batch" = String, Path, description = "id or slug", example = "BATCH-302"),
           ("due" = String, Path, description = "when it is due or planned, RFC 3339", example = "2026-11-30T17:00:00Z")),
    request_body = Why,
    responses((status = 200, description = "it is released", body = Said),
              (status = 409, description = "it is not held", body = crate::problem::Problem,
               content_type = "application/problem+json")))]
pub async fn release(
    State(app): State<App>,
    by: By,
    Named((batch, due)): Named<(String, String)>,
    Body(why): Body<Why>,
) -> Result<Json<Said>, Problem> {
    let act = why.act(&by.0)?;
    changed(&app, &batch, &due, Change::Release, &act, "released").await
}

/// Bypass a firing: it never runs
#[utoipa::path(post, path = "/admin/batch/firings/{batch}/{due}/bypass", tag = "firings",
    params(("batch" = String, Path, description = "id or slug", example = "BATCH-302"),
           ("due" = String, Path, description = "when it is due or planned, RFC 3339", example = "2026-11-30T17:00:00Z")),
    request_body = Why,
    responses((status = 200, description = "it is bypassed", body = Said),
              (status = 409, description = "it has started or ended", body = crate::problem::Problem,
               content_type = "application/problem+json")))]
pub async fn bypass(
    State(app): State<App>,
    by: By,
    Named((batch, due)): Named<(String, String)>,
    Body(why): Body<Why>,
) -> Result<Json<Said>, Problem> {
    let act = why.act(&by.0)?;
    changed(&app, &batch, &due, Change::Bypass, &act, "bypassed; it will not run").await
}

/// Where to, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"to": "2026-11-30T19:30:00Z", "reason": "after the import"}))]
pub struct Moved {
    #[schema(value_type = String, format = DateTime, example = "2026-11-30T19:30:00Z")]
    pub to: Timestamp,
    #[schema(min_length = 1, max_length = 500, pattern = r"\S", example = "after the import")]
    pub reason: String,
}

/// Move a firing to another instant; it still runs once
#[utoipa::path(post, path = "/admin/batch/firings/{batch}/{due}/move", tag = "firings",
    params(("batch" = String, Path, description = "id or slug", example = "BATCH-302"),
           ("due" = String, Path, description = "when it is due or planned, RFC 3339", example = "2026-11-30T17:00:00Z")),
    request_body = Moved,
    responses((status = 200, description = "it is moved", body = Said),
              (status = 409, description = "it has started or ended", body = crate::problem::Problem,
               content_type = "application/problem+json")))]
pub async fn r#move(
    State(app): State<App>,
    by: By,
    Named((batch, due)): Named<(String, String)>,
    Body(moved): Body<Moved>,
) -> Result<Json<Said>, Problem> {
    let act = act(&by.0, reason(&moved.reason)?);
    let said = format!("moved to {}", clock_text(moved.to));
    changed(&app, &batch, &due, Change::Move(moved.to), &act, &said).await
}

async fn changed(
    app: &App,
    batch: &str,
    due: &str,
    wanted: Change,
    act: &Act,
    said: &str,
) -> Result<Json<Said>, Problem> {
    let id = app.batch(batch)?;
    let known = |at: &Timestamp| known("due", day_of(*at)).is_ok();
    let due: Timestamp = due.parse().ok().filter(known).ok_or_else(|| {
        Problem::not_found(format!("'{due}' is no instant, such as 2026-11-30T17:00:00Z"))
    })?;
    change(&app.engine.pool, id, due, wanted, act, app.engine.clock.now()).await?;
    Ok(Said::so(said))
}
