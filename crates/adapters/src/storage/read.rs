//! Reading files and lists, never more than was asked for.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use object_store::path::Path;
use object_store::{GetOptions, ObjectStore};

use super::error::{Act, sort};
use super::{CHECKSUM, Found, MOST_AT_ONCE, Result, Storage, Stored, found, key, within};

/// How long the next piece of a file may take.
const PIECE_LIMIT: Duration = Duration::from_secs(60);
/// Empty pieces in a row after which a file has ended.
const MOST_EMPTY: usize = 16;
/// The longest list.
const MOST_LISTED: usize = 100_000;

/// A file being read, piece by piece.
pub struct Reading {
    pub found: Found,
    /// Pieces in order. The stream ends with [`StorageError::Corrupt`](super::StorageError::Corrupt) when bytes are missing.
    pub pieces: BoxStream<'static, Result<Bytes>>,
}

impl Storage {
    /// Reads a file of at most `limit` bytes.
    pub async fn get(&self, key: &str, limit: u64) -> Result<Vec<u8>> {
        let path = self.path(key).await?;
        self.get_at(&path, limit).await
    }

    /// Reads a file that must be what was stored.
    pub async fn get_as_stored(&self, key: &str, stored: &Stored) -> Result<Vec<u8>> {
        let path = self.path(key).await?;
        let bytes = self.get_at(&path, MOST_AT_ONCE).await?;
        let found = Stored::of(&bytes);
        if found != *stored {
            let text = |s: &Stored| format!("{} bytes, SHA-256 {}", s.size, s.sha256);
            return Err(self.act("reading", &path).corrupt(text(stored), text(&found)));
        }
        Ok(bytes)
    }

    /// Reads a file of any size in pieces.
    pub async fn get_stream(&self, key: &str) -> Result<Reading> {
        let path = self.path(key).await?;
        let (reading, _) = self.read_at(&path).await?;
        Ok(reading)
    }

    /// At most `limit` files below the folder `prefix` (all when empty) with keys after `after`, in
    /// the order of their keys.
    pub async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Found>> {
        let limit = limit.min(MOST_LISTED);
        let below = if prefix.is_empty() { None } else { Some(self.path(prefix).await?) };
        let place = below.clone().unwrap_or_default();
        let act = self.act("listing", &place);
        let mut listed = match after {
            Some(after) => self.store.list_with_offset(below.as_ref(), &key::path(after)?),
            None => self.store.list(below.as_ref()),
        };
        let mut first = BTreeSet::new();
        while let Some(meta) = next(&act, &mut listed).await? {
            let meta = meta.map_err(|e| sort(&act, &e))?;
            // not what another tool put there, nor the storage's own
            let Ok(path) = key::path(meta.location.as_ref()) else { continue };
            if let Some(folder) = &self.folder
                && folder.link_on_the_way(&path).await.is_some()
            {
                continue;
            }
            first.insert(found(&path, &meta)?);
            // a folder lists in no order, so all of it is looked at
            if first.len() > limit {
                first.pop_last();
            }
        }
        Ok(first.into_iter().collect())
    }

    pub(super) async fn get_at(&self, path: &Path, limit: u64) -> Result<Vec<u8>> {
        let act = self.act("reading", path);
        let (mut reading, checksum) = self.read_at(path).await?;
        let (size, limit) = (reading.found.size, limit.min(MOST_AT_ONCE));
        if size > limit {
            return Err(act.too_large(size, limit));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        while let Some(piece) = reading.pieces.next().await {
            bytes.extend_from_slice(&piece?);
        }
        match checksum {
            Some(expected) if expected != Stored::of(&bytes).sha256 => {
                let found = format!("SHA-256 {}", Stored::of(&bytes).sha256);
                Err(act.corrupt(format!("SHA-256 {expected}"), found))
            }
            _ => Ok(bytes),
        }
    }

    /// The file, and the checksum that the store keeps with it.
    async fn read_at(&self, path: &Path) -> Result<(Reading, Option<String>)> {
        let act = self.act("reading", path);
        let got = within(&act, self.store.get_opts(path, GetOptions::default())).await?;
        let checksum = got.attributes.get(&CHECKSUM).map(|v| v.to_string());
        let found = found(path, &got.meta)?;
        let pieces = self.clone().pieces(path.clone(), found.size, got.into_stream());
        Ok((Reading { found, pieces: pieces.boxed() }, checksum))
    }

    fn pieces(
        self,
        path: Path,
        size: u64,
        from: BoxStream<'static, object_store::Result<Bytes>>,
    ) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        let begun = Some((self, path, from, 0_u64));
        futures::stream::unfold(begun, move |going| async move {
            let (storage, path, mut from, so_far) = going?;
            let act = storage.act("reading", &path);
            let piece = match next_with_bytes(&act, &mut from).await {
                Ok(Some(piece)) => piece.map_err(|e| sort(&act, &e)),
                Ok(None) if so_far == size => return None,
                Ok(None) => Err(act.corrupt(format!("{size} bytes"), format!("{so_far} bytes"))),
                Err(error) => Err(error),
            };
            let so_far = so_far + piece.as_ref().map_or(0, |p| p.len() as u64);
            let piece = match piece {
                Ok(_) if so_far > size => {
                    Err(act.corrupt(format!("{size} bytes"), format!("{so_far} bytes or more")))
                }
                piece => piece,
            };
            let goes_on = piece.is_ok();
            Some((piece, goes_on.then_some((storage, path, from, so_far))))
        })
    }
}

/// The next piece that is not empty. A file that became shorter since it was opened gives empty ones without end: for
/// that, some in a row are the end.
async fn next_with_bytes(
    act: &Act<'_>,
    from: &mut BoxStream<'static, object_store::Result<Bytes>>,
) -> Result<Option<object_store::Result<Bytes>>> {
    for _ in 0..MOST_EMPTY {
        match next(act, from).await? {
            Some(Ok(piece)) if piece.is_empty() => {}
            other => return Ok(other),
        }
    }
    Ok(None)
}

async fn next<S: Stream + Unpin>(act: &Act<'_>, from: &mut S) -> Result<Option<S::Item>> {
    let waited = tokio::time::timeout(PIECE_LIMIT, from.next()).await;
    let silent = |_| act.unreachable(format!("nothing came for {} s", PIECE_LIMIT.as_secs()));
    waited.map_err(silent)
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading").field("found", &self.found).finish_non_exhaustive()
    }
}
