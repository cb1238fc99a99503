//! A tenant's data is that tenant's: walls around every table, an error without a tenant, and work that cannot climb.

use sqlx::AssertSqlSafe;
use yakin_engine::prelude::*;
use yakin_engine::tx::Role;
use yakin_testkit::World;

use crate::lanes::empty_world;

/// Tables with a tenant that are not behind the wall as they must be.
const UNWALLED: &str = "
    SELECT coalesce(string_agg(format('%s (%s)', c.oid::regclass, CASE
               WHEN NOT c.relrowsecurity OR NOT c.relforcerowsecurity THEN 'not forced'
               WHEN NOT EXISTS (SELECT FROM pg_policies p WHERE (p.schemaname, p.tablename) = (n.nspname, c.relname)
                                   AND p.permissive = 'PERMISSIVE' AND p.cmd = 'ALL' AND p.roles = '{yakin_tenant}'
                                   AND p.qual = '(tenant_id = yakin.current_tenant())' AND p.with_check IS NULL)
               THEN 'no policy for its tenant'
               WHEN NOT EXISTS (SELECT FROM pg_policies p WHERE (p.schemaname, p.tablename) = (n.nspname, c.relname)
                                   AND p.roles = '{yakin_platform}')
               THEN 'no policy for the platform'
               WHEN EXISTS (SELECT FROM pg_policies p WHERE (p.schemaname, p.tablename) = (n.nspname, c.relname)
                               AND NOT p.roles <@ '{yakin_tenant,yakin_platform,yakin_engine}'
                               AND NOT ((p.policyname, p.cmd, p.tablename) IN (('holds', 'SELECT', 'jobs'), ('announces', 'INSERT', 'arrivals'))
                                        AND p.roles = ARRAY[pg_get_userbyid(c.relowner)]))
               THEN 'a policy for somebody else' END), ', ' ORDER BY c.relname), 'none')
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
     WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND c.relkind IN ('r', 'p')
       AND (NOT c.relrowsecurity OR NOT c.relforcerowsecurity
            OR NOT c.relispartition AND (
               (SELECT count(*) FROM pg_policies p WHERE (p.schemaname, p.tablename) = (n.nspname, c.relname)
                   AND (p.roles = '{yakin_tenant}' AND p.qual = '(tenant_id = yakin.current_tenant())'
                        AND p.permissive = 'PERMISSIVE' AND p.cmd = 'ALL' AND p.with_check IS NULL
                        OR p.roles = '{yakin_platform}')) <> 2
               OR EXISTS (SELECT FROM pg_policies p WHERE (p.schemaname, p.tablename) = (n.nspname, c.relname)
                             AND NOT p.roles <@ '{yakin_tenant,yakin_platform,yakin_engine}'
                             -- the owner, for yakin.attempt_holds and yakin.announce_deliveries
                             AND NOT ((p.policyname, p.cmd, p.tablename) IN (('holds', 'SELECT', 'jobs'), ('announces', 'INSERT', 'arrivals'))
                                      AND p.roles = ARRAY[pg_get_userbyid(c.relowner)]))))";

/// Tables with a tenant that a role may read.
async fn readable(world: &World, role: &str) -> Vec<String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
          WHERE c.relnamespace::regnamespace::text IN ('app', 'yakin', 'staging') AND c.relkind IN ('r', 'p')
            AND NOT c.relispartition AND a.attname = 'tenant_id' AND NOT a.attisdropped
            AND has_table_privilege($1, c.oid, 'SELECT') ORDER BY 1",
    )
    .bind(role)
    .fetch_all(&world.database.owner)
    .await
    .unwrap();
    tables
}

/// Runs one statement as a role through a transaction of its own.
async fn run(world: &World, role: Role, sql: &str) -> Result<u64, sqlx::Error> {
    let mut tx = Tx::begin(&world.pool, role, "", false).await?;
    let done = sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut tx).await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}

/// The tenants whose rows a role sees in a table, without a WHERE.
async fn seen(world: &World, role: Role, table: &str) -> Vec<i64> {
    let mut tx = Tx::begin(&world.pool, role, "", true).await.unwrap();
    let sql = format!("SELECT DISTINCT tenant_id FROM {table} ORDER BY 1");
    let seen = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut tx).await;
    seen.unwrap_or_else(|e| panic!("{table}: {e}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_with_a_tenant_stands_behind_the_wall() {
    let world = empty_world().await;
    assert_eq!(world.one::<String>(UNWALLED).await, "none");
    // and this test notices those that do not
    world
        .sql(
            "CREATE TABLE app.naked (tenant_id bigint);
             CREATE TABLE app.unforced (tenant_id bigint);
             CALL yakin.wall('app.unforced', 'SELECT', 'SELECT');
             ALTER TABLE app.unforced NO FORCE ROW LEVEL SECURITY;
             CREATE TABLE app.open (tenant_id bigint);
             ALTER TABLE app.open ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
             CREATE POLICY tenant ON app.open TO yakin_tenant USING (true);
             CREATE POLICY platform ON app.open TO yakin_platform USING (true);
             CREATE TABLE app.lonely (tenant_id bigint);
             CALL yakin.wall('app.lonely', 'SELECT', NULL);
             DROP POLICY platform ON app.lonely;
             CREATE TABLE app.public (tenant_id bigint);
             CALL yakin.wall('app.public', NULL, NULL);
             CREATE POLICY everybody ON app.public USING (true);",
        )
        .await;
    assert_eq!(
        world.one::<String>(UNWALLED).await,
        "app.lonely (no policy for the platform), app.naked (not forced), app.open (no policy for its tenant), \
         app.public (a policy for somebody else), app.unforced (not forced)"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_sees_its_own_rows_alone_in_every_table_and_the_platform_sees_all() {
    let world = empty_world().await;
    world.sql(include_str!("fill_tables.sql")).await;
    let tables = readable(&world, "yakin_tenant").await;
    assert!(tables.len() > 20, "{tables:?}");
    for table in &tables {
        for tenant in [1, 2] {
            assert_eq!(seen(&world, Role::Tenant(tenant), table).await, [tenant], "{table}");
        }
        assert_eq!(seen(&world, Role::Tenant(3), table).await, [0; 0], "{table}");
    }
    for table in readable(&world, "yakin_platform").await {
        assert_eq!(seen(&world, Role::Platform, &table).await, [1, 2], "{table}");
    }
    for table in readable(&world, "yakin_engine").await {
        assert!(table.starts_with("yakin."), "the engine itself reads {table}");
        assert_eq!(seen(&world, Role::Engine, &table).await, [1, 2], "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_tenant_every_table_is_an_error_even_an_empty_one() {
    let world = empty_world().await;
    world.months(&["2026-11-01"]).await;
    let empty = readable(&world, "yakin_tenant").await;
    without_tenant(&world, &empty).await;
    world.sql(include_str!("fill_tables.sql")).await;
    without_tenant(&world, &empty).await;
}

/// In a session that never had a tenant, and in one that had one in an earlier transaction.
async fn without_tenant(world: &World, tables: &[String]) {
    let mut connection = world.pool.acquire().await.unwrap();
    for before in ["SELECT 1", "BEGIN; SET LOCAL yakin.tenant = '1'; COMMIT"] {
        sqlx::raw_sql(before).execute(&mut *connection).await.unwrap();
        sqlx::raw_sql("SET ROLE yakin_tenant").execute(&mut *connection).await.unwrap();
        for table in tables {
            let sql = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
            let counted = sqlx::query(sql).fetch_one(&mut *connection).await;
            let error = counted.expect_err(table).to_string();
            let expected = error.contains("unrecognized configuration parameter \"yakin.tenant\"")
                || error.contains("invalid input syntax for type bigint: \"\"");
            assert!(expected, "{table}: {error}");
        }
    }
    connection.close_on_drop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_cannot_write_another_tenants_rows() {
    let world = empty_world().await;
    let (one, other) = (world.tenant("one").await, world.tenant("other").await);
    world
        .sql(&format!("INSERT INTO app.departments (tenant_id, name) VALUES ({other}, 'theirs')"))
        .await;
    let insert = format!("INSERT INTO app.departments (tenant_id, name) VALUES ({other}, 'mine')");
    let error = run(&world, Role::Tenant(one), &insert).await.unwrap_err().to_string();
    assert!(error.contains("row-level security policy"), "{error}");
    let update = "UPDATE app.departments SET name = 'taken'";
    assert_eq!(run(&world, Role::Tenant(one), update).await.unwrap(), 0);
    assert_eq!(run(&world, Role::Tenant(other), update).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_global_statement_as_a_tenant_is_an_error() {
    let world = empty_world().await;
    let one = world.tenant("one").await;
    for sql in [
        "INSERT INTO app.plans (plan_code, valid_from, name) VALUES ('x', '2026-01-01', 'x')",
        "UPDATE app.tenants SET status = 'closed'",
        "DELETE FROM app.departments",
        "SELECT id FROM yakin.jobs",
        "SELECT id FROM yakin.audit",
        "SELECT yakin.settle('[]', '2026-11-01')",
        "SELECT yakin.drop_month('app.login_logs', '2026-11-01')",
        "SELECT rolpassword FROM pg_authid",
    ] {
        let error = run(&world, Role::Tenant(one), sql).await.unwrap_err().to_string();
        assert!(error.contains("permission denied"), "{sql}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_itself_cannot_read_business_tables() {
    let world = empty_world().await;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p')
            AND relnamespace::regnamespace::text IN ('app', 'staging') ORDER BY 1",
    )
    .fetch_all(&world.database.owner)
    .await
    .unwrap();
    for table in tables {
        let sql = format!("SELECT FROM {table}");
        let error = run(&world, Role::Engine, &sql).await.unwrap_err().to_string();
        assert!(error.contains("permission denied"), "{table}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn work_cannot_change_its_role_its_tenant_or_its_transaction() {
    let world = empty_world().await;
    let (one, other) = (world.tenant("one").await, world.tenant("other").await);
    for sql in [
        "COMMIT",
        "ROLLBACK",
        "/* */ COMMIT",
        "SAVEPOINT a",
        "SET ROLE yakin_platform",
        "SET LOCAL ROLE yakin_platform",
        "RESET ROLE",
        "SET SESSION AUTHORIZATION DEFAULT",
        "SELECT set_config('role', 'yakin_platform', true)",
        "SELECT pg_catalog.\"set_config\"('yakin.tenant', '2', true)",
        "SELECT U&\"set\\005fconfig\"('role', 'yakin_platform', true)",
        "UPDATE pg_settings SET setting = 'yakin_platform' WHERE name = 'role'",
        "WITH x AS (UPDATE pg_catalog.pg_settings SET setting = '2' WHERE name = 'yakin.tenant' RETURNING 1) SELECT 1 FROM x",
        "SELECT query_to_xml('SET ROLE yakin_platform', true, true, '')",
        "SELECT 1; COMMIT",
        "DO $$ BEGIN COMMIT; END $$",
        "PREPARE x AS SELECT 1",
        "COPY app.tenants TO STDOUT",
        "ALTER TABLE app.tenants DISABLE ROW LEVEL SECURITY",
        "NOTIFY yakin_jobs",
    ] {
        let mut tx = Tx::begin(&world.pool, Role::Tenant(one), "", false).await.unwrap();
        let by_query = sqlx::query(sql).execute(&mut tx).await;
        assert!(by_query.is_err(), "{sql}");
        let mut tx = Tx::begin(&world.pool, Role::Tenant(one), "", false).await.unwrap();
        assert!(sqlx::raw_sql(sql).execute(&mut tx).await.is_err(), "raw {sql}");
        let mut tx = Tx::begin(&world.pool, Role::Tenant(one), "", false).await.unwrap();
        assert!(sqlx::query(sql).fetch_all(&mut tx).await.is_err(), "fetched {sql}");
    }
    let mut tx = Tx::begin(&world.pool, Role::Tenant(one), "", false).await.unwrap();
    let visible: Vec<i64> =
        sqlx::query_scalar("SELECT tenant_id FROM app.tenants").fetch_all(&mut tx).await.unwrap();
    assert_eq!(visible, [one]);
    assert_ne!(one, other);
}
