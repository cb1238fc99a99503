//! What the laws' tests share: base specs to vary, a gate to stop work at, second nodes, and waiting by looking.

use std::time::Duration;

use tokio::sync::Semaphore;
use yakin_engine::clock::Clock;
use yakin_engine::engine::Engine;
use yakin_engine::operate::runs::{Wanted, start};
use yakin_engine::prelude::*;
use yakin_engine::registry::{AnyBatch, Registry};
use yakin_testkit::{World, act, instant};

use std::sync::Arc;

/// How long a test waits for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A batch for each tenant that a person starts; tests vary it.
pub const fn tenants(id: &'static str) -> Spec {
    Spec {
        id,
        slug: id,
        title: "試験",
        schedule: Schedule::Manual,
        catch_up: CatchUp::Latest,
        period: Period::DayBefore,
        window: None,
        deadline: None,
        scope: Scope::EachTenant,
        phases: &[],
        needs: &[],
        locks: &[],
        overlap: Overlap::Forbid,
        queue: Queue::Default,
        priority: Priority::Medium,
        timeout: secs(60),
        retry: fixed(1, secs(5)),
        retry_by_cause: &[],
        severity: Severity::Medium,
        expected: secs(60),
        params: &[],
        approval: Approval::None,
        survives_database: false,
    }
}

/// A global batch that a person starts.
pub const fn global(id: &'static str) -> Spec {
    Spec { scope: Scope::Global, ..tenants(id) }
}

/// Defines a batch whose phases do nothing.
macro_rules! idle {
    ($name:ident, $spec:expr) => {
        struct $name;
        impl yakin_engine::prelude::Batch for $name {
            type Params = serde_json::Value;
            const SPEC: yakin_engine::prelude::Spec = $spec;
        }
    };
}
pub(crate) use idle;

/// Stops work in the middle until the test lets it go on. Each test has its own, as a static.
pub struct Gate {
    reached: Semaphore,
    open: Semaphore,
}

impl Gate {
    /// A closed gate.
    pub const fn new() -> Gate {
        Gate { reached: Semaphore::const_new(0), open: Semaphore::const_new(0) }
    }

    /// Work: says that it is here, and waits to be let through.
    pub async fn pass(&self) {
        self.reached.add_permits(1);
        self.open.acquire().await.unwrap().forget();
    }

    /// Test: waits until `n` more attempts stand at the gate.
    pub async fn wait(&self, n: u32) {
        let arrived = tokio::time::timeout(PATIENCE, self.reached.acquire_many(n)).await;
        arrived.expect("no work reached the gate").unwrap().forget();
    }

    /// Test: lets `n` attempts through.
    pub fn open(&self, n: usize) {
        self.open.add_permits(n);
    }
}

/// Looks at the database until `sql` (a boolean) is true.
pub async fn until(world: &World, sql: &str) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !world.one::<bool>(sql).await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "never came true: {sql}");
}

/// Another node on the world's database, with its own pool and the same clock.
pub async fn node(world: &World, batches: Vec<Arc<dyn AnyBatch>>) -> Arc<Engine> {
    node_at(world, world.clock.clone(), batches).await
}

/// Another node with a clock of its own.
pub async fn node_at(world: &World, clock: Clock, batches: Vec<Arc<dyn AnyBatch>>) -> Arc<Engine> {
    let pool = world.database.engine_pool(8).await;
    let registry = Registry::new(batches).unwrap();
    let engine = Engine::join(pool, clock, registry, "second", &["plan", "work"]).await;
    Arc::new(engine.unwrap())
}

/// Starts a run by hand and leaves it to the world's loops.
pub async fn begin(world: &World, batch: &str, wanted: Wanted) -> i64 {
    let registry = &world.engine.registry;
    start(&world.pool, registry, batch, wanted, "operator", &act(), world.clock.now())
        .await
        .unwrap()
}

/// Lets the leases of all running jobs run out now.
pub async fn expire_leases(world: &World) {
    world
        .sql(
            "UPDATE yakin.jobs SET lease_until = clock_timestamp() - interval '1 second'
              WHERE state = 'running'",
        )
        .await;
}

/// Moves the clock on by so many seconds.
pub fn pass_seconds(world: &World, seconds: i64) {
    let later = world.clock.now().checked_add(jiff::SignedDuration::from_secs(seconds));
    world.clock.set(later.unwrap());
}

/// All firings as `planned → due state outcome`, in Tokyo time.
pub async fn firings(world: &World, batch: &str) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT to_char(planned_at AT TIME ZONE 'Asia/Tokyo', 'MM-DD HH24:MI') || ' ' || coalesce(outcome, state)
           FROM yakin.firings WHERE batch_id = $1 ORDER BY planned_at",
    )
    .bind(batch)
    .fetch_all(&world.database.owner)
    .await
    .unwrap()
}

/// State and outcome of the firing planned at `at`.
pub async fn firing(world: &World, batch: &str, at: &str) -> (String, Option<String>) {
    sqlx::query_as(
        "SELECT coalesce(outcome, state), reason FROM yakin.firings WHERE batch_id = $1 AND planned_at = $2::timestamptz",
    )
    .bind(batch)
    .bind(instant(at).to_string())
    .fetch_one(&world.database.owner)
    .await
    .unwrap()
}
