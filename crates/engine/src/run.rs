//! What work holds in its hands: the run's facts, reads, the one write, checkpoints, log lines, progress.

mod handles;
mod steps;

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::postgres::PgPool;

use crate::clock::Clock;
use crate::days::Days;
use crate::engine::Engine;
use crate::outcome::{Cause, Done, Outcome, Stop};
use crate::queue::Job;
use crate::queue::JobKind;
use crate::queue::enqueue::insert_follow_ups;
use crate::queue::settle::{Settlement, settle};
use crate::record::logs::{Level, Lines};
use crate::resources::Resources;
use crate::spec::Spec;
use crate::tx::{Role, Tx};
use crate::worker::cost::Cost;

pub use handles::{PlatformRun, TenantRun};

/// A dry run looks no further than this many rows in one job.
pub const DRY_RUN_ROWS: i64 = 100_000;

/// The facts of a run that all its attempts share.
#[derive(Clone, Debug)]
pub struct RunFacts {
    pub id: i64,
    pub days: Option<Days>,
    pub params: Value,
    pub dry_run: bool,
    /// The run's "now": schedule time, fixed once at its start.
    pub now: Timestamp,
    /// The instant its firing was planned for; none where a person started it.
    pub planned_at: Option<Timestamp>,
    pub only_tenants: Option<Vec<i64>>,
    pub deadline: Option<Timestamp>,
    /// An operator released the run's blocked tenants, on the record.
    pub released: bool,
}

/// One attempt at a job of a run.
#[derive(Debug)]
pub struct Attempt {
    pub(crate) pool: PgPool,
    pub(crate) clock: Clock,
    pub(crate) spec: &'static Spec,
    pub(crate) facts: Arc<RunFacts>,
    pub(crate) job: Job,
    pub(crate) lines: Lines,
    pub(crate) cost: Arc<Cost>,
    resources: Resources,
    role: Role,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    committed: bool,
    effects: Vec<Value>,
    planned_rows: i64,
}

impl Attempt {
    pub(crate) fn new(
        engine: &Engine,
        spec: &'static Spec,
        facts: Arc<RunFacts>,
        job: Job,
    ) -> Attempt {
        let (pool, clock) = (engine.pool.clone(), engine.clock.clone());
        let resources = engine.resources.clone();
        let role = match job.kind {
            JobKind::Tenant => Role::Tenant(job.tenant),
            JobKind::FollowUp if job.tenant != crate::tenant::PLATFORM => Role::Tenant(job.tenant),
            _ => Role::Platform,
        };
        let lines = Lines::new(spec, &facts, &job);
        let state = Mutex::default();
        Attempt {
            pool,
            clock,
            spec,
            facts,
            job,
            lines,
            cost: Arc::default(),
            resources,
            role,
            state,
        }
    }

    /// The run's number.
    pub fn id(&self) -> i64 {
        self.facts.id
    }

    /// The run's "now": schedule time, fixed once at its start.
    pub fn now(&self) -> Timestamp {
        self.facts.now
    }

    /// The instant the run stands for: that of its firing, however late it began; else its "now".
    pub fn stands_for(&self) -> Timestamp {
        self.facts.planned_at.map_or(self.facts.now, |planned| planned.min(self.facts.now))
    }

    /// The run's period; for a batch without one, the day of `now`.
    pub fn period(&self) -> Days {
        self.facts.days.unwrap_or_else(|| Days::one(crate::days::day_of(self.facts.now)))
    }

    /// The run's parameters, checked and with defaults.
    pub fn params(&self) -> &Value {
        &self.facts.params
    }

    /// The tenants the run is limited to, when an operator named some.
    pub fn only_tenants(&self) -> Option<&[i64]> {
        self.facts.only_tenants.as_deref()
    }

    /// Something this node provides, such as the invoices' issuer; `None` when it is not configured.
    pub fn resource<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.resources.get()
    }

    /// Whether effects are only planned.
    pub fn dry_run(&self) -> bool {
        self.facts.dry_run
    }

    /// Whether an operator released this blocked tenant, on the record.
    pub fn released(&self) -> bool {
        self.facts.released
    }

    /// The state of the last checkpoint, after a crash or retry.
    pub fn resume(&self) -> Option<Value> {
        self.job.checkpoint.clone()
    }

    /// Writes a line to the run's log.
    pub fn info(&self, message: impl Into<String>, metadata: Value) {
        self.lines.write(Level::Info, message.into(), metadata, self.clock.now());
    }

    /// Writes a warning to the run's log.
    pub fn warn(&self, message: impl Into<String>, metadata: Value) {
        self.lines.write(Level::Warn, message.into(), metadata, self.clock.now());
    }

    /// Tells how far the job is; seen by others at once.
    pub async fn progress(&self, done: i64, total: i64) {
        let told = sqlx::query(
            "UPDATE yakin.jobs SET progress_done = $3, progress_total = $4 WHERE id = $1 AND token = $2",
        )
        .bind(self.job.id)
        .bind(self.job.token)
        .bind(done)
        .bind(total)
        .execute(&self.pool)
        .await;
        if let Err(error) = told {
            self.warn("progress could not be told", json!({"error": error.to_string()}));
        }
    }

    /// Reads in one read-only transaction.
    pub async fn read<T, F>(&self, work: F) -> Result<T, Stop>
    where
        F: AsyncFnOnce(&mut Tx) -> Result<T, Stop>,
    {
        let mut tx = Tx::begin(&self.pool, self.role, &self.job.label(), true).await?;
        let found = work(&mut tx).await;
        tx.rollback().await?;
        found
    }

    /// The one short write transaction: what `work` writes commits together with the completion of the job, where
    /// its fencing token still matches. In a dry run it is rolled back and its row effects become the plan.
    pub async fn write<F>(&self, work: F) -> Outcome
    where
        F: AsyncFnOnce(&mut Tx) -> Outcome,
    {
        let mut tx = self.begin_write().await?;
        let done = match work(&mut tx).await {
            Ok(done) => done,
            Err(stop) => {
                tx.rollback().await?;
                return Err(stop);
            }
        };
        if self.dry_run() {
            self.plan_and_roll_back(tx).await?;
            return Ok(done);
        }
        self.complete(tx, &done).await?;
        Ok(done)
    }

    /// One chunk of long work: commits what `work` wrote together with the state it returns, where the fencing token
    /// still matches. After a crash [`Attempt::resume`] gives the last state back. The state must move forward by
    /// itself (a key), not by rows being gone: in a dry run each chunk is rolled back.
    pub async fn checkpoint<T, F>(&self, work: F) -> Result<T, Stop>
    where
        F: AsyncFnOnce(&mut Tx) -> Result<(Value, T), Stop>,
    {
        let mut tx = self.begin_write().await?;
        let (state, value) = match work(&mut tx).await {
            Ok(both) => both,
            Err(stop) => {
                tx.rollback().await?;
                return Err(stop);
            }
        };
        if self.dry_run() {
            self.plan_and_roll_back(tx).await?;
            return Ok(value);
        }
        tx.become_engine().await?;
        self.lock_lanes(&mut tx).await?;
        let kept = sqlx::query(
            "UPDATE yakin.jobs SET checkpoint = $3 WHERE id = $1 AND token = $2 AND state = 'running'",
        )
        .bind(self.job.id)
        .bind(self.job.token)
        .bind(state)
        .execute(tx.inner()?)
        .await?;
        if kept.rows_affected() != 1 {
            tx.rollback().await?;
            return Err(lost());
        }
        self.insert_follow_ups(&mut tx).await?;
        tx.commit().await?;
        Ok(value)
    }

    pub(crate) async fn begin_write(&self) -> Result<Tx, Stop> {
        let mut tx = Tx::begin(&self.pool, self.role, &self.job.label(), false).await?;
        if self.dry_run() {
            use sqlx::Executor;
            tx.inner()?.execute("SET LOCAL lock_timeout = '2s'").await?;
            tx.count_from_here().await?;
        }
        Ok(tx)
    }

    /// Ends the transaction with the job's completion; nothing commits when the token no longer matches.
    pub(crate) async fn complete(&self, mut tx: Tx, done: &Done) -> Result<(), Stop> {
        tx.become_engine().await?;
        self.lock_lanes(&mut tx).await?;
        let settlement = self.cost.onto(Settlement::done(&self.job, done, self.plan()));
        let lines = self.lines.kept();
        if settle(tx.inner()?, &[settlement], &lines, self.clock.now()).await?.is_empty() {
            tx.rollback().await?;
            return Err(lost());
        }
        self.insert_follow_ups(&mut tx).await?;
        tx.commit().await?;
        self.locked(|s| s.committed = true);
        Ok(())
    }

    /// Locks all lanes that the transaction will touch, in key order, before the first of them and before any job.
    async fn lock_lanes(&self, tx: &mut Tx) -> Result<(), Stop> {
        if tx.follow_ups.is_empty() {
            return Ok(());
        }
        let lanes = tx.follow_ups.iter().map(|f| f.tenant).chain([self.job.tenant]);
        let tenants: Vec<i64> = lanes.collect();
        sqlx::query("SELECT yakin.lock_lanes($1, $2)")
            .bind(vec![self.job.queue.as_str(); tenants.len()])
            .bind(&tenants)
            .execute(tx.inner()?)
            .await?;
        Ok(())
    }

    /// Goes on as the engine, where the fencing token still matches, and keeps the job's row until the commit.
    async fn keep_hold(&self, tx: &mut Tx) -> Result<(), Stop> {
        tx.become_engine().await?;
        self.lock_lanes(tx).await?;
        let held = sqlx::query(
            "SELECT FROM yakin.jobs WHERE id = $1 AND token = $2 AND state = 'running' FOR UPDATE",
        )
        .bind(self.job.id)
        .bind(self.job.token)
        .fetch_optional(tx.inner()?)
        .await?;
        held.map(|_| ()).ok_or_else(lost)
    }

    async fn insert_follow_ups(&self, tx: &mut Tx) -> Result<(), sqlx::Error> {
        insert_follow_ups(tx, self.spec, Some(self.facts.id), self.clock.now()).await
    }

    async fn plan_and_roll_back(&self, mut tx: Tx) -> Result<(), Stop> {
        let rows = tx.row_effects().await?;
        let acts = std::mem::take(&mut tx.planned);
        tx.rollback().await?;
        let written: i64 = rows
            .as_object()
            .into_iter()
            .flatten()
            .flat_map(|(_, t)| t.as_object().into_iter().flatten().filter_map(|(_, n)| n.as_i64()))
            .sum();
        self.locked(|s| {
            s.planned_rows += written;
            s.effects.push(json!({"rows": rows, "acts": acts}));
        });
        if self.locked(|s| s.planned_rows) > DRY_RUN_ROWS {
            return Err(Stop::Blocked {
                reason: format!("dry run stopped: at least {DRY_RUN_ROWS} rows"),
            });
        }
        Ok(())
    }

    /// The plan of a dry run so far, summed by table; `None` outside dry runs.
    pub(crate) fn plan(&self) -> Option<Value> {
        if !self.dry_run() {
            return None;
        }
        self.locked(|s| Some(crate::record::plan::sum(&s.effects)))
    }

    pub(crate) fn committed(&self) -> bool {
        self.locked(|s| s.committed)
    }

    fn locked<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(crate) fn lost() -> Stop {
    Stop::retry(Cause::Lost, "this attempt's lease was taken by another; nothing was committed")
}
