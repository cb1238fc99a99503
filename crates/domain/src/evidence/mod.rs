//! An auditor's package of a Tokyo month: what ran, what was invoiced, who acted, what was backed up; tables in CSV
//! with what each column is, and a manifest of their digests. Command line and API make it here.

mod archive;
mod month;
mod package;
mod sources;
mod table;

use std::path::PathBuf;

use yakin_engine::error::EngineError;

pub use archive::archive;
pub use month::Month;
pub use package::{Listed, MANIFEST, Package, write};
pub use sources::COLUMNS;

/// Why there is no package.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A file of it could not be written or read back.
    #[error("{doing} {}: {source}", path.display())]
    File { doing: &'static str, path: PathBuf, source: std::io::Error },
    /// The folder holds a file of a package already.
    #[error("{} is there already; name another folder", .0.display())]
    There(PathBuf),
    /// It failed, and a file that had been begun could not be removed.
    #[error("{first}; and {} stays behind: {source}", path.display())]
    Left { first: Box<EvidenceError>, path: PathBuf, source: std::io::Error },
    #[error("writing {file}: {reason}")]
    Table { file: &'static str, reason: String },
}
