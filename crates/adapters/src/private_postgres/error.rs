//! What can go wrong with the private server. Each message is whole: what, where, how to mend it.

use std::io;
use std::path::PathBuf;

pub(super) type Result<T> = std::result::Result<T, PrivatePostgresError>;

/// Why the private PostgreSQL is not there. Messages are meant for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum PrivatePostgresError {
    #[error(
        "no folder for the private PostgreSQL: HOME is not set; set YAKIN_DATA or DATABASE_URL"
    )]
    NoHome,

    #[error("cannot {act} {what}: {cause}")]
    Io { act: &'static str, what: String, cause: io::Error },

    #[error(
        "{path} belongs to {owner}, but this is {me}: run the command as {owner}, or set \
         YAKIN_DATA to a folder of your own"
    )]
    WrongOwner { path: PathBuf, owner: String, me: String },

    #[error(
        "{path} can be written by other users, who could replace the database: \
         run `chmod go-w {path}`"
    )]
    OthersCanWrite { path: PathBuf },

    #[error(
        "PostgreSQL does not run as root, and there is no user postgres, yakin or nobody to run \
         it: `useradd --system yakin`, or set DATABASE_URL"
    )]
    NoServerUser,

    #[error(
        "user {user}, who runs the private PostgreSQL for root, cannot enter {path}: \
         `chmod o+x {path}`, or set YAKIN_DATA (YAKIN_PG_BIN for programs) to a folder that user \
         can reach"
    )]
    CannotEnter { path: PathBuf, user: String },

    #[error(
        "no folder for the socket of the private PostgreSQL: {tried}; \
         set YAKIN_DATA to a short path"
    )]
    NoSocketFolder { tried: String },

    #[error(
        "no PostgreSQL server programs (initdb, postgres) of major 15 to 18{found}; looked in \
         {looked}. Install them (Debian, Ubuntu: `apt-get install postgresql`; Fedora: \
         `dnf install postgresql-server`), or set YAKIN_PG_BIN to their folder, or DATABASE_URL to \
         a server"
    )]
    NoBinaries { looked: String, found: String },

    #[error(
        "the cluster in {path} was made by PostgreSQL {cluster}, whose programs are not \
         here{found}; looked in {looked}. Install postgresql-{cluster}, or set YAKIN_PG_BIN to its \
         folder, or YAKIN_DATA to a new folder"
    )]
    OtherMajor { path: PathBuf, cluster: u32, looked: String, found: String },

    #[error(
        "the disk of {path} has no room: make room, or set YAKIN_DATA to a folder elsewhere; \
         {detail}"
    )]
    NoRoom { path: PathBuf, detail: String },

    #[error("initdb could not make a cluster in {path}; it said:\n{output}")]
    Init { path: PathBuf, output: String },

    #[error("the private PostgreSQL did not start; the end of {log}:\n{tail}")]
    Start { log: PathBuf, tail: String },

    #[error("the private PostgreSQL does not answer; the end of {log}:\n{tail}")]
    Silent { log: PathBuf, tail: String },

    #[error("the server ended {times} times in a row")]
    Fell { times: u32 },

    #[error("the supervisor is started by yakin itself, with {lock} as its standard input")]
    NotLaunched { lock: PathBuf },

    #[error("cannot prepare database {database} of the private PostgreSQL: {cause}")]
    Database { database: &'static str, cause: sqlx::Error },
}

impl PrivatePostgresError {
    pub(super) fn io(act: &'static str, what: impl ToString, cause: io::Error) -> Self {
        Self::Io { act, what: what.to_string(), cause }
    }
}
