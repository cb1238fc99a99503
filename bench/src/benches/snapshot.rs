//! The rate of claims while a dump's transaction stays open: the server may remove no dead row.

use std::time::Instant;

use sqlx::Executor;

use crate::queue::YakinQueue;
use crate::report::{Report, Row};
use crate::world::World;

const ROUNDS: usize = 4;

/// Measures.
pub async fn run(world: &World) -> anyhow::Result<Report> {
    let jobs = world.size(60_000, 2_000);
    let free = rates(world, jobs, false).await?;
    let held = rates(world, jobs, true).await?;
    let mut report = Report::default();
    for (round, (free, held)) in free.iter().zip(&held).enumerate() {
        let so_many = (round + 1) * jobs;
        let free = Row::new(format!("{so_many} jobs, no snapshot held"), *free, "jobs/s");
        let held = Row::new(format!("{so_many} jobs, a snapshot held"), *held, "jobs/s");
        report.add(held.beside(Some(&free)));
        report.add(free);
    }
    report.note("each round puts in and finishes as many jobs more under the same snapshot; 100 tenants, 500 permits");
    Ok(report)
}

async fn rates(world: &World, jobs: usize, held: bool) -> anyhow::Result<Vec<f64>> {
    let queue = YakinQueue::open(world.server.migrated("bench_snapshot").await?).await?;
    let mut dump = queue.database.owner.acquire().await?;
    if held {
        dump.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        dump.execute("SELECT count(*) FROM yakin.jobs").await?;
    }
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        queue.fill(jobs, 100, 1).await?;
        queue.database.sql("CHECKPOINT").await?;
        let mut node = queue.node(&world.tools, 500).await?;
        let begun = Instant::now();
        node.go(jobs).await?;
        node.wait_for("done").await?;
        rates.push(jobs as f64 / begun.elapsed().as_secs_f64());
        queue.empty().await?;
        node.end().await?;
    }
    if held {
        dump.execute("COMMIT").await?;
    }
    drop(dump);
    queue.pool.close().await;
    world.server.drop(queue.database).await?;
    Ok(rates)
}
