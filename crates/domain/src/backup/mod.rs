//! Backups: a set is one encrypted dump per database with the rows counted in the dump's own snapshot, the roles, and a
//! manifest; or archives of the storage's files. Shared by the batches that back up and by `yakin backup`.

mod copy;
pub mod files;
mod folder;
mod kind;
pub mod ledger;
mod manifest;
pub mod night;
mod restore;
mod retention;
mod roles;
mod source;
mod verify;
mod write;

use yakin_adapters::archive::{ArchiveError, Opener, Sealer};
use yakin_adapters::postgres_tools::{Login, ToolsError};
use yakin_adapters::storage::{Storage, StorageError};
use yakin_engine::database::DatabaseError;
use yakin_engine::outcome::{Cause, Stop, database_message};

pub use copy::{copied_sets, copy, fetch, remove_copy};
pub use files::FilesManifest;
pub use folder::{Folder, Room, Sets, Unreadable, Whole};
pub use kind::{Described, SetKind, Target};
pub use manifest::{Contents, DatabaseDump, Globals, Manifest, Proof, TableName, TableRows};
pub use restore::{Restored, restore, restore_test, unfinished};
pub use roles::MissingRoles;
pub use source::{Source, SourceDatabase};
pub use verify::{unprove, verify};
pub use write::{Asked, write};

/// What is left out of each dump: the queue's rows, and the mark that says whose they are.
pub const WITHOUT_ROWS: [&str; 2] = ["yakin.jobs", "yakin.queue_mark"];

/// What a node needs to back up.
pub struct Backups {
    pub folder: Folder,
    pub sealer: Sealer,
    /// Only where archives are opened: verified and test-restored.
    pub opener: Option<std::sync::Arc<Opener>>,
    pub login: Login,
    /// The second place.
    pub copy: Option<Storage>,
    /// The storage whose files are backed up.
    pub files: Option<Storage>,
}

impl Backups {
    /// What a run says where the node has none.
    pub const NOT_CONFIGURED: &str = "no backups are configured: write [backup] with folder and recipients into \
                                      yakin.toml of the nodes that work on the queue heavy";
}

/// Why a backup could not be made, proven or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It cannot work as things are set up; a person mends it.
    #[error("{0}")]
    Refused(String),
    #[error("{folder} has {free} MB free, {needed} MB are needed: make room, or keep fewer days")]
    Room { folder: String, free: u64, needed: u64 },
    /// The bytes do not prove what they should.
    #[error("{0}")]
    Unproven(String),
    /// Too many files could not be read.
    #[error("{0}")]
    Skipped(String),
    #[error("{path}: {source}")]
    File { path: String, source: std::io::Error },
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Tools(#[from] ToolsError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("{}", database_message(.0))]
    Sql(#[from] sqlx::Error),
    #[error("{0}")]
    Reach(String),
    /// A person ended it.
    #[error("interrupted: what had been done is undone")]
    Interrupted,
}

pub(crate) type Result<T> = std::result::Result<T, BackupError>;

impl BackupError {
    /// Whether the bytes on the disk are not what they should be.
    pub fn is_damage(&self) -> bool {
        match self {
            BackupError::Unproven(_) => true,
            BackupError::Archive(error) => error.is_damage(),
            _ => false,
        }
    }
}

impl From<DatabaseError> for BackupError {
    fn from(error: DatabaseError) -> BackupError {
        match error {
            DatabaseError::Sql(error) => BackupError::Sql(error),
            DatabaseError::Unreachable { .. } => BackupError::Reach(error.to_string()),
            other => BackupError::Refused(other.to_string()),
        }
    }
}

impl From<BackupError> for Stop {
    fn from(error: BackupError) -> Stop {
        let message = error.to_string();
        match error {
            BackupError::Refused(_) | BackupError::Room { .. } | BackupError::Interrupted => {
                Stop::give_up(Cause::Storage, message)
            }
            BackupError::Unproven(_) => Stop::give_up(Cause::Data, message),
            BackupError::Archive(error) if error.is_damage() => Stop::give_up(Cause::Data, message),
            BackupError::Archive(ArchiveError::OtherKey { .. }) => {
                Stop::give_up(Cause::Data, message)
            }
            BackupError::File { .. } | BackupError::Archive(_) | BackupError::Skipped(_) => {
                Stop::retry(Cause::Storage, message)
            }
            BackupError::Tools(ToolsError::Missing { .. } | ToolsError::Url(_)) => {
                Stop::give_up(Cause::Storage, message)
            }
            BackupError::Tools(_) | BackupError::Reach(_) => Stop::retry(Cause::Database, message),
            BackupError::Storage(error) => crate::files::stop(error),
            BackupError::Sql(error) => Stop::from(error),
        }
    }
}

/// Carries out work that blocks.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.unwrap_or_else(|e| Err(BackupError::Refused(format!("a thread of the backup: {e}"))))
}
