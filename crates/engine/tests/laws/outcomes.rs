//! Outcomes of work: retries by policy and cause, dead letters, blocks, timeouts, panics; a tenant's failure is its own.

use serde_json::json;
use yakin_engine::operate::settings::set;
use yakin_engine::prelude::*;
use yakin_engine::registry::entry;
use yakin_testkit::{Seen, World, act, instant};

use crate::common::{pass_seconds, tenants};

/// Does what the tenant's billing name says.
pub async fn act_out(run: &TenantRun) -> Outcome {
    let role: String = run
        .read(async |tx| {
            Ok(sqlx::query_scalar("SELECT billing_name FROM app.tenants").fetch_one(tx).await?)
        })
        .await?;
    match role.as_str() {
        "database" => return Err(Stop::retry(Cause::Database, "no connection")),
        "network" => return Err(Stop::retry(Cause::Network, "no answer")),
        "give up" => return Err(Stop::give_up(Cause::Data, "month 13 does not exist")),
        "blocked" => return Err(Stop::blocked("usage of 2026-10-31 is missing")),
        "later" => {
            run.info("not yet", json!({}));
            return Err(Stop::later(instant("2026-11-01T01:20:00+09:00")));
        }
        "panic" => panic!("index 7 of {}", 3),
        "slow" => std::future::pending::<()>().await,
        "broken sql" => {
            run.read(async |tx| Ok(sqlx::query("SELECT 1 / 0").execute(tx).await?)).await?;
        }
        _ => run.info("now", json!({})),
    }
    run.write(async |tx| {
        sqlx::query("INSERT INTO app.departments (tenant_id, name) VALUES ($1, 'done')")
            .bind(run.tenant())
            .execute(tx)
            .await?;
        Ok(Done::rows(1))
    })
    .await
}

/// A batch whose tenants do what their name says.
macro_rules! acting {
    ($name:ident, $spec:expr) => {
        struct $name;
        impl yakin_engine::prelude::Batch for $name {
            type Params = serde_json::Value;
            const SPEC: yakin_engine::prelude::Spec = $spec;
            async fn tenant(
                run: &yakin_engine::prelude::TenantRun,
                _: &Self::Params,
            ) -> yakin_engine::prelude::Outcome {
                crate::outcomes::act_out(run).await
            }
        }
    };
}
pub(crate) use acting;

acting!(
    Patient,
    Spec {
        retry: exponential(4, secs(10), secs(30)),
        retry_by_cause: &[(Cause::Network, fixed(2, secs(100)))],
        ..tenants("T-PATIENT")
    }
);
acting!(Hanging, Spec { timeout: secs(1), retry: fixed(2, secs(10)), ..tenants("T-HANGING") });
acting!(
    Hurried,
    Spec {
        schedule: cron("0 2 * * *"),
        deadline: Some(secs(130)),
        retry: fixed(10, secs(60)),
        ..tenants("T-HURRIED")
    }
);

/// A world with a tenant for each role, beside one that is fine.
pub async fn cast(
    batch: std::sync::Arc<dyn yakin_engine::registry::AnyBatch>,
    roles: &[&str],
) -> World {
    let world = World::new(vec![batch]).await;
    for (n, role) in ["fine"].iter().chain(roles).enumerate() {
        let tenant = world.tenant(&format!("t{n}")).await;
        play(&world, tenant, role).await;
    }
    world
}

/// Gives a tenant its role.
pub async fn play(world: &World, tenant: i64, role: &str) {
    world
        .sql(&format!("UPDATE app.tenants SET billing_name = '{role}' WHERE tenant_id = {tenant}"))
        .await;
}

/// State, attempts and reason of tenant number `n` (1 = the one that is fine).
pub async fn ledger(world: &World, run: i64, n: i64) -> (String, i32, String) {
    sqlx::query_as(
        "SELECT state, attempts, coalesce(reason, '') FROM yakin.run_tenants
          WHERE run_id = $1 AND tenant_id = (SELECT min(tenant_id) FROM app.tenants) + $2 - 1",
    )
    .bind(run)
    .bind(n)
    .fetch_one(&world.database.owner)
    .await
    .unwrap()
}

/// In how many seconds the next try comes, if one is planned.
async fn next_try(world: &World) -> Option<f64> {
    world
        .one(&format!(
            "SELECT extract(epoch FROM min(run_at) - '{}'::timestamptz)::float8 FROM yakin.jobs WHERE state = 'scheduled'",
            world.clock.now()
        ))
        .await
}

/// Lives through all retries; returns the delays, rounded down.
async fn delays(world: &World) -> Vec<i64> {
    let mut delays = Vec::new();
    while let Some(delay) = next_try(world).await {
        let whole = delay.floor() as i64;
        delays.push(whole);
        pass_seconds(world, whole - 1);
        world.settle().await;
        assert!(next_try(world).await.is_some(), "tried too early");
        pass_seconds(world, 2 + whole / 10);
        world.settle().await;
        assert!(delays.len() < 20);
    }
    delays
}

/// That each delay is its nominal one or up to a tenth more.
fn about(delays: &[i64], nominal: &[i64]) {
    let near = |(d, n): (&i64, &i64)| d >= n && *d as f64 <= *n as f64 * 1.1;
    assert!(delays.len() == nominal.len() && delays.iter().zip(nominal).all(near), "{delays:?}");
}

async fn dead(world: &World) -> String {
    world.one("SELECT coalesce(string_agg(cause || ' after ' || attempts || ': ' || error, '; '), 'none') FROM yakin.dead_letters").await
}

async fn ended(world: &World) -> Seen {
    world.settle().await;
    world.seen(1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_follow_the_policy_then_a_dead_letter_and_a_partial_run() {
    let world = cast(entry::<Patient>(), &["database"]).await;
    let open = world.run("T-PATIENT", None, &[]).await;
    assert_eq!(open.outcome(), "open");
    assert_eq!(ledger(&world, 1, 1).await.0, "done", "its neighbour does not wait");
    about(&delays(&world).await, &[10, 20, 30]);
    assert_eq!(dead(&world).await, "database after 4: no connection");
    assert_eq!(ledger(&world, 1, 2).await, ("failed".into(), 4, "no connection".into()));
    let seen = ended(&world).await;
    assert_eq!((seen.outcome(), seen.tenants_done, seen.tenants_failed), ("partial", 1, 1));
    assert_eq!(seen.reason.unwrap(), "1 tenants not done; first: no connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cause_with_a_narrower_policy_has_its_own_attempts_and_delays() {
    let world = cast(entry::<Patient>(), &["network"]).await;
    world.run("T-PATIENT", None, &[]).await;
    about(&delays(&world).await, &[100]);
    assert_eq!(dead(&world).await, "network after 2: no answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_one_cause_do_not_use_up_anothers_attempts() {
    let world = cast(entry::<Patient>(), &["network"]).await;
    world.run("T-PATIENT", None, &[]).await;
    let tenant: i64 = world.one("SELECT max(tenant_id) FROM app.tenants").await;
    play(&world, tenant, "database").await;
    pass_seconds(&world, 111);
    world.settle().await;
    // the first failure of the database, after one of the network: its first delay
    about(&[next_try(&world).await.unwrap() as i64], &[10]);
    play(&world, tenant, "fine").await;
    pass_seconds(&world, 12);
    assert_eq!(ended(&world).await.outcome(), "succeeded");
    assert_eq!(ledger(&world, 1, 2).await, ("done".into(), 3, "".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_attempts_are_taken_at_once() {
    let world = cast(entry::<Patient>(), &["database"]).await;
    let (registry, now) = (&world.engine.registry, world.clock.now());
    set(&world.pool, registry, "T-PATIENT", "attempts", "2", &act(), now).await.unwrap();
    world.run("T-PATIENT", None, &[]).await;
    about(&delays(&world).await, &[10]);
    assert_eq!(dead(&world).await, "database after 2: no connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_gives_up_is_not_tried_again() {
    let world = cast(entry::<Patient>(), &["give up"]).await;
    let seen = world.run("T-PATIENT", None, &[]).await;
    assert_eq!((seen.outcome(), seen.tenants_failed), ("partial", 1));
    assert_eq!(dead(&world).await, "data after 1: month 13 does not exist");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_error_of_the_database_gives_up_and_says_where() {
    let world = cast(entry::<Patient>(), &["broken sql"]).await;
    world.run("T-PATIENT", None, &[]).await;
    assert_eq!(dead(&world).await, "data after 1: division by zero");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_tenant_has_its_reason_and_no_dead_letter() {
    let world = cast(entry::<Patient>(), &["blocked"]).await;
    let seen = world.run("T-PATIENT", None, &[]).await;
    assert_eq!((seen.outcome(), seen.tenants_blocked, seen.tenants_failed), ("partial", 1, 0));
    assert_eq!(
        ledger(&world, 1, 2).await,
        ("blocked".into(), 1, "usage of 2026-10-31 is missing".into())
    );
    assert_eq!(dead(&world).await, "none");
}

#[tokio::test(flavor = "multi_thread")]
async fn later_comes_back_at_its_instant_and_uses_no_attempt() {
    let world = cast(entry::<Patient>(), &["later"]).await;
    world.run("T-PATIENT", None, &[]).await;
    assert_eq!(next_try(&world).await, Some(1200.0));
    let tenant: i64 = world.one("SELECT max(tenant_id) FROM app.tenants").await;
    play(&world, tenant, "fine").await;
    world.set_clock("2026-11-01T01:19:59+09:00");
    assert_eq!(ended(&world).await.outcome(), "open");
    world.set_clock("2026-11-01T01:20:00+09:00");
    assert_eq!(ended(&world).await.outcome(), "succeeded");
    assert_eq!(ledger(&world, 1, 2).await, ("done".into(), 1, "".into()));
    let history = "SELECT string_agg(outcome, ', ' ORDER BY token) FROM yakin.job_history
                    WHERE kind = 'tenant' AND tenant_id = (SELECT max(tenant_id) FROM app.tenants)";
    assert_eq!(world.one::<String>(history).await, "later, done");
    let said = "SELECT string_agg(concat_ws(' ', attempt, line, message), ', ' ORDER BY token)
                  FROM yakin.run_logs WHERE tenant_id = (SELECT max(tenant_id) FROM app.tenants) AND level = 'info'";
    assert_eq!(world.one::<String>(said).await, "1 1 not yet, 1 1 now");
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_hangs_is_cut_off_and_tried_again() {
    let world = cast(entry::<Hanging>(), &["slow"]).await;
    world.run("T-HANGING", None, &[]).await;
    assert_eq!(ledger(&world, 1, 1).await.0, "done");
    about(&delays(&world).await, &[10]);
    assert_eq!(dead(&world).await, "timeout after 2: took longer than its timeout of 1 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_dead_letter_with_its_message_and_the_others_are_done() {
    let world = cast(entry::<Patient>(), &["panic", "fine"]).await;
    let seen = world.run("T-PATIENT", None, &[]).await;
    assert_eq!((seen.outcome(), seen.tenants_done, seen.tenants_failed), ("partial", 2, 1));
    assert_eq!(dead(&world).await, "defect after 1: panicked: index 7 of 3");
    assert_eq!(world.one::<i64>("SELECT count(*) FROM app.departments").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_no_tenant_is_done_the_run_has_failed() {
    let world = cast(entry::<Patient>(), &["give up"]).await;
    play(&world, world.one("SELECT min(tenant_id) FROM app.tenants").await, "blocked").await;
    assert_eq!(world.run("T-PATIENT", None, &[]).await.outcome(), "failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_retry_is_planned_past_the_deadline() {
    let world = cast(entry::<Hurried>(), &["database"]).await;
    world.settle().await;
    world.set_clock("2026-11-01T02:00:00+09:00");
    world.settle().await;
    about(&delays(&world).await, &[60]);
    assert_eq!(dead(&world).await, "database after 2: no connection");
    assert_eq!(ended(&world).await.outcome(), "partial");
}
