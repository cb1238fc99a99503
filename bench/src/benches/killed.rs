//! kill -9 of a node in the middle of its jobs: until another node has begun all of them again.

use std::time::{Duration, Instant};

use yakin_engine::clock::Clock;

use crate::measure::{median, percentile};
use crate::queue::{YakinQueue, gone};
use crate::report::{Report, Row};
use crate::world::World;

/// Jobs under way when the node dies; no other has anything to do.
const JOBS: usize = 100;

/// Measures.
pub async fn run(world: &World) -> anyhow::Result<Report> {
    let rounds = world.size(5, 1);
    let mut all = Vec::new();
    for _ in 0..rounds {
        all.push(once(world).await?);
    }
    let longest = percentile(&all, 100.0);
    let mut report = Report::default();
    report.add(Row::new("until all run again, median", median(&all), "s"));
    report
        .add(Row::new("until all run again, longest", longest, "s").aim("≤ 30 s", longest <= 30.0));
    report.note(format!(
        "{JOBS} jobs, {rounds} rounds. A lease is 30 s, renewed every 10 s, so 20 to 30 s of it are left; the watch \
         looks when the next one runs out. Settings of peers as shipped: graphile_worker never (recovery off), BullMQ 60 s"
    ));
    Ok(report)
}

async fn once(world: &World) -> anyhow::Result<f64> {
    let queue = YakinQueue::open(world.server.migrated("bench_killed").await?).await?;
    let mut first = queue.node(&world.tools, JOBS).await?;
    first.go(0).await?;
    queue.empty().await?;
    let now = Clock::real().now();
    let jobs: Vec<_> = (0..JOBS).map(|n| queue.job(n as i64 % 10 + 1, 0, 300_000, now)).collect();
    queue.put(&jobs).await?;
    let running = |token: i32| {
        format!(
            "SELECT count(*) = {JOBS} FROM yakin.jobs WHERE state = 'running' AND token >= {token}"
        )
    };
    gone(&queue.database, &running(1)).await?;
    let mut second = queue.node(&world.tools, JOBS).await?;
    second.go(JOBS).await?;
    // somewhere between two heartbeats, each time elsewhere
    tokio::time::sleep(Duration::from_millis(3000 + now.as_millisecond().unsigned_abs() % 10_000))
        .await;
    first.kill().await?;
    let killed = Instant::now();
    second.wait_for("done").await?;
    let took = killed.elapsed().as_secs_f64();
    second.kill().await?;
    queue.pool.close().await;
    world.server.drop(queue.database).await?;
    Ok(took)
}
