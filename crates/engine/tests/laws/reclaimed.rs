//! A job that was lost and comes back: to the node that lost it, to a policy that counts attempts.

use yakin_engine::prelude::*;
use yakin_engine::registry::entry;
use yakin_engine::worker::execute::execute;
use yakin_testkit::World;

use crate::common::{Gate, begin, expire_leases, node, pass_seconds, tenants};
use crate::outcomes::{acting, cast};

static TWICE: Gate = Gate::new();
struct Twice;
impl Batch for Twice {
    type Params = serde_json::Value;
    const SPEC: Spec = tenants("T-TWICE");
    async fn tenant(_: &TenantRun, _: &Self::Params) -> Outcome {
        TWICE.pass().await;
        Ok(Done::default())
    }
}

acting!(TwoTries, Spec { retry: fixed(2, secs(5)), ..tenants("T-TWO-TRIES") });

/// Claims the next job of the world's node.
async fn claimed(world: &World) -> yakin_engine::queue::Job {
    world.engine.promote_step().await.unwrap();
    world.engine.claim(Queue::Default, 1).await.jobs.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_claims_a_job_again_which_it_lost_unheard_stops_the_first_attempt_alone() {
    let world = World::new(vec![entry::<Twice>()]).await;
    world.tenant("a").await;
    let run = begin(&world, "T-TWICE", Default::default()).await;
    execute(&world.engine, claimed(&world).await).await; // the roster
    let work = |job| {
        let engine = world.engine.clone();
        tokio::spawn(async move { execute(&engine, job).await })
    };
    let first = work(claimed(&world).await);
    TWICE.wait(1).await;
    expire_leases(&world).await;
    // another node saw that this one was silent
    node(&world, vec![entry::<Twice>()]).await.watch_step().await.unwrap();
    let second = work(claimed(&world).await);
    TWICE.wait(1).await;
    assert_eq!(world.engine.holding(), 2);

    world.engine.heartbeat_step().await.unwrap();
    tokio::time::timeout(crate::common::PATIENCE, first).await.expect("it was told").unwrap();
    assert_eq!(world.engine.holding(), 1);
    // the second one's lease is extended
    world.sql("UPDATE yakin.jobs SET lease_until = clock_timestamp() + interval '1 second'").await;
    world.engine.heartbeat_step().await.unwrap();
    let left = "SELECT lease_until > clock_timestamp() + interval '20 seconds' FROM yakin.jobs";
    assert!(world.one::<bool>(left).await);
    TWICE.open(1);
    second.await.unwrap();
    world.settle().await;
    assert_eq!(world.seen(run).await.outcome(), "succeeded");
    let history = "SELECT string_agg(outcome, ' ' ORDER BY token) FROM yakin.job_history WHERE kind = 'tenant'";
    assert_eq!(world.one::<String>(history).await, "lost done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_worker_takes_no_attempt_from_the_policy() {
    let world = cast(entry::<TwoTries>(), &["database"]).await;
    world.sql("UPDATE app.tenants SET billing_name = 'database'").await;
    begin(&world, "T-TWO-TRIES", Default::default()).await;
    execute(&world.engine, claimed(&world).await).await; // the roster
    for _ in 0..2 {
        claimed(&world).await; // and nobody works
    }
    expire_leases(&world).await;
    world.engine.watch_step().await.unwrap();
    world.settle().await;
    let told = "SELECT string_agg(DISTINCT outcome, ' ' ORDER BY outcome) FROM yakin.job_history WHERE kind = 'tenant'";
    assert_eq!(world.one::<String>(told).await, "lost retry", "one more try is left");
    pass_seconds(&world, 60);
    world.settle().await;
    let letters = "SELECT string_agg(cause || ' ' || attempts, ', ') FROM yakin.dead_letters";
    assert_eq!(world.one::<String>(letters).await, "database 3, database 3");
}
