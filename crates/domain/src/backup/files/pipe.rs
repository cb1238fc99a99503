//! Between the storage, which gives pieces as they come, and an archive, which is written by a thread that reads: tar's
//! headers and blocks, and the readers.

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::Listed;

/// Pieces that wait between the storage and the archive.
pub(super) const PIECES: usize = 16;
/// A block of tar's, in bytes.
const BLOCK: u64 = 512;

pub(super) type Pieces = mpsc::Sender<io::Result<Bytes>>;

/// What tar ends with.
pub(super) fn end() -> Bytes {
    Bytes::from_static(&[0; 2 * BLOCK as usize])
}

/// What fills a file of this size up to whole blocks.
pub(super) fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK) - size
}

/// Sends so many zeros.
pub(super) async fn zeros(mut bytes: u64, to: &Pieces) {
    let block = Bytes::from_static(&[0; 64 << 10]);
    while bytes > 0 {
        let some = block.slice(..bytes.min(block.len() as u64) as usize);
        bytes -= some.len() as u64;
        if to.send(Ok(some)).await.is_err() {
            return;
        }
    }
}

/// A file's header in tar's format, with the blocks of a long name before it.
pub(super) fn header(key: &str, size: u64, modified: Timestamp) -> io::Result<Bytes> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mtime(u64::try_from(modified.as_second()).unwrap_or(0));
    header.set_mode(0o600);
    let mut blocks = tar::Builder::new(Vec::new());
    blocks.append_data(&mut header, key, io::empty())?;
    Ok(std::mem::take(blocks.get_mut()).into())
}

/// What the storage gave, as a reader of another thread.
pub(super) struct Received {
    from: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Received {
    pub(super) fn new(from: mpsc::Receiver<io::Result<Bytes>>) -> Received {
        Received { from, piece: Bytes::new() }
    }
}

impl Read for Received {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.from.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        Ok(take(&mut self.piece, into))
    }
}

/// The lines of a list as a reader.
pub(super) struct Lines<I> {
    lines: I,
    line: Bytes,
}

impl<I: Iterator<Item = Listed>> Lines<I> {
    pub(super) fn new(lines: I) -> Lines<I> {
        Lines { lines, line: Bytes::new() }
    }
}

impl<I: Iterator<Item = Listed>> Read for Lines<I> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.line.is_empty() {
            let Some(line) = self.lines.next() else { return Ok(0) };
            let mut bytes = serde_json::to_vec(&line)?;
            bytes.push(b'\n');
            self.line = bytes.into();
        }
        Ok(take(&mut self.line, into))
    }
}

fn take(from: &mut Bytes, into: &mut [u8]) -> usize {
    let some = from.len().min(into.len());
    from.copy_to_slice(&mut into[..some]);
    some
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail

    use super::*;

    #[test]
    fn a_header_is_whole_blocks_and_carries_any_key() {
        for key in ["a", &"長い名前/".repeat(40)] {
            let key = key.trim_end_matches('/');
            let bytes = header(key, 5, Timestamp::UNIX_EPOCH).unwrap();
            assert_eq!(bytes.len() as u64 % BLOCK, 0);
            let whole = [&bytes[..], b"12345", &[0; 507], &[0; 1024]].concat();
            let mut tar = tar::Archive::new(&whole[..]);
            let entry = tar.entries().unwrap().next().unwrap().unwrap();
            assert_eq!(entry.path().unwrap().to_str(), Some(key));
        }
    }
}
