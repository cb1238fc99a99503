//! One attempt, step by step: facts → work (metered, timed, cancellable, panics caught) → settled.

use std::sync::Arc;

use futures::FutureExt;
use serde_json::json;
use std::panic::AssertUnwindSafe;

use super::cost::Metered;
use super::held::Held;
use crate::batch::Ended;
use crate::engine::Engine;
use crate::outcome::{Cause, Done, Outcome, Stop};
use crate::queue::settle::Settlement;
use crate::queue::{Job, JobKind};
use crate::record::logs::Level;
use crate::record::roster;
use crate::registry::AnyBatch;
use crate::run::{Attempt, PlatformRun, TenantRun, lost};

/// Executes a claimed job and settles it.
pub async fn execute(engine: &Engine, job: Job) {
    execute_with(engine, job, ()).await;
}

/// The same with a permit, which is given back when the work is over: its end is written with others' while the next
/// works.
pub async fn execute_with(engine: &Engine, job: Job, permit: impl Send) {
    let Some(batch) = engine.registry.get(&job.batch).cloned() else { return };
    let held = engine.held.hold(&job);
    let (id, token) = (job.id, job.token);
    let settled = match attempt(engine, &batch, job, held).await {
        End::Known { settled } => settled,
        End::Open(settlement, attempt) => {
            let written = engine.settler.hand_in(*settlement, attempt).await;
            drop(permit);
            written.await
        }
    };
    engine.held.let_go((id, token));
    if !settled {
        tracing::warn!(
            job = id,
            token,
            "the attempt had lost its lease, or had ended already; nothing more was committed"
        );
    }
}

/// How an attempt's work ended.
enum End {
    /// It stands in the database: with the work's own transaction, or as another's, who took the job.
    Known { settled: bool },
    /// It is still to be written.
    Open(Box<Settlement>, Option<Arc<Attempt>>),
}

async fn attempt(engine: &Engine, batch: &Arc<dyn AnyBatch>, job: Job, held: Held) -> End {
    let spec = batch.spec();
    let prepared = match job.run {
        Some(run) => engine.facts(run).await,
        None => Err(Stop::give_up(Cause::Defect, "the job belongs to no run")),
    };
    let facts = match prepared {
        Ok(facts) => facts,
        Err(stop) => {
            let settlement = Settlement::stopped(&job, spec, &stop, engine.clock.now());
            return End::Open(Box::new(settlement), None);
        }
    };
    let attempt = Arc::new(Attempt::new(engine, spec, facts, job));
    let job = &attempt.job;
    let work = Metered {
        work: Box::pin(work(engine, batch, attempt.clone())),
        cost: attempt.cost.clone(),
    };
    let limited = tokio::time::timeout(engine.timeout(spec), AssertUnwindSafe(work).catch_unwind());
    let outcome: Outcome = tokio::select! {
        biased;
        () = held.lost.cancelled() => Err(lost()),
        () = held.cancelled.cancelled() => Err(Stop::Cancelled),
        ended = limited => match ended {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panic)) => Err(Stop::give_up(Cause::Defect, panic_message(&panic))),
            Err(_) => {
                let limit = engine.timeout(spec).as_secs();
                Err(Stop::retry(Cause::Timeout, format!("took longer than its timeout of {limit} s")))
            }
        },
    };
    if attempt.committed() {
        return End::Known { settled: true };
    }
    let now = engine.clock.now();
    let settlement = match &outcome {
        Ok(done) => Settlement::done(job, done, attempt.plan()),
        Err(stop) => {
            let metadata = json!({"kind": job.kind.word()});
            attempt.lines.write(Level::Error, stop.message(), metadata, now);
            Settlement {
                plan: attempt.plan(),
                ..Settlement::stopped(job, &engine.effective(spec), stop, now)
            }
        }
    };
    End::Open(Box::new(attempt.cost.onto(settlement)), Some(attempt))
}

async fn work(engine: &Engine, batch: &Arc<dyn AnyBatch>, attempt: Arc<Attempt>) -> Outcome {
    let platform = || PlatformRun(attempt.clone());
    let tenant = || TenantRun(attempt.clone());
    match attempt.job.kind {
        JobKind::Prepare => batch.prepare(&platform()).await,
        JobKind::Roster => roster(engine, batch, &attempt).await,
        JobKind::Tenant => batch.tenant(&tenant()).await,
        JobKind::Global => batch.global(&platform()).await,
        JobKind::Finish => {
            let ended = ended(engine, attempt.facts.id).await?;
            batch.finish(&platform(), &ended).await
        }
        JobKind::FollowUp => {
            let name = attempt.job.payload["name"].as_str().unwrap_or_default();
            batch.follow_up(&tenant(), name, &attempt.job.payload["payload"]).await
        }
    }
}

async fn roster(engine: &Engine, batch: &Arc<dyn AnyBatch>, attempt: &Arc<Attempt>) -> Outcome {
    let tenants = batch.roster(&PlatformRun(attempt.clone())).await?;
    let mut tx = crate::tx::Tx::engine(&engine.pool).await?;
    let now = engine.clock.now();
    // the roster's own lane and all tenants', in key order, before any of them is touched
    let lanes: Vec<i64> = tenants
        .iter()
        .chain(attempt.facts.only_tenants.iter().flatten())
        .copied()
        .chain([0])
        .collect();
    let queues = vec![batch.spec().queue.name(); lanes.len()];
    sqlx::query("SELECT yakin.lock_lanes($1, $2)")
        .bind(queues)
        .bind(&lanes)
        .execute(tx.inner()?)
        .await?;
    if roster::is_cancelled(&mut tx, attempt.facts.id).await? {
        tx.rollback().await?;
        return Err(Stop::Cancelled);
    }
    let (total, blocked) =
        roster::fan_out(&mut tx, batch.spec(), &attempt.facts, &tenants, now).await?;
    let done = Done::default();
    attempt.info("tenants in scope", json!({"tenants": total, "blocked": blocked}));
    attempt.complete(tx, &done).await?;
    Ok(done)
}

async fn ended(engine: &Engine, run: i64) -> Result<Ended, Stop> {
    let rows: Vec<(i64, String)> = sqlx::query_as(
        "SELECT tenant_id, state FROM yakin.run_tenants WHERE run_id = $1 ORDER BY tenant_id",
    )
    .bind(run)
    .fetch_all(&engine.pool)
    .await?;
    let mut ended = Ended::default();
    for (tenant, state) in rows {
        match state.as_str() {
            "done" => ended.done.push(tenant),
            "blocked" => ended.blocked.push(tenant),
            _ => ended.failed.push(tenant),
        }
    }
    Ok(ended)
}

fn panic_message(panic: &Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panicked: {}", text.unwrap_or_else(|| "without a message".to_owned()))
}
