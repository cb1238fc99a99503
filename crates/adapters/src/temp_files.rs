//! Temporary files in folders that are ours alone: what was not touched for a while and nobody has open goes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::open_files::OpenFiles;

/// The most files and folders that are looked at below a folder.
const MOST: usize = 100_000;

/// What was done below a folder, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleared {
    pub files: u64,
    pub removed: u64,
    pub bytes: u64,
    /// Old, but open: left alone.
    pub in_use: u64,
}

/// A folder that could not be cleared; names the file.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct ClearingError {
    pub path: String,
    pub source: io::Error,
}

type Result<T> = std::result::Result<T, ClearingError>;

/// Removes files below `dir` that were last written before, then folders that are empty and as old. `planned` only
/// counts. Links are never followed.
pub fn clear(dir: &Path, before: Timestamp, planned: bool) -> Result<Cleared> {
    let open = OpenFiles::look().map_err(|e| failed(dir, e))?;
    let (mut cleared, mut folders, mut at) = (Cleared::default(), vec![dir.to_path_buf()], 0);
    let mut seen = 0;
    while let Some(folder) = folders.get(at).cloned() {
        at += 1;
        for entry in fs::read_dir(&folder).map_err(|e| failed(&folder, e))? {
            let path = entry.map_err(|e| failed(&folder, e))?.path();
            seen += 1;
            if seen > MOST {
                return Ok(cleared);
            }
            let meta = match fs::symlink_metadata(&path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                other => other.map_err(|e| failed(&path, e))?,
            };
            if meta.is_dir() {
                folders.push(path);
                continue;
            }
            // sockets and pipes are somebody's door, however old
            if !(meta.is_file() || meta.is_symlink()) {
                continue;
            }
            cleared.files += 1;
            if !is_old(&meta, before) {
                continue;
            }
            if open.has(&meta) {
                cleared.in_use += 1;
                continue;
            }
            if !planned {
                gone(fs::remove_file(&path)).map_err(|e| failed(&path, e))?;
            }
            cleared.removed += 1;
            cleared.bytes += meta.len();
        }
    }
    if !planned {
        remove_empty(&folders[1..], before)?;
    }
    Ok(cleared)
}

/// Innermost first. (A folder that something was just taken out of is young: it goes the next time.)
fn remove_empty(folders: &[PathBuf], before: Timestamp) -> Result<()> {
    for folder in folders.iter().rev() {
        let old = fs::symlink_metadata(folder).is_ok_and(|meta| is_old(&meta, before));
        let empty = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
        if old && empty {
            gone(fs::remove_dir(folder)).map_err(|e| failed(folder, e))?;
        }
    }
    Ok(())
}

fn is_old(meta: &fs::Metadata, before: Timestamp) -> bool {
    meta.modified().is_ok_and(|at| Timestamp::try_from(at).is_ok_and(|at| at <= before))
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn failed(path: &Path, source: io::Error) -> ClearingError {
    ClearingError { path: path.display().to_string(), source }
}
