//! The process that owns the server: starts it, restarts it when it falls, stops it when the last
//! client has left.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::fstat;
use nix::unistd::{Pid, setsid};
use tokio::signal::unix::{Signal as Interrupts, SignalKind, signal};
use tokio::time::sleep;

use super::cluster;
use super::error::{PrivatePostgresError, Result};
use super::home::{Home, PORT};

/// How long the server stays after its last client, so that commands in a row share it.
const GRACE: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(500);
/// How long after SIGTERM (a host or service going down) clients may still finish their work.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);
/// Fast shutdown waits for the last checkpoint; after this the server is told to stop without one.
const STOP_LIMIT: Duration = Duration::from_secs(60);
const QUIT_LIMIT: Duration = Duration::from_secs(10);
/// A server that falls this often without having lived for the time of `STEADY` is given up.
const FALLS_LIMIT: u32 = 3;
const STEADY: Duration = Duration::from_secs(10);
const LOG_LIMIT: u64 = 16 << 20;

/// Starts a supervisor that owns `lock`, emptied of the number of its forerunner's server.
///
/// An flock belongs to the open file, so it passes with the file as the child's standard input,
/// without a moment in which somebody else could take it.
pub(super) fn launch(home: &Home, exe: &Path, lock: File) -> Result<()> {
    let log = OpenOptions::new().append(true).create(true).mode(0o600).open(home.log());
    let log = log.map_err(|e| PrivatePostgresError::io("open", home.log().display(), e))?;
    let log_too = log.try_clone().map_err(|e| PrivatePostgresError::io("share", "the log", e))?;
    lock.set_len(0).map_err(|e| failed("empty the lock of", e))?;
    let mut command = Command::new(exe);
    command.arg(super::SUPERVISE_COMMAND).arg(&home.dir).current_dir("/");
    command.stdin(lock).stdout(log).stderr(log_too);
    let child = command.spawn();
    let mut child = child.map_err(|e| PrivatePostgresError::io("start", exe.display(), e))?;
    // Leaves no zombie in a client that lives on; how the supervisor ended is told by its lock and
    // its log.
    std::thread::spawn(move || child.wait());
    Ok(())
}

/// Runs the server of `dir` until its last client has left. What `yakin __supervise-postgres DIR`
/// does and nothing else calls: [`super::PrivatePostgres::attach`] starts it with the supervisor's
/// lock as its standard input and the log as its standard error, where the caller is to print an
/// error.
pub fn supervise(dir: &Path) -> Result<()> {
    let dir = dir.to_owned();
    // A thread of its own, alive to the end: the kernel's parent-death signal (below) watches the
    // thread that started the server, and a runtime may be running on the caller's.
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime
            .map_err(|e| failed("start", e))?
            .block_on(async { Supervisor::new(&dir)?.run().await })
    });
    thread.join().unwrap_or_else(|_| Err(failed("run", io::Error::other("it panicked"))))
}

struct Supervisor {
    home: Home,
    clients: File,
    at_once: Interrupts,
    drain: Interrupts,
    /// Set by the first SIGTERM.
    stop_by: Option<Instant>,
}

/// Why the supervisor no longer waits.
enum Ended {
    /// No client is left, or we were told to stop.
    Left,
    /// The server is gone although clients need it.
    Fell(ExitStatus),
}

impl Supervisor {
    fn new(dir: &Path) -> Result<Self> {
        // Leaves the terminal, so that its Ctrl-C does not stop the server under other commands.
        setsid().ok();
        let home = Home::open(dir)?;
        must_hold_lock(&home)?;
        let clients = home.clients_lock()?;
        let listen = |kind| signal(kind).map_err(|e| failed("listen for signals in", e));
        let (at_once, drain) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        Ok(Self { home, clients, at_once, drain, stop_by: None })
    }

    async fn run(mut self) -> Result<()> {
        stop_orphan(&self.home).await?;
        let mut falls = 0;
        loop {
            let begun = Instant::now();
            let mut server = start(&self.home)?;
            let number = server.id().unwrap_or_default().to_string();
            let written = fs::write(self.home.supervisor_lock_path(), number);
            written.map_err(|e| failed("write the lock of", e))?;
            let status = match self.watch(&mut server).await? {
                Ended::Left => return stop(&mut server).await,
                Ended::Fell(status) => status,
            };
            falls = if begun.elapsed() > STEADY { 1 } else { falls + 1 };
            note(&format!("the server ended by itself: {status}"));
            if falls >= FALLS_LIMIT {
                return Err(PrivatePostgresError::Fell { times: falls });
            }
            sleep(POLL).await;
        }
    }

    /// Waits for the last client to leave, for the server to fall, or for a signal.
    async fn watch(&mut self, server: &mut tokio::process::Child) -> Result<Ended> {
        let mut free_since = None;
        loop {
            tokio::select! {
                ended = server.wait() => {
                    let status = ended.map_err(|e| failed("wait for the server in", e))?;
                    let over = self.stop_by.is_some() || !is_used(&self.clients)?;
                    return Ok(if over { Ended::Left } else { Ended::Fell(status) });
                }
                _ = self.at_once.recv() => return Ok(Ended::Left),
                _ = self.drain.recv() => self.stop_by = Some(Instant::now() + DRAIN_LIMIT),
                () = sleep(POLL) => {}
            }
            // No room for the copy, perhaps: a long log harms less than no server.
            bound_log(&self.home.log()).ok();
            if is_used(&self.clients)? {
                free_since = None;
            } else if free_since.get_or_insert_with(Instant::now).elapsed() >= self.grace() {
                // The lock stays ours: newcomers wait until this process has ended, then start the
                // next server.
                return Ok(Ended::Left);
            } else {
                self.clients.unlock().map_err(|e| failed("welcome clients in", e))?;
            }
            if self.stop_by.is_some_and(|limit| Instant::now() >= limit) {
                return Ok(Ended::Left);
            }
        }
    }

    fn grace(&self) -> Duration {
        if self.stop_by.is_some() { Duration::ZERO } else { GRACE }
    }
}

/// Whether a client holds its lock; if none does, it is ours exclusively from now on.
fn is_used(clients: &File) -> Result<bool> {
    match clients.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(e)) => Err(failed("try the clients' lock in", e)),
    }
}

fn start(home: &Home) -> Result<tokio::process::Child> {
    let postgres = cluster::binaries(home)?.dir.join("postgres");
    let mut command = if dies_with_parent() {
        // The kernel stops the server (SIGINT: fast shutdown) when we are killed. setpriv, because
        // it must be said after the change of user, and between fork and exec there is no safe
        // Rust.
        let mut command = home.server.command(Path::new("setpriv"));
        command.args(["--pdeathsig", "INT", "--"]).arg(&postgres);
        command
    } else {
        home.server.command(&postgres)
    };
    command.arg("-D").arg(home.cluster());
    command.args(["-p", &PORT.to_string(), "-c", "listen_addresses="]);
    command.args(["-c", "unix_socket_permissions=0700", "-c", "cluster_name=yakin", "-c"]);
    command.arg(setting("unix_socket_directories", &home.socket_dir));
    tokio::process::Command::from(command)
        .spawn()
        .map_err(|e| PrivatePostgresError::io("start", postgres.display(), e))
}

/// The folder list's syntax wants quotes around what is not a plain word.
fn setting(name: &str, dir: &Path) -> String {
    format!("{name}=\"{}\"", dir.display().to_string().replace('"', "\"\""))
}

/// Whether util-linux's setpriv is here; without it a server that outlives us is stopped by the
/// next supervisor.
fn dies_with_parent() -> bool {
    let mut probe = Command::new("setpriv");
    probe.args(["--pdeathsig", "INT", "true"]).stdin(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

/// Fast shutdown; if that takes too long an immediate one, from which the next start recovers.
async fn stop(server: &mut tokio::process::Child) -> Result<()> {
    for (sign, limit) in [(Signal::SIGINT, STOP_LIMIT), (Signal::SIGQUIT, QUIT_LIMIT)] {
        let Some(pid) = server.id() else { return Ok(()) };
        kill(Pid::from_raw(pid.cast_signed()), sign).ok();
        if tokio::time::timeout(limit, server.wait()).await.is_ok() {
            return Ok(());
        }
    }
    Err(PrivatePostgresError::io("stop", "the server", io::ErrorKind::TimedOut.into()))
}

/// Stops a server whose supervisor was killed. It is told by its working directory: the number in a
/// stale postmaster.pid may long be another process's.
async fn stop_orphan(home: &Home) -> Result<()> {
    let file = home.cluster().join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&file) else { return Ok(()) };
    let pid = text.lines().next().and_then(|line| line.trim().parse::<i32>().ok());
    let Some(pid) = pid.filter(|pid| *pid > 0) else { return Ok(()) };
    let runs_here =
        || fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == home.cluster());
    if !runs_here() {
        if Path::new(&format!("/proc/{pid}")).exists() {
            // PostgreSQL would believe that this process is a server on our data.
            fs::remove_file(&file)
                .map_err(|e| PrivatePostgresError::io("remove", file.display(), e))?;
        }
        return Ok(());
    }
    note(&format!("stopping server {pid}, whose supervisor was killed"));
    for (sign, limit) in [(Signal::SIGINT, STOP_LIMIT), (Signal::SIGQUIT, QUIT_LIMIT)] {
        kill(Pid::from_raw(pid), sign).ok();
        let since = Instant::now();
        while since.elapsed() < limit {
            if !runs_here() {
                return Ok(());
            }
            sleep(POLL / 10).await;
        }
    }
    Err(PrivatePostgresError::io("stop", format!("server {pid}"), io::ErrorKind::TimedOut.into()))
}

/// Refuses to run beside another supervisor: our standard input must be the locked file.
fn must_hold_lock(home: &Home) -> Result<()> {
    let lock = home.supervisor_lock_path();
    let held = home.supervisor_lock()?.is_none();
    let given =
        fstat(io::stdin()).map_err(|e| failed("look at the standard input of", e.into()))?;
    let wanted = fs::metadata(&lock).map_err(|e| failed("look at the lock of", e))?;
    if !held || (given.st_dev, given.st_ino) != (wanted.dev(), wanted.ino()) {
        return Err(PrivatePostgresError::NotLaunched { lock });
    }
    Ok(())
}

/// Keeps the log below its limit: everybody who writes to it appends, so it can be cut in place.
fn bound_log(log: &Path) -> io::Result<()> {
    if fs::metadata(log)?.len() < LOG_LIMIT {
        return Ok(());
    }
    let mut old: PathBuf = log.to_owned();
    old.as_mut_os_string().push(".1");
    fs::copy(log, old)?;
    OpenOptions::new().write(true).open(log)?.set_len(0)
}

/// One line in the log, which is our standard error.
fn note(line: &str) {
    writeln!(io::stderr(), "yakin supervisor: {line}").ok();
}

fn failed(act: &'static str, source: io::Error) -> PrivatePostgresError {
    PrivatePostgresError::io(act, "the supervisor", source)
}
