//! The whole at a glance, and the big switch.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use yakin_engine::look::{self, Instant, Waiting};
use yakin_engine::operate::switches;

use super::Said;
use crate::app::App;
use crate::extract::{Body, Why};
use crate::guard::By;
use crate::problem::Problem;

/// How things stand.
#[derive(Debug, Serialize, ToSchema)]
pub struct Overview {
    /// Why everything is stopped; null while it is not.
    pub stopped: Option<String>,
    /// The schedule time.
    #[schema(value_type = Instant)]
    pub now: jiff::Timestamp,
    pub waiting: Waiting,
}

/// What waits for people, and whether the queue is worked off
#[utoipa::path(get, path = "/admin/batch/overview", tag = "queue",
    responses((status = 200, description = "how things stand", body = Overview)))]
pub async fn overview(State(app): State<App>) -> Result<Json<Overview>, Problem> {
    let pool = &app.engine.pool;
    Ok(Json(Overview {
        stopped: look::stopped(pool).await?,
        now: app.engine.clock.now(),
        waiting: look::waiting(pool).await?,
    }))
}

/// Stop everything on all nodes: no firing starts, no job is claimed
#[utoipa::path(post, path = "/admin/batch/stop-all", tag = "queue", request_body = Why,
    responses((status = 200, description = "everything is stopped", body = Said)))]
pub async fn stop_all(
    State(app): State<App>,
    by: By,
    Body(why): Body<Why>,
) -> Result<Json<Said>, Problem> {
    switches::stop_all(&app.engine.pool, true, &why.act(&by.0)?).await?;
    Ok(Said::so("everything is stopped"))
}

/// Undo stop-all
#[utoipa::path(post, path = "/admin/batch/resume-all", tag = "queue", request_body = Why,
    responses((status = 200, description = "everything goes on", body = Said)))]
pub async fn resume_all(
    State(app): State<App>,
    by: By,
    Body(why): Body<Why>,
) -> Result<Json<Said>, Problem> {
    switches::stop_all(&app.engine.pool, false, &why.act(&by.0)?).await?;
    Ok(Said::so("everything goes on"))
}
