//! Slower than history: over 1.5 times the mean of the last 5 to 20 successful runs of the same kind of day.

use yakin_engine::operate::runs::Wanted;
use yakin_engine::registry::entry;
use yakin_testkit::World;

use crate::common::{begin, global, idle};

idle!(Measured, global("T-MEASURED"));

/// Runs of the past: so many, each of so many seconds. (The tests' world begins on a Sunday.)
async fn history(world: &World, runs: i64, seconds: i64, weekend: bool) {
    world
        .sql(&format!(
            "WITH run AS (
                INSERT INTO yakin.runs (batch_id, trigger, requested_by, state, run_at, ended_at, outcome)
                SELECT 'T-MEASURED', 'operator', 'test', 'ended', '2026-10-25'::timestamptz + make_interval(hours => n),
                       '2026-10-25'::timestamptz + make_interval(hours => n), 'succeeded'
                  FROM generate_series(1, {runs}) AS n
                RETURNING id, ended_at)
             INSERT INTO yakin.run_performance (run_id, batch_id, duration_ms, cpu_ms, memory_bytes, records_processed,
                                                weekend, ended_at)
             SELECT id, 'T-MEASURED', {seconds} * 1000, 1, 1, 1, {weekend}, ended_at FROM run"
        ))
        .await;
}

/// Lives through a run that took so many seconds; whether it was recorded as slow, and against which mean.
async fn measured(world: &World, seconds: i64) -> (bool, Option<i64>) {
    let run = begin(world, "T-MEASURED", Wanted::default()).await;
    let since = format!(
        "UPDATE yakin.runs SET real_started = clock_timestamp() - interval '{seconds} seconds' WHERE id = {run}"
    );
    world.sql(&since).await;
    world.settle().await;
    sqlx::query_as("SELECT slow, mean_ms / 1000 FROM yakin.run_performance WHERE run_id = $1")
        .bind(run)
        .fetch_one(&world.database.owner)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_six_runs_one_that_takes_over_half_as_long_again_is_slow() {
    let world = World::new(vec![entry::<Measured>()]).await;
    history(&world, 6, 20, true).await;
    assert_eq!(measured(&world, 31).await, (true, Some(20)));
    let world = World::new(vec![entry::<Measured>()]).await;
    history(&world, 6, 20, true).await;
    assert_eq!(measured(&world, 29).await, (false, Some(20)));
}

#[tokio::test(flavor = "multi_thread")]
async fn too_little_history_short_runs_and_other_kinds_of_days_do_not_make_a_run_slow() {
    for (runs, usual, weekend, seconds) in [(4, 20, true, 60), (6, 4, true, 9), (6, 20, false, 60)]
    {
        let world = World::new(vec![entry::<Measured>()]).await;
        history(&world, runs, usual, weekend).await;
        assert!(
            !measured(&world, seconds).await.0,
            "{runs} of {usual} s on weekend {weekend}: {seconds} s"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_last_twenty_successful_runs_count() {
    let world = World::new(vec![entry::<Measured>()]).await;
    history(&world, 10, 1000, true).await;
    history(&world, 5, 900, true).await;
    world.sql("UPDATE yakin.runs SET outcome = 'failed' WHERE id > 10").await;
    world.sql("UPDATE yakin.run_performance SET ended_at = ended_at - interval '30 days' WHERE run_id <= 10").await;
    history(&world, 20, 20, true).await;
    assert_eq!(measured(&world, 31).await, (true, Some(20)));
}

#[tokio::test(flavor = "multi_thread")]
async fn three_slow_runs_in_a_row_are_an_alert_and_one_that_is_not_slow_ends_it() {
    let world = World::new(vec![entry::<Measured>()]).await;
    history(&world, 20, 20, true).await;
    let alerts = "SELECT count(*) FROM yakin.alerts WHERE rule = 'slow' AND severity = 'high' AND resolved_at IS NULL";
    for (seconds, open) in [(40, 0), (40, 0), (60, 1), (20, 0)] {
        measured(&world, seconds).await;
        world.engine.watch_step().await.unwrap();
        assert_eq!(world.one::<i64>(alerts).await, open, "after a run of {seconds} s");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_is_not_measured() {
    let world = World::new(vec![entry::<Measured>()]).await;
    world.dry_run("T-MEASURED", None, &[]).await;
    assert_eq!(world.one::<i64>("SELECT count(*) FROM yakin.run_performance").await, 0);
}
