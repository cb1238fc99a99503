//! What arrives for a batch starts it: at once, for the tenants it came for, one piece of a tenant's at a time; none is
//! lost.

use yakin_engine::engine::set_virtual_time;
use yakin_engine::operate::settings::set;
use yakin_engine::prelude::*;
use yakin_engine::registry::{Registry, entry};
use yakin_engine::schedule::arrivals::start_arrived;
use yakin_engine::worker::pool::work_until_empty;
use yakin_testkit::{World, act, instant};

use crate::common::{Gate, idle, node, pass_seconds, tenants, until};

/// A batch that waits for arrivals of a topic.
const fn arriving(id: &'static str, topic: &'static str) -> Spec {
    Spec {
        schedule: Schedule::Arrivals(topic),
        period: Period::None,
        overlap: Overlap::Allow,
        ..tenants(id)
    }
}

/// Its roster is every tenant: what did not arrive must not be worked for all the same.
macro_rules! letters {
    ($name:ident, $id:literal, $gate:expr) => {
        struct $name;
        impl Batch for $name {
            type Params = serde_json::Value;
            const SPEC: Spec = arriving($id, "letters");
            async fn tenant(_: &TenantRun, _: &Self::Params) -> Outcome {
                let gate: Option<&Gate> = $gate;
                if let Some(gate) = gate {
                    gate.pass().await;
                }
                Ok(Done::rows(1))
            }
        }
    };
}
letters!(Letters, "T-LETTERS", None);

async fn arrives(world: &World, tenant: i64, seconds: i64) {
    let due = world.clock.now().checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap();
    world
        .sql(&format!(
            "INSERT INTO yakin.arrivals (topic, tenant_id, due_at) VALUES ('letters', {tenant}, '{due}')"
        ))
        .await;
}

/// Each run's tenants, in the order of the runs.
async fn worked(world: &World) -> Vec<Vec<i64>> {
    sqlx::query_scalar(
        "SELECT array_agg(t.tenant_id ORDER BY t.tenant_id)
           FROM yakin.runs r JOIN yakin.run_tenants t ON t.run_id = r.id GROUP BY r.id ORDER BY r.id",
    )
    .fetch_all(&world.database.owner)
    .await
    .unwrap()
}

async fn waiting(world: &World) -> i64 {
    world.one("SELECT count(*) FROM yakin.arrivals").await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_is_one_run_for_its_tenants_at_that_instant() {
    let world = World::new(vec![entry::<Letters>()]).await;
    let (a, b, _) = (world.tenant("a").await, world.tenant("b").await, world.tenant("c").await);
    for tenant in [b, a, b] {
        arrives(&world, tenant, 0).await;
    }
    world.settle().await;
    assert_eq!((worked(&world).await, waiting(&world).await), (vec![vec![a, b]], 0));
    let fired: (String, bool, bool) = sqlx::query_as(
        "SELECT f.outcome, f.planned_at = f.due_at AND f.due_at = r.run_at, f.planned_at = r.planned_at
           FROM yakin.firings f JOIN yakin.runs r ON r.id = f.run_id AND r.trigger = 'firing'",
    )
    .fetch_one(&world.database.owner)
    .await
    .unwrap();
    assert_eq!(fired, ("succeeded".to_owned(), true, true));
    // the clock stands: the next ones have instants of their own all the same
    for _ in 0..3 {
        arrives(&world, a, 0).await;
        world.settle().await;
    }
    assert_eq!(worked(&world).await, vec![vec![a, b], vec![a], vec![a], vec![a]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_due_yet_waits_for_its_time() {
    let world = World::new(vec![entry::<Letters>()]).await;
    let tenant = world.tenant("a").await;
    arrives(&world, tenant, 90).await;
    world.settle().await;
    assert_eq!((worked(&world).await.len(), waiting(&world).await), (0, 1));
    pass_seconds(&world, 90);
    world.settle().await;
    assert_eq!((worked(&world).await.len(), waiting(&world).await), (1, 0));
}

static AT_WORK: Gate = Gate::new();
letters!(Slow, "T-SLOW", Some(&AT_WORK));

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_at_work_has_its_next_piece_after_it_and_holds_up_nobody() {
    let world = World::new(vec![entry::<Slow>()]).await;
    let (a, b) = (world.tenant("a").await, world.tenant("b").await);
    arrives(&world, a, 0).await;
    world.engine.plan_step().await.unwrap();
    let work = || {
        let engine = world.engine.clone();
        tokio::spawn(async move { work_until_empty(&engine).await.unwrap() })
    };
    let first = work();
    AT_WORK.wait(1).await;
    arrives(&world, a, 0).await;
    arrives(&world, b, 0).await;
    world.engine.plan_step().await.unwrap();
    let other = work();
    AT_WORK.wait(1).await;
    assert_eq!(worked(&world).await, vec![vec![a], vec![b]], "b does not wait for a");
    world.engine.plan_step().await.unwrap();
    assert_eq!(waiting(&world).await, 1, "a's second piece waits for its first");
    AT_WORK.open(3);
    until(&world, "SELECT count(*) = 2 FROM yakin.run_tenants WHERE state = 'done'").await;
    first.await.unwrap();
    other.await.unwrap();
    world.settle().await;
    assert_eq!(worked(&world).await, vec![vec![a], vec![b], vec![a]]);
    assert_eq!(waiting(&world).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_start_one_run() {
    let world = World::new(vec![entry::<Letters>()]).await;
    let second = node(&world, vec![entry::<Letters>()]).await;
    let tenant = world.tenant("a").await;
    for round in 1..=10 {
        arrives(&world, tenant, 0).await;
        let now = world.clock.now();
        let (one, other) = tokio::join!(
            start_arrived(&world.pool, &world.engine.registry, now),
            start_arrived(&second.pool, &second.registry, now)
        );
        assert_eq!(one.unwrap().runs + other.unwrap().runs, 1);
        world.settle().await;
        assert_eq!(worked(&world).await.len(), round);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_batch_forgets_what_arrived() {
    let world = World::new(vec![entry::<Letters>()]).await;
    let tenant = world.tenant("a").await;
    arrives(&world, tenant, 0).await;
    let enabled = async |value: &str| {
        let (registry, now) = (&world.engine.registry, world.clock.now());
        set(&world.pool, registry, "T-LETTERS", "enabled", value, &act(), now).await.unwrap();
    };
    enabled("false").await;
    enabled("true").await;
    world.settle().await;
    assert_eq!((worked(&world).await.len(), waiting(&world).await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn virtual_time_does_not_pass_what_arrived() {
    let world = World::new(vec![entry::<Letters>()]).await;
    let tenant = world.tenant("a").await;
    let (begin, end) = (world.clock.now(), instant("2026-11-01T02:00:00+09:00"));
    set_virtual_time(&world.pool, Some(begin), Some(end)).await.unwrap();
    world.engine.plan_step().await.unwrap();
    arrives(&world, tenant, 0).await;
    arrives(&world, tenant, 600).await;
    assert_eq!(world.engine.step_virtual_time().await.unwrap(), None);
    world.settle().await;
    let next = world.engine.step_virtual_time().await.unwrap();
    assert_eq!(next, Some(instant("2026-11-01T01:10:00+09:00")));
    world.settle().await;
    assert_eq!(worked(&world).await.len(), 2);
    assert_eq!(world.engine.step_virtual_time().await.unwrap(), Some(end));
}

idle!(Second, arriving("T-SECOND", "letters"));
idle!(Forbidding, Spec { overlap: Overlap::Forbid, ..arriving("T-FORBIDDING", "parcels") });

#[test]
fn a_topic_has_one_batch_that_works_side_by_side() {
    let refused = |batches| Registry::new(batches).err().unwrap();
    assert_eq!(
        refused(vec![entry::<Letters>(), entry::<Second>()]),
        "T-LETTERS and T-SECOND: both wait for arrivals of letters"
    );
    assert!(refused(vec![entry::<Forbidding>()]).contains("works for each tenant, side by side"));
}
