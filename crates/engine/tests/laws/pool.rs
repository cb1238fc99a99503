//! Connections: nobody ever borrows one inside somebody else's transaction, whatever was cancelled.

use std::time::Duration;

use sqlx::Row;
use yakin_engine::database;
use yakin_engine::operate::runs::Wanted;
use yakin_engine::prelude::*;
use yakin_engine::registry::entry;
use yakin_engine::tx::Role;
use yakin_engine::worker::pool::work_until_empty;
use yakin_testkit::World;

use crate::common::{begin, tenants};
use crate::lanes::empty_world;

/// Whether a borrowed connection is as the pool promises: outside a transaction, acting as the engine, unlabelled.
async fn is_clean(pool: &sqlx::PgPool) -> Result<(), String> {
    let mut connection = pool.acquire().await.map_err(|e| e.to_string())?;
    let look = "SELECT now()::text AS at, current_user::text AS role,
                       current_setting('application_name') AS name, current_setting('yakin.tenant', true) AS tenant";
    let mut instants = Vec::new();
    for _ in 0..2 {
        let row = sqlx::query(look).fetch_one(&mut *connection).await.map_err(|e| e.to_string())?;
        let (role, name): (String, String) = (row.get("role"), row.get("name"));
        let tenant: Option<String> = row.get("tenant");
        if role != "yakin_engine" || name != "yakin" || !tenant.unwrap_or_default().is_empty() {
            return Err(format!("borrowed as {role}, named {name}"));
        }
        instants.push(row.get::<String, _>("at"));
    }
    // within one transaction now() stands still
    if instants[0] == instants[1] { Err("inside a transaction".to_owned()) } else { Ok(()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_begin_that_is_cancelled_anywhere_leaves_no_half_begun_connection() {
    let world = empty_world().await;
    let pool = database::connect(&world.database.url("yakin_engine"), 1).await.unwrap();
    let (mut cancelled, mut begun) = (0, 0);
    for round in 0..300_u64 {
        let patience = Duration::from_micros(round * 131 % 2500);
        let begin = Tx::begin(&pool, Role::Tenant(7), "yakin job 1 token 1", false);
        match tokio::time::timeout(patience, begin).await {
            Ok(tx) => {
                begun += 1;
                drop(tx.unwrap());
            }
            Err(_) => cancelled += 1,
        }
        if round % 5 == 0 {
            assert_eq!(is_clean(&pool).await, Ok(()), "round {round}");
        }
    }
    assert!(cancelled > 20, "{begun} begun, {cancelled} cancelled: nothing was tried");
    assert_eq!(is_clean(&pool).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_dropped_rolls_back() {
    let world = empty_world().await;
    let tenant = world.tenant("aoba").await;
    let pool = database::connect(&world.database.url("yakin_engine"), 1).await.unwrap();
    for _ in 0..20 {
        let mut tx = Tx::begin(&pool, Role::Tenant(tenant), "", false).await.unwrap();
        let insert = "INSERT INTO app.departments (tenant_id, name) VALUES ($1, 'lost')";
        sqlx::query(insert).bind(tenant).execute(&mut tx).await.unwrap();
        drop(tx);
        assert_eq!(is_clean(&pool).await, Ok(()));
        assert_eq!(world.one::<i64>("SELECT count(*) FROM app.departments").await, 0);
    }
}

struct TooSlow;
impl Batch for TooSlow {
    type Params = serde_json::Value;
    const SPEC: Spec = Spec { timeout: Duration::from_millis(80), ..tenants("T-SLOW") };
    async fn tenant(run: &TenantRun, _: &Self::Params) -> Outcome {
        run.write(async |tx| {
            sqlx::query("INSERT INTO app.departments (tenant_id, name) VALUES ($1, 'late')")
                .bind(run.tenant())
                .execute(&mut *tx)
                .await?;
            std::future::pending::<()>().await;
            Ok(Done::rows(1))
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn work_cut_off_by_its_timeout_in_the_middle_of_its_write_leaves_nothing() {
    let world = World::new(vec![entry::<TooSlow>()]).await;
    for code in ["a", "b", "c", "d"] {
        world.tenant(code).await;
    }
    let run = begin(&world, "T-SLOW", Wanted::default()).await;
    work_until_empty(&world.engine).await.unwrap();
    world.settle().await;
    assert_eq!(world.seen(run).await.outcome(), "failed");
    assert_eq!(world.one::<i64>("SELECT count(*) FROM app.departments").await, 0);
    for _ in 0..24 {
        assert_eq!(is_clean(&world.pool).await, Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_broke_while_idle_cost_no_attempt() {
    let world = empty_world().await;
    let pool = database::connect(&world.database.url("yakin_engine"), 4).await.unwrap();
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(Tx::engine(&pool).await.unwrap());
    }
    for tx in all {
        tx.rollback().await.unwrap();
    }
    while pool.num_idle() < 4 {
        tokio::task::yield_now().await;
    }
    let ended: i64 = world
        .one(
            "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
              WHERE datname = current_database() AND usename = 'yakin_engine'",
        )
        .await;
    assert!(ended >= 4, "{ended} backends ended");
    Tx::engine(&pool).await.unwrap().rollback().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_holds_every_connection_keeps_nothing_of_the_machine_waiting() {
    let world = World::new(vec![entry::<TooSlow>()]).await;
    world.tenant("aoba").await;
    begin(&world, "T-SLOW", Wanted::default()).await;
    let mut all = Vec::new();
    for _ in 0..world.engine.pool.options().get_max_connections() {
        all.push(world.engine.pool.acquire().await.unwrap());
    }
    assert!(world.engine.pool.try_acquire().is_none(), "work holds them all");
    let claimed = world.engine.claim(Queue::Default, 8).await;
    assert_eq!(claimed.jobs.len(), 1);
    assert!(!world.engine.heartbeat_step().await.unwrap());
    crate::common::expire_leases(&world).await;
    world.engine.watch_step().await.unwrap();
    world.engine.plan_step().await.unwrap();
    let back: String = world.one("SELECT state || ' ' || token FROM yakin.jobs").await;
    assert_eq!(back, "ready 3");
}
