//! Writing a file of unknown size in parts; it appears whole at its end, or not at all.

use bytes::{Bytes, BytesMut};
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt, PutMode, PutResult};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{Result, Storage, StorageError, Stored, within};

/// The size of a part, and what a write holds in memory.
const PART_BYTES: usize = 16 << 20;
/// As many parts as S3 takes; 156 GiB.
const MOST_PARTS: u64 = 10_000;

impl Storage {
    /// Writes a file from a reader in constant memory, in place of one that may be there. When it
    /// fails, or is dropped, what was written of it is taken back; a process that is killed leaves
    /// parts (see [`Storage::sweep`]; a bucket needs a rule that ends unfinished uploads).
    pub async fn put_stream(
        &self,
        key: &str,
        mut from: impl AsyncRead + Send + Unpin,
    ) -> Result<Stored> {
        let path = self.path(key).await?;
        let first = part(&path, &mut from).await?;
        if first.len() < PART_BYTES {
            return self.put_at(&path, first, PutMode::Overwrite).await;
        }
        let act = self.act("writing", &path);
        let upload = within(&act, self.store.put_multipart(&path)).await?;
        let mut upload = Upload(Some(upload));
        match self.send(&mut upload, &path, first, &mut from).await {
            Ok((stored, put)) => {
                self.prove(&path, &put, &stored).await?;
                Ok(stored)
            }
            Err(error) => {
                upload.abort().await;
                Err(error)
            }
        }
    }

    async fn send(
        &self,
        upload: &mut Upload,
        path: &Path,
        first: Bytes,
        from: &mut (impl AsyncRead + Send + Unpin),
    ) -> Result<(Stored, PutResult)> {
        let act = self.act("writing", path);
        let (mut sum, mut size, mut parts, mut next) = (Sha256::new(), 0, 0, first);
        while !next.is_empty() {
            parts += 1;
            size += next.len() as u64;
            if parts > MOST_PARTS {
                return Err(act.too_large(size, MOST_PARTS * PART_BYTES as u64));
            }
            sum.update(&next);
            within(&act, upload.begun()?.put_part(next.into())).await?;
            next = part(path, from).await?;
        }
        let put = within(&act, upload.begun()?.complete()).await?;
        upload.0 = None;
        Ok((Stored { size, sha256: hex::encode(sum.finalize()) }, put))
    }
}

/// The next part: full, unless the reader has ended.
async fn part(path: &Path, from: &mut (impl AsyncRead + Send + Unpin)) -> Result<Bytes> {
    let mut part = BytesMut::with_capacity(PART_BYTES);
    while part.len() < PART_BYTES {
        let rest = (PART_BYTES - part.len()) as u64;
        let read = (&mut *from).take(rest).read_buf(&mut part).await;
        let failed = |source| StorageError::Source { key: path.to_string(), source };
        if read.map_err(failed)? == 0 {
            break;
        }
    }
    Ok(part.freeze())
}

/// An upload that has not ended; taken back when it is dropped.
struct Upload(Option<Box<dyn MultipartUpload>>);

impl Upload {
    fn begun(&mut self) -> Result<&mut Box<dyn MultipartUpload>> {
        // only an ended one is none, and nothing is asked of it
        self.0.as_mut().ok_or_else(|| StorageError::Settings("the upload has ended".to_owned()))
    }

    async fn abort(&mut self) {
        if let Some(upload) = self.0.take() {
            abort(upload).await;
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let (Some(upload), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current())
        {
            runtime.spawn(abort(upload));
        }
    }
}

async fn abort(mut upload: Box<dyn MultipartUpload>) {
    if let Err(error) = upload.abort().await {
        // the error that led here is the one to return; this one costs space only
        let reason = super::error::said(&error);
        tracing::warn!(reason, "taking back an unfinished upload failed: its parts use up space");
    }
}
