//! Counts and digests what goes through, whoever holds the other end by then.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

/// Bytes and SHA-256 so far.
#[derive(Clone, Default)]
pub(super) struct Tally(Arc<Mutex<(u64, Sha256)>>);

impl Tally {
    fn add(&self, bytes: &[u8]) {
        let mut tally = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tally.0 += bytes.len() as u64;
        tally.1.update(bytes);
    }

    /// The count, and the digest as 64 hexadecimal digits.
    pub(super) fn end(&self) -> (u64, String) {
        let tally = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (tally.0, hex::encode(tally.1.clone().finalize()))
    }
}

/// A reader or writer whose bytes are tallied.
pub(super) struct Tallied<T> {
    inner: T,
    tally: Tally,
}

impl<T> Tallied<T> {
    pub(super) fn new(inner: T) -> Tallied<T> {
        Tallied { inner, tally: Tally::default() }
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally.clone()
    }

    pub(super) fn end(self) -> (T, Tally) {
        (self.inner, self.tally)
    }
}

impl<T: Read> Read for Tallied<T> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.tally.add(&into[..read]);
        Ok(read)
    }
}

impl<T: Write> Write for Tallied<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.tally.add(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
