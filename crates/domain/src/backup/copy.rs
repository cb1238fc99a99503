//! The second place: a set's files in a storage, the manifest last; and the way back.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use futures::StreamExt;
use tokio::io::AsyncWriteExt;
use yakin_adapters::archive;
use yakin_adapters::storage::Storage;

use super::manifest::{MANIFEST, read_manifest};
use super::{BackupError, Described, Folder, Result, SetKind, blocking};

/// Below which key the sets lie.
const PREFIX: &str = "backups";
const PAGE: usize = 1000;

/// Copies a set; each file's size and checksum is what the manifest says, or the copy fails.
pub async fn copy<M: Described>(storage: &Storage, set: &Path, manifest: &M) -> Result<()> {
    for (file, sealed) in manifest.archives() {
        let stored = upload(storage, set, manifest.id(), file).await?;
        if (stored.size, stored.sha256.as_str()) != (sealed.bytes, sealed.sha256.as_str()) {
            return Err(BackupError::Unproven(format!(
                "the copy of {file} in {} is {} bytes, SHA-256 {}; the manifest says {} bytes, {}",
                storage.identity(),
                stored.size,
                stored.sha256,
                sealed.bytes,
                sealed.sha256
            )));
        }
    }
    upload(storage, set, manifest.id(), MANIFEST).await.map(|_| ())
}

async fn upload(
    storage: &Storage,
    set: &Path,
    id: &str,
    file: &str,
) -> Result<yakin_adapters::storage::Stored> {
    let path = set.join(file);
    let failed = |source| BackupError::File { path: path.display().to_string(), source };
    let from = tokio::fs::File::open(&path).await.map_err(failed)?;
    Ok(storage.put_stream(&key(id, file), from).await?)
}

/// Removes a set's copy; one that is not there is removed already.
pub async fn remove_copy(storage: &Storage, id: &str) -> Result<()> {
    storage.delete(&key(id, MANIFEST)).await?;
    for found in storage.list(&format!("{PREFIX}/{id}"), None, PAGE).await? {
        storage.delete(&found.key).await?;
    }
    Ok(())
}

/// The ids of the sets that have a whole copy, oldest first.
pub async fn copied_sets(storage: &Storage) -> Result<Vec<String>> {
    let (mut ids, mut after) = (BTreeSet::new(), None);
    loop {
        let page = storage.list(PREFIX, after.as_deref(), PAGE).await?;
        for found in &page {
            let mut parts = found.key.split('/');
            if let (Some(PREFIX), Some(id), Some(MANIFEST), None) =
                (parts.next(), parts.next(), parts.next(), parts.next())
            {
                ids.insert(id.to_owned());
            }
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some(last.key.clone()),
            _ => return Ok(ids.into_iter().collect()),
        }
    }
}

/// Brings a set back from its copy, where the folder has none of this id. Each file is what the manifest says.
pub async fn fetch<M: Described>(storage: &Storage, folder: &Folder, id: &str) -> Result<M> {
    if SetKind::of(id) != Some(M::KIND) {
        return Err(BackupError::Refused(format!(
            "'{id}' is no id of a set of {}",
            M::KIND.word()
        )));
    }
    let (set, apart) = (folder.set(id), folder.fetching(id));
    let failed = |source| BackupError::File { path: set.display().to_string(), source };
    if set.try_exists().map_err(failed)? {
        let text = format!("{} is there already", set.display());
        return Err(BackupError::Refused(text));
    }
    // of a fetch that was killed
    remove(&apart)?;
    DirBuilder::new().mode(0o700).create(&apart).map_err(failed)?;
    let fetched = download_set(storage, &apart, id).await;
    if fetched.is_err() {
        remove(&apart)?;
        return fetched;
    }
    std::fs::rename(&apart, &set).map_err(failed)?;
    File::open(folder.path()).and_then(|f| f.sync_all()).map_err(failed)?;
    fetched
}

fn remove(apart: &Path) -> Result<()> {
    match std::fs::remove_dir_all(apart) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            Err(BackupError::File { path: apart.display().to_string(), source })
        }
        _ => Ok(()),
    }
}

async fn download_set<M: Described>(storage: &Storage, set: &Path, id: &str) -> Result<M> {
    download(storage, id, MANIFEST, set).await?;
    let Some((manifest, _)) = read_manifest::<M>(set)? else {
        return Err(BackupError::Unproven(format!("the copy of {id} has no manifest")));
    };
    for (file, sealed) in manifest.archives() {
        download(storage, id, file, set).await?;
        let path = set.join(file);
        let (bytes, sha256) = blocking(move || Ok(archive::digest(&path)?)).await?;
        if (bytes, &sha256) != (sealed.bytes, &sealed.sha256) {
            return Err(BackupError::Unproven(format!(
                "the copy of {file} is {bytes} bytes, SHA-256 {sha256}; the manifest says {} bytes, {}",
                sealed.bytes, sealed.sha256
            )));
        }
    }
    Ok(manifest)
}

async fn download(storage: &Storage, id: &str, file: &str, into: &Path) -> Result<()> {
    let path = into.join(file);
    let failed = |source| BackupError::File { path: path.display().to_string(), source };
    let mut reading = storage.get_stream(&key(id, file)).await?;
    let mut to = tokio::fs::File::create(archive::partial(&path)).await.map_err(failed)?;
    while let Some(piece) = reading.pieces.next().await {
        to.write_all(&piece?).await.map_err(failed)?;
    }
    to.sync_all().await.map_err(failed)?;
    Ok(archive::settle(&path)?)
}

fn key(id: &str, file: &str) -> String {
    format!("{PREFIX}/{id}/{file}")
}
