//! Dead letters: jobs that gave up and wait for a person, grouped by cause.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use yakin_engine::operate::dead::{self, DeadGroup, DeadLetter, Requeued};

use crate::app::App;
use crate::extract::{Asked, Body, Named, Why};
use crate::guard::By;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;

/// The dead letters that wait, grouped by cause
#[utoipa::path(get, path = "/admin/batch/dead-letters", tag = "queue",
    responses((status = 200, description = "the groups, largest first", body = Page<DeadGroup>)))]
pub async fn groups(State(app): State<App>) -> Result<Json<Page<DeadGroup>>, Problem> {
    Ok(Json(Page::whole(dead::groups(&app.engine.pool).await?)))
}

/// The dead letters of a group, or one
#[utoipa::path(get, path = "/admin/batch/dead-letters/{which}", tag = "queue",
    params(("which" = String, Path, description = "a group's fingerprint, or a letter's number", example = "17"), PageQuery),
    responses((status = 200, description = "the letters", body = Page<DeadLetter>)))]
pub async fn show(
    State(app): State<App>,
    Named(which): Named<String>,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<Page<DeadLetter>>, Problem> {
    let (limit, after) = (query.limit()?, query.key()?.unwrap_or(0_i64));
    let letters = dead::page(&app.engine.pool, Some(&which), after, limit + 1).await?;
    if letters.is_empty() && after == 0 {
        return Err(Problem::not_found(format!("no dead letter '{which}' waits")));
    }
    Ok(Json(Page::of(letters, limit, |letter| letter.id)))
}

/// Dead letters that are settled.
#[derive(Debug, Serialize, ToSchema)]
pub struct Discarded {
    pub discarded: usize,
}

/// Run dead letters again
///
/// Follow-ups as they were; pieces of a run as a rerun of exactly those tenants. Letters of several runs of a batch that
/// may not overlap are requeued one run at a time: what still waits is told, and may be requeued again later.
#[utoipa::path(post, path = "/admin/batch/dead-letters/{which}/requeue", tag = "queue",
    params(("which" = String, Path, description = "a group's fingerprint, or a letter's number", example = "17")),
    request_body = Why,
    responses((status = 200, description = "they, or some of them, run again", body = Requeued),
              (status = 409, description = "none: a run is open that theirs may not overlap", body = Problem,
               content_type = "application/problem+json")))]
pub async fn requeue(
    State(app): State<App>,
    by: By,
    Named(which): Named<String>,
    Body(why): Body<Why>,
) -> Result<Json<Requeued>, Problem> {
    let (act, engine, now) = (why.act(&by.0)?, &app.engine, app.engine.clock.now());
    Ok(Json(dead::requeue(&engine.pool, &engine.registry, &which, &act, now).await?))
}

/// Decide that dead letters are not wanted
#[utoipa::path(post, path = "/admin/batch/dead-letters/{which}/discard", tag = "queue",
    params(("which" = String, Path, description = "a group's fingerprint, or a letter's number", example = "17")),
    request_body = Why,
    responses((status = 200, description = "they are discarded", body = Discarded)))]
pub async fn discard(
    State(app): State<App>,
    by: By,
    Named(which): Named<String>,
    Body(why): Body<Why>,
) -> Result<Json<Discarded>, Problem> {
    let (act, engine) = (why.act(&by.0)?, &app.engine);
    let discarded = dead::discard(&engine.pool, &which, &act, engine.clock.now()).await?;
    Ok(Json(Discarded { discarded }))
}
