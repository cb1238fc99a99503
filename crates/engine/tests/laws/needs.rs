//! Needs: judged per tenant, waited for until their deadline, never guessed.

use yakin_engine::operate::runs::Wanted;
use yakin_engine::operate::settings::set;
use yakin_engine::prelude::*;
use yakin_engine::registry::{Registry, entry};
use yakin_testkit::{World, act};

use crate::common::{begin, firing, global, idle, tenants};

/// Does a tenant's day unless the tenant's name says that it fails.
async fn unless_broken(run: &TenantRun) -> Outcome {
    let name: String = run
        .read(async |tx| {
            Ok(sqlx::query_scalar("SELECT billing_name FROM app.tenants").fetch_one(tx).await?)
        })
        .await?;
    if name == "broken" {
        return Err(Stop::give_up(Cause::Data, "broken"));
    }
    Ok(Done::default())
}

struct Base;
impl Batch for Base {
    type Params = serde_json::Value;
    const SPEC: Spec = tenants("T-BASE");
    async fn tenant(run: &TenantRun, _: &Self::Params) -> Outcome {
        unless_broken(run).await
    }
}

struct Daily;
impl Batch for Daily {
    type Params = serde_json::Value;
    const SPEC: Spec = Spec { period: Period::Day, overlap: Overlap::Allow, ..tenants("T-DAILY") };
    async fn tenant(run: &TenantRun, _: &Self::Params) -> Outcome {
        unless_broken(run).await
    }
}

struct Prepared;
impl Batch for Prepared {
    type Params = serde_json::Value;
    const SPEC: Spec = Spec { phases: &[Phase::Prepare], ..tenants("T-BASE") };
    async fn prepare(_: &PlatformRun, _: &Self::Params) -> Outcome {
        Err(Stop::give_up(Cause::Data, "no source"))
    }
}

struct WholeFails;
impl Batch for WholeFails {
    type Params = serde_json::Value;
    const SPEC: Spec = global("T-BASE");
    async fn global(_: &PlatformRun, _: &Self::Params) -> Outcome {
        Err(Stop::give_up(Cause::Data, "no source"))
    }
}

const NIGHTLY: Spec = Spec { schedule: cron("0 2 * * *"), ..tenants("T-NEEDY") };
idle!(Needy, Spec { needs: &[same("T-BASE", mins(30))], ..NIGHTLY });
idle!(Hopeful, Spec { needs: &[Need { hard: false, ..same("T-BASE", mins(30)) }], ..NIGHTLY });
idle!(
    Both,
    Spec {
        needs: &[Need { hard: false, ..same("T-BASE", mins(10)) }, same("T-DAILY", mins(30))],
        ..NIGHTLY
    }
);
idle!(Whole, Spec { needs: &[same("T-BASE", mins(30))], scope: Scope::Global, ..NIGHTLY });
idle!(
    Monthly,
    Spec {
        schedule: cron("0 2 1 * *"),
        period: Period::MonthBefore,
        needs: &[every_day("T-DAILY", mins(30))],
        ..tenants("T-MONTHLY")
    }
);

idle!(
    MonthsEnd,
    Spec {
        schedule: cron("0 2 1 * *"),
        period: Period::MonthBefore,
        needs: &[Need { batch: "T-DAILY", days: NeedDays::LastDay, hard: false, wait: mins(30) }],
        ..tenants("T-NEEDY")
    }
);

const NIGHT: &str = "2026-11-01T02:00:00+09:00";

async fn break_tenant(world: &World, tenant: i64, broken: bool) {
    let name = if broken { "broken" } else { "fine" };
    world
        .sql(&format!("UPDATE app.tenants SET billing_name = '{name}' WHERE tenant_id = {tenant}"))
        .await;
}

async fn waiting_for(world: &World) -> Option<String> {
    world.one("SELECT waiting_for FROM yakin.runs WHERE batch_id = 'T-NEEDY'").await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_partial_run_of_what_is_needed_only_its_failed_tenants_are_blocked() {
    let world = World::new(vec![entry::<Base>(), entry::<Needy>()]).await;
    let (good, bad) = (world.tenant("good").await, world.tenant("bad").await);
    break_tenant(&world, bad, true).await;
    assert_eq!(world.run("T-BASE", None, &[]).await.outcome(), "partial");
    world.set_clock(NIGHT);
    world.settle().await;
    let run: i64 = world.one("SELECT id FROM yakin.runs WHERE batch_id = 'T-NEEDY'").await;
    assert_eq!(world.tenant_seen(run, good).await.0, "done");
    let blocked = ("blocked".to_owned(), Some("needs T-BASE of 2026-10-31".to_owned()));
    assert_eq!(world.tenant_seen(run, bad).await, blocked);
    assert_eq!(world.seen(run).await.outcome(), "partial");
    assert_eq!(
        world
            .one::<i64>("SELECT count(*) FROM yakin.dead_letters WHERE batch_id = 'T-NEEDY'")
            .await,
        0
    );
    // the way back: repair, rerun what failed, then what was blocked
    break_tenant(&world, bad, false).await;
    assert_eq!(world.rerun_failed(1).await.outcome(), "succeeded");
    let again = world.rerun_failed(run).await;
    assert_eq!((again.outcome(), again.tenants_total), ("succeeded", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_hard_need_is_waited_for_and_then_the_firing_is_skipped() {
    let world = World::new(vec![entry::<Base>(), entry::<Needy>()]).await;
    world.tenant("aoba").await;
    world.settle().await;
    for at in [NIGHT, "2026-11-01T02:29:59+09:00"] {
        world.set_clock(at);
        world.settle().await;
        assert_eq!(waiting_for(&world).await.unwrap(), "needs T-BASE of 2026-10-31");
        assert_eq!(firing(&world, "T-NEEDY", NIGHT).await.0, "started");
    }
    world.set_clock("2026-11-01T02:30:00+09:00");
    world.settle().await;
    let (outcome, reason) = firing(&world, "T-NEEDY", NIGHT).await;
    assert_eq!(outcome, "skipped");
    assert_eq!(reason.unwrap(), "needs: T-BASE of 2026-10-31 is not there after 30 minutes");
    world.engine.watch_step().await.unwrap();
    let alert: String = world
        .one("SELECT rule || ' ' || severity FROM yakin.alerts WHERE batch_id = 'T-NEEDY'")
        .await;
    assert_eq!(alert, "run_failed medium");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_waits_for_its_need_starts_when_it_is_there_with_its_attempts_untouched() {
    let world = World::new(vec![entry::<Base>(), entry::<Needy>()]).await;
    let tenant = world.tenant("aoba").await;
    world.settle().await;
    world.set_clock(NIGHT);
    world.settle().await;
    world.set_clock("2026-11-01T02:20:00+09:00");
    let base = begin(&world, "T-BASE", Wanted::default()).await;
    world.engine.plan_step().await.unwrap();
    // what is needed has begun but not ended
    assert_eq!(waiting_for(&world).await.unwrap(), "needs T-BASE of 2026-10-31");
    world.settle().await;
    assert_eq!(world.seen(base).await.outcome(), "succeeded");
    assert_eq!(firing(&world, "T-NEEDY", NIGHT).await.0, "succeeded");
    let run: i64 = world.one("SELECT id FROM yakin.runs WHERE batch_id = 'T-NEEDY'").await;
    let attempts = format!(
        "SELECT attempts FROM yakin.run_tenants WHERE run_id = {run} AND tenant_id = {tenant}"
    );
    assert_eq!(world.one::<i32>(&attempts).await, 1);
    let now =
        "SELECT run_at = '2026-11-01T02:20:00+09:00' FROM yakin.runs WHERE batch_id = 'T-NEEDY'";
    assert!(world.one::<bool>(now).await, "a run's now is when it really starts");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_soft_need_is_waited_for_and_then_the_run_goes_on_and_says_so() {
    let world = World::new(vec![entry::<Base>(), entry::<Hopeful>()]).await;
    world.tenant("aoba").await;
    world.settle().await;
    world.set_clock(NIGHT);
    world.settle().await;
    world.set_clock("2026-11-01T02:30:00+09:00");
    world.settle().await;
    assert_eq!(firing(&world, "T-NEEDY", NIGHT).await.0, "succeeded");
    let notes: serde_json::Value = world.one("SELECT notes FROM yakin.runs").await;
    assert_eq!(notes, serde_json::json!(["went on without T-BASE of 2026-10-31"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hard_need_still_counts_when_a_soft_one_was_given_up() {
    let world = World::new(vec![entry::<Base>(), entry::<Daily>(), entry::<Both>()]).await;
    world.tenant("aoba").await;
    world.settle().await;
    world.set_clock(NIGHT);
    world.settle().await;
    world.set_clock("2026-11-01T02:10:00+09:00");
    world.settle().await;
    assert_eq!(waiting_for(&world).await.unwrap(), "needs T-DAILY of 2026-10-31");
    world.set_clock("2026-11-01T02:30:00+09:00");
    world.settle().await;
    assert_eq!(firing(&world, "T-NEEDY", NIGHT).await.0, "skipped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_soft_need_on_a_disabled_or_unknown_batch_counts_as_met() {
    let world = World::new(vec![entry::<Base>(), entry::<Hopeful>()]).await;
    world.tenant("aoba").await;
    world.settle().await;
    let (registry, now) = (&world.engine.registry, world.clock.now());
    set(&world.pool, registry, "T-BASE", "enabled", "false", &act(), now).await.unwrap();
    world.set_clock(NIGHT);
    world.settle().await;
    assert_eq!(firing(&world, "T-NEEDY", NIGHT).await.0, "succeeded");

    let world = World::new(vec![entry::<Hopeful>()]).await;
    world.settle().await;
    world.set_clock(NIGHT);
    world.settle().await;
    assert_eq!(firing(&world, "T-NEEDY", NIGHT).await.0, "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hard_need_on_a_disabled_or_unknown_batch_stops_the_nodes_start() {
    let unknown = Registry::new(vec![entry::<Needy>()]).unwrap_err();
    assert_eq!(unknown, "T-NEEDY needs T-BASE, which is not in the catalogue");
    let world = World::new(vec![entry::<Base>(), entry::<Needy>()]).await;
    world.sql("UPDATE yakin.batches SET enabled = false WHERE id = 'T-BASE'").await;
    let registry = world.engine.registry.clone();
    let joined = yakin_engine::engine::Engine::join(
        world.pool.clone(),
        world.clock.clone(),
        registry,
        "again",
        &["plan"],
    );
    let refused = joined.await.unwrap_err().to_string();
    assert!(refused.starts_with("T-NEEDY needs T-BASE, which is disabled; enable it"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_of_needed_days_blocks_only_tenants_that_were_there_and_lack_one() {
    let world =
        World::at("2026-10-01T02:30:00+09:00", vec![entry::<Daily>(), entry::<Monthly>()]).await;
    let (whole, gap) = (world.tenant("whole").await, world.tenant("gap").await);
    let mut late = 0;
    for day in 1..=31 {
        if day == 15 {
            late = world.tenant("late").await;
        }
        break_tenant(&world, gap, day == 9 || day == 20).await;
        world.set_clock(&format!("2026-10-{day:02}T03:00:00+09:00"));
        begin(&world, "T-DAILY", Wanted::default()).await;
        world.settle().await;
    }
    world.set_clock("2026-11-01T02:00:00+09:00");
    world.settle().await;
    let run: i64 = world.one("SELECT id FROM yakin.runs WHERE batch_id = 'T-MONTHLY'").await;
    assert_eq!(world.tenant_seen(run, whole).await.0, "done");
    assert_eq!(
        world.tenant_seen(run, late).await.0,
        "done",
        "joined on the 15th: earlier days do not concern it"
    );
    let blocked =
        ("blocked".to_owned(), Some("needs T-DAILY of 2026-10-09 and 1 days more".to_owned()));
    assert_eq!(world.tenant_seen(run, gap).await, blocked);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_day_of_a_period_is_waited_for_and_no_other() {
    let world =
        World::at("2026-10-31T12:00:00+09:00", vec![entry::<Daily>(), entry::<MonthsEnd>()]).await;
    world.tenant("one").await;
    world.set_clock(NIGHT);
    world.settle().await;
    assert_eq!(waiting_for(&world).await.unwrap(), "needs T-DAILY of 2026-10-31");
    world.run("T-DAILY", Some("2026-10-30"), &[]).await;
    assert!(waiting_for(&world).await.is_some(), "another day does not settle it");
    world.run("T-DAILY", Some("2026-10-31"), &[]).await;
    world.settle().await;
    let run: i64 = world.one("SELECT id FROM yakin.runs WHERE batch_id = 'T-NEEDY'").await;
    assert_eq!(world.seen(run).await.outcome(), "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_for_one_tenant_alone_does_not_settle_the_need_of_the_others() {
    let world = World::new(vec![entry::<Base>(), entry::<Needy>()]).await;
    let (one, other) = (world.tenant("one").await, world.tenant("other").await);
    let alone = Wanted { tenants: vec![one], ..Wanted::default() };
    assert_eq!(world.run_as("T-BASE", alone).await.outcome(), "succeeded");
    world.set_clock(NIGHT);
    world.settle().await;
    assert_eq!(waiting_for(&world).await.unwrap(), "needs T-BASE of 2026-10-31");
    // an operator who does not want to wait: the other tenant is blocked, not guessed
    world.set_clock("2026-11-01T03:00:00+09:00");
    world.settle().await;
    let seen = world.run("T-NEEDY", None, &[]).await;
    assert_eq!(world.tenant_seen(seen.id, one).await.0, "done");
    assert_eq!(world.tenant_seen(seen.id, other).await.0, "blocked");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_what_is_needed_failed_as_a_whole_every_tenant_is_blocked() {
    let prepared = vec![entry::<Prepared>(), entry::<Needy>()];
    for batches in [prepared, vec![entry::<WholeFails>(), entry::<Needy>()]] {
        let world = World::new(batches).await;
        world.tenant("aoba").await;
        assert_eq!(world.run("T-BASE", None, &[]).await.outcome(), "failed");
        let seen = world.run("T-NEEDY", None, &[]).await;
        assert_eq!((seen.outcome(), seen.tenants_blocked), ("failed", 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_global_batch_needs_all_tenants_of_what_it_needs() {
    let world = World::new(vec![entry::<Base>(), entry::<Whole>()]).await;
    world.tenant("good").await;
    let bad = world.tenant("bad").await;
    break_tenant(&world, bad, true).await;
    assert_eq!(world.run("T-BASE", None, &[]).await.outcome(), "partial");
    world.settle().await;
    world.set_clock(NIGHT);
    world.settle().await;
    assert_eq!(waiting_for(&world).await.unwrap(), "needs T-BASE of 2026-10-31 for all tenants");
    break_tenant(&world, bad, false).await;
    assert_eq!(world.rerun_failed(1).await.outcome(), "succeeded");
    assert_eq!(firing(&world, "T-NEEDY", NIGHT).await.0, "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_settles_nobodys_need() {
    let world = World::new(vec![entry::<Base>(), entry::<Needy>()]).await;
    world.tenant("aoba").await;
    assert_eq!(world.dry_run("T-BASE", None, &[]).await.outcome(), "succeeded");
    assert_eq!(world.one::<i64>("SELECT count(*) FROM yakin.completions").await, 0);
    assert_eq!(world.run("T-NEEDY", None, &[]).await.tenants_blocked, 1);
}
