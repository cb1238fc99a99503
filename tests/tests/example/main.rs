//! The batch that CONTRIBUTING.md shows, kept compiling and tested as every batch is.

mod waiting_soon;

use waiting_soon::WaitingSoon;
use yakin_engine::registry::entry;
use yakin_testkit::World;

const STATUS: &str =
    "SELECT string_agg(name || ' ' || status, ', ' ORDER BY engineer_id) FROM app.engineers";

/// Two tenants, an engineer each whose assignment ends on the 31st of January, and one of aoba's without an end.
async fn world() -> World {
    let world = World::new(vec![entry::<WaitingSoon>()]).await;
    for code in ["aoba", "sakura"] {
        let tenant = world.tenant(code).await;
        world
            .sql(&format!(
                "INSERT INTO app.projects (tenant_id, project_id, name, starts_on) VALUES ({tenant}, 1, '案件', '2026-04-01');
                 INSERT INTO app.engineers (tenant_id, engineer_id, name, joined_on)
                 VALUES ({tenant}, {tenant} * 10 + 1, '{code} ends', '2020-04-01'),
                        ({tenant}, {tenant} * 10 + 2, '{code} stays', '2020-04-01');
                 INSERT INTO app.assignments (tenant_id, engineer_id, project_id, starts_on, planned_end_on)
                 VALUES ({tenant}, {tenant} * 10 + 1, 1, '2026-04-01', '2027-01-31'),
                        ({tenant}, {tenant} * 10 + 2, 1, '2026-04-01', NULL)"
            ))
            .await;
    }
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn engineers_whose_assignment_ends_soon_are_marked_once() {
    let world = world().await;
    let too_early = world.run("waiting-soon", Some("2026-11-01"), &[("days", "30")]).await;
    assert_eq!((too_early.outcome(), too_early.count("marked")), ("succeeded", 0));
    let first = world.run("EXAMPLE-001", Some("2026-11-01"), &[("days", "91")]).await;
    assert_eq!((first.outcome(), first.tenants_done, first.count("marked")), ("succeeded", 2, 2));
    let marked = "aoba ends waiting_soon, aoba stays working, sakura ends waiting_soon, sakura stays working";
    assert_eq!(world.one::<String>(STATUS).await, marked);
    let second = world.run("EXAMPLE-001", Some("2026-11-01"), &[("days", "91")]).await;
    assert_eq!((second.outcome(), second.count("marked")), ("succeeded", 0));
    assert_eq!(world.one::<String>(STATUS).await, marked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_the_rows_and_writes_none() {
    let world = world().await;
    let dry = world.dry_run("EXAMPLE-001", Some("2026-11-01"), &[("days", "91")]).await;
    assert_eq!(dry.plan.expect("a plan")["rows"]["app.engineers"]["updated"], 2);
    let marked: i64 =
        world.one("SELECT count(*) FROM app.engineers WHERE status <> 'working'").await;
    assert_eq!(marked, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_of_days_is_ninety() {
    let world = world().await;
    // 2026-11-01 + 90 days is the 30th of January
    let run = world.run("EXAMPLE-001", Some("2026-11-01"), &[]).await;
    assert_eq!(run.count("marked"), 0);
    let run = world.run("EXAMPLE-001", Some("2026-11-01"), &[("days", "91")]).await;
    assert_eq!(run.count("marked"), 2);
}
