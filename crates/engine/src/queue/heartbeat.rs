//! A node's sign of life: one statement extends the leases of all its jobs and finds those it has lost.

use sqlx::postgres::PgPool;

use super::LEASE_SECONDS;

/// Extends the leases of `held` (job id, token) of `node`. Returns those that are no longer its own. A row
/// that is locked is being settled by its own transaction at this instant and counts as held. A planner tells how many
/// seconds ago it finished its last step.
pub async fn heartbeat(
    pool: &PgPool,
    node: i64,
    held: &[(i64, i64)],
    planner_behind: Option<f64>,
) -> Result<Vec<(i64, i64)>, sqlx::Error> {
    let (ids, tokens): (Vec<i64>, Vec<i64>) = held.iter().copied().unzip();
    sqlx::query_as(include_str!("heartbeat.sql"))
        .bind(node)
        .bind(LEASE_SECONDS)
        .bind(ids)
        .bind(tokens)
        .bind(planner_behind)
        .fetch_all(pool)
        .await
}
