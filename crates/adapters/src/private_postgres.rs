//! A PostgreSQL of our own for whoever has set no DATABASE_URL: made on first use, reached by
//! socket only, shared by all commands on the same data folder, gone when the last of them has
//! ended.
//!
//! Two locks carry it. Every client holds `clients.lock` shared; the supervisor holds
//! `supervisor.lock` exclusively and writes its server's process number into it. The kernel lets go
//! of both when their holder dies, however it dies.

mod binaries;
mod cluster;
mod error;
mod home;
mod identity;
mod supervisor;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};
use tokio::task::JoinHandle;

pub use error::PrivatePostgresError;
use error::Result;
use home::Home;
pub use home::default_data_dir;
pub use supervisor::supervise;

/// The hidden subcommand by which a binary lets [`supervise`] take over: `yakin
/// __supervise-postgres DIR`.
pub const SUPERVISE_COMMAND: &str = "__supervise-postgres";

/// How long a server may be silent while it starts, and how long it may recover while it says that
/// it does.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);
const RECOVERY_LIMIT: Duration = Duration::from_secs(3600);
/// How long to wait for a server that is being stopped; longer than the supervisor gives it.
const STOP_LIMIT: Duration = Duration::from_secs(90);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);
/// How often a client looks whether the supervisor still lives, and the longest pause between
/// failed restarts.
const LOOK_AFTER: Duration = Duration::from_secs(1);
const LOOK_AFTER_FAILURE: Duration = Duration::from_secs(30);
const DATABASE: &str = "yakin";

/// A stay at the private server: the server runs at least until this is dropped.
///
/// The stay ends with the process, so a child that outlives it (`exec psql`) is not covered: wait
/// for it instead.
#[derive(Debug)]
pub struct PrivatePostgres {
    home: Home,
    watch: JoinHandle<()>,
    _stay: File,
}

impl PrivatePostgres {
    /// Joins the server of `data_dir`, or makes and starts it; returns once it accepts connections
    /// and has its database. `supervisor_exe` must answer [`SUPERVISE_COMMAND`] with [`supervise`].
    pub async fn attach(data_dir: &Path, supervisor_exe: &Path) -> Result<Self> {
        let home = Home::open(data_dir)?;
        let stay = enter(&home).await?;
        wait_until_ready(&home, supervisor_exe).await?;
        let watch = tokio::spawn(keep_supervised(home.clone(), supervisor_exe.into()));
        Ok(Self { home, watch, _stay: stay })
    }

    /// URL of the superuser `postgres` on the database `yakin`: for migrations and backups.
    pub fn owner_url(&self) -> String {
        url(&self.home, "postgres", DATABASE)
    }

    /// URL of the login role `yakin_engine` on the database `yakin`; the first migration creates
    /// the role.
    pub fn engine_url(&self) -> String {
        url(&self.home, "yakin_engine", DATABASE)
    }

    /// The folder of `psql`, `pg_dump` and the like that fit this server.
    pub fn bin_dir(&self) -> Result<PathBuf> {
        Ok(cluster::binaries(&self.home)?.dir)
    }

    /// What the server and its supervisor have said; kept below 32 MiB together with
    /// `postgres.log.1`.
    pub fn log_file(&self) -> PathBuf {
        self.home.log()
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

/// Takes the shared lock that keeps the server up; waits while a server is being stopped.
async fn enter(home: &Home) -> Result<File> {
    let file = home.clients_lock()?;
    let since = Instant::now();
    while file.try_lock_shared().is_err() {
        if since.elapsed() > STOP_LIMIT {
            return Err(PrivatePostgresError::Silent { log: home.log(), tail: home.log_tail(0) });
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(file)
}

/// Waits until the server accepts connections; starts a supervisor, once, when there is none.
async fn wait_until_ready(home: &Home, exe: &Path) -> Result<()> {
    let mut launched = false;
    let (begun, mut quiet_since, log_start) = (Instant::now(), Instant::now(), home.log_length());
    loop {
        if let Some(lock) = home.supervisor_lock()? {
            if launched {
                return Err(home.start_failure(log_start));
            }
            tracing::info!(folder = %home.dir.display(), "starting the private PostgreSQL");
            launch(home, exe, lock).await?;
            launched = true;
            quiet_since = Instant::now();
        }
        if home.is_supervised() {
            match create_database(home).await {
                Ok(()) => return Ok(()),
                Err(error) if is_recovering(&error) => quiet_since = Instant::now(),
                Err(error) if is_final(&error) => {
                    return Err(PrivatePostgresError::Database {
                        database: DATABASE,
                        cause: error,
                    });
                }
                Err(_) => {}
            }
        }
        if quiet_since.elapsed() > SILENCE_LIMIT || begun.elapsed() > RECOVERY_LIMIT {
            let tail = home.log_tail(log_start);
            return Err(PrivatePostgresError::Silent { log: home.log(), tail });
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Makes the cluster if need be and starts a supervisor, which inherits `lock` as its standard
/// input.
async fn launch(home: &Home, exe: &Path, lock: File) -> Result<()> {
    let (home, exe) = (home.clone(), exe.to_owned());
    tokio::task::spawn_blocking(move || {
        cluster::ensure(&home)?;
        supervisor::launch(&home, &exe, lock)
    })
    .await
    .map_err(|error| PrivatePostgresError::io("start", "the supervisor", error.into()))?
}

async fn create_database(home: &Home) -> sqlx::Result<()> {
    let url = url(home, "postgres", "postgres");
    let connecting = tokio::time::timeout(CONNECT_LIMIT, PgConnection::connect(&url));
    let mut connection = connecting.await.map_err(|elapsed| sqlx::Error::Io(elapsed.into()))??;
    let exists: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(DATABASE)
            .fetch_one(&mut connection)
            .await?;
    if !exists {
        match sqlx::query("CREATE DATABASE yakin").execute(&mut connection).await {
            // Another client was first: duplicate_database, or the unique index of pg_database.
            Err(error) if matches!(code(&error).as_deref(), Some("42P04" | "23505")) => {}
            other => other.map(drop)?,
        }
    }
    connection.close().await
}

/// cannot_connect_now: alive, but starting, recovering or stopping.
fn is_recovering(error: &sqlx::Error) -> bool {
    code(error).as_deref() == Some("57P03")
}

/// The server's refusal, unless it is one that passes: operator intervention (57), too many
/// connections, or a template that another client is copying.
fn is_final(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| !code.starts_with("57") && code != "53300" && code != "55006")
}

fn code(error: &sqlx::Error) -> Option<std::borrow::Cow<'_, str>> {
    error.as_database_error().and_then(|error| error.code())
}

/// Puts a new supervisor in the place of one that was killed, for as long as this client lives.
async fn keep_supervised(home: Home, exe: PathBuf) {
    let mut pause = LOOK_AFTER;
    loop {
        tokio::time::sleep(pause).await;
        let launched = match home.supervisor_lock() {
            Ok(None) => {
                pause = LOOK_AFTER;
                continue;
            }
            Ok(Some(lock)) => launch(&home, &exe, lock).await,
            Err(error) => Err(error),
        };
        pause = (pause * 2).min(LOOK_AFTER_FAILURE);
        match launched {
            Ok(()) => tracing::warn!("the private PostgreSQL's supervisor was gone: started anew"),
            Err(error) => tracing::warn!(%error, "the private PostgreSQL has no supervisor"),
        }
    }
}

/// Understood by sqlx and libpq alike. Port and sslmode are spelled out because both would else be
/// taken from the caller's PGPORT and PGSSLMODE.
fn url(home: &Home, role: &str, database: &str) -> String {
    let host = home::percent_encode(&home.socket_dir);
    let port = home::PORT;
    format!("postgres://{role}@localhost:{port}/{database}?host={host}&sslmode=disable")
}
