//! A dry run is the same code with its effects rolled back: it writes nothing, draws no numbers, and says its plan.

use sqlx::AssertSqlSafe;
use yakin_engine::operate::runs::Wanted;
use yakin_engine::prelude::*;
use yakin_engine::registry::entry;
use yakin_engine::worker::pool::work_until_empty;
use yakin_testkit::World;

use crate::common::{begin, global, node, tenants};

struct Plans;
impl Batch for Plans {
    type Params = serde_json::Value;
    const SPEC: Spec = Spec { phases: &[Phase::Prepare, Phase::Finish], ..tenants("T-PLANS") };

    async fn prepare(run: &PlatformRun, _: &Self::Params) -> Outcome {
        let stage = "INSERT INTO staging.usage_figures SELECT tenant_id, $1, '2026-10-31', 'test', '{}' FROM app.tenants";
        run.stage(async |tx| Ok(sqlx::query(stage).bind(run.id()).execute(tx).await?)).await?;
        let touch = "UPDATE app.tenants SET name = name || '!'";
        run.write(async |tx| Ok(Done::rows(sqlx::query(touch).execute(tx).await?.rows_affected())))
            .await
    }

    async fn tenant(run: &TenantRun, _: &Self::Params) -> Outcome {
        // what prepare staged is there in a dry run as well
        let staged: i64 = run
            .read(async |tx| {
                let sql = "SELECT count(*) FROM staging.usage_figures WHERE run_id = $1";
                Ok(sqlx::query_scalar(sql).bind(run.id()).fetch_one(tx).await?)
            })
            .await?;
        for n in 0..2 {
            run.checkpoint(async |tx| {
                insert(tx, run.tenant(), &format!("chunk {n}")).await?;
                Ok((n.into(), ()))
            })
            .await?;
        }
        run.write(async |tx| {
            insert(tx, run.tenant(), "row").await?;
            sqlx::query("UPDATE app.positions SET name = 'new'").execute(&mut *tx).await?;
            let draw = "INSERT INTO app.invoice_counters VALUES ($1, '2026-10-01', 1)
                        ON CONFLICT (tenant_id, month) DO UPDATE SET last_serial = invoice_counters.last_serial + 1";
            sqlx::query(draw).bind(run.tenant()).execute(&mut *tx).await?;
            tx.follow_up("mail", run.tenant(), serde_json::json!({}));
            Ok(Done::rows(staged).amount(1000.into(), "JPY"))
        })
        .await
    }

    async fn finish(run: &PlatformRun, _: &Self::Params, _: &Ended) -> Outcome {
        let touch = "UPDATE app.tenants SET name = name || '?' WHERE tenant_id = (SELECT min(tenant_id) FROM app.tenants)";
        run.write(async |tx| Ok(Done::rows(sqlx::query(touch).execute(tx).await?.rows_affected())))
            .await
    }

    async fn follow_up(_: &TenantRun, _: &str, _: &serde_json::Value) -> Outcome {
        Ok(Done::default())
    }
}

struct Many;
impl Batch for Many {
    type Params = serde_json::Value;
    const SPEC: Spec = global("T-MANY");
    async fn global(run: &PlatformRun, _: &Self::Params) -> Outcome {
        let many = "INSERT INTO app.positions (tenant_id, name)
                    SELECT min(tenant_id), 'x' FROM app.tenants, generate_series(1, 100001) GROUP BY generate_series";
        run.write(async |tx| Ok(Done::rows(sqlx::query(many).execute(tx).await?.rows_affected())))
            .await
    }
}

struct Locked;
impl Batch for Locked {
    type Params = serde_json::Value;
    const SPEC: Spec = tenants("T-LOCKED");
    async fn tenant(run: &TenantRun, _: &Self::Params) -> Outcome {
        let touch = "UPDATE app.positions SET name = 'new'";
        run.write(async |tx| Ok(Done::rows(sqlx::query(touch).execute(tx).await?.rows_affected())))
            .await
    }
}

async fn insert(tx: &mut Tx, tenant: i64, name: &str) -> Result<(), Stop> {
    sqlx::query("INSERT INTO app.departments (tenant_id, name) VALUES ($1, $2)")
        .bind(tenant)
        .bind(name)
        .execute(tx)
        .await?;
    Ok(())
}

/// A digest of every row of every business table.
async fn business(world: &World) -> String {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'app'::regnamespace AND relkind IN ('r', 'p')
            AND NOT relispartition ORDER BY 1",
    )
    .fetch_all(&world.database.owner)
    .await
    .unwrap();
    let mut digest = String::new();
    for table in tables {
        let sql = format!(
            "SELECT coalesce(md5(string_agg(t::text, ',' ORDER BY t::text)), '-') FROM {table} t"
        );
        let rows: String =
            sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&world.database.owner).await.unwrap();
        digest.push_str(&format!("{table} {rows}\n"));
    }
    digest
}

async fn three_tenants() -> World {
    let world = World::new(vec![entry::<Plans>(), entry::<Many>(), entry::<Locked>()]).await;
    for code in ["a", "b", "c"] {
        let tenant = world.tenant(code).await;
        world
            .sql(&format!("INSERT INTO app.positions (tenant_id, name) VALUES ({tenant}, 'old')"))
            .await;
    }
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_writes_nothing_and_stores_its_plan_by_table() {
    let world = three_tenants().await;
    let before = business(&world).await;
    let seen = world.dry_run("T-PLANS", None, &[]).await;
    assert_eq!((seen.outcome(), seen.tenants_done), ("succeeded", 3));
    assert_eq!(business(&world).await, before);
    assert_eq!(world.one::<i64>("SELECT count(*) FROM app.invoice_counters").await, 0);
    let plan = seen.plan.unwrap();
    let rows = serde_json::json!({
        "app.departments": {"inserted": 9, "updated": 0, "deleted": 0},
        "app.invoice_counters": {"inserted": 3, "updated": 0, "deleted": 0},
        "app.positions": {"inserted": 0, "updated": 3, "deleted": 0},
        "app.tenants": {"inserted": 0, "updated": 4, "deleted": 0}, // prepare's three, finish's one
    });
    assert_eq!(plan["rows"], rows);
    assert_eq!(plan["acts"].as_array().unwrap().len(), 3);
    assert_eq!(plan["acts"][0]["follow_up"], "mail");
    assert_eq!(seen.amount_yen.unwrap(), 3000.into());
    let history = "SELECT count(*) FROM yakin.job_history WHERE kind = 'follow_up'";
    assert_eq!(world.one::<i64>(history).await, 0, "what would follow is planned only");
    assert_eq!(world.one::<i64>("SELECT count(*) FROM yakin.completions").await, 0);
    assert_eq!(
        world.one::<i64>("SELECT count(*) FROM staging.usage_figures").await,
        0,
        "staging is emptied"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plans_hash_names_the_plan() {
    let world = three_tenants().await;
    let first = world.dry_run("T-PLANS", None, &[]).await;
    assert_eq!(first.plan_hash.as_ref().unwrap().len(), 64);
    let wanted = Wanted { dry_run: true, ..Wanted::default() };
    let again = begin(&world, "T-PLANS", wanted).await;
    // a node that reads the ledger as it lies, without an index
    world
        .sql(
            "DO $$ BEGIN
                EXECUTE format('ALTER DATABASE %I SET enable_indexscan = off', current_database());
                EXECUTE format('ALTER DATABASE %I SET enable_bitmapscan = off', current_database());
             END $$",
        )
        .await;
    let reader = node(&world, vec![entry::<Plans>()]).await;
    while world.seen(again).await.outcome() == "open" {
        work_until_empty(&reader).await.unwrap();
        // the ledger's rows lie in another order: the first tenant's last
        world.sql("UPDATE yakin.run_tenants SET attempts = attempts WHERE tenant_id = (SELECT min(tenant_id) FROM app.tenants)").await;
        reader.plan_step().await.unwrap();
    }
    assert_eq!(world.seen(again).await.plan_hash, first.plan_hash);
    world.tenant("d").await;
    assert_ne!(world.dry_run("T-PLANS", None, &[]).await.plan_hash, first.plan_hash);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_run_does_what_the_dry_run_said() {
    let world = three_tenants().await;
    let dry = world.dry_run("T-PLANS", None, &[]).await;
    let real = world.run("T-PLANS", None, &[]).await;
    assert_eq!(real.outcome(), "succeeded");
    assert_eq!((real.plan, real.plan_hash), (None, None));
    let departments: i64 = world.one("SELECT count(*) FROM app.departments").await;
    assert_eq!(dry.plan.unwrap()["rows"]["app.departments"]["inserted"], departments);
    assert_eq!(world.one::<i64>("SELECT sum(last_serial) FROM app.invoice_counters").await, 3);
    let follow_ups =
        "SELECT count(*) FROM yakin.job_history WHERE kind = 'follow_up' AND outcome = 'done'";
    assert_eq!(world.one::<i64>(follow_ups).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_stops_at_its_cap_and_says_at_least() {
    let world = three_tenants().await;
    let seen = world.dry_run("T-MANY", None, &[]).await;
    assert_eq!(seen.outcome(), "failed");
    assert_eq!(seen.reason.unwrap(), "global: dry run stopped: at least 100000 rows");
    assert_eq!(world.one::<i64>("SELECT count(*) FROM app.positions").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_waits_two_seconds_for_a_lock_and_no_longer() {
    let world = three_tenants().await;
    let mut holder = world.database.owner.begin().await.unwrap();
    let hold = "SELECT FROM app.positions WHERE tenant_id = (SELECT min(tenant_id) FROM app.tenants) FOR UPDATE";
    sqlx::query(hold).execute(&mut *holder).await.unwrap();
    let seen = world.dry_run("T-LOCKED", None, &[]).await;
    holder.rollback().await.unwrap();
    assert_eq!((seen.outcome(), seen.tenants_done), ("partial", 2));
    assert!(seen.reason.unwrap().contains("canceling statement due to lock timeout"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_cleared_at_a_runs_end_is_swept_later() {
    let world = World::new(vec![entry::<Plans>()]).await;
    world.tenant("a").await;
    world.sql("REVOKE DELETE ON staging.usage_figures FROM yakin_platform").await;
    begin(&world, "T-PLANS", Wanted::default()).await;
    let mut ended = Vec::new();
    for _ in 0..6 {
        work_until_empty(&world.engine).await.unwrap();
        ended.extend(world.engine.plan_step().await.unwrap());
    }
    assert_eq!(ended.len(), 1, "the end is told");
    let staged = "SELECT count(*) FROM staging.usage_figures";
    assert_eq!(world.one::<i64>(staged).await, 1);
    world.sql("GRANT DELETE ON staging.usage_figures TO yakin_platform").await;
    // an open run's stays
    world.sql("INSERT INTO staging.usage_figures SELECT tenant_id, 4711, '2026-10-31', 'test', '{}' FROM app.tenants").await;
    let open = "INSERT INTO yakin.runs (id, batch_id, trigger, state, run_at, requested_by) OVERRIDING SYSTEM VALUE
                VALUES (4711, 'T-PLANS', 'operator', 'running', clock_timestamp(), 'tester')";
    world.sql(open).await;
    yakin_engine::tenant::sweep_staging(&world.pool).await.unwrap();
    assert_eq!(world.one::<i64>(staged).await, 1);
}
