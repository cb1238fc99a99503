//! Sets of files: what is in the storage, as archives in tar's format. What has not changed since an earlier set is not
//! written again: the set refers to the archive that has it. Which files there are is told by a sealed list.

mod compare;
mod manifest;
mod pipe;
mod restore;
mod verify;
mod write;

use yakin_adapters::storage::{Found, Storage, StorageError};

pub use compare::{Base, Compared, Earlier, compare};
pub use manifest::{FilesManifest, List, Listed, Object, Part, Reference, Skipped, read_list};
pub use restore::{Lost, RestoredFiles, restore_files};
pub use verify::{Damage, verify_files};
pub use write::{AskedFiles, write_files};

use super::{BackupError, Result};

/// The most files of a storage.
pub const MOST_FILES: usize = 1_000_000;
/// How many files one look at the storage lists.
const PAGE: usize = 100_000;

/// All files of the storage, in order of their keys.
pub async fn look(storage: &Storage) -> Result<Vec<Found>> {
    let mut found: Vec<Found> = Vec::new();
    loop {
        let after = found.last().map(|f| f.key.clone());
        let page = storage.list("", after.as_deref(), PAGE).await?;
        let whole = page.len() < PAGE;
        found.extend(page);
        if found.len() > MOST_FILES {
            let store = storage.identity();
            let text = format!("{store} has over {MOST_FILES} files, more than a set takes");
            return Err(BackupError::Refused(text));
        }
        if whole {
            return Ok(found);
        }
    }
}

/// Whether one file is to blame and not the storage: the others can be read.
fn is_of_the_file(error: &StorageError) -> bool {
    use StorageError::{Full, Settings, Source, Unreachable};
    !matches!(error, Settings(_) | Unreachable { .. } | Full { .. } | Source { .. })
}
