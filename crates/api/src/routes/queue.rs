//! Queues, unfinished jobs and nodes.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use yakin_engine::look::{self, JobFilter, JobRow, NodeRow, QueueRow};
use yakin_engine::operate::{nodes as node_acts, switches};

use super::Said;
use super::runs::word;
use crate::app::App;
use crate::extract::{Asked, Body, Named, Why};
use crate::guard::By;
use crate::page::{self, Page};
use crate::problem::Problem;

/// The queues
#[utoipa::path(get, path = "/admin/batch/queues", tag = "queue",
    responses((status = 200, description = "how much waits in each, and whether it is paused", body = Page<QueueRow>)))]
pub async fn queues(State(app): State<App>) -> Result<Json<Page<QueueRow>>, Problem> {
    Ok(Json(Page::whole(look::queues(&app.engine.pool).await?)))
}

/// Pause a queue: running attempts end, no new one begins
#[utoipa::path(post, path = "/admin/batch/queues/{queue}/pause", tag = "queue",
    params(("queue" = String, Path, description = "default, heavy, notify or monitor", example = "heavy")),
    request_body = Why,
    responses((status = 200, description = "it is paused", body = Said)))]
pub async fn pause(
    State(app): State<App>,
    by: By,
    Named(queue): Named<String>,
    Body(why): Body<Why>,
) -> Result<Json<Said>, Problem> {
    switches::pause(&app.engine.pool, &queue, true, &why.act(&by.0)?).await?;
    Ok(Said::so(format!("queue {queue} is paused")))
}

/// Resume a paused queue
#[utoipa::path(post, path = "/admin/batch/queues/{queue}/resume", tag = "queue",
    params(("queue" = String, Path, description = "default, heavy, notify or monitor", example = "heavy")),
    request_body = Why,
    responses((status = 200, description = "it goes on", body = Said)))]
pub async fn resume(
    State(app): State<App>,
    by: By,
    Named(queue): Named<String>,
    Body(why): Body<Why>,
) -> Result<Json<Said>, Problem> {
    switches::pause(&app.engine.pool, &queue, false, &why.act(&by.0)?).await?;
    Ok(Said::so(format!("queue {queue} goes on")))
}

/// Which unfinished jobs.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct JobsQuery {
    #[param(example = "default")]
    pub queue: Option<String>,
    /// scheduled, ready or running.
    #[param(example = "running")]
    pub state: Option<String>,
    /// Of this run only.
    pub run: Option<i64>,
    /// How many, 1 to 500; 50 unless said.
    #[param(minimum = 1, maximum = 500, example = 50)]
    pub limit: Option<i64>,
    /// The `next_cursor` of the page before.
    #[param(max_length = 400)]
    pub cursor: Option<String>,
}

/// Unfinished jobs, oldest first
#[utoipa::path(get, path = "/admin/batch/jobs", tag = "queue", params(JobsQuery),
    responses((status = 200, description = "the jobs", body = Page<JobRow>)))]
pub async fn jobs(
    State(app): State<App>,
    Asked(query): Asked<JobsQuery>,
) -> Result<Json<Page<JobRow>>, Problem> {
    let limit = page::limit(query.limit, 50)?;
    let filter = JobFilter {
        queue: word(query.queue.as_deref(), "queue", &["default", "heavy", "notify", "monitor"])?,
        state: word(query.state.as_deref(), "state", &["scheduled", "ready", "running"])?,
        run: query.run,
        after: page::key(query.cursor.as_deref())?.unwrap_or(0),
        limit: limit + 1,
    };
    let jobs = look::jobs(&app.engine.pool, &filter).await?;
    Ok(Json(Page::of(jobs, limit, |job| job.id)))
}

/// The nodes that live, or were heard of within a day
#[utoipa::path(get, path = "/admin/batch/nodes", tag = "queue",
    responses((status = 200, description = "the nodes", body = Page<NodeRow>)))]
pub async fn nodes(State(app): State<App>) -> Result<Json<Page<NodeRow>>, Problem> {
    Ok(Json(Page::whole(look::nodes(&app.engine.pool).await?)))
}

/// Tell a node to end what it runs, begin nothing, and leave
///
/// It hears of it within ten seconds.
#[utoipa::path(post, path = "/admin/batch/nodes/{node}/drain", tag = "queue",
    params(("node" = i64, Path, description = "its number", example = 7)),
    request_body = Why,
    responses((status = 200, description = "it is told", body = Said),
              (status = 409, description = "it has left already", body = Problem,
               content_type = "application/problem+json")))]
pub async fn drain(
    State(app): State<App>,
    by: By,
    Named(node): Named<i64>,
    Body(why): Body<Why>,
) -> Result<Json<Said>, Problem> {
    node_acts::drain(&app.engine.pool, node, &why.act(&by.0)?).await?;
    Ok(Said::so(format!("node {node} is told to drain")))
}
