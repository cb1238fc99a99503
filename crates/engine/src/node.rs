//! A serving node: its loops, side by side, until it is told to stop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::PgListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::engine::{Engine, WATCH};
use crate::queue::HEARTBEAT_SECONDS;
use crate::record::events;
use crate::spec::Queue;
use crate::worker::pool::{Permits, work_queue};

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    pub plan: bool,
    pub work: bool,
}

/// How a node is run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub roles: Roles,
    pub permits: Permits,
    /// How long running attempts may take to end when the node stops.
    pub drain: Duration,
}

/// A node whose loops hang for so long ends itself; what supervises it (systemd) starts it afresh.
const STUCK_SECONDS: f64 = 120.0;

/// Where it is told that something has arrived that a batch waits for.
const ARRIVALS: &str = "yakin_arrivals";

/// Between two times of putting in order what need not be at once.
const HOUR: Duration = Duration::from_secs(3600);

/// The planner steps no more often while jobs end.
const GATHER: Duration = Duration::from_millis(20);

/// Runs the node until `stop`; then drains and leaves.
pub async fn serve(
    engine: Arc<Engine>,
    options: Options,
    listen_url: &str,
    stop: CancellationToken,
) {
    let tasks = TaskTracker::new();
    if options.roles.plan {
        tasks.spawn(plan_loop(engine.clone(), stop.clone()));
        tasks.spawn(watch_loop(engine.clone(), stop.clone()));
    }
    // a node that only answers lives as long
    tasks.spawn(stop.clone().cancelled_owned());
    let listening = CancellationToken::new();
    if options.roles.plan || options.roles.work {
        tokio::spawn(listen_loop(engine.clone(), listen_url.to_owned(), listening.clone()));
    }
    if options.roles.work {
        for queue in Queue::ALL {
            let permits = options.permits.of(queue);
            tasks.spawn(work_queue(engine.clone(), queue, permits, stop.clone(), options.drain));
        }
    }
    let beating = CancellationToken::new();
    let heart =
        tokio::spawn(heart_loop(engine.clone(), options.roles, stop.clone(), beating.clone()));
    tasks.close();
    tasks.wait().await;
    beating.cancel();
    listening.cancel();
    let _ = heart.await;
    if let Err(error) = engine.leave().await {
        tracing::warn!(%error, "the node could not say goodbye");
    }
}

async fn plan_loop(engine: Arc<Engine>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        engine.plan_loop_alive();
        let again = match engine.plan_step().await {
            Ok(ended) => !ended.is_empty() || stepped(&engine).await,
            Err(error) => {
                tracing::error!(%error, "a planning step failed; the next one tries again");
                false
            }
        };
        if again {
            continue;
        }
        tokio::select! {
            () = engine.wake_planner.notified() => gather(&engine).await,
            () = tokio::time::sleep(engine.plan_rest()) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Jobs end in crowds: one look at the runs serves all of a moment.
async fn gather(engine: &Engine) {
    if !engine.clock.is_set() {
        tokio::time::sleep(GATHER).await;
    }
}

/// In virtual time: whether time jumped, so that the next step has something to do.
async fn stepped(engine: &Engine) -> bool {
    if !engine.clock.is_set() {
        return false;
    }
    match engine.step_virtual_time().await {
        Ok(next) => next.is_some(),
        Err(error) => {
            tracing::error!(%error, "stepping virtual time failed");
            false
        }
    }
}

/// Watches once; how long to rest then.
async fn watched(engine: &Engine) -> Result<Duration, sqlx::Error> {
    engine.watch_step().await?;
    engine.until_watch().await
}

async fn watch_loop(engine: Arc<Engine>, stop: CancellationToken) {
    let mut swept: Option<Instant> = None;
    while !stop.is_cancelled() {
        let rest = watched(&engine).await.unwrap_or_else(|error| {
            tracing::error!(%error, "watching failed; the next step tries again");
            WATCH
        });
        if swept.is_none_or(|last| last.elapsed() >= HOUR) {
            swept = Some(Instant::now());
            let prepared = (engine.ensure_partitions().await, engine.ensure_log_partitions().await);
            if let Err(error) = prepared.0.and(prepared.1) {
                tracing::warn!(%error, "partitions could not be prepared; tried again in an hour");
            }
            if let Err(error) = events::forget_old(&engine.pool).await {
                tracing::warn!(%error, "old events could not be forgotten; tried again in an hour");
            }
            if let Err(error) = crate::tenant::sweep_staging(&engine.pool).await {
                tracing::warn!(%error, "what ended runs staged could not be cleared; tried again in an hour");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Heartbeats in real time, with an ear for being told to drain; and the watchdog: a node whose loops hang while the
/// database answers ends itself.
async fn heart_loop(
    engine: Arc<Engine>,
    roles: Roles,
    drain: CancellationToken,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        match engine.heartbeat_step().await {
            Ok(told) => {
                if told && !drain.is_cancelled() {
                    tracing::info!(node = engine.node, "told to drain");
                    drain.cancel();
                }
                let (planner, claims) = engine.loops_silent();
                let stuck =
                    roles.plan && planner > STUCK_SECONDS || roles.work && claims > STUCK_SECONDS;
                if stuck && engine.holding() == 0 {
                    tracing::error!(
                        planner,
                        claims,
                        "the node's loops are stuck while the database answers; ending"
                    );
                    std::process::exit(70);
                }
            }
            Err(error) => tracing::warn!(%error, "the heartbeat failed; leases run out in 30 s"),
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(HEARTBEAT_SECONDS)) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Wakes the work loops when jobs arrive, and the planner when something arrives that a batch waits for. Any error
/// rebuilds the listener; polling goes on meanwhile.
async fn listen_loop(engine: Arc<Engine>, url: String, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let listened = tokio::select! {
            listened = listen(&engine, &url) => listened,
            () = stop.cancelled() => return,
        };
        engine.listens(false);
        if let Err(error) = listened {
            tracing::warn!(%error, "listening broke; polling until it is back");
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(2)) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn listen(engine: &Engine, url: &str) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect(url).await?;
    listener.listen_all(["yakin_jobs", ARRIVALS]).await?;
    engine.listens(true);
    loop {
        // A dead connection shows no error by itself: after a quiet half minute the listener is made anew.
        match tokio::time::timeout(Duration::from_secs(30), listener.recv()).await {
            Ok(notified) => {
                let notified = notified?;
                if notified.channel() == ARRIVALS {
                    engine.wake_planner.notify_one();
                } else if let Some(queue) =
                    Queue::ALL.into_iter().find(|q| q.name() == notified.payload())
                {
                    engine.wake(queue);
                }
            }
            Err(_) => return Ok(()),
        }
    }
}
