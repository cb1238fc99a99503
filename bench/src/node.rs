//! A node whose one batch does nothing, as a child of the bench: it runs as `yakin serve` does,
//! with permits that are given.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use yakin_engine::clock::Clock;
use yakin_engine::database;
use yakin_engine::engine::Engine;
use yakin_engine::node::{Options, Roles, serve};
use yakin_engine::prelude::*;
use yakin_engine::registry::{Registry, entry};
use yakin_engine::worker::pool::Permits;

use crate::child::told_lines;
use crate::measure::monotonic;

/// What makes this program a node: `node URL PERMITS`.
pub const COMMAND: &str = "node";
/// The batch's id.
pub const BATCH: &str = "BENCH-001";

/// Follow-up jobs that note when they begin, and may wait.
pub struct Nothing;

/// A job of the bench.
#[derive(Debug, Deserialize)]
struct Errand {
    /// The monotonic clock when it was sent; 0 = nobody asks.
    sent: i64,
    /// Milliseconds it takes without doing anything.
    wait_ms: u64,
}

#[derive(Debug, Deserialize)]
pub struct Params {
    /// Follow-up jobs that the run's `global` inserts in its one transaction.
    jobs: i64,
    tenants: i64,
}

impl Batch for Nothing {
    type Params = Params;
    const SPEC: Spec = Spec {
        id: BATCH,
        slug: "bench-nothing",
        title: "計測用バッチ",
        schedule: Schedule::Manual,
        catch_up: CatchUp::None,
        period: Period::None,
        window: None,
        deadline: None,
        scope: Scope::Global,
        phases: &[],
        needs: &[],
        locks: &[],
        overlap: Overlap::Allow,
        queue: Queue::Default,
        priority: Priority::Medium,
        timeout: mins(30),
        retry: fixed(3, secs(1)),
        retry_by_cause: &[],
        severity: Severity::Medium,
        expected: mins(30),
        params: &[
            Param {
                name: "jobs",
                kind: Kind::Int(0, 1_000_000),
                default: Some("0"),
                help: "follow-up jobs to insert",
            },
            Param {
                name: "tenants",
                kind: Kind::Int(1, 100_000),
                default: Some("1"),
                help: "tenants they are spread over",
            },
        ],
        approval: Approval::None,
        survives_database: false,
    };

    async fn global(run: &PlatformRun, p: &Params) -> Outcome {
        run.write(async |tx| {
            for n in 0..p.jobs {
                tx.follow_up("errand", n % p.tenants + 1, json!({"sent": 0, "wait_ms": 0}));
            }
            Ok(Done::default())
        })
        .await
    }

    async fn follow_up(_: &TenantRun, _: &str, payload: &Value) -> Outcome {
        let errand: Errand = serde_json::from_value(payload.clone())
            .map_err(|e| Stop::give_up(Cause::Defect, e.to_string()))?;
        SEEN.note(errand.sent);
        if errand.wait_ms > 0 {
            tokio::time::sleep(Duration::from_millis(errand.wait_ms)).await;
        }
        Ok(Done::default())
    }
}

/// What this process saw.
static SEEN: Seen = Seen {
    started: AtomicUsize::new(0),
    wanted: AtomicUsize::new(usize::MAX),
    latencies: Mutex::new(Vec::new()),
};

struct Seen {
    started: AtomicUsize,
    wanted: AtomicUsize,
    latencies: Mutex<Vec<i64>>,
}

impl Seen {
    fn note(&self, sent: i64) {
        let now = monotonic();
        if sent > 0 {
            self.latencies.lock().unwrap_or_else(PoisonError::into_inner).push(now - sent);
        }
        let started = self.started.fetch_add(1, Ordering::Relaxed) + 1;
        if started == self.wanted.load(Ordering::Relaxed) {
            println!("done");
        }
    }

    fn tell(&self) {
        let latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let started = self.started.load(Ordering::Relaxed);
        println!("{}", json!({"started": started, "latencies": latencies}));
    }
}

/// The catalogue of the bench.
pub fn registry() -> anyhow::Result<Registry> {
    Registry::new(vec![entry::<Nothing>()]).map_err(anyhow::Error::msg)
}

/// Joins, says "ready", serves from "go" on, and tells what it saw when stdin ends.
pub async fn work(words: &[String]) -> anyhow::Result<()> {
    let [url, permits] = words else { bail!("expected: {COMMAND} URL PERMITS") };
    let permits: usize = permits.parse().context("PERMITS")?;
    let pool = database::connect(url, 24).await?;
    let name = format!("bench {}", std::process::id());
    let roles = ["plan", "work"];
    let engine = Engine::join(pool, Clock::real(), registry()?, &name, &roles).await?;
    let mut lines = told_lines();
    println!("ready");
    let go = lines.recv().await.unwrap_or_default();
    let wanted = go.strip_prefix("go ").and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
    SEEN.wanted.store(wanted, Ordering::Relaxed);
    let options = Options {
        roles: Roles { plan: true, work: true },
        permits: Permits { default: permits, ..Permits::default() },
        drain: Duration::from_secs(5),
    };
    let stop = CancellationToken::new();
    let (serving, told, url) = (Arc::new(engine), stop.clone(), url.clone());
    let served = tokio::spawn(async move { serve(serving, options, &url, told).await });
    while lines.recv().await.is_some() {}
    stop.cancel();
    served.await?;
    SEEN.tell();
    Ok(())
}
