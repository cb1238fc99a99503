//! The folder where sets lie, one folder each. A marker in it says whose cluster's they are.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::civil::Date;

use super::manifest::{MANIFEST, read_manifest};
use super::{BackupError, Described, Proof, Result, SetKind};

/// The most sets a folder is read for.
const MOST_SETS: usize = 100_000;
const MARKER: &str = ".yakin-backups";

/// A folder of sets.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

/// The room on its disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    pub total: u64,
    pub free: u64,
}

/// A set that is whole.
pub struct Whole<M> {
    pub manifest: M,
    /// The manifest's SHA-256.
    pub sum: String,
    pub proof: Proof,
}

/// A set whose manifest or proof cannot be read: a newer Yakin's, or a byte of it is lost.
pub struct Unreadable {
    pub id: String,
    pub error: BackupError,
}

/// The sets of a kind, oldest first.
pub struct Sets<M> {
    pub whole: Vec<Whole<M>>,
    /// They count as unproven, and stay until a person has looked at them.
    pub unreadable: Vec<Unreadable>,
}

impl Room {
    /// How much of the disk is used, in percent.
    pub fn used_percent(self) -> u64 {
        (self.total.saturating_sub(self.free)).saturating_mul(100) / self.total.max(1)
    }
}

impl Folder {
    /// Opens the folder; one that is missing is made, for this user only.
    pub fn open(path: &Path) -> Result<Folder> {
        if !path.is_absolute() {
            let text = format!("backup.folder is '{}', expected a path from /", path.display());
            return Err(BackupError::Refused(text));
        }
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|source| failed(path, source))?;
        Ok(Folder { path: path.to_owned() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A set's folder.
    pub fn set(&self, id: &str) -> PathBuf {
        self.path.join(id)
    }

    /// Where a set lies until all of it is fetched: no night takes it for a set.
    pub(super) fn fetching(&self, id: &str) -> PathBuf {
        self.path.join(format!(".fetching-{id}"))
    }

    /// Makes the folder this cluster's, or refuses when it is another's: their sets would be taken for each other's.
    pub fn claim(&self, cluster: &str) -> Result<()> {
        let path = self.path.join(MARKER);
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        match made {
            Ok(mut file) => {
                let written = file.write_all(cluster.as_bytes()).and_then(|()| file.sync_all());
                written.map_err(|source| failed(&path, source))
            }
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                let whose = fs::read_to_string(&path).map_err(|source| failed(&path, source))?;
                if whose.trim() == cluster {
                    return Ok(());
                }
                Err(BackupError::Refused(format!(
                    "{} holds the backups of another PostgreSQL cluster ({}, this one is {cluster}): set another \
                     backup.folder; if this cluster took over from that one, remove {}",
                    self.path.display(),
                    whose.trim(),
                    path.display()
                )))
            }
            Err(source) => Err(failed(&path, source)),
        }
    }

    /// The highest number of the sets of a kind of a day.
    pub fn highest(&self, kind: SetKind, date: Date) -> Result<i32> {
        let begin = format!("{}{}_", kind.prefix(), date.strftime("%Y%m%d"));
        let numbers = self.ids(kind)?;
        let numbers = numbers.iter().filter_map(|id| id.strip_prefix(&begin)?.parse().ok());
        Ok(numbers.max().unwrap_or(0))
    }

    /// Makes a new set's folder; false when there is one of this name.
    pub fn begin(&self, id: &str) -> Result<bool> {
        let path = self.set(id);
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(source) => Err(failed(&path, source)),
        }
    }

    /// Removes a set with all its files: the manifest first, so that no half of one looks whole.
    pub fn remove(&self, id: &str) -> Result<()> {
        let path = self.set(id);
        for gone in [fs::remove_file(path.join(MANIFEST)), fs::remove_dir_all(&path)] {
            match gone {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(source) => return Err(failed(&path, source)),
            }
        }
        Ok(())
    }

    /// Removes what attempts left that did not come to their end; gives their ids. Only for who holds the lock.
    pub fn clear_unfinished(&self) -> Result<Vec<String>> {
        let mut cleared = Vec::new();
        for kind in SetKind::ALL {
            for id in self.ids(kind)? {
                let manifest = self.set(&id).join(MANIFEST);
                // what cannot be looked at may be there
                if !manifest.try_exists().map_err(|source| failed(&manifest, source))? {
                    self.remove(&id)?;
                    cleared.push(id);
                }
            }
        }
        Ok(cleared)
    }

    /// The sets of a kind that have a manifest, read or not.
    pub fn sets<M: Described>(&self) -> Result<Sets<M>> {
        let mut sets = Sets { whole: Vec::new(), unreadable: Vec::new() };
        for id in self.ids(M::KIND)? {
            match self.whole(&id) {
                Ok(set) => sets.whole.extend(set),
                Err(error) => sets.unreadable.push(Unreadable { id, error }),
            }
        }
        Ok(sets)
    }

    /// A set and what is proven of it; none where no whole set of this id is here.
    fn whole<M: Described>(&self, id: &str) -> Result<Option<Whole<M>>> {
        let Some((manifest, sum)) = self.manifest(id)? else { return Ok(None) };
        Ok(Some(Whole { manifest, sum, proof: Proof::read(&self.set(id))? }))
    }

    /// A set and what is proven of it; none where no whole set of this id is here that can be read.
    pub fn readable<M: Described>(&self, id: &str) -> Result<Option<Whole<M>>> {
        match self.whole(id) {
            Err(error) if error.is_damage() => Ok(None),
            other => other,
        }
    }

    /// A set's manifest and its SHA-256; none where no whole set of this id is here.
    pub fn manifest<M: Described>(&self, id: &str) -> Result<Option<(M, String)>> {
        read_manifest(&self.set(id))
    }

    /// The room on the disk.
    pub fn room(&self) -> Result<Room> {
        let stat = rustix::fs::statvfs(&self.path);
        let stat = stat.map_err(|e| failed(&self.path, e.into()))?;
        let block = stat.f_frsize.max(1);
        Ok(Room { total: stat.f_blocks * block, free: stat.f_bavail * block })
    }

    fn ids(&self, kind: SetKind) -> Result<Vec<String>> {
        let mut ids = Vec::new();
        let entries = fs::read_dir(&self.path).map_err(|source| failed(&self.path, source))?;
        for entry in entries.take(MOST_SETS) {
            let entry = entry.map_err(|source| failed(&self.path, source))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is = entry.file_type().map_err(|source| failed(&entry.path(), source))?;
            if name.starts_with(kind.prefix()) && is.is_dir() {
                ids.push(name);
            }
        }
        ids.sort();
        Ok(ids)
    }
}

fn failed(path: &Path, source: std::io::Error) -> BackupError {
    BackupError::File { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail

    use super::*;

    #[test]
    fn a_set_that_cannot_be_looked_at_is_not_cleared_away() {
        let place = std::env::temp_dir().join(format!("yakin-stat-{}", std::process::id()));
        let folder = Folder::open(&place).unwrap();
        let (half, odd) = ("BKP_20261102_001", "BKP_20261103_001");
        for id in [half, odd] {
            folder.begin(id).unwrap();
        }
        // a link to itself: looking at it fails, whoever looks
        std::os::unix::fs::symlink(MANIFEST, folder.set(odd).join(MANIFEST)).unwrap();
        let error = folder.clear_unfinished().unwrap_err();
        assert!(matches!(&error, BackupError::File { path, .. } if path.contains(odd)), "{error}");
        assert!(!folder.set(half).exists() && folder.set(odd).is_dir());
        fs::remove_dir_all(place).unwrap();
    }
}
