//! The smallest night: one batch, two tenants, one run each.

use yakin_engine::prelude::*;
use yakin_engine::registry::entry;
use yakin_testkit::World;

use crate::common::tenants;

struct Tiny;

impl Batch for Tiny {
    type Params = serde_json::Value;
    const SPEC: Spec = Spec {
        slug: "tiny",
        schedule: cron("0 2 * * *"),
        retry: exponential(3, secs(5), secs(60)),
        ..tenants("TEST-1")
    };

    async fn tenant(run: &TenantRun, _: &Self::Params) -> Outcome {
        let tenant = run.tenant();
        let name: String = run
            .read(async |tx| {
                Ok(sqlx::query_scalar("SELECT name FROM app.tenants").fetch_one(&mut *tx).await?)
            })
            .await?;
        run.info("hello", serde_json::json!({"name": name}));
        run.write(async |tx| {
            let n = sqlx::query("INSERT INTO app.departments (tenant_id, name) VALUES ($1, $2)")
                .bind(tenant)
                .bind(&name)
                .execute(&mut *tx)
                .await?
                .rows_affected();
            Ok(Done::rows(n as i64).count("departments", 1))
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_firing_becomes_a_run_and_each_tenant_is_done_once() {
    let world = World::new(vec![entry::<Tiny>()]).await;
    world.tenant("aoba").await;
    world.tenant("sakura").await;
    world.settle().await;
    assert_eq!(world.one::<i64>("SELECT count(*) FROM yakin.firings").await, 2);
    world.set_clock("2026-11-01T02:00:00+09:00");
    world.settle().await;
    let seen = world.seen(1).await;
    assert_eq!(
        (seen.outcome(), seen.tenants_done, seen.count("departments"), seen.rows_written),
        ("succeeded", 2, 2, 2)
    );
    assert_eq!(world.one::<i64>("SELECT count(*) FROM app.departments").await, 2);
    let outcome: String = world.one("SELECT outcome FROM yakin.firings WHERE run_id = 1").await;
    assert_eq!(outcome, "succeeded");
    assert_eq!(world.one::<i64>("SELECT count(*) FROM yakin.run_logs").await, 3);
    let dry = world.dry_run("tiny", Some("2026-10-30"), &[]).await;
    assert_eq!(dry.outcome(), "succeeded");
    assert_eq!(dry.plan.unwrap()["rows"]["app.departments"]["inserted"], 2);
    assert_eq!(world.one::<i64>("SELECT count(*) FROM app.departments").await, 2);
}
