//! Named locks: held by a run from start to end, taken together or not at all, waited for in the open.

use yakin_engine::operate::runs::{Wanted, cancel};
use yakin_engine::prelude::*;
use yakin_engine::registry::entry;
use yakin_testkit::{World, act};

use crate::common::{Gate, begin, global, until};

/// A global batch that stands at its gate while it holds its locks.
macro_rules! holder {
    ($name:ident, $gate:ident, $spec:expr) => {
        static $gate: Gate = Gate::new();
        struct $name;
        impl Batch for $name {
            type Params = serde_json::Value;
            const SPEC: Spec = $spec;
            async fn global(_: &PlatformRun, _: &Self::Params) -> Outcome {
                $gate.pass().await;
                Ok(Done::default())
            }
        }
    };
}

const SHARED: Lock = Lock { name: "db-maintenance", exclusive: false };
holder!(Alone, ALONE, Spec { locks: &[exclusive("db-maintenance")], ..global("T-ALONE") });
holder!(
    Wants,
    WANTS,
    Spec { locks: &[exclusive("token-store"), exclusive("db-maintenance")], ..global("T-WANTS") }
);
holder!(Reader, READER, Spec { locks: &[SHARED], ..global("T-READER") });
holder!(Friend, FRIEND, Spec { locks: &[SHARED], ..global("T-FRIEND") });
holder!(Writer, WRITER, Spec { locks: &[exclusive("db-maintenance")], ..global("T-WRITER") });
holder!(Doomed, DOOMED, Spec { locks: &[exclusive("db-maintenance")], ..global("T-DOOMED") });
holder!(Next, NEXT, Spec { locks: &[exclusive("db-maintenance")], ..global("T-NEXT") });

/// Works in the background until nothing is left.
fn work(world: &World) -> tokio::task::JoinHandle<()> {
    let engine = world.engine.clone();
    tokio::spawn(async move {
        yakin_engine::worker::pool::work_until_empty(&engine).await.unwrap();
    })
}

async fn held(world: &World) -> Vec<String> {
    sqlx::query_scalar("SELECT name || ' ' || run_id FROM yakin.locks ORDER BY name, run_id")
        .fetch_all(&world.database.owner)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_waits_for_an_exclusive_lock_by_name_and_starts_after() {
    let world = World::new(vec![entry::<Alone>(), entry::<Wants>()]).await;
    let first = begin(&world, "T-ALONE", Wanted::default()).await;
    let second = begin(&world, "T-WANTS", Wanted::default()).await;
    let working = work(&world);
    ALONE.wait(1).await;
    world.engine.plan_step().await.unwrap();
    let waiting =
        format!("SELECT state || ': ' || waiting_for FROM yakin.runs WHERE id = {second}");
    assert_eq!(world.one::<String>(&waiting).await, "waiting: lock db-maintenance");
    // all or nothing: while it waits for one it does not keep the other
    assert_eq!(held(&world).await, [format!("db-maintenance {first}")]);
    ALONE.open(1);
    working.await.unwrap();
    world.engine.plan_step().await.unwrap();
    world.engine.plan_step().await.unwrap();
    assert_eq!(world.seen(first).await.outcome(), "succeeded");
    let both = [format!("db-maintenance {second}"), format!("token-store {second}")];
    assert_eq!(held(&world).await, both);
    WANTS.open(1);
    world.settle().await;
    assert_eq!(world.seen(second).await.outcome(), "succeeded");
    assert_eq!(held(&world).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_holders_go_together_and_an_exclusive_one_waits_for_all_of_them() {
    let world = World::new(vec![entry::<Reader>(), entry::<Friend>(), entry::<Writer>()]).await;
    begin(&world, "T-READER", Wanted::default()).await;
    begin(&world, "T-FRIEND", Wanted::default()).await;
    let writer = begin(&world, "T-WRITER", Wanted::default()).await;
    let working = work(&world);
    tokio::join!(READER.wait(1), FRIEND.wait(1));
    let waits =
        format!("SELECT waiting_for = 'lock db-maintenance' FROM yakin.runs WHERE id = {writer}");
    READER.open(1);
    until(&world, "SELECT count(*) = 1 FROM yakin.jobs WHERE state = 'running'").await;
    world.engine.plan_step().await.unwrap();
    assert!(world.one::<bool>(&waits).await, "one shared holder is left");
    FRIEND.open(1);
    WRITER.open(1);
    working.await.unwrap();
    world.settle().await;
    assert_eq!(world.seen(writer).await.outcome(), "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_gives_its_locks_back() {
    let world = World::new(vec![entry::<Doomed>(), entry::<Next>()]).await;
    let doomed = begin(&world, "T-DOOMED", Wanted::default()).await;
    let next = begin(&world, "T-NEXT", Wanted::default()).await;
    let working = work(&world);
    DOOMED.wait(1).await;
    cancel(&world.pool, doomed, &act(), world.clock.now()).await.unwrap();
    world.engine.heartbeat_step().await.unwrap();
    working.await.unwrap();
    NEXT.open(1);
    world.settle().await;
    assert_eq!(world.seen(doomed).await.outcome(), "cancelled");
    assert_eq!(world.seen(next).await.outcome(), "succeeded");
}
