//! Restores the files of a set into an empty folder: each with the digest that the list says. One that is lost does not
//! keep the others back.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use yakin_adapters::archive::Opener;

use super::super::{BackupError, Folder, Result, blocking};
use super::verify::{by_part, copy_and_digest, read_part, sealed, stays_below};
use super::{FilesManifest, Object, read_list};

/// What came back.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RestoredFiles {
    pub files: u64,
    pub bytes: u64,
    pub lost: Vec<Lost>,
}

/// A file that did not come back.
#[derive(Debug, PartialEq, Eq)]
pub struct Lost {
    pub key: String,
    pub why: String,
}

/// Restores into the folder `into`, which must be empty or not there. Damage to an archive loses the files in it that
/// are not sound; all others come back.
pub async fn restore_files(
    opener: &Arc<Opener>,
    folder: &Folder,
    manifest: &FilesManifest,
    into: &Path,
) -> Result<RestoredFiles> {
    empty(into)?;
    let (files, _) = read_list(opener, &folder.set(&manifest.id), manifest).await?;
    let mut restored = RestoredFiles::default();
    for ((set, part), wanted) in by_part(files) {
        let lost = match sealed(folder, manifest, &set, &part) {
            Ok(sealed) => {
                let path = folder.set(&set).join(&part);
                part_of(opener, &path, (&part, sealed), wanted, into, &mut restored).await?
            }
            Err(error) => all_lost(wanted, &error),
        };
        restored.lost.extend(lost);
    }
    let place = into.to_owned();
    blocking(move || {
        let synced = fs::File::open(&place).and_then(|f| Ok(rustix::fs::syncfs(&f)?));
        synced.map_err(|source| failed(&place, source))
    })
    .await?;
    Ok(restored)
}

/// One archive's files; gives those that are lost.
async fn part_of(
    opener: &Arc<Opener>,
    path: &Path,
    (part, sealed): (&str, yakin_adapters::archive::Sealed),
    wanted: Vec<Object>,
    into: &Path,
    restored: &mut RestoredFiles,
) -> Result<Vec<Lost>> {
    let sound = Arc::new(Mutex::new(Vec::<Object>::new()));
    let full = Arc::new(Mutex::new(None::<BackupError>));
    let (place, took, stuck) = (into.to_owned(), sound.clone(), full.clone());
    let reading =
        read_part(opener, path.to_owned(), (part, sealed), wanted.clone(), move |object, from| {
            match write_file(&place, object, from) {
                Ok(true) => {
                    took.lock().unwrap_or_else(PoisonError::into_inner).push(object.clone());
                    Ok(true)
                }
                Ok(false) => Ok(false),
                Err(Fault::Reading(error)) => Err(error),
                Err(Fault::Writing(error)) => {
                    let text = error.to_string();
                    *stuck.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    Err(io::Error::other(text))
                }
            }
        });
    let read = reading.await;
    // a folder that takes no more is no damage of the set's
    if let Some(error) = full.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(error);
    }
    let sound = std::mem::take(&mut *sound.lock().unwrap_or_else(PoisonError::into_inner));
    restored.files += sound.len() as u64;
    restored.bytes += sound.iter().map(|o| o.size).sum::<u64>();
    match read {
        Ok(lost) => {
            Ok(lost.into_iter().map(|o| Lost { key: o.key, why: OTHERWISE.to_owned() }).collect())
        }
        Err(error) => {
            let came: std::collections::HashSet<String> =
                sound.into_iter().map(|o| o.key).collect();
            Ok(all_lost(wanted.into_iter().filter(|o| !came.contains(&o.key)).collect(), &error))
        }
    }
}

const OTHERWISE: &str = "is not in its archive as the list says";

fn all_lost(wanted: Vec<Object>, error: &BackupError) -> Vec<Lost> {
    wanted.into_iter().map(|o| Lost { key: o.key, why: error.to_string() }).collect()
}

enum Fault {
    Reading(io::Error),
    Writing(BackupError),
}

/// Writes a file below the folder, and takes it away again when its bytes are others.
fn write_file(
    into: &Path,
    object: &Object,
    from: &mut dyn Read,
) -> std::result::Result<bool, Fault> {
    if !stays_below(&object.key) {
        return Ok(false);
    }
    let path = into.join(&object.key);
    let writing = |source| Fault::Writing(failed(&path, source));
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(writing)?;
    }
    let open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    let mut to = Told { file: open.map_err(writing)?, failed: None };
    let copied = copy_and_digest(from, &mut to);
    if let Some(source) = to.failed.take() {
        return Err(writing(source));
    }
    if copied.as_ref().ok() != Some(&object.sha256) {
        fs::remove_file(&path).map_err(writing)?;
        return copied.map(|_| false).map_err(Fault::Reading);
    }
    to.file.set_modified(object.modified.into()).map_err(writing)?;
    Ok(true)
}

/// A file that remembers that writing it failed: reading may fail too.
struct Told {
    file: fs::File,
    failed: Option<io::Error>,
}

impl io::Write for Told {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).map_err(|error| {
            let again = io::Error::from(error.kind());
            self.failed = Some(error);
            again
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Makes the folder, or sees that nothing is in it.
fn empty(into: &Path) -> Result<()> {
    match fs::read_dir(into).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(BackupError::Refused(format!(
            "{} is not empty, and a restore never goes over anything: name a new folder",
            into.display()
        ))),
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(into);
            made.map_err(|source| failed(into, source))
        }
        Err(source) => Err(failed(into, source)),
    }
}

fn failed(path: &Path, source: io::Error) -> BackupError {
    BackupError::File { path: path.display().to_string(), source }
}
