//! PostgreSQL's own programs: pg_dump, pg_dumpall and pg_restore, with their output and input as pipes. No credential
//! ever stands on a command line.

mod find;
mod login;

use std::io::{PipeReader, PipeWriter};
use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

pub use login::Login;

/// How much of a program's last words is kept, in bytes.
const LAST_WORDS: usize = 4000;
/// The longest table of contents that is read, in bytes.
const MOST_CONTENTS: usize = 64 << 20;
/// How long a dump waits for its locks on the tables: never so long that the service's statements queue up behind it.
const LOCK_WAIT: &str = "--lock-wait-timeout=10s";

type Result<T> = std::result::Result<T, ToolsError>;

/// Why a program of PostgreSQL could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ToolsError {
    #[error(
        "no pg_dump of version {wanted} or newer was found (looked in {looked}): a dump needs programs at least as \
         new as the server; install postgresql-client-{wanted}, or set YAKIN_PG_BIN to the folder that has them"
    )]
    Missing { wanted: u32, looked: String },
    #[error("the database URL cannot be used: {0}; expected postgres://user@host/database")]
    Url(String),
    #[error("{program} could not be started: {source}")]
    Start { program: &'static str, source: std::io::Error },
    #[error("{program} failed ({status}): {said}")]
    Failed { program: &'static str, status: String, said: String },
}

/// The programs of one folder.
#[derive(Clone, Debug)]
pub struct Tools {
    dir: PathBuf,
    /// Their major version.
    pub major: u32,
}

/// What a dump takes in.
pub struct Dump<'a> {
    pub database: &'a str,
    /// An exported snapshot, held open by somebody for as long as the dump goes.
    pub snapshot: &'a str,
    /// Tables whose rows are left out (`schema.table`); their definitions stay.
    pub without_rows: &'a [&'a str],
}

impl Tools {
    /// The programs of the lowest major that is at least the server's.
    pub async fn find(server_major: u32) -> Result<Tools> {
        find::at_least(server_major).await
    }

    /// Dumps a database in pg_dump's custom format, not compressed.
    pub fn dump(&self, login: &Login, dump: &Dump<'_>) -> Result<(PipeReader, Working)> {
        let mut command = self.command("pg_dump", login, Some(dump.database));
        command.args(["--format=custom", "--compress=0", "--no-password", LOCK_WAIT]);
        command.arg(format!("--snapshot={}", dump.snapshot));
        for table in dump.without_rows {
            command.arg(format!("--exclude-table-data={table}"));
        }
        self.reading("pg_dump", command)
    }

    /// Roles, their memberships and settings, and tablespaces, as SQL. Passwords' hashes are read by superusers only.
    pub fn globals(&self, login: &Login, passwords: bool) -> Result<(PipeReader, Working)> {
        let mut command = self.command("pg_dumpall", login, None);
        command.args(["--globals-only", "--no-password", LOCK_WAIT]);
        command.arg(format!("--dbname={}", login.url(None)));
        if !passwords {
            command.arg("--no-role-passwords");
        }
        self.reading("pg_dumpall", command)
    }

    /// Restores what is written into the pipe, into an empty database, up to the first error. Without `owners`, all
    /// becomes the login's and nothing is granted.
    pub fn restore(
        &self,
        login: &Login,
        database: &str,
        owners: bool,
    ) -> Result<(PipeWriter, Working)> {
        let mut command = self.command("pg_restore", login, Some(database));
        command.args(["--exit-on-error", "--no-password"]);
        if !owners {
            command.args(["--no-owner", "--no-privileges"]);
        }
        command.stdout(Stdio::null());
        writing("pg_restore", command).map(|(to, _, working)| (to, working))
    }

    /// Lists what a dump written into the pipe holds, as pg_restore names it. The program may stop reading before the
    /// dump ends.
    pub fn contents(&self) -> Result<(PipeWriter, Contents)> {
        let mut command = self.program("pg_restore");
        command.arg("--list").stdout(Stdio::piped());
        let (to, stdout, working) = writing("pg_restore", command)?;
        Ok((to, Contents { stdout, working }))
    }

    fn program(&self, program: &str) -> Command {
        let mut command = Command::new(self.dir.join(program));
        command.env("LC_ALL", "C").env_remove("DATABASE_URL").current_dir("/");
        command
    }

    fn command(&self, program: &str, login: &Login, database: Option<&str>) -> Command {
        let mut command = self.program(program);
        command.env("PGAPPNAME", "yakin backup").env("PGCONNECT_TIMEOUT", "10");
        if let Some(password) = login.password() {
            command.env("PGPASSWORD", password);
        }
        if let Some(database) = database {
            command.arg(format!("--dbname={}", login.url(Some(database))));
        }
        command
    }

    fn reading(
        &self,
        program: &'static str,
        mut command: Command,
    ) -> Result<(PipeReader, Working)> {
        let (from, to) = pipe(program)?;
        command.stdin(Stdio::null()).stdout(to);
        let (working, _) = Working::start(program, command)?;
        Ok((from, working))
    }
}

type Stdout = Option<tokio::process::ChildStdout>;

fn writing(program: &'static str, mut command: Command) -> Result<(PipeWriter, Stdout, Working)> {
    let (from, to) = pipe(program)?;
    command.stdin(from);
    let (working, stdout) = Working::start(program, command)?;
    Ok((to, stdout, working))
}

fn pipe(program: &'static str) -> Result<(PipeReader, PipeWriter)> {
    std::io::pipe().map_err(|source| ToolsError::Start { program, source })
}

/// A program at work; killed when this is dropped.
pub struct Working {
    program: &'static str,
    child: Child,
    said: tokio::task::JoinHandle<String>,
}

impl Working {
    /// The command goes, and with it our ends of the pipes that are the child's.
    fn start(program: &'static str, mut command: Command) -> Result<(Working, Stdout)> {
        command.stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|source| ToolsError::Start { program, source })?;
        let (stderr, stdout) = (child.stderr.take(), child.stdout.take());
        let said = tokio::spawn(async move {
            match stderr {
                Some(stderr) => last_words(stderr).await,
                None => String::new(),
            }
        });
        Ok((Working { program, child, said }, stdout))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// [`ToolsError::Failed`] with its last words when it did not succeed.
    pub async fn ended(mut self) -> Result<()> {
        let program = self.program;
        let status = self.child.wait().await;
        let status = status.map_err(|source| ToolsError::Start { program, source })?;
        if status.success() {
            return Ok(());
        }
        let said = (&mut self.said).await.unwrap_or_default();
        Err(ToolsError::Failed { program, status: status.to_string(), said })
    }
}

/// A table of contents being read.
pub struct Contents {
    stdout: Stdout,
    working: Working,
}

impl Contents {
    /// All of it. Must be read while the dump is written, or both wait for each other.
    pub async fn read(self) -> Result<String> {
        let mut text = Vec::new();
        if let Some(stdout) = self.stdout {
            let program = self.working.program;
            let read = stdout.take(MOST_CONTENTS as u64).read_to_end(&mut text).await;
            read.map_err(|source| ToolsError::Start { program, source })?;
        }
        self.working.ended().await?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// Reads to the end and keeps the end.
async fn last_words(mut from: impl AsyncRead + Unpin) -> String {
    let (mut kept, mut piece) = (Vec::new(), [0; 2000]);
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        kept.extend_from_slice(&piece[..read]);
        let surplus = kept.len().saturating_sub(LAST_WORDS);
        kept.drain(..surplus);
    }
    String::from_utf8_lossy(&kept).trim().replace('\n', "; ")
}
