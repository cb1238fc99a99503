//! The private server with real processes: shared, left, killed at every joint, and refused with a
//! message that helps.
// The configured exception sees test functions, not their helpers.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};
use sqlx::{Connection, PgConnection};

const PROBE: &str = env!("CARGO_BIN_EXE_private-postgres-probe");
const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn many_at_once_share_one_server() {
    let ground = Ground::new("shared");
    let clients: Vec<Client> = (0..6).map(|_| ground.spawn()).collect();
    for mut client in clients {
        let url = client.url();
        assert_eq!(ask(&url, "SELECT current_database()::text").await, "yakin");
        assert_eq!(ask(&url, "SHOW data_checksums").await, "on");
        assert_eq!(ask(&url, "SHOW server_encoding").await, "UTF8");
        assert_eq!(ask(&url, "SHOW listen_addresses").await, "");
    }
    assert_eq!(ground.starts(), 1);
}

#[tokio::test]
async fn the_engine_role_can_log_in_and_the_url_fits_psql() {
    let ground = Ground::new("roles");
    let mut client = ground.spawn();
    let owner = client.url();
    ask(&owner, "CREATE ROLE yakin_engine LOGIN").await;
    let engine = owner.replace("postgres@", "yakin_engine@");
    assert_eq!(ask(&engine, "SELECT current_user::text").await, "yakin_engine");
    let psql = Command::new("psql").args(["-XAtc", "SELECT 42", &owner]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&psql.stdout), "42\n");
}

#[test]
fn the_server_stops_after_its_last_client_was_killed_and_not_before() {
    let ground = Ground::new("left");
    let (mut first, mut second) = (ground.spawn(), ground.spawn());
    first.url();
    second.url();
    let server = ground.server();
    first.kill();
    // Longer than the grace: what must not happen has no signal to wait for.
    std::thread::sleep(Duration::from_secs(3));
    assert!(is_alive(server), "stopped under a client");
    second.kill();
    eventually("the server has stopped", || !is_alive(server));
    eventually("the supervisor has ended", || ground.is_quiet());
    assert!(ground.log().contains("database system is shut down"), "{}", ground.log());
}

#[test]
fn a_client_that_comes_while_the_server_stops_gets_the_next_one() {
    let ground = Ground::new("again");
    ground.spawn().url();
    // The first has left by now. Comes again and again until a server was stopped in between.
    eventually("a second server was started", || {
        ground.spawn().url();
        std::thread::sleep(Duration::from_millis(1900));
        ground.starts() > 1
    });
}

#[tokio::test]
async fn a_killed_supervisor_takes_the_server_along_and_the_next_command_starts_both() {
    let ground = Ground::new("supervisor");
    let mut client = ground.spawn();
    let url = client.url();
    ask(&url, "CREATE TABLE kept AS SELECT 1 AS n").await;
    let server = ground.server();
    client.kill();
    kill_9(parent_of(server));
    eventually("the server has followed its supervisor", || !is_alive(server));
    let url = ground.spawn_and_stay().url();
    assert_eq!(ask(&url, "SELECT n::text FROM kept").await, "1");
}

#[tokio::test]
async fn a_client_that_stays_gets_a_new_supervisor_and_server() {
    let ground = Ground::new("healed");
    let mut client = ground.spawn();
    let url = client.url();
    let server = ground.server();
    kill_9(parent_of(server));
    eventually("another server runs", || {
        ground.maybe_server().is_some_and(|pid| pid != server && is_alive(pid))
    });
    let server = ground.server();
    kill_9(server);
    eventually("the supervisor has restarted the server", || {
        ground.maybe_server().is_some_and(|pid| pid != server && is_alive(pid))
    });
    ground.spawn().url();
    assert_eq!(ask(&url, "SELECT 'here'").await, "here");
}

#[test]
fn an_orphan_server_is_stopped_and_replaced() {
    let ground = Ground::new("orphan");
    ground.spawn().url();
    eventually("the first server has stopped", || ground.is_quiet());
    let mut orphan = ground.as_server_user(&format!("{}/postgres", bin_dir()));
    orphan.arg("-D").arg(ground.cluster()).args(["-c", "listen_addresses="]);
    orphan.arg("-c").arg(format!("unix_socket_directories={}/run", ground.data.display()));
    let mut orphan = orphan.stderr(Stdio::null()).spawn().unwrap();
    eventually("the orphan runs", || ground.data.join("run/.s.PGSQL.5432").exists());
    ground.spawn_and_stay().url();
    assert_ne!(ground.server(), Pid::from_raw(orphan.id().cast_signed()));
    assert!(orphan.wait().unwrap().success(), "a fast shutdown ends with 0");
}

#[test]
fn a_stale_pid_file_with_a_living_strangers_number_is_no_obstacle() {
    let ground = Ground::new("stale");
    ground.spawn().url();
    eventually("the first server has stopped", || ground.is_quiet());
    // Of the same user, or PostgreSQL would see through it without our help.
    let mut stranger = ground.as_server_user("sleep").arg("600").spawn().unwrap();
    let text = format!("{}\n{}\n1\n5432\n\n\n", stranger.id(), ground.cluster().display());
    fs::write(ground.cluster().join("postmaster.pid"), text).unwrap();
    ground.spawn().url();
    assert!(stranger.try_wait().unwrap().is_none(), "the stranger was left alone");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn an_initdb_that_was_killed_is_done_again() {
    let ground = Ground::new("half");
    fs::create_dir_all(ground.data.join("postgres.new/base")).unwrap();
    fs::write(ground.data.join("postgres.new/PG_VERSION"), "15\n").unwrap();
    ground.spawn().url();
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_is_served_from_a_short_folder() {
    let mut ground = Ground::new("long");
    ground.data = ground.data.join("x".repeat(120));
    let url = ground.spawn_and_stay().url();
    assert!(!url.contains("xxx"), "{url}");
    assert_eq!(ask(&url, "SELECT 'here'").await, "here");
    let socket_dir =
        url.split_once("?host=").unwrap().1.split_once('&').unwrap().0.replace("%2F", "/");
    ground.outside = Some(socket_dir.into());
}

#[test]
fn sigterm_lets_clients_finish_and_sigint_does_not() {
    let ground = Ground::new("signals");
    let mut client = ground.spawn();
    client.url();
    let supervisor = parent_of(ground.server());
    kill(supervisor, Signal::SIGTERM).unwrap();
    std::thread::sleep(Duration::from_secs(1)); // what must not happen has no signal to wait for
    assert!(is_alive(supervisor), "did not wait for its client");
    client.leave();
    eventually("the supervisor has ended", || !is_alive(supervisor));
    let mut client = ground.spawn();
    client.url();
    let server = ground.server();
    kill(parent_of(server), Signal::SIGINT).unwrap();
    eventually("the server was stopped at once", || !is_alive(server));
}

#[test]
fn a_server_that_cannot_start_is_reported_with_its_own_words() {
    let ground = Ground::new("broken");
    ground.spawn().url();
    eventually("the first server has stopped", || ground.is_quiet());
    let config = ground.cluster().join("postgresql.conf");
    fs::OpenOptions::new().append(true).open(config).unwrap().write_all(b"moon = full\n").unwrap();
    let said = ground.spawn().failure();
    assert!(said.contains("did not start"), "{said}");
    assert!(said.contains("unrecognized configuration parameter \"moon\""), "{said}");
}

#[test]
fn missing_programs_and_foreign_clusters_are_named() {
    let ground = Ground::new("programs");
    let said = Client::new(ground.probe().env("YAKIN_PG_BIN", "/nowhere")).failure();
    assert!(said.contains("looked in /nowhere"), "{said}");
    assert!(said.contains("apt-get install postgresql"), "{said}");

    fs::create_dir_all(ground.cluster()).unwrap();
    fs::write(ground.cluster().join("PG_VERSION"), "14\n").unwrap();
    ground.give_to_server_user(&ground.cluster());
    let said = ground.spawn().failure();
    assert!(said.contains("made by PostgreSQL 14"), "{said}");
    assert!(said.contains("postgresql-14"), "{said}");
}

#[test]
fn a_folder_that_others_can_write_is_refused() {
    let ground = Ground::new("open");
    fs::create_dir(&ground.data).unwrap();
    fs::set_permissions(&ground.data, Permissions::from_mode(0o777)).unwrap();
    let said = ground.spawn().failure();
    assert!(said.contains("chmod go-w"), "{said}");
}

#[test]
fn root_is_served_by_somebody_else_and_keeps_out_of_others_folders() {
    if !geteuid().is_root() {
        return;
    }
    let mut ground = Ground::new("users");
    let mut client = ground.spawn();
    client.url();
    assert_ne!(owner_of(ground.server()), 0);

    fs::set_permissions(&ground.dir, Permissions::from_mode(0o700)).unwrap();
    let blocked = ground.dir.join("blocked");
    let said = Client::new(&mut ground.probe_at(Path::new(PROBE), &blocked)).failure();
    assert!(said.contains(&format!("cannot enter {}", ground.dir.display())), "{said}");
    fs::set_permissions(&ground.dir, Permissions::from_mode(0o755)).unwrap();
    client.leave();
    eventually("the server has stopped", || ground.is_quiet());

    let nobody = User::from_name("nobody").unwrap().unwrap();
    let (uid, gid) = (nobody.uid.as_raw(), nobody.gid.as_raw());
    let theirs = ground.dir.join("theirs");
    fs::create_dir(&theirs).unwrap();
    chown(&theirs, Some(uid), Some(gid)).unwrap();
    ground.data = theirs.join("data");
    // Copied, because the build folder may lie where nobody cannot go.
    let copy = ground.dir.join("probe");
    fs::copy(PROBE, &copy).unwrap();
    let mut client = Client::new(ground.probe_at(&copy, &ground.data).uid(uid).gid(gid));
    client.url();
    assert_eq!(owner_of(ground.server()), uid);
    let said = ground.spawn().failure();
    assert!(said.contains("belongs to nobody, but this is root"), "{said}");
}

/// A folder for one test; at its end all clients leave, the server stops, and the folder goes.
struct Ground {
    dir: PathBuf,
    data: PathBuf,
    outside: Option<PathBuf>,
    stayed: std::cell::RefCell<Vec<Client>>,
}

impl Ground {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("yakin-{name}-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
        Self { data: dir.join("data"), dir, outside: None, stayed: Vec::new().into() }
    }

    fn probe(&self) -> Command {
        self.probe_at(Path::new(PROBE), &self.data)
    }

    /// With settings in the environment that must not lead a client elsewhere.
    fn probe_at(&self, exe: &Path, data: &Path) -> Command {
        let mut command = Command::new(exe);
        command.arg("hold").arg(data).current_dir("/");
        command.envs([("PGPORT", "1"), ("PGSSLMODE", "require"), ("PGHOST", "/nowhere")]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn spawn(&self) -> Client {
        Client::new(&mut self.probe())
    }

    /// A client that is to live as long as the ground.
    fn spawn_and_stay(&self) -> std::cell::RefMut<'_, Client> {
        self.stayed.borrow_mut().push(self.spawn());
        std::cell::RefMut::map(self.stayed.borrow_mut(), |all| all.last_mut().unwrap())
    }

    fn cluster(&self) -> PathBuf {
        self.data.join("postgres")
    }

    fn maybe_server(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.cluster().join("postmaster.pid")).ok()?;
        text.lines().next()?.parse().ok().map(Pid::from_raw)
    }

    fn server(&self) -> Pid {
        self.maybe_server().expect("a server runs")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.data.join("postgres.log")).unwrap_or_default()
    }

    fn starts(&self) -> usize {
        self.log().matches("starting PostgreSQL").count()
    }

    /// No supervisor holds its lock.
    fn is_quiet(&self) -> bool {
        fs::File::open(self.data.join("supervisor.lock"))
            .map_or(true, |lock| lock.try_lock().is_ok())
    }

    fn as_server_user(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let owner = fs::metadata(self.cluster()).unwrap();
        command.current_dir("/").stdin(Stdio::null());
        if geteuid().is_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        command
    }

    fn give_to_server_user(&self, path: &Path) {
        if geteuid().is_root() {
            // Not the first choice for a new cluster, so that the folders made before must change
            // hands.
            chown(path, Some(User::from_name("nobody").unwrap().unwrap().uid.as_raw()), None)
                .unwrap();
        }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.stayed.get_mut().clear();
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        } else {
            eventually("the supervisor has ended", || self.is_quiet());
        }
        for dir in [Some(&self.dir), self.outside.as_ref()].into_iter().flatten() {
            fs::remove_dir_all(dir).ok();
        }
    }
}

/// A process that stays at the server until it is told to leave, or dropped.
struct Client(Child);

impl Client {
    fn new(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    /// What it prints once attached.
    fn url(&mut self) -> String {
        let mut line = String::new();
        BufReader::new(self.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        if line.is_empty() {
            let mut said = String::new();
            self.0.stderr.as_mut().unwrap().read_to_string(&mut said).unwrap();
            panic!("not attached: {said}");
        }
        line.trim_end().to_owned()
    }

    /// What it says when it cannot attach.
    fn failure(self) -> String {
        let output = self.into_child().wait_with_output().unwrap();
        assert!(!output.status.success(), "attached");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn leave(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    fn into_child(mut self) -> Child {
        let stand_in = Command::new("true").stdin(Stdio::piped()).spawn().unwrap();
        std::mem::replace(&mut self.0, stand_in)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().ok();
    }
}

async fn ask(url: &str, sql: &'static str) -> String {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let answer = sqlx::query_scalar(sql).fetch_optional(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    answer.unwrap_or_default()
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn status_field(pid: Pid, field: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next().map(str::to_owned)
}

/// Zombies do not count: their parent in a test need not reap them.
fn is_alive(pid: Pid) -> bool {
    status_field(pid, "State:").is_some_and(|state| state != "Z")
}

fn parent_of(pid: Pid) -> Pid {
    Pid::from_raw(status_field(pid, "PPid:").unwrap().parse().unwrap())
}

fn owner_of(pid: Pid) -> u32 {
    status_field(pid, "Uid:").unwrap().parse().unwrap()
}

fn kill_9(pid: Pid) {
    assert!(pid.as_raw() > 1, "would kill init");
    kill(pid, Signal::SIGKILL).unwrap();
}

fn bin_dir() -> String {
    if let Ok(dir) = std::env::var("YAKIN_PG_BIN") {
        return dir;
    }
    let output = Command::new("pg_config").arg("--bindir").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
