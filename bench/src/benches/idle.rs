//! An idle node: memory, and processor time in a minute together with its server's.

use std::time::Duration;

use anyhow::Context;
use tokio::process::Command;

use super::redis::Redis;
use crate::child::Worker;
use crate::measure::{cpu_ms, resident_mb};
use crate::queue::gone;
use crate::report::{Report, Row};
use crate::server::Database;
use crate::world::World;

/// Measures.
pub async fn run(world: &World) -> anyhow::Result<Report> {
    let minute = Duration::from_secs(world.size(60, 3) as u64);
    let mut report = Report::default();
    let server = bare(world, minute).await?;
    report.add(Row::new("PostgreSQL alone: CPU in a minute", server, "s"));
    let (memory, cpu) = yakin(world, minute).await?;
    report.add(Row::new("Yakin: memory of a node", memory, "MB").aim("≤ 25 MB", memory <= 25.0));
    let row = Row::new("Yakin: CPU in a minute, with its server", cpu, "s");
    report.add(row.aim("≤ 0.3 s", cpu <= 0.3));
    for kind in ["durable", "local"] {
        let Some((memory, cpu)) = graphile(world, minute, kind).await? else { continue };
        let what = format!("graphile_worker, {kind}");
        report.add(Row::new(format!("{what}: memory of a worker"), memory, "MB"));
        report.add(Row::new(format!("{what}: CPU in a minute, with its server"), cpu, "s"));
    }
    if let Some((memory, cpu)) = bullmq(world, minute).await? {
        report.add(Row::new("BullMQ: memory of a worker", memory, "MB"));
        report.add(Row::new("BullMQ: CPU in a minute, with its Redis", cpu, "s"));
    }
    report.note(
        "the node is `yakin serve` with all its batches and no tenants: runs that fall due in the minute are part of it",
    );
    Ok(report)
}

/// Seconds of processor time in a minute of `wait`, of a process tree, if any, and the server.
async fn spent(world: &World, process: Option<u32>, wait: Duration) -> f64 {
    let both = || process.map_or(0, cpu_ms) + cpu_ms(world.server.process);
    let before = both();
    tokio::time::sleep(wait).await;
    let scale = 60.0 / wait.as_secs_f64();
    both().saturating_sub(before) as f64 / 1000.0 * scale
}

/// What was done before is written, and what was started has come to rest.
async fn rest(world: &World, database: &Database) -> anyhow::Result<()> {
    database.quiet().await?;
    tokio::time::sleep(Duration::from_secs(world.size(20, 2) as u64)).await;
    Ok(())
}

async fn bare(world: &World, minute: Duration) -> anyhow::Result<f64> {
    let database = world.server.empty("bench_idle").await?;
    rest(world, &database).await?;
    let seconds = spent(world, None, minute).await;
    world.server.drop(database).await?;
    Ok(seconds)
}

async fn yakin(world: &World, minute: Duration) -> anyhow::Result<(f64, f64)> {
    let database = world.server.migrated("bench_idle").await?;
    let mut node = serve(world, &database)?.spawn().context("starting yakin serve")?;
    let process = node.id().context("yakin serve ended at once")?;
    gone(&database, "SELECT EXISTS (SELECT FROM yakin.nodes WHERE real_planned IS NOT NULL)")
        .await?;
    rest(world, &database).await?;
    let cpu = spent(world, Some(process), minute).await;
    let memory = resident_mb(process)?;
    node.kill().await?;
    world.server.drop(database).await?;
    Ok((memory, cpu))
}

/// `yakin serve` on a database, with nothing configured.
fn serve(world: &World, database: &Database) -> anyhow::Result<Command> {
    let mut command = Command::new(&world.tools.yakin);
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    command.env("DATABASE_URL", database.url("yakin_engine"));
    command.current_dir(std::env::temp_dir()).stdout(std::process::Stdio::null());
    command.kill_on_drop(true);
    Ok(command)
}

async fn graphile(
    world: &World,
    minute: Duration,
    kind: &str,
) -> anyhow::Result<Option<(f64, f64)>> {
    let Some(mut command) = world.tools.peers() else { return Ok(None) };
    let database = world.server.empty("bench_idle").await?;
    command.args(["work", &database.url("postgres"), kind]);
    let mut worker = Worker::start(command).await?;
    worker.go(0).await?;
    rest(world, &database).await?;
    let cpu = spent(world, Some(worker.process()), minute).await;
    let memory = resident_mb(worker.process())?;
    worker.end().await?;
    world.server.drop(database).await?;
    Ok(Some((memory, cpu)))
}

async fn bullmq(world: &World, minute: Duration) -> anyhow::Result<Option<(f64, f64)>> {
    let Some(redis) = Redis::start(&world.tools).await? else { return Ok(None) };
    let work = redis.bullmq(&world.tools, "work", &[]).context("node")?;
    let mut worker = Worker::start(work).await?;
    worker.go(0).await?;
    tokio::time::sleep(Duration::from_secs(world.size(20, 2) as u64)).await;
    let (server, before) = (redis.process(), cpu_ms(redis.process()));
    let before = before + cpu_ms(worker.process());
    tokio::time::sleep(minute).await;
    let cpu = (cpu_ms(server) + cpu_ms(worker.process())).saturating_sub(before) as f64 / 1000.0;
    let memory = resident_mb(worker.process())?;
    worker.end().await?;
    redis.stop().await?;
    Ok(Some((memory, cpu * 60.0 / minute.as_secs_f64())))
}
