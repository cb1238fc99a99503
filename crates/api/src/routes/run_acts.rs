//! What a person does with a run: again, no more, yes, no, all the same.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use serde::Deserialize;
use utoipa::ToSchema;
use yakin_engine::operate::runs::{Again, approve as decide, cancel as stop, rerun_once as again};
use yakin_engine::tenant;

use super::runs::visible;
use super::{Said, Started};
use crate::app::{App, act};
use crate::extract::{Body, Named, Why, once, reason};
use crate::guard::By;
use crate::problem::Problem;

/// What to run again, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"failed": true, "reason": "the price list is mended"}))]
pub struct Rerun {
    /// Only the tenants that failed or were blocked.
    #[serde(default)]
    pub failed: bool,
    #[schema(
        min_length = 1,
        max_length = 500,
        pattern = r"\S",
        example = "the price list is mended"
    )]
    pub reason: String,
}

/// Run an ended run again, for the same period and parameters
#[utoipa::path(post, path = "/admin/batch/runs/{run}/rerun", tag = "runs",
    params(("run" = i64, Path, description = "its number", example = 118),
           ("Idempotency-Key" = Option<String>, Header, description = "one key for one request", max_length = 200)),
    request_body = Rerun,
    responses((status = 202, description = "the new run", body = Started,
               headers(("Location" = String, description = "the new run"))),
              (status = 409, description = "the run has not ended, or nothing of it failed", body = Problem,
               content_type = "application/problem+json")))]
pub async fn rerun(
    State(app): State<App>,
    by: By,
    Named(run): Named<i64>,
    headers: HeaderMap,
    Body(wanted): Body<Rerun>,
) -> Result<impl IntoResponse, Problem> {
    let act = act(&by.0, reason(&wanted.reason)?);
    visible(&app, &by, run).await?;
    let once = once(&headers, &act.actor, &("rerun", run, wanted.failed))?;
    let which = (run, if wanted.failed { Again::Failed } else { Again::All });
    let (engine, now) = (&app.engine, app.engine.clock.now());
    let begun = again(&engine.pool, &engine.registry, which, once.as_ref(), &act, now).await?;
    Ok(Started::at(begun.run))
}

/// Stop an open run
///
/// What has not begun is cancelled, what runs is told to stop.
#[utoipa::path(post, path = "/admin/batch/runs/{run}/cancel", tag = "runs",
    params(("run" = i64, Path, description = "its number", example = 118)),
    request_body = Why,
    responses((status = 200, description = "it is told", body = Said),
              (status = 409, description = "it is not open", body = Problem, content_type = "application/problem+json")))]
pub async fn cancel(
    State(app): State<App>,
    by: By,
    Named(run): Named<i64>,
    Body(why): Body<Why>,
) -> Result<Json<Said>, Problem> {
    let act = why.act(&by.0)?;
    visible(&app, &by, run).await?;
    stop(&app.engine.pool, run, &act, app.engine.clock.now()).await?;
    Ok(Said::so(format!("run {run} is told to stop")))
}

/// Approve a run that waits for a second person
#[utoipa::path(post, path = "/admin/batch/runs/{run}/approve", tag = "runs",
    params(("run" = i64, Path, description = "its number", example = 118)),
    request_body = Why,
    responses((status = 200, description = "it is approved", body = Said),
              (status = 409, description = "it waits for no approval, or the same person asked for it", body = Problem,
               content_type = "application/problem+json")))]
pub async fn approve(
    State(app): State<App>,
    by: By,
    Named(run): Named<i64>,
    Body(why): Body<Why>,
) -> Result<Json<Said>, Problem> {
    let act = why.act(&by.0)?;
    visible(&app, &by, run).await?;
    decide(&app.engine.pool, run, true, &act, app.engine.clock.now()).await?;
    Ok(Said::so(format!("run {run} is approved")))
}

/// Reject a run that waits for a second person: it is cancelled
#[utoipa::path(post, path = "/admin/batch/runs/{run}/reject", tag = "runs",
    params(("run" = i64, Path, description = "its number", example = 118)),
    request_body = Why,
    responses((status = 200, description = "it is rejected", body = Said),
              (status = 409, description = "it waits for no approval", body = Problem,
               content_type = "application/problem+json")))]
pub async fn reject(
    State(app): State<App>,
    by: By,
    Named(run): Named<i64>,
    Body(why): Body<Why>,
) -> Result<Json<Said>, Problem> {
    let act = why.act(&by.0)?;
    visible(&app, &by, run).await?;
    decide(&app.engine.pool, run, false, &act, app.engine.clock.now()).await?;
    Ok(Said::so(format!("run {run} is rejected and cancelled")))
}

/// Whose block is lifted, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"tenants": ["aoba-joho"], "reason": "agreed with the customer"}))]
pub struct Unblock {
    /// Codes.
    #[schema(min_items = 1, max_items = 1000, example = json!(["aoba-joho"]))]
    pub tenants: Vec<String>,
    #[schema(
        min_length = 1,
        max_length = 500,
        pattern = r"\S",
        example = "agreed with the customer"
    )]
    pub reason: String,
}

/// Release blocked tenants of an ended run
///
/// Their pieces run again with the block lifted, on the record.
#[utoipa::path(post, path = "/admin/batch/runs/{run}/unblock", tag = "runs",
    params(("run" = i64, Path, description = "its number", example = 118),
           ("Idempotency-Key" = Option<String>, Header, description = "one key for one request", max_length = 200)),
    request_body = Unblock,
    responses((status = 202, description = "the new run", body = Started,
               headers(("Location" = String, description = "the new run"))),
              (status = 409, description = "the run has not ended, or did not block them", body = Problem,
               content_type = "application/problem+json")))]
pub async fn unblock(
    State(app): State<App>,
    by: By,
    Named(run): Named<i64>,
    headers: HeaderMap,
    Body(wanted): Body<Unblock>,
) -> Result<impl IntoResponse, Problem> {
    let act = act(&by.0, reason(&wanted.reason)?);
    if wanted.tenants.is_empty() {
        return Err(Problem::refused("tenants: expected at least one code"));
    }
    let (engine, now) = (&app.engine, app.engine.clock.now());
    let ids = tenant::by_codes(&engine.pool, &wanted.tenants).await?;
    let once = once(&headers, &act.actor, &("unblock", run, &ids))?;
    let which = (run, Again::Released(ids));
    let begun = again(&engine.pool, &engine.registry, which, once.as_ref(), &act, now).await?;
    Ok(Started::at(begun.run))
}
