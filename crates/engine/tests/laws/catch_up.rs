//! What becomes of firings that came due late: catch-up rules, windows, overlap. Each ends in exactly one outcome.

use yakin_engine::operate::runs::{Wanted, start};
use yakin_engine::prelude::*;
use yakin_engine::registry::entry;
use yakin_testkit::{World, act};

use crate::common::{Gate, begin, firing, firings, global, idle, pass_seconds, until};

const NIGHTLY: Spec = Spec { schedule: cron("0 2 * * *"), ..global("T-CATCH") };
idle!(Latest, NIGHTLY);
idle!(Every, Spec { catch_up: CatchUp::Every, ..NIGHTLY });
idle!(EveryWindowed, Spec { catch_up: CatchUp::Every, window: window(1, 0, 3, 0), ..NIGHTLY });
idle!(Never, Spec { catch_up: CatchUp::None, ..NIGHTLY });
idle!(Windowed, Spec { schedule: cron("0 22 * * *"), window: window(23, 0, 4, 0), ..NIGHTLY });
idle!(Minutely, Spec { schedule: Schedule::Interval(60), ..global("T-MINUTELY") });

const AFTER_THREE_DAYS: &str = "2026-11-04T10:00:00+09:00";

async fn periods(world: &World) -> Vec<String> {
    sqlx::query_scalar("SELECT period_start::text FROM yakin.runs ORDER BY id")
        .fetch_all(&world.database.owner)
        .await
        .unwrap()
}

/// Outcomes of the four nights after three days' downtime.
async fn after_downtime(world: &World) -> Vec<String> {
    world.settle().await;
    world.set_clock(AFTER_THREE_DAYS);
    world.settle().await;
    let mut all = firings(world, "T-CATCH").await;
    all.truncate(4);
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn catch_up_latest_runs_the_newest_and_marks_the_others_missed() {
    let world = World::new(vec![entry::<Latest>()]).await;
    let nights = after_downtime(&world).await;
    let expected =
        ["11-01 02:00 missed", "11-02 02:00 missed", "11-03 02:00 missed", "11-04 02:00 succeeded"];
    assert_eq!(nights, expected);
    assert_eq!(periods(&world).await, ["2026-11-03"]);
    let (_, reason) = firing(&world, "T-CATCH", "2026-11-01T02:00:00+09:00").await;
    assert_eq!(reason.unwrap(), "superseded by the firing of 2026-11-04 02:00");
}

#[tokio::test(flavor = "multi_thread")]
async fn catch_up_every_runs_each_missed_period_in_order() {
    let world = World::new(vec![entry::<Every>()]).await;
    let nights = after_downtime(&world).await;
    assert!(nights.iter().all(|n| n.ends_with("succeeded")), "{nights:?}");
    assert_eq!(periods(&world).await, ["2026-10-31", "2026-11-01", "2026-11-02", "2026-11-03"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn catch_up_every_waits_for_the_next_window_and_loses_no_period() {
    let world = World::new(vec![entry::<EveryWindowed>()]).await;
    let nights = after_downtime(&world).await;
    assert!(nights.iter().all(|n| n.ends_with("planned")), "{nights:?}");
    world.set_clock("2026-11-05T01:00:00+09:00");
    world.settle().await;
    assert_eq!(periods(&world).await, ["2026-10-31", "2026-11-01", "2026-11-02", "2026-11-03"]);
    // each has time for retries from when it began
    let deadlines = "SELECT array_agg(DISTINCT deadline_at) = ARRAY['2026-11-05T03:00:00+09:00'::timestamptz] FROM yakin.runs";
    assert!(world.one::<bool>(deadlines).await);
    world.set_clock("2026-11-05T02:00:00+09:00");
    world.settle().await;
    assert_eq!(periods(&world).await.last().unwrap(), "2026-11-04");
}

#[tokio::test(flavor = "multi_thread")]
async fn catch_up_none_marks_each_missed() {
    let world = World::new(vec![entry::<Never>()]).await;
    let nights = after_downtime(&world).await;
    assert!(nights.iter().all(|n| n.ends_with("missed")), "{nights:?}");
    assert_eq!(periods(&world).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_catch_up_a_firing_seven_tenths_of_a_second_late_still_starts() {
    let world = World::new(vec![entry::<Never>()]).await;
    world.settle().await;
    world.set_clock("2026-11-01T02:00:00.7+09:00");
    world.settle().await;
    assert_eq!(firing(&world, "T-CATCH", "2026-11-01T02:00:00+09:00").await.0, "succeeded");
    world.set_clock("2026-11-02T02:01:01+09:00");
    world.settle().await;
    assert_eq!(firing(&world, "T-CATCH", "2026-11-02T02:00:00+09:00").await.0, "missed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_firing_waits_for_its_window_and_is_missed_when_it_has_passed() {
    let world = World::new(vec![entry::<Windowed>()]).await;
    world.settle().await;
    let first = "2026-11-01T22:00:00+09:00";
    world.set_clock("2026-11-01T22:59:59+09:00");
    world.settle().await;
    assert_eq!(firing(&world, "T-CATCH", first).await.0, "planned");
    world.set_clock("2026-11-01T23:00:00+09:00");
    world.settle().await;
    assert_eq!(firing(&world, "T-CATCH", first).await.0, "succeeded");
    // the second night nothing runs until the window is over
    world.set_clock("2026-11-03T04:00:00+09:00");
    world.settle().await;
    let (outcome, reason) = firing(&world, "T-CATCH", "2026-11-02T22:00:00+09:00").await;
    assert_eq!((outcome.as_str(), reason.unwrap().as_str()), ("missed", "its window has passed"));
}

static FORBID: Gate = Gate::new();
struct Forbids;
impl Batch for Forbids {
    type Params = serde_json::Value;
    const SPEC: Spec = Spec { schedule: Schedule::Interval(60), ..global("T-FORBID") };
    async fn global(_: &PlatformRun, _: &Self::Params) -> Outcome {
        FORBID.pass().await;
        Ok(Done::default())
    }
}

static QUEUES: Gate = Gate::new();
struct Queues;
impl Batch for Queues {
    type Params = serde_json::Value;
    const SPEC: Spec = Spec {
        schedule: Schedule::Interval(60),
        overlap: Overlap::Queue,
        catch_up: CatchUp::Every,
        ..global("T-QUEUE")
    };
    async fn global(_: &PlatformRun, _: &Self::Params) -> Outcome {
        QUEUES.pass().await;
        Ok(Done::default())
    }
}

idle!(QueuesToo, Spec { overlap: Overlap::Queue, ..global("T-QUEUE") });
idle!(ForbidsToo, global("T-FORBID"));
idle!(ForbidsSome, Spec { schedule: Schedule::Interval(60), ..crate::common::tenants("T-SOME") });

/// Works in the background: one attempt stands at a gate.
fn work(world: &World) -> tokio::task::JoinHandle<()> {
    let engine = world.engine.clone();
    tokio::spawn(async move {
        yakin_engine::worker::pool::work_until_empty(&engine).await.unwrap();
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn overlap_forbid_skips_the_firing_that_comes_while_a_run_is_open() {
    let world = World::new(vec![entry::<Forbids>()]).await;
    pass_seconds(&world, 60);
    world.engine.plan_step().await.unwrap();
    let working = work(&world);
    FORBID.wait(1).await;
    pass_seconds(&world, 60);
    world.engine.plan_step().await.unwrap();
    let (outcome, reason) = firing(&world, "T-FORBID", "2026-11-01T01:02:00+09:00").await;
    assert_eq!(
        (outcome.as_str(), reason.unwrap().as_str()),
        ("skipped", "overlap: run 1 is still open")
    );
    FORBID.open(1);
    working.await.unwrap();
    world.engine.plan_step().await.unwrap();
    assert_eq!(firing(&world, "T-FORBID", "2026-11-01T01:01:00+09:00").await.0, "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_for_some_tenants_does_not_stand_for_everybodys_firing() {
    let world = World::new(vec![entry::<ForbidsSome>()]).await;
    let some = world.tenant("a").await;
    world.tenant("b").await;
    begin(&world, "T-SOME", Wanted { tenants: vec![some], ..Wanted::default() }).await;
    pass_seconds(&world, 60);
    world.engine.plan_step().await.unwrap();
    let at = "2026-11-01T01:01:00+09:00";
    assert_eq!(firing(&world, "T-SOME", at).await.0, "planned");
    world.settle().await;
    assert_eq!(firing(&world, "T-SOME", at).await.0, "succeeded");
    let tenants: i32 = world.one("SELECT max(tenants_total) FROM yakin.runs").await;
    assert_eq!(tenants, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn overlap_queue_lets_the_next_firing_wait_for_the_open_run() {
    let world = World::new(vec![entry::<Queues>()]).await;
    pass_seconds(&world, 60);
    world.engine.plan_step().await.unwrap();
    let working = work(&world);
    QUEUES.wait(1).await;
    pass_seconds(&world, 60);
    world.engine.plan_step().await.unwrap();
    let second = "2026-11-01T01:02:00+09:00";
    assert_eq!(firing(&world, "T-QUEUE", second).await.0, "planned");
    QUEUES.open(2);
    working.await.unwrap();
    world.settle().await;
    assert_eq!(firing(&world, "T-QUEUE", second).await.0, "succeeded");
    until(&world, "SELECT count(*) = 2 FROM yakin.runs WHERE outcome = 'succeeded'").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_by_hand_wait_their_turn_as_well_or_are_refused() {
    let world = World::new(vec![entry::<QueuesToo>(), entry::<ForbidsToo>()]).await;
    let first = begin(&world, "T-QUEUE", Wanted::default()).await;
    let second = begin(&world, "T-QUEUE", Wanted::default()).await;
    world.engine.plan_step().await.unwrap();
    let waits = format!("SELECT waiting_for FROM yakin.runs WHERE id = {second}");
    assert_eq!(world.one::<String>(&waits).await, format!("run {first}"));
    world.settle().await;
    assert_eq!(world.seen(second).await.outcome(), "succeeded");
    let order =
        "SELECT array_agg(id ORDER BY real_started) FROM yakin.runs WHERE batch_id = 'T-QUEUE'";
    assert_eq!(world.one::<Vec<i64>>(order).await, [first, second]);

    let open = begin(&world, "T-FORBID", Wanted::default()).await;
    let (registry, now) = (&world.engine.registry, world.clock.now());
    let again = Wanted::default();
    let refused = start(&world.pool, registry, "T-FORBID", again, "operator", &act(), now).await;
    let message = refused.unwrap_err().to_string();
    assert!(message.starts_with(&format!("run {open} of T-FORBID is still open")), "{message}");
    // a dry run is in nobody's way
    let dry = Wanted { dry_run: true, ..Wanted::default() };
    start(&world.pool, registry, "T-FORBID", dry, "operator", &act(), now).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn over_days_with_gaps_every_firing_ends_in_exactly_one_outcome() {
    let world = World::new(vec![entry::<Latest>(), entry::<Minutely>()]).await;
    let mut state = 7_u64;
    for _ in 0..20 {
        world.settle().await;
        // a seeded walk: a few seconds, or hours
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let seconds = if state >> 62 == 0 { (state >> 40) % 20_000 } else { (state >> 40) % 300 };
        pass_seconds(&world, seconds as i64);
    }
    world.settle().await;
    let now = world.clock.now();
    let undecided =
        format!("SELECT count(*) FROM yakin.firings WHERE due_at <= '{now}' AND outcome IS NULL");
    assert_eq!(world.one::<i64>(&undecided).await, 0);
    let doubled = "SELECT count(*) FROM (SELECT run_id FROM yakin.firings WHERE run_id IS NOT NULL
                                         GROUP BY run_id HAVING count(*) > 1) AS d";
    assert_eq!(world.one::<i64>(doubled).await, 0);
    let unmatched = "SELECT count(*) FROM yakin.runs r FULL JOIN (SELECT * FROM yakin.firings WHERE run_id IS NOT NULL) f
                         ON f.run_id = r.id WHERE r.id IS NULL OR f.run_id IS NULL OR f.outcome <> r.outcome";
    assert_eq!(world.one::<i64>(unmatched).await, 0);
    // and an outcome is final: planning everything again changes none
    let outcomes =
        "SELECT md5(string_agg(f::text, ',' ORDER BY batch_id, planned_at)) FROM yakin.firings f
                     WHERE state = 'ended'";
    let before: String = world.one(outcomes).await;
    world.sql("UPDATE yakin.batches SET planned_until = '2026-11-01T01:00:00+09:00'").await;
    world.settle().await;
    assert_eq!(world.one::<String>(outcomes).await, before);
}
