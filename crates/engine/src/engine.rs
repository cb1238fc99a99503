//! A node: what it holds, and the steps of its planner.

mod loops;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::postgres::PgPool;
use tokio::sync::{Notify, OnceCell};

use crate::clock::Clock;
use crate::error::{Doing, EngineError};
use crate::outcome::Stop;
use crate::own_connections::OwnConnections;
use crate::queue::{HEARTBEAT_SECONDS, claim, heartbeat, rescue};
use crate::record::advance::{self, Ending};
use crate::record::alert_messages::Route;
use crate::record::metrics::Metrics;
use crate::record::runs;
use crate::registry::Registry;
use crate::resources::Resources;
use crate::run::RunFacts;
use crate::schedule::{arrivals, planner, starter};
use crate::spec::{Queue, Spec};
use crate::tx::Tx;
use crate::virtual_time;
pub use crate::virtual_time::set_virtual_time;
use crate::worker::held::HeldJobs;
use crate::worker::settler::Settler;

/// For the queue's own statements: claims and the looks beside them, heartbeats, ends of attempts.
const QUEUE_CONNECTIONS: u32 = 3;
/// For the planner's steps and the watch's.
const PLAN_CONNECTIONS: u32 = 2;
/// No step of the machine takes longer; it is tried again.
pub(crate) const STEP: Duration = Duration::from_secs(30);
/// A heartbeat whose answer does not come is sent again before the leases run out.
const HEARTBEAT: Duration = Duration::from_secs(HEARTBEAT_SECONDS);
/// Between two looks at leases and alerts, at the most.
pub(crate) const WATCH: Duration = Duration::from_secs(5);

/// What is known of a run, once somebody has asked.
type KnownRun = Arc<OnceCell<Arc<RunFacts>>>;

/// One Yakin process at work on a database.
pub struct Engine {
    pub pool: PgPool,
    /// For claims, heartbeats and ends of attempts.
    pub(crate) queue: Arc<OwnConnections>,
    /// For planning and watching: whatever work waits for, firings start and lost jobs come back.
    planning: OwnConnections,
    pub clock: Clock,
    pub registry: Registry,
    /// This node's row.
    pub node: i64,
    pub metrics: Metrics,
    pub(crate) settler: Settler,
    pub(crate) resources: Resources,
    alert_routes: Vec<Route>,
    arrivals: [Notify; Queue::ALL.len()],
    pub(crate) job_ended: Notify,
    pub(crate) wake_planner: Notify,
    pub(crate) held: HeldJobs,
    known_runs: Mutex<HashMap<i64, KnownRun>>,
    overrides: Mutex<HashMap<String, Vec<(String, String)>>>,
    began: Instant,
    planned_ms: AtomicI64,
    /// The schedule time, in microseconds, that the planner's last whole step was for.
    planned_for: AtomicI64,
    /// When the next scheduled job or arrival was due at the planner's last look, in microseconds.
    next_due: AtomicI64,
    /// When runs were last started for arrivals, in milliseconds of uptime.
    arrived_ms: AtomicI64,
    plans: bool,
    /// Whether arrivals of jobs are heard of at once.
    listening: AtomicBool,
    plan_looped_ms: AtomicI64,
    claim_looped_ms: AtomicI64,
}

impl Engine {
    /// Joins the nodes of a database: makes the catalogue known and writes the node's row.
    pub async fn join(
        pool: PgPool,
        clock: Clock,
        registry: Registry,
        name: &str,
        roles: &[&str],
    ) -> Result<Engine, EngineError> {
        let doing = "joining the nodes";
        crate::restored::end_interrupted(&pool, clock.now()).await.doing(doing)?;
        planner::register(&pool, &registry, clock.now()).await?;
        let node: i64 = sqlx::query_scalar(
            "INSERT INTO yakin.nodes (name, roles, version, batches) VALUES ($1, $2, $3, $4) RETURNING id",
        )
        .bind(name)
        .bind(roles.iter().map(|r| (*r).to_owned()).collect::<Vec<_>>())
        .bind(env!("CARGO_PKG_VERSION"))
        .bind(registry.ids())
        .fetch_one(&pool)
        .await
        .doing(doing)?;
        let plans = roles.contains(&"plan");
        let queue = Arc::new(OwnConnections::like(&pool, QUEUE_CONNECTIONS));
        let metrics = Metrics::new(&registry, plans);
        let engine = Engine {
            settler: Settler::start(queue.clone(), clock.clone()),
            queue,
            planning: OwnConnections::like(&pool, PLAN_CONNECTIONS),
            resources: Resources::default(),
            alert_routes: Vec::new(),
            pool,
            clock,
            registry,
            node,
            metrics,
            arrivals: Default::default(),
            job_ended: Notify::new(),
            wake_planner: Notify::new(),
            held: HeldJobs::default(),
            known_runs: Mutex::default(),
            overrides: Mutex::default(),
            began: Instant::now(),
            planned_ms: AtomicI64::new(0),
            planned_for: AtomicI64::new(i64::MIN),
            next_due: AtomicI64::new(i64::MAX),
            arrived_ms: AtomicI64::new(i64::MIN / 2),
            plans,
            listening: AtomicBool::new(false),
            plan_looped_ms: AtomicI64::new(0),
            claim_looped_ms: AtomicI64::new(0),
        };
        engine.read_overrides().await.doing(doing)?;
        if let Err(error) = engine.ensure_partitions().await {
            // made ahead by months: a dump that holds the table must not keep a node from starting
            tracing::warn!(%error, "partitions could not be prepared; tried again in an hour");
        }
        Ok(engine)
    }

    /// Gives the node something its batches ask for by type: an issuer, a storage, a sender.
    pub fn provide<T: Send + Sync + 'static>(&mut self, resource: T) {
        self.resources.put(resource);
    }

    /// What was given by that type.
    pub fn provided<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.resources.get()
    }

    /// Sends alerts on these routes from now on: each change of an alert becomes a message on those that want it.
    pub fn route_alerts(&mut self, routes: Vec<Route>) {
        self.alert_routes = routes;
    }

    /// Says goodbye: the node's row ends, so that nobody misses it.
    pub async fn leave(&self) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE yakin.nodes SET real_ended = clock_timestamp() WHERE id = $1")
            .bind(self.node)
            .execute(&self.pool)
            .await
            .map(|_| ())
    }

    /// One step of the planner: the shared virtual time is read, firings are written ahead, due ones start, runs
    /// move on; one look says which of these there is anything for. Returns the runs that ended.
    pub async fn plan_step(&self) -> Result<Vec<Ending>, sqlx::Error> {
        self.planning.within(STEP, self.plan()).await
    }

    async fn plan(&self) -> Result<Vec<Ending>, sqlx::Error> {
        self.read_virtual_time().await?;
        let (pool, now) = (self.planning.now(), self.clock.now());
        let to_do = planner::look(&pool, &self.registry, now).await?;
        planner::plan(&pool, &to_do.to_plan, now).await?;
        let mut started = starter::Started::default();
        if to_do.firings || !to_do.to_plan.is_empty() {
            started = starter::start_due(&pool, &self.registry, now).await?;
            started.ended.iter().for_each(|outcome| self.metrics.firing_ended(outcome));
        }
        if to_do.arrivals && self.may_start_arrived() {
            started.add(arrivals::start_arrived(&pool, &self.registry, now).await?);
        }
        let mut ended = Vec::new();
        if to_do.runs || started.runs > 0 {
            self.read_overrides().await?;
            ended = self.advance_step().await?;
        }
        // after that: what comes back of a cancelled run is gone by now
        if to_do.next_job.is_some_and(|at| at.to_jiff() <= now) {
            self.promote_step().await?;
        }
        self.planned_ms.store(self.uptime_ms(), Ordering::Relaxed);
        // virtual time must not pass a firing that another node holds
        let planned_for = if started.contended { i64::MIN } else { now.as_microsecond() };
        self.planned_for.store(planned_for, Ordering::Relaxed);
        let next_due = [to_do.next_job, to_do.next_arrival].into_iter().flatten().min();
        let next_due = next_due.map_or(i64::MAX, |at| at.to_jiff().as_microsecond());
        self.next_due.store(next_due, Ordering::Relaxed);
        Ok(ended)
    }

    /// Moves open runs on; returns those that ended.
    pub async fn advance_step(&self) -> Result<Vec<Ending>, sqlx::Error> {
        let ended =
            advance::advance(&self.planning.now(), &self.registry, self.clock.now()).await?;
        for ending in &ended {
            self.metrics.run_ended(ending);
            tracing::info!(
                target: "yakin::run", jobName = ending.slug, run = ending.id, duration = ending.seconds,
                error = ending.reason, "run ended: {}", ending.outcome
            );
        }
        Ok(ended)
    }

    /// Makes due jobs ready and wakes the work loops.
    pub async fn promote_step(&self) -> Result<(), sqlx::Error> {
        if claim::promote(&self.planning.now(), self.clock.now()).await? > 0 {
            Queue::ALL.into_iter().for_each(|queue| self.wake(queue));
        }
        Ok(())
    }

    /// Takes back the jobs of silent workers and evaluates the alert rules.
    pub async fn watch_step(&self) -> Result<(), sqlx::Error> {
        self.planning.within(STEP, self.watch()).await
    }

    async fn watch(&self) -> Result<(), sqlx::Error> {
        let (pool, now) = (self.planning.now(), self.clock.now());
        let rescued = rescue::rescue(&pool, &self.registry, now).await?;
        if rescued > 0 {
            tracing::warn!(jobs = rescued, "rescued jobs of a silent worker");
        }
        crate::record::alerts::evaluate(&pool, &self.alert_routes, now).await
    }

    /// How long the watch may rest: `WATCH`, or until the next lease runs out where that is sooner.
    pub async fn until_watch(&self) -> Result<Duration, sqlx::Error> {
        let pool = self.planning.now();
        let next = self.planning.within(STEP, rescue::next_expiry(&pool, &self.registry)).await?;
        Ok(next.map_or(WATCH, |next| next.min(WATCH)))
    }

    /// Extends the leases of this node's jobs; stops those it has lost and those of cancelled runs. Returns whether the
    /// node is told to drain.
    pub async fn heartbeat_step(&self) -> Result<bool, sqlx::Error> {
        self.queue.within(HEARTBEAT, self.beat()).await
    }

    async fn beat(&self) -> Result<bool, sqlx::Error> {
        let pool = self.queue.now();
        let (held, runs) = self.held.list();
        let planned = self.plans.then(|| self.planner_behind());
        let lost = heartbeat::heartbeat(&pool, self.node, &held, planned).await?;
        let cancelled: Vec<i64> = sqlx::query_scalar(
            "SELECT id FROM yakin.runs WHERE id = ANY ($1) AND cancel_requested ORDER BY id",
        )
        .bind(runs)
        .fetch_all(&pool)
        .await?;
        self.held.tell(&lost, &cancelled);
        sqlx::query_scalar("SELECT draining FROM yakin.nodes WHERE id = $1")
            .bind(self.node)
            .fetch_one(&pool)
            .await
    }

    /// Creates the partitions that will be needed, and drops those past their keep; gives way to any reader.
    pub async fn ensure_partitions(&self) -> Result<(), sqlx::Error> {
        sqlx::query(include_str!("partitions.sql")).execute(&self.pool).await.map(|_| ())
    }

    /// Creates the coming months' partitions of the service's logs, by schedule time.
    pub async fn ensure_log_partitions(&self) -> Result<(), sqlx::Error> {
        sqlx::query(include_str!("partitions_logs.sql"))
            .bind(self.clock.now().to_sqlx())
            .execute(&self.pool)
            .await
            .map(|_| ())
    }

    /// In virtual time, when nothing is left to do at this instant: jumps to the next one. Returns the new time, or
    /// `None` while work is under way, the end is reached, or this node has not planned at this instant yet.
    pub async fn step_virtual_time(&self) -> Result<Option<Timestamp>, sqlx::Error> {
        let planned_for = Timestamp::from_microsecond(self.planned_for.load(Ordering::Relaxed));
        let Ok(planned_for) = planned_for else { return Ok(None) };
        let mut tx = Tx::engine(&self.pool).await?;
        let next = virtual_time::step(&mut tx, planned_for, &self.registry.ids()).await?;
        tx.commit().await?;
        if let Some(next) = next {
            self.clock.set(next);
        }
        Ok(next)
    }

    async fn read_virtual_time(&self) -> Result<(), sqlx::Error> {
        if !self.clock.is_set() {
            return Ok(());
        }
        let shared: Option<jiff_sqlx::Timestamp> =
            sqlx::query_scalar("SELECT virtual_now FROM yakin.control")
                .fetch_one(&self.planning.now())
                .await?;
        if let Some(shared) = shared {
            self.clock.set(shared.to_jiff());
        }
        Ok(())
    }

    pub(crate) async fn read_overrides(&self) -> Result<(), sqlx::Error> {
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT batch_id, key, value FROM yakin.settings ORDER BY batch_id, key",
        )
        .fetch_all(&self.queue.now())
        .await?;
        let mut fresh: HashMap<String, Vec<(String, String)>> = HashMap::new();
        for (batch, key, value) in rows {
            fresh.entry(batch).or_default().push((key, value));
        }
        *self.overrides.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// The spec with the operators' overrides that concern work.
    pub fn effective(&self, spec: &'static Spec) -> Spec {
        let overrides = self.overrides.lock().unwrap_or_else(PoisonError::into_inner);
        let mut effective = *spec;
        for (key, value) in overrides.get(spec.id).into_iter().flatten() {
            crate::operate::settings::apply(&mut effective, key, value);
        }
        effective
    }

    pub(crate) fn timeout(&self, spec: &'static Spec) -> Duration {
        self.effective(spec).timeout
    }

    /// Wakes the queue's work loop; a loop that is not waiting just now goes round once more.
    pub(crate) fn wake(&self, queue: Queue) {
        self.arrivals[queue as usize].notify_one();
    }

    /// Waits until the queue's loop is woken.
    pub(crate) async fn job_arrived(&self, queue: Queue) {
        self.arrivals[queue as usize].notified().await;
    }

    pub(crate) async fn facts(&self, run: i64) -> Result<Arc<RunFacts>, Stop> {
        let known = self.with_runs(|runs| {
            if runs.len() >= 1000 && !runs.contains_key(&run) {
                runs.clear();
            }
            runs.entry(run).or_default().clone()
        });
        // hundreds of jobs of a run begin at once: one of them asks, the others wait for its answer
        let asked =
            known.get_or_try_init(|| async { runs::facts(&self.pool, run).await.map(Arc::new) });
        asked.await.cloned()
    }

    /// Waits until some job of this node has ended.
    pub async fn job_has_ended(&self) {
        self.job_ended.notified().await;
    }

    /// How many jobs this node holds.
    pub fn holding(&self) -> usize {
        self.held.len()
    }

    fn with_runs<T>(&self, f: impl FnOnce(&mut HashMap<i64, KnownRun>) -> T) -> T {
        f(&mut self.known_runs.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("node", &self.node).finish_non_exhaustive()
    }
}
