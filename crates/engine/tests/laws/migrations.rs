//! Migrations: twice, two at once, newer, missing — each with one clear sentence.

use std::str::FromStr;

use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnectOptions, PgPool};
use yakin_engine::database::{connect, migrate};
use yakin_testkit::{OWNER, TestDatabase};

/// A database of its own without any schema, and its owner's login.
struct Fresh {
    beside: TestDatabase,
    name: String,
}

impl Fresh {
    async fn new() -> Fresh {
        let beside = TestDatabase::new().await;
        let name: String = sqlx::query_scalar("SELECT current_database() || '_fresh'")
            .fetch_one(&beside.owner)
            .await
            .unwrap();
        let fresh = Fresh { beside, name };
        fresh.beside_sql(&format!("CREATE DATABASE {} OWNER {OWNER}", fresh.name)).await;
        fresh
    }

    async fn beside_sql(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&self.beside.owner).await.unwrap();
    }

    fn url(&self, login: &str) -> String {
        let options = PgConnectOptions::from_str(&self.beside.url(login)).unwrap();
        sqlx::ConnectOptions::to_url_lossy(&options.database(&self.name)).to_string()
    }

    async fn migrate(&self) -> Result<(i64, i64), String> {
        migrate(&self.url(OWNER)).await.map_err(|e| e.to_string())
    }

    /// Why a node cannot connect.
    async fn refused(&self, login: &str) -> String {
        connect(&self.url(login), 1).await.expect_err("connected").to_string()
    }

    async fn sql(&self, sql: &str) {
        let pool = PgPool::connect(&self.url(OWNER)).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&pool).await.unwrap();
        pool.close().await;
    }

    async fn drop(self) {
        self.beside_sql(&format!("DROP DATABASE {} WITH (FORCE)", self.name)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn migrating_twice_changes_nothing_the_second_time() {
    let fresh = Fresh::new().await;
    let (before, steps) = fresh.migrate().await.unwrap();
    assert!(before == 0 && steps > 0);
    fresh.sql("UPDATE yakin.control SET stopped = true").await;
    assert_eq!(fresh.migrate().await, Ok((steps, steps)));
    let pool = connect(&fresh.url("yakin_engine"), 1).await.unwrap();
    let stopped: bool =
        sqlx::query_scalar("SELECT stopped FROM yakin.control").fetch_one(&pool).await.unwrap();
    assert!(stopped);
    pool.close().await;
    fresh.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_migrations_at_once_wait_for_each_other() {
    let fresh = Fresh::new().await;
    let (one, other, third) = tokio::join!(fresh.migrate(), fresh.migrate(), fresh.migrate());
    let mut began: Vec<_> = [one, other, third].map(|m| m.unwrap()).to_vec();
    began.sort_unstable();
    let steps = began[2].1;
    assert_eq!(began, [(0, steps), (steps, steps), (steps, steps)]);
    fresh.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_newer_yakin_is_refused() {
    let fresh = Fresh::new().await;
    let (_, steps) = fresh.migrate().await.unwrap();
    fresh
        .sql(
            "INSERT INTO yakin._sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (9999, 'of tomorrow', true, '\\x00', 0)",
        )
        .await;
    let newer = format!(
        "the database was migrated by a newer Yakin (step 9999, this one knows {steps}); use that version"
    );
    assert_eq!(fresh.migrate().await.unwrap_err(), newer);
    // an older binary may still work beside a newer one, until the schema says that it may not
    connect(&fresh.url("yakin_engine"), 1).await.unwrap().close().await;
    fresh.sql("UPDATE yakin.compatibility SET oldest_binary = 9999").await;
    assert_eq!(fresh.refused("yakin_engine").await, newer);
    fresh.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_was_changed_after_it_was_applied_is_named() {
    let fresh = Fresh::new().await;
    fresh.migrate().await.unwrap();
    fresh.sql("UPDATE yakin._sqlx_migrations SET checksum = '\\x00' WHERE version = 2").await;
    let error = fresh.migrate().await.unwrap_err();
    assert!(error.contains("step 2 differs from what was applied here"), "{error}");
    fresh.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_migrated_says_what_to_run() {
    let fresh = Fresh::new().await;
    let error = fresh.refused("yakin_engine").await;
    assert!(error.starts_with("the database is not migrated (0 of "), "{error}");
    assert!(error.ends_with("steps); run `yakin migrate`"), "{error}");
    fresh.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_may_not_act_as_the_engine_says_what_its_owner_must_run() {
    let fresh = Fresh::new().await;
    fresh.migrate().await.unwrap();
    let login = format!("law_login_{}", std::process::id());
    fresh.beside_sql(&format!("CREATE ROLE {login} LOGIN")).await;
    let without_connect = fresh.refused(&login).await;
    fresh.sql(&format!("GRANT CONNECT ON DATABASE {} TO {login}", fresh.name)).await;
    let without_role = fresh.refused(&login).await;
    fresh.beside_sql(&format!("GRANT yakin_engine TO {login}; ALTER ROLE {login} NOINHERIT")).await;
    let with_role = connect(&fresh.url(&login), 1).await.map(|_| ()).map_err(|e| e.to_string());
    fresh.sql(&format!("REVOKE ALL ON DATABASE {} FROM {login}", fresh.name)).await;
    fresh.beside_sql(&format!("DROP ROLE {login}")).await;
    let expected = format!(
        "login '{login}' may not act as yakin_engine; as its owner run: GRANT yakin_engine TO \"{login}\""
    );
    assert_eq!(without_role, expected);
    assert_eq!(without_connect, expected);
    assert_eq!(with_role, Ok(()));
    fresh.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_and_a_url_that_is_none_are_named() {
    let gone = connect("postgres://yakin@localhost:1/nowhere", 1).await.unwrap_err().to_string();
    assert!(gone.starts_with("cannot reach PostgreSQL at localhost:1: "), "{gone}");
    let wrong = connect("mysql://x", 1).await.unwrap_err().to_string();
    assert!(wrong.contains("expected postgres://user@host/database"), "{wrong}");
}
