//! The files of Yakin, by key, in a folder (`file:///…`) or a bucket (`s3://…`). A file is whole or
//! not there; what it costs in memory is one part.

mod error;
mod folder;
mod key;
mod marker;
mod read;
mod settings;
mod upload;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode,
    PutOptions, PutResult,
};
use sha2::{Digest, Sha256};

pub use error::StorageError;
pub use read::Reading;
pub use settings::StorageSettings;

use error::{Act, sort};
use folder::Folder;

type Result<T> = std::result::Result<T, StorageError>;

/// The most that is written or read in one piece, in bytes; what is larger goes by stream.
pub const MOST_AT_ONCE: u64 = 256 << 20;
/// How long one act may take, repetitions included.
const ACT_LIMIT: Duration = Duration::from_secs(180);
/// The attribute under which a bucket keeps a file's checksum.
const CHECKSUM: Attribute = Attribute::Metadata(Cow::Borrowed("sha256"));

/// A place for files. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Storage {
    store: Arc<dyn ObjectStore>,
    folder: Option<Folder>,
    identity: Arc<str>,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// In bytes.
    pub size: u64,
    /// 64 lower-case hexadecimal digits.
    pub sha256: String,
}

impl Stored {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Stored {
        Stored { size: bytes.len() as u64, sha256: hex::encode(Sha256::digest(bytes)) }
    }
}

/// A file that is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    pub key: String,
    /// In bytes.
    pub size: u64,
    /// When it was written, by the store's clock.
    pub modified: Timestamp,
}

impl Storage {
    /// Opens the configured place; a folder that is missing is made, for this user only. Whether a
    /// bucket answers is for [`Storage::check`].
    pub fn open(settings: &StorageSettings) -> Result<Storage> {
        settings.open()
    }

    /// The place's URL without credentials.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Whether this is a folder, which every host must mount alike.
    pub fn is_folder(&self) -> bool {
        self.folder.is_some()
    }

    /// Writes a file in one piece, in place of one that may be there.
    pub async fn put(&self, key: &str, bytes: impl Into<Bytes>) -> Result<Stored> {
        let path = self.path(key).await?;
        self.put_at(&path, bytes.into(), PutMode::Overwrite).await
    }

    /// Writes a file where none is. The same bytes are welcome again; others are a
    /// [`StorageError::Conflict`].
    pub async fn put_new(&self, key: &str, bytes: impl Into<Bytes>) -> Result<Stored> {
        let path = self.path(key).await?;
        self.put_new_at(&path, bytes.into()).await
    }

    /// Removes a file; one that is not there is removed already.
    pub async fn delete(&self, key: &str) -> Result<()> {
        let path = self.path(key).await?;
        self.delete_at(&path).await
    }

    /// Size and time of a file.
    pub async fn head(&self, key: &str) -> Result<Found> {
        let path = self.path(key).await?;
        let act = self.act("looking at", &path);
        found(&path, &within(&act, self.store.head(&path)).await?)
    }

    async fn put_new_at(&self, path: &Path, bytes: Bytes) -> Result<Stored> {
        match self.put_at(path, bytes.clone(), PutMode::Create).await {
            Err(StorageError::Conflict { store, key }) => {
                let stored = Stored::of(&bytes);
                match self.get_at(path, stored.size).await {
                    Ok(there) if there == bytes => Ok(stored),
                    Ok(_) | Err(StorageError::TooLarge { .. }) => {
                        Err(StorageError::Conflict { store, key })
                    }
                    Err(error) => Err(error),
                }
            }
            other => other,
        }
    }

    async fn put_at(&self, path: &Path, bytes: Bytes, mode: PutMode) -> Result<Stored> {
        let act = self.act("writing", path);
        if bytes.len() as u64 > MOST_AT_ONCE {
            return Err(act.too_large(bytes.len() as u64, MOST_AT_ONCE));
        }
        let stored = Stored::of(&bytes);
        let mut attributes = Attributes::new();
        if self.folder.is_none() {
            attributes.insert(CHECKSUM, stored.sha256.clone().into());
        }
        let options = PutOptions { mode, attributes, ..PutOptions::default() };
        let put = within(&act, self.store.put_opts(path, bytes.into(), options)).await?;
        self.prove(path, &put, &stored).await?;
        Ok(stored)
    }

    /// Looks at what stands there now. Another's file of the same key, written since, is no fault
    /// of ours: the last one stays.
    async fn prove(&self, path: &Path, put: &PutResult, stored: &Stored) -> Result<()> {
        let act = self.act("checking", path);
        let head = GetOptions { head: true, ..GetOptions::default() };
        let seen = within(&act, self.store.get_opts(path, head)).await?;
        if seen.meta.e_tag != put.e_tag {
            return Ok(());
        }
        let checksum = seen.attributes.get(&CHECKSUM).map_or(stored.sha256.as_str(), |v| &**v);
        if (seen.meta.size, checksum) != (stored.size, stored.sha256.as_str()) {
            let expected = format!("{} bytes, SHA-256 {}", stored.size, stored.sha256);
            return Err(act.corrupt(expected, format!("{} bytes, {checksum}", seen.meta.size)));
        }
        Ok(())
    }

    async fn delete_at(&self, path: &Path) -> Result<()> {
        let act = self.act("deleting", path);
        match within(&act, self.store.delete(path)).await {
            Err(StorageError::Missing { .. }) => Ok(()),
            other => other,
        }
    }

    /// A caller's key as a path: checked, and in a folder not through a link.
    async fn path(&self, key: &str) -> Result<Path> {
        let path = key::path(key)?;
        if let Some(folder) = &self.folder {
            folder.refuse_links(&path).await?;
        }
        Ok(path)
    }

    fn act<'a>(&'a self, doing: &'static str, path: &'a Path) -> Act<'a> {
        Act { store: &self.identity, doing, key: path.as_ref() }
    }
}

/// Carries an act out within its time, and sorts its error.
async fn within<T>(
    act: &Act<'_>,
    work: impl Future<Output = object_store::Result<T>>,
) -> Result<T> {
    match tokio::time::timeout(ACT_LIMIT, work).await {
        Ok(done) => done.map_err(|e| sort(act, &e)),
        Err(_) => Err(act.unreachable(format!("no answer within {} s", ACT_LIMIT.as_secs()))),
    }
}

fn found(path: &Path, meta: &ObjectMeta) -> Result<Found> {
    let modified = Timestamp::from_microsecond(meta.last_modified.timestamp_micros());
    let modified = modified.unwrap_or(Timestamp::MIN);
    Ok(Found { key: path.to_string(), size: meta.size, modified })
}
