#![allow(clippy::unwrap_used, clippy::panic)] // a test helper may fail the test
//! Tests on a real PostgreSQL: a database per test, a clock that stands, an engine that moves by steps, no sleeping.

pub mod redis;
pub mod seaweed;
pub mod stand_in;

use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};
use yakin_engine::clock::Clock;
use yakin_engine::database;
use yakin_engine::engine::Engine;
use yakin_engine::operate::runs::{Again, Wanted, rerun, start};
use yakin_engine::record::audit::Act;
use yakin_engine::registry::{AnyBatch, Registry};
use yakin_engine::worker::pool::work_until_empty;

/// Where a test's world begins unless it says otherwise: the 1st of November 2026, 01:00 in Tokyo.
pub const BEGIN: &str = "2026-11-01T01:00:00+09:00";

/// Who owns the schema in tests: no superuser, with the rights the operator's handbook prescribes and no others.
pub const OWNER: &str = "yakin_owner";

/// A test's own database with the schema, and ways into it.
pub struct TestDatabase {
    server: PgConnectOptions,
    name: String,
    /// As superuser, for the test's own set-up: sees and may do everything. The schema belongs to [`OWNER`].
    pub owner: PgPool,
}

impl TestDatabase {
    /// Makes a database from the template of this schema; the template is made by the first test that needs it.
    pub async fn new() -> TestDatabase {
        let url = std::env::var("YAKIN_TEST_DATABASE_URL")
            .expect("YAKIN_TEST_DATABASE_URL is not set: eval \"$(scripts/test-postgres env)\" after `scripts/test-postgres start`");
        TestDatabase::on(&url).await
    }

    /// The same on a server of the test's own, whose superuser's URL this is.
    pub async fn on(url: &str) -> TestDatabase {
        let server =
            PgConnectOptions::from_str(url).expect("the server's URL").disable_statement_logging();
        let mut admin = server.connect().await.expect("the test server");
        let template = template(&mut admin, &server).await;
        let name = unique_name();
        admin
            .execute(AssertSqlSafe(format!(
                "CREATE DATABASE {name} TEMPLATE {template} OWNER {OWNER}"
            )))
            .await
            .expect("create database");
        admin.close().await.expect("close");
        let owner = PgPoolOptions::new()
            .max_connections(8)
            .connect_with(server.clone().database(&name))
            .await
            .expect("owner pool");
        TestDatabase { server, name, owner }
    }

    /// The URL of a login role on this database.
    pub fn url(&self, login: &str) -> String {
        let options = self.server.clone().database(&self.name).username(login);
        options.to_url_lossy().to_string()
    }

    /// Its name on the server.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The superuser's URL.
    pub fn owner_url(&self) -> String {
        self.server.clone().database(&self.name).to_url_lossy().to_string()
    }

    /// A pool as nodes have it.
    pub async fn engine_pool(&self, size: u32) -> PgPool {
        database::connect(&self.url("yakin_engine"), size).await.expect("engine pool")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the test's database is kept: {}", self.name);
            return;
        }
        let (server, name) = (self.server.clone(), self.name.clone());
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("runtime");
            runtime.block_on(async {
                let mut admin = server.connect().await?;
                admin
                    .execute(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")))
                    .await
            })
        });
        drop(dropped.join());
    }
}

fn unique_name() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let nanos = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| d.as_nanos());
    format!(
        "t{}_{}_{}",
        std::process::id(),
        nanos % 1_000_000_000,
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// The schema's owner as `docs/operations.md` has it made.
const MAKE_OWNER: &str = "DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'yakin_owner') THEN
        CREATE ROLE yakin_owner LOGIN CREATEROLE;
    END IF;
END $$";

/// The template database of exactly this set of migrations.
async fn template(admin: &mut PgConnection, server: &PgConnectOptions) -> String {
    let name = format!("yakin_template_{}", database::schema_fingerprint());
    let find = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)";
    admin.execute("SELECT pg_advisory_lock(7284499)").await.expect("lock");
    let there: bool =
        sqlx::query_scalar(find).bind(&name).fetch_one(&mut *admin).await.expect("look");
    if !there {
        admin
            .execute(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name}")))
            .await
            .expect("drop half-made");
        admin.execute(MAKE_OWNER).await.expect("create the owner");
        admin
            .execute(AssertSqlSafe(format!("CREATE DATABASE {name} OWNER {OWNER}")))
            .await
            .expect("create template");
        let url = server.clone().database(&name).username(OWNER).to_url_lossy().to_string();
        database::migrate(&url).await.expect("migrate");
        admin
            .execute(AssertSqlSafe(format!("ALTER DATABASE {name} IS_TEMPLATE true")))
            .await
            .expect("mark");
    }
    admin.execute("SELECT pg_advisory_unlock(7284499)").await.expect("unlock");
    name
}

/// How a run ended, as the ledger has it.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Seen {
    pub id: i64,
    pub outcome: Option<String>,
    pub reason: Option<String>,
    pub tenants_total: i32,
    pub tenants_done: i32,
    pub tenants_blocked: i32,
    pub tenants_failed: i32,
    pub rows_written: i64,
    pub counts: Value,
    pub amount_yen: Option<rust_decimal::Decimal>,
    pub plan: Option<Value>,
    pub plan_hash: Option<String>,
}

impl Seen {
    /// The outcome, or "open".
    pub fn outcome(&self) -> &str {
        self.outcome.as_deref().unwrap_or("open")
    }

    /// A named count, 0 when absent.
    pub fn count(&self, name: &str) -> i64 {
        self.counts[name].as_i64().unwrap_or(0)
    }
}

/// A node on a test's own database, moved by hand.
pub struct World {
    pub engine: Arc<Engine>,
    pub clock: Clock,
    pub pool: PgPool,
    pub database: TestDatabase,
}

impl World {
    /// A world with these batches, at [`BEGIN`].
    pub async fn new(batches: Vec<Arc<dyn AnyBatch>>) -> World {
        World::at(BEGIN, batches).await
    }

    /// A world that begins at an instant.
    pub async fn at(begin: &str, batches: Vec<Arc<dyn AnyBatch>>) -> World {
        let database = TestDatabase::new().await;
        let pool = database.engine_pool(24).await;
        let clock = Clock::at(instant(begin));
        let registry = Registry::new(batches).expect("registry");
        let engine = Engine::join(pool.clone(), clock.clone(), registry, "test", &["plan", "work"])
            .await
            .expect("join");
        World { engine: Arc::new(engine), clock, pool, database }
    }

    /// Sets the clock.
    pub fn set_clock(&self, at: &str) {
        self.clock.set(instant(at));
    }

    /// Runs a statement as superuser; several may stand behind each other.
    pub async fn sql(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&self.database.owner)
            .await
            .unwrap_or_else(|e| panic!("{e}\n{sql}"));
    }

    /// One value as superuser.
    pub async fn one<T>(&self, sql: &str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
            .fetch_one(&self.database.owner)
            .await
            .unwrap_or_else(|e| panic!("{e}\n{sql}"))
    }

    /// A tenant with a plan `standard` (base 50,000 yen, 100,000 calls, 100 GB …) contracted since 2026-01-01.
    pub async fn tenant(&self, code: &str) -> i64 {
        self.sql(include_str!("standard_plan.sql")).await;
        self.one(&format!(
            "WITH t AS (INSERT INTO app.tenants (code, name, created_on, billing_name, billing_address, billing_email)
                        VALUES ('{code}', '株式会社{code}', '2026-01-01', '株式会社{code}', '東京都千代田区1-1', '{code}@example.com')
                        RETURNING tenant_id),
                  s AS (INSERT INTO app.tenant_status_history SELECT tenant_id, '2026-01-01T00:00:00+09:00', 'active' FROM t),
                  c AS (INSERT INTO app.contracts (tenant_id, starts_on) SELECT tenant_id, '2026-01-01' FROM t
                        RETURNING tenant_id, contract_id),
                  p AS (INSERT INTO app.contract_plans SELECT tenant_id, contract_id, '2026-01-01', 'standard' FROM c)
             SELECT tenant_id FROM t"
        ))
        .await
    }

    /// Makes the monthly partitions of the raw logs for these months (`2026-10-01`).
    pub async fn months(&self, months: &[&str]) {
        for log in [
            "api_call_logs",
            "login_logs",
            "report_generation_logs",
            "user_sessions",
            "compute_usage_logs",
            "network_usage_logs",
            "feature_usage_logs",
            "engineer_activity_logs",
        ] {
            for month in months {
                self.sql(&format!("SELECT yakin.ensure_month('app.{log}', '{month}')")).await;
            }
        }
    }

    /// Plans, starts, works and moves on until nothing is left to do at this instant.
    pub async fn settle(&self) {
        loop {
            let ended = self.engine.plan_step().await.expect("plan");
            let worked = work_until_empty(&self.engine).await.expect("work");
            if ended.is_empty() && worked == 0 {
                return;
            }
        }
    }

    /// Starts a run of a batch for a date and lives it to its end.
    pub async fn run(&self, batch: &str, date: Option<&str>, params: &[(&str, &str)]) -> Seen {
        self.run_as(
            batch,
            Wanted { date: date.map(day), params: owned(params), ..Wanted::default() },
        )
        .await
    }

    /// The same as a dry run.
    pub async fn dry_run(&self, batch: &str, date: Option<&str>, params: &[(&str, &str)]) -> Seen {
        self.run_as(
            batch,
            Wanted {
                date: date.map(day),
                params: owned(params),
                dry_run: true,
                ..Wanted::default()
            },
        )
        .await
    }

    /// Starts exactly the wanted run and lives it to its end (retries that lie in the future stay scheduled).
    pub async fn run_as(&self, batch: &str, wanted: Wanted) -> Seen {
        let id = start(
            &self.pool,
            &self.engine.registry,
            batch,
            wanted,
            "operator",
            &act(),
            self.clock.now(),
        )
        .await
        .expect("start");
        self.settle().await;
        self.seen(id).await
    }

    /// Reruns the failed and blocked tenants of a run.
    pub async fn rerun_failed(&self, run: i64) -> Seen {
        let id =
            rerun(&self.pool, &self.engine.registry, run, Again::Failed, &act(), self.clock.now())
                .await
                .expect("rerun");
        self.settle().await;
        self.seen(id).await
    }

    /// What the ledger says of a run.
    pub async fn seen(&self, run: i64) -> Seen {
        sqlx::query_as(
            "SELECT id, outcome, reason, tenants_total, tenants_done, tenants_blocked, tenants_failed, rows_written,
                    counts, amount_yen, plan, plan_hash FROM yakin.runs WHERE id = $1",
        )
        .bind(run)
        .fetch_one(&self.database.owner)
        .await
        .expect("run")
    }

    /// State and reason of one tenant in a run.
    pub async fn tenant_seen(&self, run: i64, tenant: i64) -> (String, Option<String>) {
        sqlx::query_as(
            "SELECT state, reason FROM yakin.run_tenants WHERE run_id = $1 AND tenant_id = $2",
        )
        .bind(run)
        .bind(tenant)
        .fetch_one(&self.database.owner)
        .await
        .expect("tenant of run")
    }
}

/// A person who acts in tests.
pub fn act() -> Act {
    Act { actor: "tester".to_owned(), reason: "test".to_owned() }
}

/// An instant from text.
pub fn instant(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// A day from text.
pub fn day(text: &str) -> Date {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn owned(params: &[(&str, &str)]) -> Vec<(String, String)> {
    params.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}
