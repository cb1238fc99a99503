//! The binary as a user has it: its processes on a test's own database, and waiting that has a bound.
#![allow(dead_code)] // each test file uses a part

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::civil::Date;
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{AssertSqlSafe, ConnectOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use yakin_domain::billing::issuer::Issuer;
use yakin_domain::sample::{SampleSpec, generate};
use yakin_engine::clock::Clock;
use yakin_engine::engine::{Engine, set_virtual_time};
use yakin_engine::operate::runs::{Wanted, start};
use yakin_engine::schedule::planner::register;
use yakin_engine::worker::pool::work_until_empty;
use yakin_testkit::{BEGIN, TestDatabase, act, instant};

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
        let database = TestDatabase::new().await;
        let now = Some(instant(BEGIN));
        set_virtual_time(&database.owner, now, now).await.expect("virtual time");
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name =
            format!("yakin-site-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).expect("folder");
        std::fs::write(dir.join("yakin.toml"), CONFIG).expect("configuration");
        Site { database, dir }
    }

    /// With a small sample world that has no faults: the same each time.
    pub async fn with_sample(tenants: u32) -> Site {
        let site = Site::new().await;
        let mut spec = SampleSpec::new(tenants, tenants * 5, 7, instant(BEGIN));
        spec.with_faults = false;
        spec.log_rows = u64::from(tenants) * 800;
        let mut owner = site.database.owner.acquire().await.expect("owner");
        generate(&mut owner, &spec, |_| {}).await.expect("sample");
        site
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

    /// Starts a run as an operator would, and says its number.
    pub async fn start(&self, batch: &str, date: Date) -> i64 {
        let want = Wanted { date: Some(date), ..Wanted::default() };
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
        let mut command = Command::new(binary());
        for (key, _) in std::env::vars() {
            if key.starts_with("YAKIN_") || key.starts_with("PG") {
                command.env_remove(key);
            }
        }
        command
            .args(arguments)
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
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--virtual", BEGIN];
        Node::start(self.command(&arguments)).await
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

/// A `yakin serve` that is killed with the test.
pub struct Node {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    stderr: Arc<Mutex<String>>,
    pub address: String,
    /// Its row in yakin.nodes.
    pub id: i64,
}

impl Node {
    async fn start(mut command: Command) -> Node {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starting the program");
        let (lines, stderr) =
            (Arc::<Mutex<Vec<String>>>::default(), Arc::<Mutex<String>>::default());
        let (out, err) =
            (child.stdout.take().expect("stdout"), child.stderr.take().expect("stderr"));
        let kept = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
        });
        let kept = stderr.clone();
        std::thread::spawn(move || {
            let mut err = BufReader::new(err);
            let mut line = String::new();
            while err.read_line(&mut line).is_ok_and(|n| n > 0) {
                kept.lock().unwrap().push_str(&line);
                line.clear();
            }
        });
        let mut node = Node { child, lines, stderr, address: String::new(), id: 0 };
        let limit = Instant::now() + Duration::from_secs(30);
        loop {
            let serving = node.logs().into_iter().find(|l| l["message"] == "serving");
            if let Some(line) = serving {
                node.address = line["address"].as_str().expect("address").to_owned();
                node.id = line["node"].as_i64().expect("node");
                return node;
            }
            let ended = node.child.try_wait().expect("child");
            assert!(
                ended.is_none() && Instant::now() < limit,
                "the node does not serve: {ended:?} {}",
                node.stderr()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What it has said on stdout: each line must be a JSON object.
    pub fn logs(&self) -> Vec<serde_json::Value> {
        let lines = self.lines.lock().unwrap();
        lines
            .iter()
            .map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("no JSON ({e}): {l}")))
            .collect()
    }

    /// What it has said on stderr.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("signal");
    }

    /// As `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// Tells it to stop and waits for its end.
    pub async fn terminate(&mut self, seconds: u64) -> ExitStatus {
        self.signal(Signal::TERM);
        self.end(seconds).await
    }

    /// Waits for its end.
    pub async fn end(&mut self, seconds: u64) -> ExitStatus {
        let child = &mut self.child;
        let mut status = None;
        until("the node ends", seconds, async || {
            status = child.try_wait().expect("child");
            status.is_some()
        })
        .await;
        status.expect("status")
    }

    /// Whether it still lives.
    pub fn lives(&mut self) -> bool {
        self.child.try_wait().expect("child").is_none()
    }

    /// GET: status line, head and body.
    pub async fn get(&self, path: &str, accept: &str) -> (String, String) {
        let mut stream = tokio::net::TcpStream::connect(&self.address).await.expect("connect");
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: test\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
        (head.to_owned(), body.to_owned())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!(
                "node {} said:\n{}{}",
                self.id,
                self.lines.lock().unwrap().join("\n"),
                self.stderr()
            );
        }
    }
}

/// How a command ended.
pub struct Told {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Told {
    fn from(output: Output) -> Told {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        let told = Told {
            code: output.status.code().unwrap_or(-1),
            out: text(output.stdout),
            err: text(output.stderr),
        };
        assert!(!told.err.contains("panicked"), "{}", told.err);
        assert!(
            !told.out.contains('\u{1b}') && !told.err.contains('\u{1b}'),
            "escape codes in a pipe"
        );
        told
    }
}

/// Runs a command to its end; one that hangs is killed and fails the test.
pub fn tell(mut command: Command) -> Told {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starting the program");
    let (mut out, mut err) = (child.stdout.take().expect("out"), child.stderr.take().expect("err"));
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        out.read_to_end(&mut bytes).expect("stdout");
        bytes
    });
    let pid = Pid::from_child(&child);
    let (ended, hung) = std::sync::mpsc::channel::<()>();
    let guard = std::thread::spawn(move || {
        let limit = hung.recv_timeout(Duration::from_secs(60));
        if limit == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            let _ = kill_process(pid, Signal::KILL);
        }
    });
    let mut stderr = Vec::new();
    err.read_to_end(&mut stderr).expect("stderr");
    let stdout = reader.join().expect("reader");
    let status = child.wait().expect("wait");
    drop(ended);
    guard.join().expect("guard");
    Told::from(Output { status, stdout, stderr })
}
