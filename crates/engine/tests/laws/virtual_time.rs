//! Virtual time: a row that nodes share, stepped to the next due instant when nothing is under way.

use jiff::Timestamp;
use yakin_engine::clock::Clock;
use yakin_engine::engine::{Engine, set_virtual_time};
use yakin_engine::operate::runs::Wanted;
use yakin_engine::prelude::*;
use yakin_engine::registry::{AnyBatch, entry};
use yakin_engine::worker::pool::work_until_empty;
use yakin_testkit::{World, instant};

use std::sync::Arc;

use crate::common::{Gate, begin, firings, global, idle, node_at, tenants};
use crate::outcomes::{acting, play};

idle!(Daily, Spec { schedule: cron("0 2 * * *"), catch_up: CatchUp::None, ..global("T-DAILY") });
idle!(
    Hourly,
    Spec { schedule: Schedule::Interval(21_600), catch_up: CatchUp::None, ..tenants("T-SIXTH") }
);
acting!(
    Failing,
    Spec { schedule: cron("0 2 * * *"), retry: fixed(2, secs(600)), ..tenants("T-FAILING") }
);

static BUSY: Gate = Gate::new();
struct Busy;
impl Batch for Busy {
    type Params = serde_json::Value;
    const SPEC: Spec = Spec { schedule: cron("0 2 * * *"), ..global("T-BUSY") };
    async fn global(_: &PlatformRun, _: &Self::Params) -> Outcome {
        BUSY.pass().await;
        Ok(Done::default())
    }
}

/// A world in virtual time from [`yakin_testkit::BEGIN`] to `until`.
async fn virtual_world(batches: Vec<Arc<dyn AnyBatch>>, until: Option<&str>) -> World {
    let world = World::new(batches).await;
    let begin = Some(world.clock.now());
    set_virtual_time(&world.pool, begin, until.map(instant)).await.unwrap();
    world
}

async fn step(world: &World) -> Option<Timestamp> {
    world.settle().await;
    world.engine.step_virtual_time().await.unwrap()
}

/// One round of a node: plan, work, step.
async fn round(engine: &Engine) {
    engine.plan_step().await.unwrap();
    work_until_empty(engine).await.unwrap();
    engine.plan_step().await.unwrap();
    engine.step_virtual_time().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn time_jumps_to_the_next_due_instant() {
    let world = virtual_world(vec![entry::<Failing>(), entry::<Daily>()], None).await;
    let tenant = world.tenant("a").await;
    play(&world, tenant, "database").await;
    assert_eq!(step(&world).await, Some(instant("2026-11-01T02:00:00+09:00")));
    // a retry in ten minutes (and up to a tenth more)
    let retry = step(&world).await.unwrap();
    let seconds = (retry - instant("2026-11-01T02:00:00+09:00")).get_seconds();
    assert!((600..=660).contains(&seconds), "{seconds}");
    assert_eq!(step(&world).await, Some(instant("2026-11-02T02:00:00+09:00")));
}

#[tokio::test(flavor = "multi_thread")]
async fn time_stands_while_a_job_is_ready_or_runs() {
    let world = virtual_world(vec![entry::<Busy>(), entry::<Daily>()], None).await;
    let stands = async || world.engine.step_virtual_time().await.unwrap().is_none();
    begin(&world, "T-BUSY", Wanted::default()).await;
    assert!(stands().await, "a job is ready");
    let engine = world.engine.clone();
    let working = tokio::spawn(async move { work_until_empty(&engine).await.unwrap() });
    BUSY.wait(1).await;
    world.engine.plan_step().await.unwrap();
    assert!(stands().await, "a job runs");
    BUSY.open(1);
    working.await.unwrap();
    assert!(stands().await, "the run is not ended yet");
    assert_eq!(step(&world).await, Some(instant("2026-11-01T02:00:00+09:00")));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_nothing_due_time_goes_to_its_end_and_stays_there() {
    let end = "2026-11-01T12:00:00+09:00";
    let world = virtual_world(vec![], Some(end)).await;
    assert_eq!(step(&world).await, Some(instant(end)));
    assert_eq!(step(&world).await, None);
    assert_eq!(world.clock.now(), instant(end));
    // without an end there is nowhere to go
    let world = virtual_world(vec![], None).await;
    assert_eq!(step(&world).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_share_one_virtual_time_and_no_firing_is_late_or_lost() {
    let batches = || vec![entry::<Daily>(), entry::<Hourly>()];
    let end = "2026-11-04T00:00:00+09:00";
    let world = virtual_world(batches(), Some(end)).await;
    world.tenant("a").await;
    // the second node's own clock is wrong until it reads the shared one
    let second = node_at(&world, Clock::at(instant("2026-11-01T01:00:00+09:00")), batches()).await;
    for _ in 0..200 {
        tokio::join!(round(&world.engine), round(&second));
        if world.clock.now() == instant(end) && second.clock.now() == instant(end) {
            break;
        }
    }
    assert_eq!((world.clock.now(), second.clock.now()), (instant(end), instant(end)));
    world.settle().await;
    for (batch, expected) in [("T-DAILY", 3), ("T-SIXTH", 12)] {
        let done = firings(&world, batch).await;
        let done: Vec<_> = done.iter().filter(|f| !f.ends_with("planned")).collect();
        assert_eq!(done.len(), expected, "{done:?}");
        assert!(done.iter().all(|f| f.ends_with("succeeded")), "{done:?}");
    }
    // time stood until each was started: every run's now is its due instant
    let off = "SELECT count(*) FROM yakin.runs r JOIN yakin.firings f ON f.run_id = r.id WHERE r.run_at <> f.due_at";
    assert_eq!(world.one::<i64>(off).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_virtual_time_nothing_is_stepped() {
    let world = World::new(vec![entry::<Daily>()]).await;
    assert_eq!(step(&world).await, None);
    set_virtual_time(&world.pool, Some(world.clock.now()), None).await.unwrap();
    assert!(step(&world).await.is_some());
    set_virtual_time(&world.pool, None, None).await.unwrap();
    assert_eq!(step(&world).await, None);
}
