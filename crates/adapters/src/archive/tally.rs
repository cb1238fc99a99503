//! Counts and digests what goes through, whoever holds the other end by then.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

/// Bytes and SHA-256 so far.
#[derive(Clone, Default)]
pub(super) struct Tally(Arc<Mutex<Sums>>);

#[derive(Default)]
struct Sums {
    bytes: u64,
    sha256: Sha256,
    /// What the system said when it did not give the bytes.
    unread: Option<i32>,
}

impl Tally {
    fn sums(&self) -> MutexGuard<'_, Sums> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, bytes: &[u8]) {
        let mut sums = self.sums();
        sums.bytes += bytes.len() as u64;
        sums.sha256.update(bytes);
    }

    fn fail(&self, error: &io::Error) {
        if error.kind() != io::ErrorKind::Interrupted {
            self.sums().unread = error.raw_os_error();
        }
    }

    /// The system's error that stopped reading, whatever those who read through others made of it.
    pub(super) fn unread(&self) -> Option<io::Error> {
        self.sums().unread.map(io::Error::from_raw_os_error)
    }

    /// The count, and the digest as 64 hexadecimal digits.
    pub(super) fn end(&self) -> (u64, String) {
        let sums = self.sums();
        (sums.bytes, hex::encode(sums.sha256.clone().finalize()))
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
        let read = self.inner.read(into).inspect_err(|error| self.tally.fail(error))?;
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
