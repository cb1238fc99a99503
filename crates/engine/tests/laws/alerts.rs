//! Alerts: each rule opens once, reminds, and resolves when its condition is gone.

use yakin_engine::operate::dead::discard;
use yakin_engine::operate::runs::{Again, Wanted, cancel, rerun};
use yakin_engine::operate::settings::set;
use yakin_engine::operate::switches::stop_all;
use yakin_engine::prelude::*;
use yakin_engine::record::alert_messages::{mark, take};
use yakin_engine::registry::entry;
use yakin_testkit::{World, act};

use crate::common::{Gate, begin, global, idle, pass_seconds};
use crate::lanes::enqueue;
use crate::outcomes::{acting, play};

idle!(
    Nightly,
    Spec { schedule: cron("0 2 * * *"), severity: Severity::High, ..global("T-NIGHTLY") }
);
idle!(
    Punctual,
    Spec { schedule: cron("0 2 * * *"), catch_up: CatchUp::None, ..global("T-PUNCTUAL") }
);
acting!(Acting, Spec { severity: Severity::Critical, ..crate::common::tenants("T-ACTING") });

/// Has something to tell of a night for everybody, nothing of some tenants' pieces.
struct Tells;
impl Batch for Tells {
    type Params = serde_json::Value;
    const SPEC: Spec = Spec { phases: &[Phase::Finish], ..crate::common::tenants("T-TELLS") };
    async fn finish(run: &PlatformRun, _: &Self::Params, _: &Ended) -> Outcome {
        Ok(match run.only_tenants() {
            None => Done::default().report("bills", "some were not written"),
            Some(_) => Done::default(),
        })
    }
}

static LONG: Gate = Gate::new();
struct Long;
impl Batch for Long {
    type Params = serde_json::Value;
    const SPEC: Spec = Spec { expected: secs(100), ..global("T-LONG") };
    async fn global(_: &PlatformRun, _: &Self::Params) -> Outcome {
        LONG.pass().await;
        Ok(Done::default())
    }
}

/// The alerts that are open after an evaluation.
async fn open(world: &World) -> Vec<String> {
    world.engine.watch_step().await.unwrap();
    sqlx::query_scalar(
        "SELECT rule || ' ' || severity FROM yakin.alerts WHERE resolved_at IS NULL ORDER BY 1",
    )
    .fetch_all(&world.database.owner)
    .await
    .unwrap()
}

async fn ever(world: &World) -> i64 {
    world.one("SELECT count(*) FROM yakin.alerts").await
}

const NONE: [&str; 0] = [];

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_run_opens_one_alert_that_is_reminded_and_closes_when_a_rerun_heals_it() {
    let world = World::new(vec![entry::<Acting>()]).await;
    let tenant = world.tenant("a").await;
    play(&world, tenant, "blocked").await;
    let run = world.run("T-ACTING", None, &[]).await;
    let reminded =
        "SELECT (extract(epoch FROM reminded_at - opened_at) / 3600)::integer FROM yakin.alerts";
    for last in [0, 0, 0, 0, 4, 4, 4, 4, 8] {
        assert_eq!(open(&world).await, ["run_failed critical"]);
        assert_eq!(world.one::<i32>(reminded).await, last, "critical: every four hours");
        pass_seconds(&world, 3600);
    }
    assert_eq!(ever(&world).await, 1);
    play(&world, tenant, "fine").await;
    world.rerun_failed(run.id).await;
    assert_eq!(open(&world).await, NONE);
    assert_eq!(ever(&world).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_below_critical_are_reminded_once_a_day() {
    let world = World::new(vec![entry::<Nightly>()]).await;
    world
        .sql("UPDATE yakin.nodes SET real_heartbeat = clock_timestamp() - interval '1 minute'")
        .await;
    assert_eq!(open(&world).await, ["node_gone high"]);
    let reminded = "SELECT reminded_at > opened_at FROM yakin.alerts";
    pass_seconds(&world, 24 * 3600 - 1);
    open(&world).await;
    assert!(!world.one::<bool>(reminded).await);
    pass_seconds(&world, 1);
    world.sql("UPDATE yakin.batches SET enabled = false").await; // its firings are not the subject
    assert_eq!(open(&world).await, ["node_gone high"]);
    assert!(world.one::<bool>(reminded).await);
    world.engine.heartbeat_step().await.unwrap();
    assert_eq!(open(&world).await, NONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_of_one_fingerprint_are_one_alert_until_a_person_settles_them() {
    let world = World::new(vec![entry::<Acting>()]).await;
    for code in ["a", "b"] {
        let tenant = world.tenant(code).await;
        play(&world, tenant, "give up").await;
    }
    world.run("T-ACTING", None, &[]).await;
    assert_eq!(open(&world).await, ["dead_letter critical", "run_failed critical"]);
    let fingerprint: String =
        world.one("SELECT DISTINCT fingerprint FROM yakin.dead_letters").await;
    discard(&world.pool, &fingerprint, &act(), world.clock.now()).await.unwrap();
    assert_eq!(open(&world).await, ["run_failed critical"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_firing_that_does_not_start_is_late_and_one_that_never_will_was_missed() {
    let world = World::new(vec![entry::<Nightly>(), entry::<Punctual>()]).await;
    world.settle().await;
    stop_all(&world.pool, true, &act()).await.unwrap();
    world.set_clock("2026-11-01T02:05:00+09:00");
    world.settle().await;
    assert_eq!(open(&world).await, NONE);
    world.set_clock("2026-11-01T02:05:01+09:00");
    assert_eq!(open(&world).await, ["late_start high", "late_start medium"]);
    stop_all(&world.pool, false, &act()).await.unwrap();
    world.settle().await;
    assert_eq!(open(&world).await, ["never_started medium"]);
    world.set_clock("2026-11-02T02:00:00+09:00");
    world.settle().await;
    world.set_clock("2026-11-02T02:05:02+09:00");
    assert_eq!(open(&world).await, NONE, "after a day it is history");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_takes_too_long_and_one_past_its_deadline_are_told() {
    let world = World::new(vec![entry::<Long>()]).await;
    let run = begin(&world, "T-LONG", Wanted::default()).await;
    let engine = world.engine.clone();
    let working = tokio::spawn(async move {
        yakin_engine::worker::pool::work_until_empty(&engine).await.unwrap();
    });
    LONG.wait(1).await;
    let since = |seconds: i64| {
        format!(
            "UPDATE yakin.runs SET real_started = clock_timestamp() - interval '{seconds} seconds'"
        )
    };
    world.sql(&since(90)).await;
    assert_eq!(open(&world).await, NONE);
    world.sql(&since(101)).await;
    assert_eq!(open(&world).await, ["long_run medium"]);
    // an operator who knows better says so
    let (registry, now) = (&world.engine.registry, world.clock.now());
    set(&world.pool, registry, "T-LONG", "expected", "1000", &act(), now).await.unwrap();
    assert_eq!(open(&world).await, NONE);
    pass_seconds(&world, 24 * 3600 + 1);
    assert_eq!(open(&world).await, ["late_end medium"]);
    cancel(&world.pool, run, &act(), world.clock.now()).await.unwrap();
    world.engine.heartbeat_step().await.unwrap();
    working.await.unwrap();
    world.settle().await;
    assert_eq!(open(&world).await, NONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_thousand_jobs_that_wait_five_minutes_are_a_backlog() {
    let world = World::new(Vec::new()).await;
    enqueue(&world, 1, 1001).await;
    assert_eq!(open(&world).await, NONE);
    world
        .sql("UPDATE yakin.jobs SET real_ready = clock_timestamp() - interval '301 seconds'")
        .await;
    assert_eq!(open(&world).await, ["backlog medium"]);
    world.sql("DELETE FROM yakin.jobs WHERE id = (SELECT min(id) FROM yakin.jobs)").await;
    assert_eq!(open(&world).await, NONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_is_switched_off_says_nothing_and_closes_what_it_said() {
    let world = World::new(Vec::new()).await;
    world
        .sql("UPDATE yakin.nodes SET real_heartbeat = clock_timestamp() - interval '1 minute'")
        .await;
    assert_eq!(open(&world).await, ["node_gone high"]);
    world.sql("UPDATE yakin.alert_rules SET enabled = false WHERE name = 'node_gone'").await;
    assert_eq!(open(&world).await, NONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_one_senders_at_a_time_and_who_comes_too_late_marks_nothing() {
    let world = World::new(Vec::new()).await;
    world
        .sql(
            "INSERT INTO yakin.alerts (rule, subject, severity, message, opened_at, reminded_at)
             SELECT name, 's', 'high', 'm', '2026-10-31', '2026-10-31' FROM yakin.alert_rules ORDER BY name LIMIT 1;
             INSERT INTO yakin.alert_messages (alert_id, what, route, severity, subject, message, created_at, due_at)
             SELECT id, 'opened', route, 'high', 's', 'm', '2026-10-31', '2026-10-31'
               FROM yakin.alerts CROSS JOIN unnest(ARRAY['ops', 'other']) AS route",
        )
        .await;
    let now = world.clock.now();
    let next = async || take(&world.pool, "ops", now).await.unwrap();
    let first = next().await.unwrap();
    assert!(next().await.is_none(), "taken twice");
    // its node hung; another takes the message over and sends it
    let passes = |seconds: i32| {
        format!(
            "UPDATE yakin.alert_messages SET real_taken = real_taken - interval '{seconds} seconds'
              WHERE route = 'ops'"
        )
    };
    world.sql(&passes(110)).await;
    assert!(next().await.is_none(), "a sender may take so long");
    world.sql(&passes(11)).await;
    let second = next().await.unwrap();
    assert_eq!((second.id, second.attempts), (first.id, 2));
    assert!(!mark(&world.pool, &first, Some("too late"), now).await.unwrap());
    assert!(mark(&world.pool, &second, None, now).await.unwrap());
    assert!(!mark(&world.pool, &second, Some("twice"), now).await.unwrap());
    let states = "SELECT string_agg(concat_ws(' ', route, state, error), ', ' ORDER BY route) FROM yakin.alert_messages";
    assert_eq!(world.one::<String>(states).await, "ops sent, other pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_night_reports_stands_whatever_runs_for_some_tenants_until_a_rerun_mends_it() {
    let world = World::new(vec![entry::<Tells>()]).await;
    let some = world.tenant("a").await;
    let night = world.run("T-TELLS", None, &[]).await.id;
    assert_eq!(open(&world).await, ["reported medium"]);
    let wanted = Wanted { tenants: vec![some], ..Wanted::default() };
    assert_eq!(world.run_as("T-TELLS", wanted).await.outcome(), "succeeded");
    assert_eq!(open(&world).await, ["reported medium"]);
    let (registry, again) = (&world.engine.registry, Again::Tenants(vec![some]));
    rerun(&world.pool, registry, night, again, &act(), world.clock.now()).await.unwrap();
    world.settle().await;
    assert_eq!(open(&world).await, NONE);
}
