//! The binary as a user has it: its processes on a test's own database, and waiting that has a bound.
#![allow(dead_code, unused_imports)] // each test file uses a part

mod api;
mod mail;
mod process;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::civil::Date;
use sqlx::{AssertSqlSafe, ConnectOptions};
use yakin_domain::billing::issuer::Issuer;
use yakin_domain::sample::{SampleSpec, generate};
use yakin_engine::clock::Clock;
use yakin_engine::engine::{Engine, set_virtual_time};
use yakin_engine::operate::runs::{Wanted, start};
use yakin_engine::schedule::planner::register;
use yakin_engine::worker::pool::work_until_empty;
use yakin_testkit::{BEGIN, TestDatabase, act, instant};

pub use api::CRON_SECRET;
pub use mail::{header, relay_of, slow};
pub use process::{Node, Told, tell, tell_within};

/// A configuration with an issuer and few connections.
pub const CONFIG: &str = r#"
[database]
connections = 8
[issuer]
name = "株式会社見本"
address = "東京都千代田区丸の内1-1-1"
registration_number = "T9700110012005"
bank_account = "見本銀行 本店 普通 1234567"
"#;

/// The program, built beside the tests.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("the test's own file");
    let path = test.ancestors().nth(2).expect("the build folder").join("yakin");
    assert!(path.is_file(), "{} is not there: run `cargo build --workspace` first", path.display());
    path
}

/// Polls until `done`, at most so many seconds.
pub async fn until(what: &str, seconds: u64, mut done: impl AsyncFnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(seconds);
    while !done().await {
        assert!(Instant::now() < limit, "waited {seconds} s in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A database in standing virtual time ([`BEGIN`]), a folder with a configuration, and the ways to work there.
pub struct Site {
    pub database: TestDatabase,
    pub dir: PathBuf,
}

impl Site {
    /// Migrated and empty.
    pub async fn new() -> Site {
        Site::on(TestDatabase::new().await).await
    }

    /// The same on this database.
    pub async fn on(database: TestDatabase) -> Site {
        let now = Some(instant(BEGIN));
        set_virtual_time(&database.owner, now, now).await.expect("virtual time");
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name =
            format!("yakin-site-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).expect("folder");
        let site = Site { database, dir };
        site.configure("");
        site
    }

    /// Writes the configuration: [`CONFIG`] and this.
    pub fn configure(&self, more: &str) {
        std::fs::write(self.dir.join("yakin.toml"), format!("{CONFIG}{more}"))
            .expect("configuration");
    }

    /// Adds keys, a login and a folder for backups to the configuration that is there.
    pub fn add_backups(&self) {
        let told = tell(self.command(&["keys", "backup", "--file", "backup.key", "--json"]));
        assert_eq!(told.code, 0, "{}", told.err);
        let made: serde_json::Value = serde_json::from_str(&told.out).expect("JSON");
        let file = self.dir.join("yakin.toml");
        let config = std::fs::read_to_string(&file).expect("configuration");
        let url = self.owner_url(None);
        let login = format!("[database]\nbackup_url = {url:?}\nmaintenance_url = {url:?}");
        let more = format!(
            "[keys]\nbackup_recipients = [{}]\nbackup_identity_file = {:?}\n[backup]\nfolder = {:?}\n",
            made["recipient"],
            self.dir.join("backup.key"),
            self.dir.join("sets")
        );
        let config = config.replacen("[database]", &login, 1);
        std::fs::write(file, config + &more).expect("configuration");
    }

    /// With a small sample world that has no faults: the same each time.
    pub async fn with_sample(tenants: u32) -> Site {
        let site = Site::new().await;
        site.fill(tenants).await;
        site
    }

    /// Makes the small sample world in an empty database.
    pub async fn fill(&self, tenants: u32) {
        let mut spec = SampleSpec::new(tenants, tenants * 5, 7, instant(BEGIN));
        spec.with_faults = false;
        spec.log_rows = u64::from(tenants) * 800;
        let mut owner = self.database.owner.acquire().await.expect("owner");
        generate(&mut owner, &spec, |_| {}).await.expect("sample");
    }

    /// Lives these runs in this process, undisturbed.
    pub async fn calmly(&self, wanted: &[(&str, Date)]) {
        let pool = self.database.engine_pool(8).await;
        let registry = yakin_catalogue::registry().expect("catalogue");
        let clock = Clock::at(instant(BEGIN));
        let mut engine = Engine::join(pool.clone(), clock, registry.clone(), "calm", &["work"])
            .await
            .expect("join");
        engine.provide(issuer());
        for (batch, date) in wanted {
            let want = Wanted { date: Some(*date), ..Wanted::default() };
            let now = instant(BEGIN);
            let run = start(&pool, &registry, batch, want, "operator", &act(), now).await;
            let run = run.expect("start");
            while !engine.advance_step().await.expect("advance").iter().any(|e| e.id == run) {
                work_until_empty(&engine).await.expect("work");
            }
        }
        engine.leave().await.expect("leave");
        pool.close().await;
    }

    /// Starts a run as an operator would, for a date where the batch works on periods, and says its number.
    pub async fn start(&self, batch: &str, date: impl Into<Option<Date>>) -> i64 {
        let want = Wanted { date: date.into(), ..Wanted::default() };
        let registry = yakin_catalogue::registry().expect("catalogue");
        let (pool, now) = (&self.database.owner, instant(BEGIN));
        register(pool, &registry, now).await.expect("register");
        start(pool, &registry, batch, want, "operator", &act(), now).await.expect("start")
    }

    /// A node in this process that only watches over the others, when told to.
    pub async fn watcher(&self) -> Engine {
        let pool = self.database.engine_pool(4).await;
        let registry = yakin_catalogue::registry().expect("catalogue");
        Engine::join(pool, Clock::at(instant(BEGIN)), registry, "watcher", &["plan"])
            .await
            .expect("join")
    }

    /// Whether a run has ended.
    pub async fn ended(&self, run: i64) -> bool {
        self.one(&format!("SELECT state = 'ended' FROM yakin.runs WHERE id = {run}")).await
    }

    /// A run's outcome and reason, once it has ended.
    pub async fn outcome(&self, run: i64) -> String {
        until(&format!("run {run} ends"), 60, async || self.ended(run).await).await;
        self.one(&format!(
            "SELECT outcome || coalesce(': ' || reason, '') FROM yakin.runs WHERE id = {run}"
        ))
        .await
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

    /// Runs statements as superuser.
    pub async fn sql(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&self.database.owner)
            .await
            .unwrap_or_else(|e| panic!("{e}\n{sql}"));
    }

    /// The superuser's URL, for another database of the same server when one is named.
    pub fn owner_url(&self, database: Option<&str>) -> String {
        let options = (*self.database.owner.connect_options()).clone();
        match database {
            Some(name) => options.database(name).to_url_lossy().to_string(),
            None => options.to_url_lossy().to_string(),
        }
    }

    /// The program in this place, with nothing of the caller's environment that it would read.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command_of(binary());
        command.args(arguments);
        command
    }

    /// Another program in this place, with the same environment.
    fn command_of(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for (key, _) in std::env::vars() {
            // but for the programs of the server that the tests run on
            if key.starts_with("YAKIN_") && key != "YAKIN_PG_BIN" || key.starts_with("PG") {
                command.env_remove(key);
            }
        }
        command
            .current_dir(&self.dir)
            .env_remove("RUST_LOG")
            .env_remove("NO_COLOR")
            .env("YAKIN_ACTOR", "tester")
            .env("YAKIN_DATA", self.dir.join("data"))
            .env("DATABASE_URL", self.database.url("yakin_engine"))
            .stdin(Stdio::null());
        command
    }

    /// A serving node, once it answers.
    pub async fn serve(&self) -> Node {
        self.serve_by(|_| {}).await
    }

    /// The same, its process changed before it starts.
    pub async fn serve_by(&self, change: impl FnOnce(&mut Command)) -> Node {
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--virtual", BEGIN];
        let mut command = self.command(&arguments);
        change(&mut command);
        Node::start(command).await
    }

    /// Where an attempt is to be tried again later, time stands until this moves it to that instant.
    pub async fn come_to_the_next_try(&self) {
        self.sql(
            "UPDATE yakin.control SET virtual_now = next.at, virtual_until = next.at
               FROM (SELECT min(run_at) AS at FROM yakin.jobs WHERE state = 'scheduled') AS next
              WHERE next.at > virtual_now",
        )
        .await;
    }

    /// Lets the leases of these nodes' jobs run out now: they last 30 real seconds, which no test should wait.
    pub async fn expire_leases(&self, nodes: &[i64]) {
        sqlx::query(
            "UPDATE yakin.jobs SET lease_until = clock_timestamp() - interval '1 second'
              WHERE id IN (SELECT id FROM yakin.jobs WHERE state = 'running' AND node_id = ANY ($1)
                            ORDER BY id FOR UPDATE SKIP LOCKED)",
        )
        .bind(nodes)
        .execute(&self.database.owner)
        .await
        .expect("expire");
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Who bills, as in [`CONFIG`].
pub fn issuer() -> Issuer {
    Issuer {
        name: "株式会社見本".to_owned(),
        address: "東京都千代田区丸の内1-1-1".to_owned(),
        registration_number: "T9700110012005".to_owned(),
        bank_account: "見本銀行 本店 普通 1234567".to_owned(),
    }
}
