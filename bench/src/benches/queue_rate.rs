//! Queue throughput: jobs put in by one client, 1,000 at a time; and no-op jobs from claim to
//! finished by one node, beside graphile_worker and BullMQ.

use std::time::Instant;

use anyhow::Context;
use tokio::process::Command;

use crate::child::{Took, Worker, told};
use crate::measure::median;
use crate::queue::{YakinQueue, gone, start_run};
use crate::report::{Report, Row};
use crate::world::World;

use super::redis::Redis;

/// What all are given: this many jobs at once.
const PERMITS: usize = 500;

/// Rates of one way to work, round by round.
#[derive(Default)]
struct Rates {
    put: Vec<f64>,
    put_cpu: Vec<f64>,
    finished: Vec<f64>,
    finished_cpu: Vec<f64>,
}

impl Rates {
    fn row(&self, what: &str) -> Row {
        Row::new(what, median(&self.finished), "jobs/s").cpu(median(&self.finished_cpu))
    }

    fn put_row(&self, what: &str) -> Row {
        Row::new(format!("put in: {what}"), median(&self.put), "jobs/s").cpu(median(&self.put_cpu))
    }
}

/// Measures.
pub async fn run(world: &World) -> anyhow::Result<Report> {
    let (jobs, rounds) = (world.size(60_000, 10_000), world.size(3, 1));
    let (mut local, mut durable, mut bull) = <(Rates, Rates, Rates)>::default();
    let mut own = [(1, Rates::default()), (100, Rates::default()), (1000, Rates::default())];
    let mut at_once = Vec::new();
    for _ in 0..rounds {
        for (tenants, rates) in &mut own {
            yakin(world, jobs, *tenants, rates).await?;
        }
        at_once.push(one_transaction(world, jobs).await?);
        graphile(world, jobs, "local", &mut local).await?;
        graphile(world, jobs / 30, "durable", &mut durable).await?;
        bullmq(world, jobs / 3, &mut bull).await?;
    }
    let mut report = Report::default();
    let peer = |rates: &Rates, row: Row| (!rates.finished.is_empty()).then_some(row);
    let put_peer = peer(&local, local.put_row("graphile_worker"));
    let put_bull = peer(&bull, bull.put_row("BullMQ, Redis everysec"));
    report.add(own[1].1.put_row("Yakin, 100 tenants").beside(put_peer.as_ref()));
    let what = "put in: Yakin, a run's one transaction";
    report.add(Row::new(what, median(&at_once), "jobs/s").beside(put_peer.as_ref()));
    report.rows.extend([put_peer, put_bull].into_iter().flatten());
    let best = peer(&local, local.row("graphile_worker, local queue 5000"));
    let plain = peer(&durable, durable.row("graphile_worker, no local queue"));
    let bull = peer(&bull, bull.row("BullMQ, Redis everysec"));
    for (tenants, rates) in &own {
        let s = if *tenants == 1 { "" } else { "s" };
        let mut row = rates.row(&format!("Yakin, {tenants} tenant{s}")).beside(best.as_ref());
        if let (100, Some(best)) = (*tenants, &best) {
            let times = row.value / best.value;
            row = row.aim("≥ 1 × graphile_worker (0.5 × is the floor)", times >= 1.0);
        }
        report.add(row);
    }
    report.rows.extend([best, plain, bull].into_iter().flatten());
    report.note(format!(
        "{jobs} jobs a round, BullMQ a third, graphile_worker without local queue a thirtieth; {rounds} rounds, medians; \
         {PERMITS} at once (the latter 24). Yakin with fencing tokens, fair lanes and a row of history per job; the peers keep none."
    ));
    Ok(report)
}

async fn yakin(
    world: &World,
    jobs: usize,
    tenants: usize,
    rates: &mut Rates,
) -> anyhow::Result<()> {
    let queue = YakinQueue::open(world.server.migrated("bench_queue").await?).await?;
    let (before, begun) = (world.cpu_ms(), Instant::now());
    queue.fill(jobs, tenants, 1).await?;
    rates.put.push(jobs as f64 / begun.elapsed().as_secs_f64());
    rates.put_cpu.push(world.cpu_since(before, jobs));
    queue.database.quiet().await?;
    let mut node = queue.node(&world.tools, PERMITS).await?;
    let (before, begun) = (world.cpu_ms(), Instant::now());
    node.go(jobs).await?;
    node.wait_for("done").await?;
    queue.empty().await?;
    rates.finished.push(jobs as f64 / begun.elapsed().as_secs_f64());
    rates.finished_cpu.push(world.cpu_since(before, jobs));
    node.end().await?;
    queue.pool.close().await;
    world.server.drop(queue.database).await
}

/// Jobs a second that a run's own work inserts as follow-ups of its one transaction.
async fn one_transaction(world: &World, jobs: usize) -> anyhow::Result<f64> {
    let queue = YakinQueue::open(world.server.migrated("bench_queue").await?).await?;
    let run = start_run(&queue.pool, &[("jobs", jobs), ("tenants", 100)]).await?;
    let node = {
        let mut node = queue.node(&world.tools, 1).await?;
        node.go(jobs).await?;
        node
    };
    let inserted = format!(
        "SELECT EXISTS (SELECT FROM yakin.job_history WHERE run_id = {run} AND kind = 'global')"
    );
    gone(&queue.database, &inserted).await?;
    let seconds: f64 = queue
        .database
        .one(&format!(
            "SELECT extract(epoch FROM real_ended - real_started)::float8 FROM yakin.job_history
              WHERE run_id = {run} AND kind = 'global'"
        ))
        .await?;
    node.kill().await?;
    queue.pool.close().await;
    world.server.drop(queue.database).await?;
    Ok(jobs as f64 / seconds)
}

async fn graphile(world: &World, jobs: usize, kind: &str, rates: &mut Rates) -> anyhow::Result<()> {
    let command = |words: &[&str]| -> Option<Command> {
        let mut command = world.tools.peers()?;
        command.args(words);
        Some(command)
    };
    let database = world.server.empty("bench_peer").await?;
    let (url, count) = (database.url("postgres"), jobs.to_string());
    let Some(enqueue) = command(&["enqueue", &url, &count]) else { return Ok(()) };
    let before = world.cpu_ms();
    let took: Took = told(enqueue).await?;
    rates.put.push(jobs as f64 / took.seconds);
    rates.put_cpu.push(world.cpu_since(before, jobs));
    database.quiet().await?;
    let mut worker = Worker::start(command(&["work", &url, kind]).context("peers")?).await?;
    let (before, begun) = (world.cpu_ms(), Instant::now());
    worker.go(jobs).await?;
    gone(&database, "SELECT NOT EXISTS (SELECT FROM graphile_worker._private_jobs)").await?;
    rates.finished.push(jobs as f64 / begun.elapsed().as_secs_f64());
    rates.finished_cpu.push(world.cpu_since(before, jobs));
    worker.end().await?;
    world.server.drop(database).await
}

async fn bullmq(world: &World, jobs: usize, rates: &mut Rates) -> anyhow::Result<()> {
    let Some(redis) = Redis::start(&world.tools).await? else { return Ok(()) };
    let count = jobs.to_string();
    let Some(enqueue) = redis.bullmq(&world.tools, "enqueue", &[&count]) else { return Ok(()) };
    let before = world.cpu_ms();
    let took: Took = told(enqueue).await?;
    rates.put.push(jobs as f64 / took.seconds);
    rates.put_cpu.push(world.cpu_since(before, jobs));
    let work = redis.bullmq(&world.tools, "work", &[]).context("node")?;
    let mut worker = Worker::start(work).await?;
    let (before, begun) = (world.cpu_ms(), Instant::now());
    worker.go(jobs).await?;
    worker.wait_for("done").await?;
    rates.finished.push(jobs as f64 / begun.elapsed().as_secs_f64());
    rates.finished_cpu.push(world.cpu_since(before, jobs));
    worker.end().await?;
    redis.stop().await
}
