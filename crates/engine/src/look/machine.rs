//! The machine itself: nodes, queues, unfinished jobs.

use serde::Serialize;
use serde_json::Value;
use sqlx::FromRow;
use sqlx::postgres::PgPool;
use utoipa::ToSchema;

use super::Instant;
use crate::error::{Doing, EngineError};

/// A node, with what it said last.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub struct NodeRow {
    pub id: i64,
    /// Host and process.
    #[schema(example = "batch1 4711")]
    pub name: String,
    pub roles: Vec<String>,
    pub version: String,
    /// lives, draining, silent (no heartbeat for 30 s) or left.
    #[schema(example = "lives")]
    pub state: String,
    pub real_started: Instant,
    pub real_heartbeat: Instant,
    /// When its planner last finished a step.
    pub real_planned: Option<Instant>,
    pub real_ended: Option<Instant>,
    /// Jobs it works on.
    pub running: i64,
}

/// The nodes that live or were heard of within a day, newest first.
pub async fn nodes(pool: &PgPool) -> Result<Vec<NodeRow>, EngineError> {
    sqlx::query_as(include_str!("nodes.sql")).fetch_all(pool).await.doing("reading the nodes")
}

/// A queue.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub struct QueueRow {
    #[schema(example = "default")]
    pub name: String,
    pub paused: bool,
    /// Why it is paused.
    pub reason: Option<String>,
    /// Jobs that can be worked now.
    pub ready: i64,
    /// Jobs that wait for their time.
    pub scheduled: i64,
    pub running: i64,
    /// Seconds since which the oldest ready job has been waiting.
    pub oldest_seconds: Option<f64>,
}

/// All queues.
pub async fn queues(pool: &PgPool) -> Result<Vec<QueueRow>, EngineError> {
    sqlx::query_as(include_str!("queues.sql")).fetch_all(pool).await.doing("reading the queues")
}

/// Whether everything is stopped, and why.
pub async fn stopped(pool: &PgPool) -> Result<Option<String>, EngineError> {
    let found: (bool, Option<String>) =
        sqlx::query_as("SELECT stopped, stopped_reason FROM yakin.control")
            .fetch_one(pool)
            .await
            .doing("reading the big switch")?;
    Ok(found.0.then(|| found.1.unwrap_or_default()))
}

/// An unfinished job.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub struct JobRow {
    pub id: i64,
    #[schema(example = "default")]
    pub queue: String,
    /// 0 stands for the platform.
    pub tenant_id: i64,
    /// scheduled, ready or running.
    #[schema(example = "ready")]
    pub state: String,
    #[schema(example = "BATCH-204")]
    pub batch_id: String,
    pub run_id: Option<i64>,
    /// prepare, roster, tenant, global, finish or follow_up.
    #[schema(example = "tenant")]
    pub kind: String,
    pub priority: i16,
    pub attempt: i32,
    /// Attempts that ended by cause.
    #[schema(value_type = Object)]
    pub tried: Value,
    /// When it may be worked.
    pub run_at: Instant,
    pub node_id: Option<i64>,
    /// When its present attempt began.
    pub real_claimed: Option<Instant>,
    pub progress_done: Option<i64>,
    pub progress_total: Option<i64>,
}

/// Which unfinished jobs are wanted.
#[derive(Clone, Debug, Default)]
pub struct JobFilter<'a> {
    pub queue: Option<&'a str>,
    pub state: Option<&'a str>,
    pub run: Option<i64>,
    /// Those with a greater number.
    pub after: i64,
    pub limit: i64,
}

/// Unfinished jobs, oldest first.
pub async fn jobs(pool: &PgPool, filter: &JobFilter<'_>) -> Result<Vec<JobRow>, EngineError> {
    sqlx::query_as(include_str!("jobs.sql"))
        .bind(filter.queue)
        .bind(filter.state)
        .bind(filter.run)
        .bind(filter.after)
        .bind(filter.limit.clamp(1, 1000))
        .fetch_all(pool)
        .await
        .doing("reading jobs")
}
