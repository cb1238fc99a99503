//! Writes a set of files: what is fresh goes from the storage through tar, zstd and age into archives, piece by piece;
//! then the sealed list; the manifest last.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::StreamExt;
use jiff::Timestamp;
use jiff::civil::Date;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use yakin_adapters::archive::{self, Sealed, Sealer};
use yakin_adapters::storage::{Found, Storage, StorageError};

use super::super::manifest::write_manifest;
use super::super::{BackupError, Folder, Result, SetKind, blocking};
use super::pipe::{Lines, PIECES, Pieces, Received, end, header, padding, zeros};
use super::{
    Compared, FilesManifest, List, Listed, Object, Part, Reference, Skipped, is_of_the_file,
};

/// What is asked of a set of files.
pub struct AskedFiles<'a> {
    pub id: &'a str,
    pub date: Date,
    pub begun_at: Timestamp,
    pub compress: bool,
    /// Bytes of files after which a new archive is begun.
    pub part_bytes: u64,
    /// Counts the bytes that were read from the storage.
    pub passed: Arc<AtomicU64>,
}

/// Writes the set into its folder, which is there and empty; gives the manifest, its SHA-256 and what was skipped.
pub async fn write_files(
    storage: &Storage,
    sealer: &Sealer,
    folder: &Folder,
    asked: &AskedFiles<'_>,
    compared: Compared,
    clock: impl Fn() -> Timestamp,
) -> Result<(FilesManifest, String, Vec<Skipped>)> {
    let Compared { kept, fresh } = compared;
    let all = kept.len() + fresh.len();
    let set = folder.set(asked.id);
    let mut writing =
        Writing { storage, sealer, set: &set, asked, files: Vec::new(), skipped: Vec::new() };
    let mut parts = Vec::new();
    for (n, some) in shares(fresh, asked.part_bytes).into_iter().enumerate() {
        parts.extend(writing.part(n + 1, some).await?);
    }
    let Writing { mut files, skipped, .. } = writing;
    if skipped.len() * 100 > all {
        return Err(too_many(&skipped, all));
    }
    let refers_to = references(&kept);
    files.extend(kept);
    files.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    let mut manifest = FilesManifest {
        format: 1,
        kind: SetKind::Files,
        id: asked.id.to_owned(),
        date: asked.date,
        begun_at: asked.begun_at,
        ended_at: asked.begun_at,
        yakin: env!("CARGO_PKG_VERSION").to_owned(),
        storage: storage.identity().to_owned(),
        compressed: asked.compress,
        recipients: sealer.recipients(),
        parts,
        files: files.len() as u64,
        file_bytes: files.iter().map(|f| f.size).sum(),
        skipped: skipped.len() as u64,
        list: list(sealer, &set, asked.compress, files, skipped.clone()).await?,
        refers_to,
    };
    manifest.ended_at = clock();
    blocking(move || {
        let sum = write_manifest(&set, &manifest)?;
        Ok((manifest, sum, skipped))
    })
    .await
}

fn too_many(skipped: &[Skipped], all: usize) -> BackupError {
    let first = skipped.first().map_or(String::new(), |s| format!("{}: {}", s.key, s.skipped));
    BackupError::Skipped(format!(
        "{} of {all} files could not be read, over 1 in 100; the first is {first}",
        skipped.len()
    ))
}

/// The files in order, cut where an archive is full.
fn shares(fresh: Vec<Found>, part_bytes: u64) -> Vec<Vec<Found>> {
    let (mut shares, mut bytes) = (Vec::<Vec<Found>>::new(), u64::MAX);
    for file in fresh {
        let size = file.size;
        match shares.last_mut() {
            Some(last) if bytes < part_bytes => last.push(file),
            _ => {
                bytes = 0;
                shares.push(vec![file]);
            }
        }
        bytes += size;
    }
    shares
}

fn references(kept: &[Object]) -> Vec<Reference> {
    let mut sets = std::collections::BTreeMap::<&str, (u64, u64)>::new();
    for object in kept {
        let sum = sets.entry(&object.set).or_default();
        *sum = (sum.0 + 1, sum.1 + object.size);
    }
    let reference = |(set, (files, file_bytes)): (&str, _)| Reference {
        set: set.to_owned(),
        files,
        file_bytes,
    };
    sets.into_iter().map(reference).collect()
}

/// Seals the list.
async fn list(
    sealer: &Sealer,
    set: &Path,
    compress: bool,
    files: Vec<Object>,
    skipped: Vec<Skipped>,
) -> Result<List> {
    let file = format!("files.jsonl{}", ending(compress));
    let (sealer, path) = (sealer.clone(), set.join(&file));
    blocking(move || {
        let lines = files.into_iter().map(Listed::File);
        let lines = lines.chain(skipped.into_iter().map(Listed::Skipped));
        let from = Lines::new(lines);
        let sealed = sealer.seal(from, &path, compress, &AtomicU64::new(0))?;
        archive::settle(&path)?;
        Ok(List { file, sealed })
    })
    .await
}

fn ending(compress: bool) -> &'static str {
    if compress { ".zst.age" } else { ".age" }
}

struct Writing<'a> {
    storage: &'a Storage,
    sealer: &'a Sealer,
    set: &'a Path,
    asked: &'a AskedFiles<'a>,
    files: Vec<Object>,
    skipped: Vec<Skipped>,
}

impl Writing<'_> {
    /// An archive; none where nothing of it was to be had.
    async fn part(&mut self, n: usize, some: Vec<Found>) -> Result<Option<Part>> {
        let file = format!("files-{n:04}.tar{}", ending(self.asked.compress));
        let path = self.set.join(&file);
        let (to, from) = mpsc::channel(PIECES);
        let (sealer, passed, compress) =
            (self.sealer.clone(), AtomicU64::new(0), self.asked.compress);
        let sealing = blocking(move || {
            let from = Received::new(from);
            let sealed = sealer.seal(from, &path, compress, &passed)?;
            archive::settle(&path)?;
            Ok(sealed)
        });
        let (before, feeding) = (self.files.len(), self.feed(&file, some, to));
        let (sealed, fed): (Result<Sealed>, Result<()>) = tokio::join!(sealing, feeding);
        // what the storage says is the cause of an archive that came to nothing
        fed?;
        let own = &self.files[before..];
        let (files, file_bytes) = (own.len() as u64, own.iter().map(|o| o.size).sum());
        let sealed = sealed?;
        if files == 0 {
            let path = self.set.join(&file);
            let failed = |source| BackupError::File { path: path.display().to_string(), source };
            std::fs::remove_file(&path).map_err(failed)?;
            return Ok(None);
        }
        Ok(Some(Part { file, sealed, files, file_bytes }))
    }

    async fn feed(&mut self, part: &str, some: Vec<Found>, to: Pieces) -> Result<()> {
        for found in some {
            let key = found.key.clone();
            match self.file(part, &key, &to).await {
                Ok(Some(object)) => self.files.push(object),
                // the archive takes no more, and says why itself
                Ok(None) => return Ok(()),
                Err(StorageError::Missing { .. }) => self.skip(key, "gone".to_owned()),
                Err(error) if is_of_the_file(&error) => self.skip(key, error.to_string()),
                Err(error) => {
                    let _ = to.send(Err(io::Error::other("the storage failed"))).await;
                    return Err(error.into());
                }
            }
        }
        let _ = to.send(Ok(end())).await;
        Ok(())
    }

    fn skip(&mut self, key: String, skipped: String) {
        self.skipped.push(Skipped { key, skipped });
    }

    /// One file with its header. One that cannot be read to its end is filled up with zeros, so that the archive goes
    /// on; the list does not name it as a file.
    async fn file(
        &self,
        part: &str,
        key: &str,
        to: &Pieces,
    ) -> std::result::Result<Option<Object>, StorageError> {
        let mut reading = self.storage.get_stream(key).await?;
        let Found { size, modified, .. } = reading.found;
        let failed = |source| StorageError::Source { key: key.to_owned(), source };
        let header = header(key, size, modified).map_err(failed)?;
        if to.send(Ok(header)).await.is_err() {
            return Ok(None);
        }
        let (mut sum, mut written, mut fault) = (Sha256::new(), 0, None);
        while let Some(piece) = reading.pieces.next().await {
            match piece {
                Ok(piece) if written + piece.len() as u64 <= size => {
                    sum.update(&piece);
                    written += piece.len() as u64;
                    self.asked.passed.fetch_add(piece.len() as u64, Ordering::Relaxed);
                    if to.send(Ok(piece)).await.is_err() {
                        return Ok(None);
                    }
                }
                Ok(_) => break,
                Err(error) => {
                    fault = Some(error);
                    break;
                }
            }
        }
        zeros(size - written + padding(size), to).await;
        match fault {
            Some(error) => Err(error),
            None => Ok(Some(Object {
                key: key.to_owned(),
                size,
                modified,
                sha256: hex::encode(sum.finalize()),
                set: self.asked.id.to_owned(),
                part: part.to_owned(),
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_that_is_full_is_followed_by_another() {
        let file =
            |n: usize, size| Found { key: n.to_string(), size, modified: Timestamp::UNIX_EPOCH };
        let sizes = [4, 4, 4, 30, 1, 0];
        let fresh: Vec<_> = sizes.iter().enumerate().map(|(n, size)| file(n, *size)).collect();
        let cut: Vec<Vec<u64>> =
            shares(fresh, 8).iter().map(|s| s.iter().map(|f| f.size).collect()).collect();
        assert_eq!(cut, [vec![4, 4], vec![4, 30], vec![1, 0]]);
        assert!(shares(Vec::new(), 8).is_empty());
    }
}
