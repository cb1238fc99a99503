//! Yakin's queue from outside: bare jobs of one run put in, nodes that work them, and when all is
//! gone.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use sqlx::postgres::PgPool;
use yakin_engine::clock::Clock;
use yakin_engine::engine::Engine;
use yakin_engine::operate::runs::{Wanted, start};
use yakin_engine::queue::JobKind;
use yakin_engine::queue::enqueue::{NewJob, enqueue};
use yakin_engine::record::audit::Act;
use yakin_engine::spec::{Priority, Queue};
use yakin_engine::tx::Tx;

use crate::child::Worker;
use crate::node::{self, BATCH};
use crate::server::Database;
use crate::tools::Tools;

/// Jobs handed to the database at a time.
pub const CHUNK: usize = 1000;

/// A database with the bench's batch in it, and a run that owns the jobs.
pub struct YakinQueue {
    pub database: Database,
    pub pool: PgPool,
    pub run: i64,
}

impl YakinQueue {
    /// Makes the batch known and starts its run.
    pub async fn open(database: Database) -> anyhow::Result<YakinQueue> {
        let pool = database.engine_pool().await?;
        let registry = node::registry()?;
        let engine =
            Engine::join(pool.clone(), Clock::real(), registry, "bench", &["plan"]).await?;
        engine.leave().await?;
        let run = start_run(&pool, &[]).await?;
        Ok(YakinQueue { database, pool, run })
    }

    /// A node's process with these permits, joined and not yet serving.
    pub async fn node(&self, tools: &Tools, permits: usize) -> anyhow::Result<Worker> {
        let (url, permits) = (self.database.url("yakin_engine"), permits.to_string());
        Worker::start(tools.this(&[node::COMMAND, &url, &permits])).await
    }

    /// A job of a tenant.
    pub fn job(&self, tenant: i64, sent: i64, wait_ms: u64, at: Timestamp) -> NewJob<'static> {
        NewJob {
            queue: Queue::Default.name(),
            tenant,
            priority: Priority::Medium as i16,
            run: Some(self.run),
            batch: BATCH,
            kind: JobKind::FollowUp,
            payload: json!({"name": "errand", "payload": {"sent": sent, "wait_ms": wait_ms}}),
            unique_key: None,
            at,
            deadline: None,
        }
    }

    /// Puts jobs that take nothing into the queue, spread over tenants from `first` on.
    pub async fn fill(&self, jobs: usize, tenants: usize, first: i64) -> anyhow::Result<()> {
        self.fill_at(jobs, tenants, first, Clock::real().now()).await
    }

    /// The same, due at an instant.
    pub async fn fill_at(
        &self,
        jobs: usize,
        tenants: usize,
        first: i64,
        at: Timestamp,
    ) -> anyhow::Result<()> {
        let tenant = |n: usize| first + (n % tenants) as i64;
        for from in (0..jobs).step_by(CHUNK) {
            let chunk: Vec<NewJob<'_>> =
                (from..jobs.min(from + CHUNK)).map(|n| self.job(tenant(n), 0, 0, at)).collect();
            self.put(&chunk).await?;
        }
        Ok(())
    }

    /// Puts these jobs into the queue.
    pub async fn put(&self, jobs: &[NewJob<'_>]) -> anyhow::Result<()> {
        let mut tx = Tx::engine(&self.pool).await?;
        enqueue(&mut tx, jobs, Clock::real().now()).await?;
        Ok(tx.commit().await?)
    }

    /// Waits until no job is left.
    pub async fn empty(&self) -> anyhow::Result<()> {
        gone(&self.database, "SELECT NOT EXISTS (SELECT FROM yakin.jobs)").await
    }
}

/// Starts a run of the bench's batch.
pub async fn start_run(pool: &PgPool, params: &[(&str, usize)]) -> anyhow::Result<i64> {
    let params = params.iter().map(|(k, v)| ((*k).to_owned(), v.to_string())).collect();
    let wanted = Wanted { params, ..Wanted::default() };
    let act = Act { actor: "bench".to_owned(), reason: "measuring".to_owned() };
    let now = Clock::real().now();
    Ok(start(pool, &node::registry()?, BATCH, wanted, "operator", &act, now).await?)
}

/// Asks every few milliseconds until the answer is true.
pub async fn gone(database: &Database, question: &str) -> anyhow::Result<()> {
    let limit = tokio::time::Instant::now() + Duration::from_secs(600);
    while !database.one::<bool>(question).await? {
        anyhow::ensure!(tokio::time::Instant::now() < limit, "never true: {question}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
