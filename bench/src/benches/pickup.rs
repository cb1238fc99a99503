//! Pickup latency: jobs sent one by one, 50 a second, from before the statement that puts a job in
//! to its first line of work; beside a bare INSERT + NOTIFY heard by a waiting connection.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use jiff_sqlx::ToSqlx;
use sqlx::postgres::PgListener;
use sqlx::types::Json;
use tokio::time::{MissedTickBehavior, interval};
use yakin_engine::clock::Clock;

use super::redis::Redis;
use crate::child::{Worker, told};
use crate::measure::{monotonic, percentile};
use crate::queue::YakinQueue;
use crate::report::{Report, Row};
use crate::server::Database;
use crate::world::World;

const PER_SECOND: usize = 50;

/// Latencies in milliseconds, and processor milliseconds per job.
struct Latency {
    all: Vec<f64>,
    cpu: f64,
    /// Jobs that were not begun 2 s after the last was sent: the worker fell behind.
    left: usize,
}

impl Latency {
    fn rows(&self, what: &str, floor: Option<&Latency>) -> [Row; 2] {
        [50.0, 99.0].map(|percent| {
            let row =
                Row::new(format!("{what}, p{percent:.0}"), percentile(&self.all, percent), "ms");
            let row = if percent < 60.0 { row.cpu(self.cpu) } else { row };
            let floor = floor.map(|f| Row::new("floor", percentile(&f.all, percent), "ms"));
            row.beside(floor.as_ref())
        })
    }
}

/// Measures.
pub async fn run(world: &World) -> anyhow::Result<Report> {
    let seconds = world.size(60, 4);
    let floor = floor(world, seconds).await?;
    let own = yakin(world, seconds).await?;
    anyhow::ensure!(own.left == 0, "Yakin left {} jobs", own.left);
    let mut report = Report::default();
    report.rows.extend(floor.rows("floor: INSERT + NOTIFY", None));
    let [half, most] = own.rows("Yakin", Some(&floor));
    let times = most.ratios.first().map_or(f64::INFINITY, |r| r.1);
    report.add(half);
    report.add(most.aim("p99 ≤ 1.5 × the floor's", times <= 1.5));
    for kind in ["durable", "local"] {
        if let Some(peer) = graphile(world, seconds, kind).await? {
            let what =
                if kind == "local" { "graphile_worker, local queue" } else { "graphile_worker" };
            report.rows.extend(peer.rows(what, Some(&floor)));
            if peer.left > 0 {
                report.note(format!("{what} fell behind: {} jobs were not begun", peer.left));
            }
        }
    }
    if let Some(peer) = bullmq(world, seconds).await? {
        report.rows.extend(peer.rows("BullMQ, Redis everysec", Some(&floor)));
    }
    report
        .note(format!("{} jobs each; CPU with what waiting costs meanwhile", seconds * PER_SECOND));
    Ok(report)
}

/// Calls `send` at an even pace.
async fn paced<F>(seconds: usize, mut send: F) -> anyhow::Result<()>
where
    F: AsyncFnMut() -> anyhow::Result<()>,
{
    let mut ticks = interval(Duration::from_secs(1) / PER_SECOND as u32);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for _ in 0..seconds * PER_SECOND {
        ticks.tick().await;
        send().await?;
    }
    // the last ones arrive
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok(())
}

async fn floor(world: &World, seconds: usize) -> anyhow::Result<Latency> {
    let database = world.server.empty("bench_floor").await?;
    database.sql("CREATE TABLE sent (id bigserial PRIMARY KEY, payload jsonb NOT NULL)").await?;
    let mut listener = PgListener::connect(&database.url("postgres")).await?;
    listener.listen("sent").await?;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let noted = heard.clone();
    let listening = tokio::spawn(async move {
        while let Ok(notified) = listener.recv().await {
            let latency = monotonic() - notified.payload().parse::<i64>().unwrap_or(0);
            noted.lock().unwrap_or_else(PoisonError::into_inner).push(latency as f64 / 1e6);
        }
    });
    database.quiet().await?;
    let before = world.cpu_ms();
    paced(seconds, async || {
        let sent = monotonic();
        let sql = "WITH put AS (INSERT INTO sent (payload) VALUES ($1) RETURNING id)
                   SELECT pg_notify('sent', $2) FROM put";
        let payload = Json(serde_json::json!({"sent": sent}));
        sqlx::query(sql).bind(payload).bind(sent.to_string()).execute(&database.owner).await?;
        Ok(())
    })
    .await?;
    let cpu = world.cpu_since(before, seconds * PER_SECOND);
    listening.abort();
    let all = heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
    world.server.drop(database).await?;
    Ok(Latency { all, cpu, left: 0 })
}

async fn yakin(world: &World, seconds: usize) -> anyhow::Result<Latency> {
    let queue = YakinQueue::open(world.server.migrated("bench_pickup").await?).await?;
    let mut node = queue.node(&world.tools, 16).await?;
    node.go(0).await?;
    queue.empty().await?;
    queue.database.quiet().await?;
    let (mut tenant, before) = (0, world.cpu_ms());
    paced(seconds, async || {
        tenant = tenant % 100 + 1;
        let now = Clock::real().now();
        let job = queue.job(tenant, monotonic(), 0, now);
        sqlx::query("SELECT yakin.enqueue($1, $2)")
            .bind(Json([job]))
            .bind(now.to_sqlx())
            .execute(&queue.pool)
            .await?;
        Ok(())
    })
    .await?;
    let cpu = world.cpu_since(before, seconds * PER_SECOND);
    let latency = heard(node, seconds, cpu).await?;
    queue.pool.close().await;
    world.server.drop(queue.database).await?;
    Ok(latency)
}

async fn graphile(world: &World, seconds: usize, kind: &str) -> anyhow::Result<Option<Latency>> {
    let Some(mut command) = world.tools.peers() else { return Ok(None) };
    let database = world.server.empty("bench_peer").await?;
    command.args(["work", &database.url("postgres"), kind]);
    let mut worker = Worker::start(command).await?;
    worker.go(0).await?;
    settle_in(&database).await?;
    let before = world.cpu_ms();
    paced(seconds, async || {
        let payload = Json(serde_json::json!({"sent": monotonic()}));
        sqlx::query("SELECT graphile_worker.add_job('noop', $1::json)")
            .bind(payload)
            .execute(&database.owner)
            .await?;
        Ok(())
    })
    .await?;
    let cpu = world.cpu_since(before, seconds * PER_SECOND);
    let latency = heard(worker, seconds, cpu).await?;
    world.server.drop(database).await?;
    Ok(Some(latency))
}

/// A worker that was just let go has connected and listens.
async fn settle_in(database: &Database) -> anyhow::Result<()> {
    tokio::time::sleep(Duration::from_secs(2)).await;
    database.quiet().await
}

async fn bullmq(world: &World, seconds: usize) -> anyhow::Result<Option<Latency>> {
    let Some(redis) = Redis::start(&world.tools).await? else { return Ok(None) };
    let work = redis.bullmq(&world.tools, "work", &[]).context("node")?;
    let mut worker = Worker::start(work).await?;
    worker.go(0).await?;
    let words = [PER_SECOND.to_string(), seconds.to_string()];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let send = redis.bullmq(&world.tools, "send", &words).context("node")?;
    let before = world.cpu_ms();
    told::<serde_json::Value>(send).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let cpu = world.cpu_since(before, seconds * PER_SECOND);
    let latency = heard(worker, seconds, cpu).await?;
    redis.stop().await?;
    Ok(Some(latency))
}

async fn heard(worker: Worker, seconds: usize, cpu: f64) -> anyhow::Result<Latency> {
    let seen = worker.end().await?;
    let (heard, wanted) = (seen.latencies.len(), seconds * PER_SECOND);
    let all = seen.latencies.iter().map(|ns| ns / 1e6).collect();
    Ok(Latency { all, cpu, left: wanted.saturating_sub(heard) })
}
