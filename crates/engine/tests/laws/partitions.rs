//! Partitions are cut at Tokyo midnight, made once, and dropped only when nobody reads.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgPool};
use yakin_testkit::World;

use crate::common::until;
use crate::lanes::empty_world;

async fn call(pool: &PgPool, function: &str, month: &str) -> Result<bool, sqlx::Error> {
    // by oid: the engine's role may not name a business table
    let sql = format!(
        "SELECT yakin.{function}(oid::regclass, '{month}') FROM pg_class WHERE relname = 'login_logs'"
    );
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(pool).await
}

async fn exists(world: &World) -> bool {
    world.one("SELECT to_regclass('app.login_logs_202611') IS NOT NULL").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_months_partition_is_made_once_from_tokyo_midnight_to_tokyo_midnight() {
    let world = empty_world().await;
    assert!(call(&world.pool, "ensure_month", "2026-11-01").await.unwrap());
    assert!(!call(&world.pool, "ensure_month", "2026-11-01").await.unwrap());
    let insert = |at: &str| format!("INSERT INTO app.login_logs VALUES (1, 1, '{at}', true)");
    world.sql(&insert("2026-10-31T15:00:00Z")).await;
    world.sql(&insert("2026-11-30T14:59:59.999999Z")).await;
    assert_eq!(world.one::<i64>("SELECT count(*) FROM app.login_logs_202611").await, 2);
    for outside in ["2026-10-31T14:59:59.999999Z", "2026-11-30T15:00:00Z"] {
        let refused =
            sqlx::raw_sql(AssertSqlSafe(insert(outside))).execute(&world.database.owner).await;
        assert!(refused.unwrap_err().to_string().contains("no partition of relation"), "{outside}");
    }
    let walled = "SELECT relrowsecurity AND relforcerowsecurity FROM pg_class WHERE relname = 'login_logs_202611'";
    assert!(world.one::<bool>(walled).await, "nobody reads around its parent's wall");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_that_make_the_same_partition_both_go_on() {
    let world = empty_world().await;
    let other = world.database.engine_pool(2).await;
    // both have seen that it is missing and wait to make it
    let mut holder = world.database.owner.begin().await.unwrap();
    let hold = "LOCK TABLE ONLY app.login_logs IN SHARE UPDATE EXCLUSIVE MODE";
    sqlx::raw_sql(hold).execute(&mut *holder).await.unwrap();
    let both_wait = "SELECT count(*) = 2 FROM pg_locks
                      WHERE NOT granted AND relation = 'app.login_logs'::regclass";
    let (one, two, ()) = tokio::join!(
        call(&world.pool, "ensure_month", "2027-01-01"),
        call(&other, "ensure_month", "2027-01-01"),
        async {
            until(&world, both_wait).await;
            holder.rollback().await.unwrap();
        }
    );
    assert_eq!(u8::from(one.unwrap()) + u8::from(two.unwrap()), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_first_days_of_months_and_partitioned_tables_of_ours_are_taken() {
    let world = empty_world().await;
    assert!(call(&world.pool, "ensure_month", "2026-11-02").await.is_err());
    for table in ["tenants", "pg_authid"] {
        let sql = format!(
            "SELECT yakin.ensure_month(oid::regclass, '2026-11-01') FROM pg_class WHERE relname = '{table}'"
        );
        let refused =
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&world.pool).await.unwrap_err().to_string();
        assert!(refused.contains("is no partitioned table of ours"), "{table}: {refused}");
    }
    assert!(!call(&world.pool, "drop_month", "2026-11-01").await.unwrap(), "there is none");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drop_gives_up_at_once_while_somebody_reads_and_never_stalls_a_reader() {
    let world = empty_world().await;
    call(&world.pool, "ensure_month", "2026-11-01").await.unwrap();
    // a report reads through the parent; a dump holds the partition alone
    for reads in [
        "SELECT count(*) FROM app.login_logs",
        "LOCK TABLE ONLY app.login_logs_202611 IN ACCESS SHARE MODE",
    ] {
        let mut reader = world.database.owner.begin().await.unwrap();
        sqlx::raw_sql(reads).execute(&mut *reader).await.unwrap();
        let drop = tokio::time::timeout(
            Duration::from_secs(5),
            call(&world.pool, "drop_month", "2026-11-01"),
        );
        assert!(!drop.await.expect("the drop waited").unwrap(), "{reads}");
        assert!(exists(&world).await);
        // and the next reader does not queue behind it
        let mut next = world.database.owner.begin().await.unwrap();
        let look = "SET LOCAL lock_timeout = '100ms'; SELECT count(*) FROM app.login_logs";
        sqlx::raw_sql(look).execute(&mut *next).await.unwrap();
        next.rollback().await.unwrap();
        reader.rollback().await.unwrap();
    }
    assert!(call(&world.pool, "drop_month", "2026-11-01").await.unwrap());
    assert!(!exists(&world).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_services_logs_have_their_coming_months_by_schedule_time() {
    let world = World::at("2027-12-31T23:59:00+09:00", Vec::new()).await;
    world.engine.ensure_log_partitions().await.unwrap();
    let parts = "SELECT string_agg(inhrelid::regclass::text, ', ' ORDER BY 1) FROM pg_inherits
                  WHERE inhparent = 'app.login_logs'::regclass";
    let months = "app.login_logs_202712, app.login_logs_202801, app.login_logs_202802";
    assert_eq!(world.one::<String>(parts).await, months);
    let without =
        "SELECT count(*) FROM pg_class c WHERE relkind = 'p' AND relnamespace = 'app'::regnamespace
                      AND (SELECT count(*) FROM pg_inherits WHERE inhparent = c.oid) <> 3";
    assert_eq!(world.one::<i64>(without).await, 0);
    world.engine.ensure_log_partitions().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_has_the_partitions_of_its_history_from_its_first_moment() {
    let world = empty_world().await;
    let months = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'yakin.job_history'::regclass";
    assert_eq!(world.one::<i64>(months).await, 3);
    // what is older than its keep goes
    world
        .sql("SELECT yakin.ensure_month('yakin.job_history',
                (date_trunc('month', clock_timestamp() AT TIME ZONE 'Asia/Tokyo') - interval '14 months')::date)")
        .await;
    assert_eq!(world.one::<i64>(months).await, 4);
    world.engine.ensure_partitions().await.unwrap();
    assert_eq!(world.one::<i64>(months).await, 3);
}
