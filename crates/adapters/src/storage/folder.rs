//! What a folder needs and a bucket does not: no way out by a link, and no halves left lying.

use std::fs::{DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;

use super::error::Act;
use super::{Result, StorageError};

/// A file still being written after so long has lost its writer.
const WRITTEN_WITHIN: Duration = Duration::from_secs(24 * 3600);
/// Folders looked into by one sweep.
const MOST_FOLDERS: usize = 1_000_000;

/// The folder of a `file:` store.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Makes it where it is missing, for this user only, and opens it.
    pub fn open(root: PathBuf, identity: &str) -> Result<(Folder, LocalFileSystem)> {
        let act = Act { store: identity, doing: "making", key: "" };
        let opened = (|| {
            DirBuilder::new().recursive(true).mode(0o700).create(&root)?;
            let root = root.canonicalize()?;
            let store = LocalFileSystem::new_with_prefix(&root).map_err(io::Error::other)?;
            Ok((Folder { root }, store.with_fsync(true)))
        })();
        opened.map_err(|e: io::Error| match e.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => act.io(&e),
            _ => StorageError::Settings(format!("storage.url {identity}: {e}")),
        })
    }

    /// Refuses a key of which any part is a symbolic link: it could lead out of the folder.
    pub async fn refuse_links(&self, key: &Key) -> Result<()> {
        match self.link_on_the_way(key).await {
            None => Ok(()),
            Some(part) => Err(StorageError::Refused {
                key: key.to_string(),
                reason: format!("'{part}' is a symbolic link, which is never followed"),
            }),
        }
    }

    /// The first part of the key that is a link.
    pub async fn link_on_the_way(&self, key: &Key) -> Option<String> {
        let mut path = self.root.clone();
        for part in key.as_ref().split('/') {
            path.push(part);
            match tokio::fs::symlink_metadata(&path).await {
                Ok(meta) if meta.is_symlink() => return Some(part.to_owned()),
                Ok(_) => {}
                // what is not there is no link; other faults come back when the file is opened
                Err(_) => return None,
            }
        }
        None
    }

    /// Removes files whose writer was lost, by the file system's own time, told by `probe`, a file
    /// just written. Says how many.
    pub async fn sweep(&self, probe: &Key) -> io::Result<u64> {
        let (root, probe) = (self.root.clone(), self.root.join(probe.as_ref()));
        let swept = tokio::task::spawn_blocking(move || sweep(&root, &probe)).await;
        swept.map_err(io::Error::other)?
    }
}

fn sweep(root: &Path, probe: &Path) -> io::Result<u64> {
    let present = std::fs::metadata(probe)?.modified()?;
    let lost = |meta: &Metadata| {
        let modified = meta.modified().ok();
        let age = modified.and_then(|m| present.duration_since(m).ok());
        meta.is_file() && age.is_some_and(|age| age > WRITTEN_WITHIN)
    };
    let (mut folders, mut looked, mut removed) = (vec![root.to_path_buf()], 0, 0);
    while let Some(folder) = folders.pop() {
        looked += 1;
        if looked > MOST_FOLDERS {
            return Err(io::Error::other(format!("over {MOST_FOLDERS} folders")));
        }
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && is_partial(&entry.file_name().to_string_lossy()) {
                match entry.metadata() {
                    Ok(meta) if lost(&meta) => {
                        std::fs::remove_file(entry.path())?;
                        removed += 1;
                    }
                    Ok(_) => {}
                    // finished in this moment
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(removed)
}

/// A file being written is its key, '#' and a number; no key has a '#'.
fn is_partial(name: &str) -> bool {
    let number = name.rsplit_once('#').map(|(_, number)| number);
    number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}
