//! What the queue's tests share: jobs without runs, claimed and settled by hand, and what must hold of every lane.

use yakin_engine::outcome::{Done, Stop};
use yakin_engine::queue::settle::{Settlement, settle};
use yakin_engine::queue::{Job, claim};
use yakin_engine::spec::{Queue, Spec};
use yakin_testkit::World;

use crate::common::tenants;

/// The batch of jobs made here.
pub const BATCH: &str = "T-Q";
/// Its spec, for settlements.
pub const SPEC: Spec = tenants(BATCH);

/// A world whose node knows no batch: jobs are claimed by hand.
pub async fn empty_world() -> World {
    World::new(Vec::new()).await
}

/// Enqueues `n` jobs of a tenant, ready now.
pub async fn enqueue(world: &World, tenant: i64, n: usize) -> Vec<i64> {
    enqueue_as(world, tenant, n, "'priority', 20").await
}

/// The same with more fields: SQL pairs of name and value.
pub async fn enqueue_as(world: &World, tenant: i64, n: usize, fields: &str) -> Vec<i64> {
    let now = world.clock.now();
    world
        .one(&format!(
            "SELECT yakin.enqueue((SELECT jsonb_agg(jsonb_build_object('queue', 'default', 'tenant_id', {tenant},
                 'batch_id', '{BATCH}', 'kind', 'follow_up', 'run_at', '{now}') || jsonb_build_object({fields}))
               FROM generate_series(1, {n})), '{now}')"
        ))
        .await
}

/// Claims up to `limit` jobs.
pub async fn claim_some(world: &World, limit: i32) -> Vec<Job> {
    claim_batches(world, limit, &[BATCH]).await
}

/// Claims as a node that knows these batches.
pub async fn claim_batches(world: &World, limit: i32, batches: &[&str]) -> Vec<Job> {
    let known: Vec<String> = batches.iter().map(|b| (*b).to_owned()).collect();
    claim::claim(&world.pool, Queue::Default.name(), limit, world.engine.node, &known)
        .await
        .unwrap()
}

/// Settles jobs as done; returns the ids whose token still matched.
pub async fn finish(world: &World, jobs: &[Job]) -> Vec<i64> {
    let results: Vec<_> =
        jobs.iter().map(|j| Settlement::done(j, &Done::default(), None)).collect();
    settle_all(world, &results).await
}

/// Settles jobs as stopped.
pub async fn stop(world: &World, jobs: &[Job], stop: &Stop) -> Vec<i64> {
    let now = world.clock.now();
    let results: Vec<_> = jobs.iter().map(|j| Settlement::stopped(j, &SPEC, stop, now)).collect();
    settle_all(world, &results).await
}

async fn settle_all(world: &World, results: &[Settlement]) -> Vec<i64> {
    settle(&world.pool, results, &[], world.clock.now()).await.unwrap()
}

/// In every snapshot: no ready job lies before its lane's cursor, and a lane with a cap counts exactly its running jobs.
pub const LANES_HOLD: &str = "SELECT NOT EXISTS (
        SELECT FROM yakin.jobs j JOIN yakin.lanes l USING (queue, tenant_id)
         WHERE j.state = 'ready'
           AND (l.next_id IS NULL OR (j.priority, j.id) < (l.next_priority, l.next_id)))
    AND NOT EXISTS (
        SELECT FROM yakin.lanes l LEFT JOIN (SELECT queue, tenant_id, count(*) AS n FROM yakin.jobs
                                              WHERE state = 'running' GROUP BY 1, 2) AS r USING (queue, tenant_id)
         WHERE l.cap IS NOT NULL AND l.running <> coalesce(r.n, 0))";
