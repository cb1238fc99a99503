//! Without the database: survivors go on by the last timetable, and the ledger learns of it when it is back.

use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;
use yakin_engine::prelude::*;
use yakin_engine::registry::entry;
use yakin_engine::sentinel::{Found, Sentinel, Survivor};
use yakin_testkit::{World, instant};

struct Pulse;

impl Batch for Pulse {
    type Params = serde_json::Value;
    const SPEC: Spec = Spec {
        id: "T-PULSE",
        slug: "pulse",
        title: "脈",
        schedule: cron("0 * * * *"),
        catch_up: CatchUp::Latest,
        period: Period::None,
        window: None,
        deadline: None,
        scope: Scope::Global,
        phases: &[],
        needs: &[],
        locks: &[],
        overlap: Overlap::Forbid,
        queue: Queue::Monitor,
        priority: Priority::High,
        timeout: secs(60),
        retry: fixed(1, secs(1)),
        retry_by_cause: &[],
        severity: Severity::High,
        expected: secs(60),
        params: &[],
        approval: Approval::None,
        survives_database: true,
    };
}

/// Finds the hour of 03:00 unwell.
struct PulseAlone;

impl Survivor for PulseAlone {
    fn batch(&self) -> &'static str {
        "T-PULSE"
    }

    fn check(&self, planned_at: Timestamp) -> BoxFuture<'_, Found> {
        let well = planned_at != instant("2026-11-01T03:00:00+09:00");
        Box::pin(async move { Found { well, message: "no answer from PostgreSQL".to_owned() } })
    }
}

fn folder(name: &str) -> std::path::PathBuf {
    let dir = std::env::temp_dir().join(format!("yakin-sentinel-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    dir
}

#[tokio::test]
async fn what_was_found_without_the_database_stands_in_the_ledger_afterwards() {
    let world = World::new(vec![entry::<Pulse>()]).await;
    world.engine.plan_step().await.unwrap();
    let dir = folder("ledger");
    let sentinel = Sentinel::new(&dir, vec![Arc::new(PulseAlone)]).unwrap();
    assert_eq!(sentinel.remember(&world.pool).await.unwrap(), 48);

    let (gone, back) = (world.clock.now(), instant("2026-11-01T04:30:00+09:00"));
    let stood_in = sentinel.stand_in(gone, back).await.unwrap();
    assert_eq!(stood_in.iter().map(|s| s.found.well).collect::<Vec<_>>(), [true, false, true]);
    // a second look, as after a restart of the node, does nothing again
    assert_eq!(sentinel.stand_in(gone, back).await.unwrap(), []);

    world.clock.set(back);
    assert_eq!(sentinel.replay(&world.pool, back).await.unwrap(), 3);
    assert_eq!(sentinel.replay(&world.pool, back).await.unwrap(), 0);
    world.settle().await;
    let outcomes: String = world
        .one("SELECT string_agg(outcome, ' ' ORDER BY planned_at) FROM yakin.firings WHERE state = 'ended'")
        .await;
    assert_eq!(outcomes, "succeeded failed succeeded");
    assert_eq!(
        world.one::<i64>("SELECT count(*) FROM yakin.runs WHERE requested_by = 'sentinel'").await,
        3
    );
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn a_firing_that_ended_otherwise_stays_as_it_is() {
    let world = World::new(vec![entry::<Pulse>()]).await;
    world.engine.plan_step().await.unwrap();
    let dir = folder("otherwise");
    let sentinel = Sentinel::new(&dir, vec![Arc::new(PulseAlone)]).unwrap();
    sentinel.remember(&world.pool).await.unwrap();
    let later = instant("2026-11-01T02:10:00+09:00");
    assert_eq!(sentinel.stand_in(world.clock.now(), later).await.unwrap().len(), 1);
    // another host still reached the database
    world.clock.set(later);
    world.settle().await;
    assert_eq!(sentinel.replay(&world.pool, later).await.unwrap(), 0);
    assert_eq!(world.one::<i64>("SELECT count(*) FROM yakin.runs").await, 1);
    std::fs::remove_dir_all(dir).unwrap();
}
