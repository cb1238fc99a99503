//! 10,000 jobs due at one second: from that second until none is left.

use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::{Timestamp, ToSpan};
use serde_json::Value;
use yakin_engine::clock::Clock;

use super::redis::Redis;
use crate::child::{Worker, told};
use crate::measure::median;
use crate::queue::{YakinQueue, gone};
use crate::report::{Report, Row};
use crate::world::World;

/// So long before they are due, all are in.
const AHEAD_SECONDS: i64 = 10;

/// Measures.
pub async fn run(world: &World) -> anyhow::Result<Report> {
    let (jobs, rounds) = (world.size(10_000, 500), world.size(3, 1));
    let (mut own, mut usual, mut local, mut bull) =
        <(Vec<f64>, Vec<f64>, Vec<f64>, Vec<f64>)>::default();
    for _ in 0..rounds {
        own.push(yakin(world, jobs, 500).await?);
        usual.push(yakin(world, jobs, 16).await?);
        local.extend(graphile(world, jobs).await?);
        bull.extend(bullmq(world, jobs).await?);
    }
    let peer =
        |what: &str, all: &[f64]| (!all.is_empty()).then(|| Row::new(what, median(all), "s"));
    let best = peer("graphile_worker, local queue 5000", &local);
    let seconds = median(&own);
    let mut report = Report::default();
    report.add(
        Row::new("Yakin, 500 permits", seconds, "s")
            .beside(best.as_ref())
            .aim("≤ 0.5 s", seconds <= 0.5),
    );
    report.add(Row::new("Yakin, 16 permits as usual", median(&usual), "s").beside(best.as_ref()));
    report.rows.extend(best);
    report.rows.extend(peer("BullMQ, Redis everysec", &bull));
    report.note(format!("{jobs} jobs of 100 tenants, {rounds} rounds, medians"));
    Ok(report)
}

/// A whole second that is some seconds away, and the same on the monotonic clock.
fn due() -> (Timestamp, Instant) {
    let now = Clock::real().now();
    let second = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let due = second.saturating_add(AHEAD_SECONDS.seconds()).unwrap_or(now);
    let wait = Duration::try_from(due.duration_since(now)).unwrap_or_default();
    (due, Instant::now() + wait)
}

async fn until(instant: Instant) -> anyhow::Result<()> {
    let early = instant > Instant::now();
    anyhow::ensure!(early, "filling the queue took longer than {AHEAD_SECONDS} s");
    tokio::time::sleep_until(instant.into()).await;
    Ok(())
}

async fn yakin(world: &World, jobs: usize, permits: usize) -> anyhow::Result<f64> {
    let queue = YakinQueue::open(world.server.migrated("bench_due").await?).await?;
    let mut node = queue.node(&world.tools, permits).await?;
    node.go(jobs).await?;
    queue.empty().await?;
    let (at, instant) = due();
    queue.fill_at(jobs, 100, 1, at).await?;
    until(instant).await?;
    node.wait_for("done").await?;
    queue.empty().await?;
    let took = instant.elapsed().as_secs_f64();
    node.end().await?;
    queue.pool.close().await;
    world.server.drop(queue.database).await?;
    Ok(took)
}

async fn graphile(world: &World, jobs: usize) -> anyhow::Result<Option<f64>> {
    let (Some(mut put), Some(mut work)) = (world.tools.peers(), world.tools.peers()) else {
        return Ok(None);
    };
    let database = world.server.empty("bench_peer").await?;
    let (url, count) = (database.url("postgres"), jobs.to_string());
    put.args(["enqueue", &url, &count]);
    told::<Value>(put).await?;
    let (at, instant) = due();
    // (its own way to put in jobs that are due later takes longer than that)
    sqlx::query("UPDATE graphile_worker._private_jobs SET run_at = $1")
        .bind(jiff_sqlx::Timestamp::from(at))
        .execute(&database.owner)
        .await?;
    work.args(["work", &url, "local"]);
    let mut worker = Worker::start(work).await?;
    worker.go(jobs).await?;
    until(instant).await?;
    gone(&database, "SELECT NOT EXISTS (SELECT FROM graphile_worker._private_jobs)").await?;
    let took = instant.elapsed().as_secs_f64();
    worker.end().await?;
    world.server.drop(database).await?;
    Ok(Some(took))
}

async fn bullmq(world: &World, jobs: usize) -> anyhow::Result<Option<f64>> {
    let Some(redis) = Redis::start(&world.tools).await? else { return Ok(None) };
    let work = redis.bullmq(&world.tools, "work", &[]).context("node")?;
    let mut worker = Worker::start(work).await?;
    worker.go(jobs).await?;
    let (at, instant) = due();
    let words = [jobs.to_string(), at.as_millisecond().to_string()];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    told::<Value>(redis.bullmq(&world.tools, "delay", &words).context("node")?).await?;
    until(instant).await?;
    worker.wait_for("done").await?;
    let took = instant.elapsed().as_secs_f64();
    worker.end().await?;
    redis.stop().await?;
    Ok(Some(took))
}
