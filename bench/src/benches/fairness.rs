//! A small tenant behind another's 100,000 jobs: how much longer its own take than alone.

use std::time::Instant;

use crate::measure::median;
use crate::queue::{YakinQueue, gone};
use crate::report::{Report, Row};
use crate::world::World;

const SMALL: i64 = 2;
const SMALL_JOBS: usize = 100;

/// Measures.
pub async fn run(world: &World) -> anyhow::Result<Report> {
    let (others, rounds) = (world.size(100_000, 3_000), world.size(3, 1));
    let mut report = Report::default();
    for permits in [16, 500] {
        let (mut alone, mut behind) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            alone.extend(once(world, 0, permits).await?);
            behind.extend(once(world, others, permits).await?);
        }
        let alone = Row::new(format!("alone, {permits} permits"), median(&alone), "ms");
        let behind = Row::new(
            format!("behind {others} jobs of another, {permits} permits"),
            median(&behind),
            "ms",
        )
        .beside(Some(&alone));
        let times = behind.ratios.first().map_or(f64::INFINITY, |r| r.1);
        report.add(alone);
        report.add(behind.aim("≤ 2 × alone", times <= 2.0));
    }
    report.note(format!(
        "{SMALL_JOBS} no-op jobs of the small tenant, until its last is finished; medians"
    ));
    Ok(report)
}

/// Milliseconds that the small tenant's jobs take, some times over, while the other's last.
async fn once(world: &World, others: usize, permits: usize) -> anyhow::Result<Vec<f64>> {
    let queue = YakinQueue::open(world.server.migrated("bench_fair").await?).await?;
    let mut node = queue.node(&world.tools, permits).await?;
    queue.fill(others, 1, 1).await?;
    node.go(0).await?;
    let mut all = Vec::new();
    let small_gone = format!(
        "SELECT NOT EXISTS (SELECT FROM yakin.jobs WHERE queue = 'default' AND tenant_id = {SMALL} AND state IN ('ready', 'running'))"
    );
    let busy = "SELECT count(*) >= 500 FROM (SELECT FROM yakin.jobs WHERE tenant_id = 1 AND queue = 'default' AND state = 'ready' LIMIT 500) AS left_over";
    if others == 0 {
        queue.empty().await?;
    } else {
        gone(&queue.database, "SELECT EXISTS (SELECT FROM yakin.job_history WHERE tenant_id = 1)")
            .await?;
    }
    for _ in 0..world.size(9, 1) {
        let begun = Instant::now();
        queue.fill(SMALL_JOBS, 1, SMALL).await?;
        gone(&queue.database, &small_gone).await?;
        let took = begun.elapsed().as_secs_f64() * 1000.0;
        if others > 0 && !world.quick && !queue.database.one::<bool>(busy).await? {
            break;
        }
        all.push(took);
    }
    node.kill().await?;
    queue.pool.close().await;
    world.server.drop(queue.database).await?;
    Ok(all)
}
