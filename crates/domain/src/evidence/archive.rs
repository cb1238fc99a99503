//! The package as one stream: a tar of its files, read as it is sent.

use std::io::{Error, ErrorKind};
use std::path::Path;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use jiff::Timestamp;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::{EvidenceError, MANIFEST, Month, Package};

/// So much is read at once, in bytes.
const CHUNK: usize = 64 * 1024;
/// Files in a tar fill whole blocks.
const BLOCK: u64 = 512;

/// An entry: its header, and the file behind it.
struct Entry {
    header: Vec<u8>,
    file: File,
    size: u64,
}

/// The package in this folder as a tar, the manifest first. The files are opened here: the folder may go while they
/// are sent.
pub async fn archive(
    package: &Package,
    month: Month,
    folder: &Path,
    at: Timestamp,
) -> Result<impl Stream<Item = Result<Bytes, Error>> + Send + 'static + use<>, EvidenceError> {
    let mut parts = Vec::new();
    for name in [MANIFEST].into_iter().chain(package.files.iter().map(|l| l.file)) {
        let path = folder.join(name);
        let entry = open(&path, &format!("{}/{name}", month.package()), at).await;
        let doing = "reading back";
        parts.push(entry.map_err(|source| EvidenceError::File {
            doing,
            path: path.clone(),
            source,
        })?);
    }
    let end = Bytes::from(vec![0; 2 * BLOCK as usize]);
    Ok(stream::iter(parts).flat_map(sent).chain(stream::once(async { Ok(end) })))
}

async fn open(path: &Path, name: &str, at: Timestamp) -> Result<Entry, Error> {
    let file = File::open(path).await?;
    let size = file.metadata().await?.len();
    let mut header = tar::Header::new_gnu();
    header.set_path(name)?;
    header.set_size(size);
    header.set_mode(0o600);
    header.set_mtime(at.as_second().try_into().unwrap_or(0));
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    Ok(Entry { header: header.as_bytes().to_vec(), file, size })
}

/// The header, exactly as many bytes as it promised, and what fills the last block.
fn sent(entry: Entry) -> impl Stream<Item = Result<Bytes, Error>> + Send {
    let header = stream::once(async move { Ok(Bytes::from(entry.header)) });
    let rest = stream::try_unfold((entry.file, entry.size), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let wanted = CHUNK.min(usize::try_from(left).unwrap_or(CHUNK));
        let mut piece = vec![0; wanted];
        let read = file.read(&mut piece).await?;
        if read == 0 {
            return Err(Error::new(
                ErrorKind::UnexpectedEof,
                "a file of the package became shorter",
            ));
        }
        piece.truncate(read);
        Ok(Some((Bytes::from(piece), (file, left - read as u64))))
    });
    let fill = (BLOCK - entry.size % BLOCK) % BLOCK;
    let fill = stream::once(async move { Ok(Bytes::from(vec![0; fill as usize])) });
    header.chain(rest).chain(fill)
}
