//! The audit: append-only from the first migration on, and every changing act of a person stands in it with its reason.

use yakin_engine::operate::firings::{Change, change};
use yakin_engine::operate::runs::{Again, Wanted, cancel, rerun, start};
use yakin_engine::operate::settings::set;
use yakin_engine::operate::switches::{pause, stop_all};
use yakin_engine::prelude::*;
use yakin_engine::registry::entry;
use yakin_testkit::{World, act, instant};

use crate::common::{idle, tenants};

idle!(Nightly, Spec { schedule: cron("0 2 * * *"), ..tenants("T-NIGHTLY") });

#[tokio::test(flavor = "multi_thread")]
async fn nobody_changes_the_audit_not_even_its_owner() {
    let world = World::new(vec![entry::<Nightly>()]).await;
    stop_all(&world.pool, true, &act()).await.unwrap();
    for sql in [
        "UPDATE yakin.audit SET actor = 'nobody'",
        "DELETE FROM yakin.audit",
        "TRUNCATE yakin.audit",
        "DELETE FROM yakin.audit WHERE false",
    ] {
        for (who, pool) in [("engine", &world.pool), ("owner", &world.database.owner)] {
            let error = sqlx::raw_sql(sql).execute(pool).await.unwrap_err().to_string();
            let refused = error.contains("append-only") || error.contains("permission denied");
            assert!(refused, "{sql} as {who}: {error}");
        }
    }
    let mut as_engine = world.database.owner.begin().await.unwrap();
    sqlx::raw_sql("GRANT ALL ON yakin.audit TO yakin_engine; SET LOCAL ROLE yakin_engine")
        .execute(&mut *as_engine)
        .await
        .unwrap();
    let even_granted = sqlx::raw_sql("DELETE FROM yakin.audit").execute(&mut *as_engine).await;
    assert!(even_granted.unwrap_err().to_string().contains("audit is append-only: DELETE refused"));
    as_engine.rollback().await.unwrap();
    assert_eq!(world.one::<i64>("SELECT count(*) FROM yakin.audit").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_act_stands_in_the_audit_in_order_with_who_and_why() {
    let world = World::new(vec![entry::<Nightly>()]).await;
    world.tenant("a").await;
    world.settle().await;
    let (pool, registry, now) = (&world.pool, &world.engine.registry, world.clock.now());
    let night = instant("2026-11-01T02:00:00+09:00");
    let later = instant("2026-11-01T03:00:00+09:00");
    set(pool, registry, "T-NIGHTLY", "timeout", "30", &act(), now).await.unwrap();
    for wanted in [Change::Hold, Change::Release, Change::Move(later), Change::Bypass] {
        change(pool, "T-NIGHTLY", night, wanted, &act(), now).await.unwrap();
    }
    let run = start(pool, registry, "T-NIGHTLY", Wanted::default(), "operator", &act(), now)
        .await
        .unwrap();
    world.settle().await;
    let again = rerun(pool, registry, run, Again::All, &act(), now).await.unwrap();
    cancel(pool, again, &act(), now).await.unwrap();
    pause(pool, "heavy", true, &act()).await.unwrap();
    stop_all(pool, true, &act()).await.unwrap();
    let lines: Vec<String> =
        sqlx::query_scalar("SELECT action || ' ' || subject FROM yakin.audit ORDER BY id")
            .fetch_all(&world.database.owner)
            .await
            .unwrap();
    let expected = [
        "set T-NIGHTLY timeout".to_owned(),
        "hold T-NIGHTLY 2026-11-01 02:00".to_owned(),
        "release T-NIGHTLY 2026-11-01 02:00".to_owned(),
        "move T-NIGHTLY 2026-11-01 02:00".to_owned(),
        "bypass T-NIGHTLY 2026-11-01 02:00".to_owned(),
        format!("run T-NIGHTLY run {run}"),
        format!("rerun T-NIGHTLY run {again}"),
        format!("cancel run {again}"),
        "pause heavy".to_owned(),
        "stop-all all queues and firings".to_owned(),
    ];
    assert_eq!(lines, expected);
    let unsigned = "SELECT count(*) FROM yakin.audit WHERE actor <> 'tester' OR reason <> 'test'";
    assert_eq!(world.one::<i64>(unsigned).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_act_that_is_refused_leaves_no_line_and_one_that_fails_leaves_no_effect() {
    let world = World::new(vec![entry::<Nightly>()]).await;
    let (pool, registry, now) = (&world.pool, &world.engine.registry, world.clock.now());
    assert!(set(pool, registry, "T-NIGHTLY", "severity", "info", &act(), now).await.is_err());
    assert!(set(pool, registry, "T-NIGHTLY", "schedule", "61 * * * *", &act(), now).await.is_err());
    assert_eq!(world.one::<i64>("SELECT count(*) FROM yakin.audit").await, 0);
    // no line, no act
    world.sql("ALTER TABLE yakin.audit ADD CONSTRAINT nobody CHECK (actor <> 'tester')").await;
    assert!(stop_all(pool, true, &act()).await.is_err());
    assert!(set(pool, registry, "T-NIGHTLY", "enabled", "false", &act(), now).await.is_err());
    assert!(!world.one::<bool>("SELECT stopped FROM yakin.control").await);
    let planned = "SELECT count(*) FROM yakin.firings WHERE state = 'planned'";
    assert_eq!(world.one::<i64>(planned).await, 2);
    assert_eq!(world.one::<i64>("SELECT count(*) FROM yakin.settings").await, 0);
}
