//! A serving node's loops: runs go through without being told, and a stop drains what runs.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use yakin_engine::engine::Engine;
use yakin_engine::node::{Options, Roles, serve};
use yakin_engine::operate::runs::Wanted;
use yakin_engine::prelude::*;
use yakin_engine::registry::entry;
use yakin_engine::worker::pool::Permits;
use yakin_testkit::World;

use crate::common::{Gate, PATIENCE, begin, expire_leases, idle, node, tenants, until};

idle!(Plain, tenants("T-PLAIN"));

/// A batch whose attempts stand at a gate.
macro_rules! stands {
    ($name:ident, $gate:ident, $id:literal) => {
        static $gate: Gate = Gate::new();
        struct $name;
        impl Batch for $name {
            type Params = serde_json::Value;
            const SPEC: Spec = tenants($id);
            async fn tenant(_: &TenantRun, _: &Self::Params) -> Outcome {
                $gate.pass().await;
                Ok(Done::default())
            }
        }
    };
}
stands!(Drained, DRAIN, "T-DRAIN");
stands!(Stuck, STUCK, "T-STUCK");
stands!(Written, WRITTEN, "T-WRITTEN");

/// A node in the background, and the way to stop it.
fn serving(
    world: &World,
    engine: Arc<Engine>,
    drain: Duration,
) -> (tokio::task::JoinHandle<()>, CancellationToken) {
    let stop = CancellationToken::new();
    let roles = Roles { plan: true, work: true };
    let options = Options { roles, permits: Permits { default: 2, ..Permits::default() }, drain };
    let (url, token) = (world.database.url("yakin_engine"), stop.clone());
    (tokio::spawn(async move { serve(engine, options, &url, token).await }), stop)
}

async fn ended(serving: tokio::task::JoinHandle<()>) {
    tokio::time::timeout(PATIENCE, serving).await.expect("the node did not end").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_serve_many_runs_side_by_side_and_each_tenant_once() {
    let world = World::new(vec![entry::<Plain>()]).await;
    for n in 0..30 {
        world.tenant(&format!("t{n}")).await;
    }
    let second = node(&world, vec![entry::<Plain>()]).await;
    let (one, stop_one) = serving(&world, world.engine.clone(), PATIENCE);
    let (two, stop_two) = serving(&world, second, PATIENCE);
    for run in 1..=5 {
        assert_eq!(begin(&world, "T-PLAIN", Wanted::default()).await, run);
        until(&world, &format!("SELECT state = 'ended' FROM yakin.runs WHERE id = {run}")).await;
        assert_eq!(
            (world.seen(run).await.outcome(), world.seen(run).await.tenants_done),
            ("succeeded", 30)
        );
    }
    stop_one.cancel();
    stop_two.cancel();
    ended(one).await;
    ended(two).await;
    let done = "SELECT count(*) FROM yakin.job_history WHERE kind = 'tenant' AND outcome = 'done'";
    assert_eq!(world.one::<i64>(done).await, 150);
    assert_eq!(
        world.one::<i64>("SELECT count(*) FROM yakin.job_history WHERE outcome <> 'done'").await,
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_stopped_ends_what_runs_begins_nothing_and_says_goodbye() {
    let world = World::new(vec![entry::<Drained>()]).await;
    for code in ["a", "b", "c", "d"] {
        world.tenant(code).await;
    }
    begin(&world, "T-DRAIN", Wanted::default()).await;
    let (serving, stop) = serving(&world, world.engine.clone(), PATIENCE);
    DRAIN.wait(2).await;
    stop.cancel();
    DRAIN.open(4);
    ended(serving).await;
    let states = "SELECT string_agg(state, ' ' ORDER BY state) FROM yakin.run_tenants";
    assert_eq!(world.one::<String>(states).await, "done done waiting waiting");
    assert!(
        world
            .one::<bool>("SELECT real_ended IS NOT NULL FROM yakin.nodes WHERE name = 'test'")
            .await
    );
    assert_eq!(
        world.one::<i64>("SELECT count(*) FROM yakin.jobs WHERE state = 'running'").await,
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_attempts_work_while_ends_wait_to_be_written_and_a_stop_waits_for_both() {
    let world = World::new(vec![entry::<Written>()]).await;
    for code in ["a", "b", "c", "d"] {
        world.tenant(code).await;
    }
    let run = begin(&world, "T-WRITTEN", Wanted::default()).await;
    let (serving, stop) = serving(&world, world.engine.clone(), PATIENCE);
    WRITTEN.wait(2).await;
    let mut holder = world.database.owner.begin().await.unwrap();
    let hold = "SELECT FROM yakin.run_tenants WHERE run_id = $1 FOR UPDATE";
    sqlx::query(hold).bind(run).execute(&mut *holder).await.unwrap();
    WRITTEN.open(2);
    WRITTEN.wait(2).await;
    let running = "SELECT count(*) FROM yakin.jobs WHERE state = 'running' AND kind = 'tenant'";
    assert_eq!(world.one::<i64>(running).await, 4, "two work, two ends are not written yet");
    stop.cancel();
    WRITTEN.open(2);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!serving.is_finished(), "their ends are still to be written");
    holder.rollback().await.unwrap();
    ended(serving).await;
    let states = "SELECT string_agg(state, ' ') FROM yakin.run_tenants";
    assert_eq!(world.one::<String>(states).await, "done done done done");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_end_within_the_drain_is_left_to_another_node() {
    let world = World::new(vec![entry::<Stuck>()]).await;
    world.tenant("a").await;
    begin(&world, "T-STUCK", Wanted::default()).await;
    let second = node(&world, vec![entry::<Stuck>()]).await;
    let (first, stop) = serving(&world, world.engine.clone(), Duration::from_millis(50));
    STUCK.wait(1).await;
    stop.cancel();
    ended(first).await;
    expire_leases(&world).await;
    STUCK.open(2);
    let (two, stop) = serving(&world, second, PATIENCE);
    until(&world, "SELECT bool_and(state = 'ended') FROM yakin.runs").await;
    stop.cancel();
    ended(two).await;
    assert_eq!(world.seen(1).await.outcome(), "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_told_to_drain_ends_what_runs_and_leaves() {
    let world = World::new(vec![entry::<Plain>()]).await;
    let (serving, _stop) = serving(&world, world.engine.clone(), Duration::from_secs(10));
    let id = world.engine.node;
    yakin_engine::operate::nodes::drain(&world.pool, id, &yakin_testkit::act()).await.unwrap();
    ended(serving).await;
    let left = format!("SELECT real_ended IS NOT NULL FROM yakin.nodes WHERE id = {id}");
    assert!(world.one::<bool>(&left).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_only_answers_lives_until_it_is_stopped() {
    let world = World::new(vec![entry::<Plain>()]).await;
    let (engine, stop) = (world.engine.clone(), CancellationToken::new());
    let options = Options {
        roles: Roles { plan: false, work: false },
        permits: Permits::default(),
        drain: Duration::from_secs(1),
    };
    let (url, told) = (world.database.url("yakin_engine"), stop.clone());
    let joined: String = world.one("SELECT real_heartbeat::text FROM yakin.nodes").await;
    let serving = tokio::spawn(async move { serve(engine, options, &url, told).await });
    let beats =
        format!("SELECT real_heartbeat > '{joined}' AND real_ended IS NULL FROM yakin.nodes");
    until(&world, &beats).await;
    assert!(!serving.is_finished());
    stop.cancel();
    ended(serving).await;
}
