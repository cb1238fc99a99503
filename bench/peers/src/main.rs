//! graphile_worker as the bench drives it: `enqueue`, and `work` between "ready" and the end of
//! stdin. Durable settings; `local` adds its local queue and batched completions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use graphile_worker::{
    Database, IntoTaskHandlerResult, JobSpec, LocalQueueConfig, RawJobSpec, TaskHandler,
    WorkerContext, WorkerOptions, WorkerUtils,
};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPoolOptions;
use tokio::io::{AsyncBufReadExt, BufReader};

const SCHEMA: &str = "graphile_worker";
/// Jobs handed to the database at a time.
const CHUNK: usize = 1000;

#[derive(Debug, Serialize, Deserialize)]
struct Noop {
    /// The machine's monotonic clock when it was sent; 0 = nobody asks.
    sent: i64,
}

#[derive(Clone, Debug, Default)]
struct Seen(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    started: AtomicU64,
    latencies: Mutex<Vec<i64>>,
}

impl TaskHandler for Noop {
    const IDENTIFIER: &'static str = "noop";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let now = monotonic();
        if let Some(Seen(counts)) = context.get_ext::<Seen>() {
            counts.started.fetch_add(1, Ordering::Relaxed);
            if self.sent > 0 {
                let mut all = counts.latencies.lock().unwrap_or_else(PoisonError::into_inner);
                all.push(now - self.sent);
            }
        }
        Ok::<(), String>(())
    }
}

fn monotonic() -> i64 {
    let t = clock_gettime(ClockId::Monotonic);
    t.tv_sec * 1_000_000_000 + t.tv_nsec
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["enqueue", url, jobs] => enqueue(url, jobs.parse().context("JOBS")?).await,
        ["work", url, kind @ ("durable" | "local")] => work(url, *kind == "local").await,
        _ => bail!("expected: enqueue URL JOBS, or work URL durable|local"),
    }
}

async fn database(url: &str) -> anyhow::Result<Database> {
    Ok(PgPoolOptions::new().max_connections(24).connect(url).await?.into())
}

async fn enqueue(url: &str, jobs: usize) -> anyhow::Result<()> {
    let utils = WorkerUtils::new(database(url).await?, SCHEMA);
    utils.migrate().await?;
    let chunk: Vec<RawJobSpec> = (0..CHUNK)
        .map(|_| RawJobSpec {
            identifier: Noop::IDENTIFIER.to_owned(),
            payload: serde_json::json!({"sent": 0}),
            spec: JobSpec::default(),
        })
        .collect();
    let begun = Instant::now();
    for first in (0..jobs).step_by(CHUNK) {
        utils.add_raw_jobs(&chunk[..CHUNK.min(jobs - first)]).await?;
    }
    println!("{}", serde_json::json!({"seconds": begun.elapsed().as_secs_f64()}));
    Ok(())
}

async fn work(url: &str, local: bool) -> anyhow::Result<()> {
    let seen = Seen::default();
    let mut options = WorkerOptions::default()
        .database(database(url).await?)
        .schema(SCHEMA)
        .concurrency(if local { 500 } else { 24 })
        .listen_os_shutdown_signals(false)
        .add_extension(seen.clone())
        .define_job::<Noop>();
    if local {
        options = options
            .poll_interval(Duration::from_millis(5))
            .complete_job_batch_delay(Duration::from_millis(5))
            .local_queue(LocalQueueConfig::default().with_size(5000));
    }
    let worker = Arc::new(options.init().await?);
    println!("ready");
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    lines.next_line().await?;
    let running = worker.clone();
    tokio::spawn(async move { running.run().await });
    while lines.next_line().await?.is_some() {}
    let latencies = seen.0.latencies.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let seen = serde_json::json!({"started": seen.0.started.load(Ordering::Relaxed), "latencies": latencies});
    println!("{seen}");
    // a worker that is asked to stop takes seconds for it, and is of no more use
    std::process::exit(0);
}
