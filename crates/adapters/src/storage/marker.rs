//! Which store this is, and whether it works.

use object_store::PutMode;
use object_store::path::Path;
use ring::rand::{SecureRandom, SystemRandom};

use super::{Result, Storage, StorageError, key};

/// Tells a store from another, whatever host looks at it.
const MARKER: &str = ".yakin-store";
const PROBE: &str = ".yakin-probe";
const MOST_MARKER_BYTES: u64 = 200;

impl Storage {
    /// Marks the store as `id` (letters, digits, `-`, `.`, `_`; at most 100), once for all; another
    /// id is a [`StorageError::Conflict`].
    pub async fn mark(&self, id: &str) -> Result<()> {
        let good = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if id.is_empty() || id.len() > 100 || !id.chars().all(good) {
            let reason = "a store's id has letters, digits, '-', '.', '_', at most 100".to_owned();
            return Err(StorageError::Refused { key: MARKER.to_owned(), reason });
        }
        let path = self.own(MARKER).await?;
        self.put_new_at(&path, format!("{id}\n").into()).await.map(|_| ())
    }

    /// The id it was marked with.
    pub async fn marker(&self) -> Result<Option<String>> {
        let path = self.own(MARKER).await?;
        match self.get_at(&path, MOST_MARKER_BYTES).await {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).trim().to_owned())),
            Err(StorageError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a file, reads it back and deletes it.
    pub async fn check(&self) -> Result<()> {
        let (path, text) = self.probe().await?;
        let back = self.get_at(&path, text.len() as u64).await;
        self.delete_at(&path).await?;
        if back? != text {
            let found = "other bytes".to_owned();
            return Err(self.act("checking", &path).corrupt("what was just written".into(), found));
        }
        Ok(())
    }

    /// Removes what killed writers left in a folder more than a day ago; says how many files. A
    /// bucket needs a rule of its own that ends unfinished uploads.
    pub async fn sweep(&self) -> Result<u64> {
        let Some(folder) = &self.folder else { return Ok(0) };
        let (path, _) = self.probe().await?;
        let swept = folder.sweep(&path).await;
        self.delete_at(&path).await?;
        swept.map_err(|e| self.act("sweeping", &path).io(&e))
    }

    /// An id for [`Storage::mark`] that no other store has.
    pub fn new_id() -> Result<String> {
        let mut number = [0; 16];
        let random = SystemRandom::new().fill(&mut number);
        random
            .map_err(|_| StorageError::Settings("this machine gives no random numbers".into()))?;
        Ok(hex::encode(number))
    }

    async fn probe(&self) -> Result<(Path, Vec<u8>)> {
        let id = Storage::new_id()?;
        let path = self.own(&format!("{PROBE}/{id}")).await?;
        let text = id.into_bytes();
        self.put_at(&path, text.clone().into(), PutMode::Overwrite).await?;
        Ok((path, text))
    }

    async fn own(&self, name: &str) -> Result<Path> {
        let path = key::own(name)?;
        if let Some(folder) = &self.folder {
            folder.refuse_links(&path).await?;
        }
        Ok(path)
    }
}
