//! Firings are written ahead, started once, and changed by people on the record.

use yakin_engine::engine::Engine;
use yakin_engine::look::{SHOWN, timetable_of};
use yakin_engine::operate::firings::{Change, change};
use yakin_engine::operate::settings::set;
use yakin_engine::prelude::*;
use yakin_engine::registry::entry;
use yakin_engine::schedule::{planner, starter};
use yakin_testkit::{World, act, day, instant};

use crate::common::{firing, firings, global, idle, node, pass_seconds, until};

idle!(Nightly, Spec { schedule: cron("0 2 * * *"), ..global("T-NIGHTLY") });
idle!(
    Minutely,
    Spec { schedule: Schedule::Interval(60), overlap: Overlap::Allow, ..global("T-MINUTELY") }
);

const NIGHT: &str = "2026-11-01T02:00:00+09:00";

async fn nightly() -> World {
    let world = World::new(vec![entry::<Nightly>()]).await;
    world.settle().await;
    world
}

async fn set_nightly(world: &World, key: &str, value: &str) {
    let registry = &world.engine.registry;
    set(&world.pool, registry, "T-NIGHTLY", key, value, &act(), world.clock.now()).await.unwrap();
}

async fn change_night(world: &World, wanted: Change) {
    let now = world.clock.now();
    change(&world.pool, "T-NIGHTLY", instant(NIGHT), wanted, &act(), now).await.unwrap();
}

/// Plans as a node's step does; returns how many firings were new.
async fn plan(engine: &Engine) -> u64 {
    let now = engine.clock.now();
    let to_do = planner::look(&engine.pool, &engine.registry, now).await.unwrap();
    planner::plan(&engine.pool, &to_do.to_plan, now).await.unwrap()
}

/// Plans until a step has nothing to do; returns how many firings were new.
async fn plan_all(world: &World) -> u64 {
    let mut written = 0;
    for _ in 0..5 {
        written += plan(&world.engine).await;
    }
    written
}

#[tokio::test(flavor = "multi_thread")]
async fn at_every_instant_the_next_48_hours_are_written() {
    let world = World::new(vec![entry::<Minutely>()]).await;
    plan_all(&world).await;
    for seconds in [0, 59 * 60, 31 * 60, 1] {
        pass_seconds(&world, seconds);
        plan_all(&world).await;
        let ahead: bool = world
            .one(&format!(
                "SELECT max(planned_at) >= '{}'::timestamptz + interval '47:59:00' FROM yakin.firings",
                world.clock.now()
            ))
            .await;
        assert!(ahead, "after {seconds} s more");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn planning_twice_changes_nothing() {
    let world = World::new(vec![entry::<Minutely>()]).await;
    plan_all(&world).await;
    let all = "SELECT md5(string_agg(f::text, ',' ORDER BY planned_at)) FROM yakin.firings f";
    let before: String = world.one(all).await;
    // as after a crash that lost how far it was
    world.sql("UPDATE yakin.batches SET planned_until = '2026-11-01T01:00:00+09:00'").await;
    assert_eq!(plan_all(&world).await, 0);
    assert_eq!(world.one::<String>(all).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_planners_at_once_write_each_firing_once() {
    let batches = || vec![entry::<Nightly>(), entry::<Minutely>()];
    let world = World::new(batches()).await;
    let second = node(&world, batches()).await;
    plan_all(&world).await;
    for _ in 0..10 {
        pass_seconds(&world, 7200);
        let (one, other) = tokio::join!(plan(&world.engine), plan(&second));
        let written = one + other;
        assert!((120..=122).contains(&written), "{written}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_that_start_the_same_firing_make_one_run() {
    let world = World::new(vec![entry::<Minutely>()]).await;
    let second = node(&world, vec![entry::<Minutely>()]).await;
    for minute in 1..=20 {
        pass_seconds(&world, 60);
        let now = world.clock.now();
        let (one, other) = tokio::join!(
            starter::start_due(&world.pool, &world.engine.registry, now),
            starter::start_due(&second.pool, &second.registry, now)
        );
        // both may have been in each other's way: the next step starts it
        let late = starter::start_due(&world.pool, &world.engine.registry, now).await.unwrap();
        assert_eq!(one.unwrap().runs + other.unwrap().runs + late.runs, 1);
        assert_eq!(world.one::<i64>("SELECT count(*) FROM yakin.runs").await, minute);
    }
    until(&world, "SELECT count(DISTINCT run_id) = 20 FROM yakin.firings").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_that_see_a_run_end_tell_it_once() {
    let world = World::new(vec![entry::<Minutely>()]).await;
    let second = node(&world, vec![entry::<Minutely>()]).await;
    let mut told = 0;
    for _ in 0..10 {
        pass_seconds(&world, 60);
        world.engine.plan_step().await.unwrap();
        yakin_engine::worker::pool::work_until_empty(&world.engine).await.unwrap();
        let (one, other) = tokio::join!(world.engine.plan_step(), second.plan_step());
        told += one.unwrap().len() + other.unwrap().len();
        told += world.engine.plan_step().await.unwrap().len();
    }
    assert_eq!(told, 10);
    let texts = [&world.engine, &second].map(|e| e.metrics.text(&world.pool, 0.0));
    let [one, other] = texts;
    let counted: i64 = [one.await.unwrap(), other.await.unwrap()].iter().map(|t| count(t)).sum();
    assert_eq!(counted, 10);
}

/// The number of runs that a node's metrics count.
fn count(metrics: &str) -> i64 {
    let lines = metrics.lines().filter(|l| l.starts_with("batch_job_total"));
    lines.map(|l| l.rsplit(' ').next().unwrap().parse::<i64>().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_schedule_plans_anew_at_once_and_back_again_revives() {
    let world = nightly().await;
    assert_eq!(firings(&world, "T-NIGHTLY").await, ["11-01 02:00 planned", "11-02 02:00 planned"]);
    set_nightly(&world, "schedule", "30 3 * * *").await;
    let edited = [
        "11-01 02:00 withdrawn",
        "11-01 03:30 planned",
        "11-02 02:00 withdrawn",
        "11-02 03:30 planned",
    ];
    assert_eq!(firings(&world, "T-NIGHTLY").await, edited);
    set_nightly(&world, "schedule", "").await;
    let back = [
        "11-01 02:00 planned",
        "11-01 03:30 withdrawn",
        "11-02 02:00 planned",
        "11-02 03:30 withdrawn",
    ];
    assert_eq!(firings(&world, "T-NIGHTLY").await, back);
    world.set_clock(NIGHT);
    world.settle().await;
    assert_eq!(firing(&world, "T-NIGHTLY", NIGHT).await.0, "succeeded");
    assert_eq!(world.one::<i64>("SELECT count(*) FROM yakin.audit WHERE action = 'set'").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn disabling_withdraws_and_enabling_replays_nothing() {
    let world = nightly().await;
    set_nightly(&world, "enabled", "false").await;
    world.set_clock("2026-11-02T10:00:00+09:00");
    world.settle().await;
    let off = ["11-01 02:00 withdrawn", "11-02 02:00 withdrawn"];
    assert_eq!(firings(&world, "T-NIGHTLY").await, off);
    set_nightly(&world, "enabled", "true").await;
    world.settle().await;
    let on = [&off[..], &["11-03 02:00 planned", "11-04 02:00 planned"]].concat();
    assert_eq!(firings(&world, "T-NIGHTLY").await, on);
    assert_eq!(world.one::<i64>("SELECT count(*) FROM yakin.runs").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_firing_starts_when_it_is_released_and_not_before() {
    let world = nightly().await;
    change_night(&world, Change::Hold).await;
    world.set_clock("2026-11-01T05:00:00+09:00");
    world.settle().await;
    assert_eq!(firing(&world, "T-NIGHTLY", NIGHT).await.0, "held");
    change_night(&world, Change::Release).await;
    world.settle().await;
    assert_eq!(firing(&world, "T-NIGHTLY", NIGHT).await.0, "succeeded");
    // the run still works for the day before the planned instant
    assert_eq!(
        world.one::<String>("SELECT period_start::text FROM yakin.runs").await,
        "2026-10-31"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bypassed_firing_never_runs_and_the_audit_says_why() {
    let world = nightly().await;
    change_night(&world, Change::Bypass).await;
    // planning from the beginning, as after a crash, does not bring it back
    world.sql("UPDATE yakin.batches SET planned_until = '2026-11-01T01:00:00+09:00'").await;
    world.set_clock("2026-11-01T05:00:00+09:00");
    world.settle().await;
    let bypassed = ("bypassed".to_owned(), Some("test".to_owned()));
    assert_eq!(firing(&world, "T-NIGHTLY", NIGHT).await, bypassed);
    assert_eq!(world.one::<i64>("SELECT count(*) FROM yakin.runs").await, 0);
    let audit: String =
        world.one("SELECT actor || ' ' || action || ' ' || reason FROM yakin.audit").await;
    assert_eq!(audit, "tester bypass test");
    let now = world.clock.now();
    let again = change(&world.pool, "T-NIGHTLY", instant(NIGHT), Change::Hold, &act(), now).await;
    assert!(again.unwrap_err().to_string().contains("hold wants it planned"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_firing_runs_once_and_keeps_its_key_and_period() {
    let world = nightly().await;
    change_night(&world, Change::Move(instant("2026-11-01T04:15:00+09:00"))).await;
    world.set_clock("2026-11-01T04:14:59+09:00");
    world.settle().await;
    assert_eq!(firing(&world, "T-NIGHTLY", NIGHT).await.0, "planned");
    // planning again, from the beginning, does not bring the old instant back
    world.sql("UPDATE yakin.batches SET planned_until = '2026-11-01T01:00:00+09:00'").await;
    world.set_clock("2026-11-01T04:15:00+09:00");
    world.settle().await;
    assert_eq!(firing(&world, "T-NIGHTLY", NIGHT).await.0, "succeeded");
    assert_eq!(world.one::<i64>("SELECT count(*) FROM yakin.runs").await, 1);
    assert_eq!(
        world.one::<String>("SELECT period_start::text FROM yakin.runs").await,
        "2026-10-31"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_act_without_such_a_firing_is_refused_and_says_where_to_look() {
    let world = nightly().await;
    let at = instant("2026-11-01T02:01:00+09:00");
    let error = change(&world.pool, "T-NIGHTLY", at, Change::Hold, &act(), world.clock.now()).await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "T-NIGHTLY has no firing at 2026-11-01 02:01; `yakin timetable --date 2026-11-01` shows that day's (written 48 hours ahead)"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_firings_at_one_instant_the_one_that_can_still_be_changed_is_meant() {
    let world = nightly().await;
    let next = instant("2026-11-02T02:00:00+09:00");
    change_night(&world, Change::Move(next)).await;
    let who = act();
    let bypass = || change(&world.pool, "T-NIGHTLY", next, Change::Bypass, &who, world.clock.now());
    bypass().await.unwrap();
    bypass().await.unwrap();
    let bypassed = "SELECT count(*) FROM yakin.firings WHERE outcome = 'bypassed'";
    assert_eq!(world.one::<i64>(bypassed).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_made_at_once_each_tell_what_the_other_left() {
    let world = nightly().await;
    set_nightly(&world, "timeout", "100").await;
    let mut row = world.database.owner.begin().await.unwrap();
    sqlx::query("SELECT FROM yakin.settings FOR UPDATE").execute(&mut *row).await.unwrap();
    let both: Vec<_> = ["200", "300"]
        .map(|value| {
            let (engine, now) = (world.engine.clone(), world.clock.now());
            tokio::spawn(async move {
                set(&engine.pool, &engine.registry, "T-NIGHTLY", "timeout", value, &act(), now)
                    .await
            })
        })
        .into();
    until(
        &world,
        "SELECT count(*) = 2 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
    )
    .await;
    row.commit().await.unwrap();
    for each in both {
        each.await.unwrap().unwrap();
    }
    let chain: bool = world
        .one(
            "SELECT bool_and(before IS NOT DISTINCT FROM left_by) FROM (
                SELECT details ->> 'before' AS before, lag(details ->> 'after') OVER (ORDER BY id) AS left_by
                  FROM yakin.audit WHERE action = 'set') AS acts",
        )
        .await;
    assert!(chain);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_very_many_firings_those_that_did_not_end_well_are_shown() {
    let world = nightly().await;
    world
        .sql(
            "INSERT INTO yakin.firings (batch_id, planned_at, due_at, state, outcome)
             SELECT 'T-NIGHTLY', at, at, 'ended', CASE WHEN n > 5000 THEN 'failed' ELSE 'succeeded' END
               FROM generate_series(1, 5010) n,
                    LATERAL (SELECT timestamptz '2026-11-20 00:00+09' + n * interval '10 seconds' AS at) t",
        )
        .await;
    let shown = timetable_of(&world.pool, day("2026-11-20")).await.unwrap();
    assert_eq!(shown.len(), SHOWN);
    let failed = shown.iter().filter(|f| f.outcome.as_deref() == Some("failed"));
    assert_eq!(failed.count(), 10);
    assert!(shown.is_sorted_by_key(|f| f.due_at));
}
