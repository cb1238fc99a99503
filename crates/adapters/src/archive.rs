//! Archives: files that are compressed (zstd), then encrypted (age), in constant memory. Made under the name `.partial`,
//! they get their own name when they are whole. `age -d -i KEY FILE | zstd -d` reads them without Yakin.

mod keys;
mod tally;

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use age::stream::StreamReader;

pub use keys::{Opener, Sealer, init};

use tally::{Tallied, Tally};

/// How much is read from the source at a time, in bytes.
const PIECE_BYTES: usize = 128 << 10;
/// Fast, and about as small as the default on what databases dump.
const COMPRESSION_LEVEL: i32 = 3;

type Result<T> = std::result::Result<T, ArchiveError>;

/// An archive that could not be made or read. No message holds a key or what is inside.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("{path}: {source}")]
    File { path: String, source: io::Error },
    #[error("reading what goes into {path}: {source}")]
    Source { path: String, source: io::Error },
    #[error("{path} is not what was written: {fault}")]
    Damaged { path: String, fault: String },
    #[error("{path} does not open with the keys of {keys}: it was sealed for others")]
    OtherKey { path: String, keys: String },
    #[error("recipient '{text}' is none, expected age1…: `yakin keys backup` makes one")]
    Recipient { text: String },
    #[error("identity file {path}: {fault}")]
    Identity { path: String, fault: String },
}

impl ArchiveError {
    /// Whether there is no room left.
    pub fn is_full(&self) -> bool {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        matches!(self, ArchiveError::File { source, .. } if full.contains(&source.kind()))
    }

    /// Whether the bytes are not those that were written.
    pub fn is_damage(&self) -> bool {
        matches!(self, ArchiveError::Damaged { .. })
    }
}

/// What an archive is from the outside.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Sealed {
    /// Size of the file.
    pub bytes: u64,
    /// Size of what is inside.
    pub plain_bytes: u64,
    /// Of the file: 64 lower-case hexadecimal digits.
    pub sha256: String,
}

impl Sealer {
    /// Writes all of `from` into `<to>.partial`, flushed to the disk; [`settle`] gives it its name. `passed` counts the
    /// bytes read so far. Without `compress` the archive is encrypted only.
    pub fn seal(
        &self,
        mut from: impl Read,
        to: &Path,
        compress: bool,
        passed: &AtomicU64,
    ) -> Result<Sealed> {
        let path = partial(to);
        let failed = |source| ArchiveError::File { path: path.display().to_string(), source };
        let file = File::create(&path).map_err(failed)?;
        let mut to = Tallied::new(file);
        let mut plain = 0;
        {
            let mut sealing = self.wrap(&mut to).map_err(failed)?;
            if compress {
                let mut packing =
                    zstd::Encoder::new(&mut sealing, COMPRESSION_LEVEL).map_err(failed)?;
                packing.include_checksum(true).map_err(failed)?;
                plain += pour(&mut from, &mut packing, &path, passed)?;
                packing.finish().map_err(failed)?;
            } else {
                plain += pour(&mut from, &mut sealing, &path, passed)?;
            }
            sealing.finish().map_err(failed)?;
        }
        let (file, tally) = to.end();
        file.sync_all().map_err(failed)?;
        let (bytes, sha256) = tally.end();
        Ok(Sealed { bytes, plain_bytes: plain, sha256 })
    }
}

/// Gives a finished `.partial` file its name, so that the name is on the disk too.
pub fn settle(to: &Path) -> Result<()> {
    let failed = |source| ArchiveError::File { path: to.display().to_string(), source };
    fs::rename(partial(to), to).map_err(failed)?;
    let folder = to.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|f| f.sync_all()).map_err(failed)
}

/// The name of a file that is not whole yet.
pub fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// Size and SHA-256 of a file as it lies there.
pub fn digest(path: &Path) -> Result<(u64, String)> {
    let failed = |source| ArchiveError::File { path: path.display().to_string(), source };
    let mut file = Tallied::new(File::open(path).map_err(failed)?);
    io::copy(&mut file, &mut io::sink()).map_err(failed)?;
    Ok(file.end().1.end())
}

/// An archive being read: gives what is inside.
pub struct Reading {
    path: String,
    inside: Inside,
    tally: Tally,
    plain_bytes: u64,
}

type Opened = StreamReader<BufReader<Tallied<Box<dyn Read + Send>>>>;

enum Inside {
    Packed(Box<zstd::Decoder<'static, BufReader<Opened>>>),
    Bare(Box<Opened>),
}

impl Opener {
    /// Opens an archive; by its name (`.zst.age` or `.age`) it is known whether it is compressed.
    pub fn open(&self, path: &Path) -> Result<Reading> {
        let name = path.display().to_string();
        let failed = |source| ArchiveError::File { path: name.clone(), source };
        let file = File::open(path).map_err(failed)?;
        self.open_from(name, Box::new(file))
    }

    fn open_from(&self, name: String, from: Box<dyn Read + Send>) -> Result<Reading> {
        let failed = |source| ArchiveError::File { path: name.clone(), source };
        let from = Tallied::new(from);
        let tally = from.tally();
        let opened = self.decrypt(&name, BufReader::with_capacity(PIECE_BYTES, from));
        let opened = opened.map_err(|error| tally.unread().map_or(error, failed))?;
        let inside = if name.ends_with(".zst.age") {
            Inside::Packed(Box::new(zstd::Decoder::new(opened).map_err(failed)?))
        } else {
            Inside::Bare(Box::new(opened))
        };
        Ok(Reading { path: name, inside, tally, plain_bytes: 0 })
    }
}

impl Reading {
    /// Reads the rest, and says what the whole archive was.
    ///
    /// # Errors
    /// [`ArchiveError::Damaged`] when encryption or compression do not check out to the last byte; [`ArchiveError::File`]
    /// when the system does not give the bytes, which may be others the next time.
    pub fn end(mut self) -> Result<Sealed> {
        let path = self.path.clone();
        io::copy(&mut self, &mut io::sink()).map_err(|e| self.damaged(&e))?;
        // the compressed part may end before the encrypted one: its last piece is authenticated too
        let left = match self.inside {
            Inside::Packed(decoder) => io::copy(&mut decoder.finish(), &mut io::sink()),
            Inside::Bare(mut opened) => io::copy(&mut opened, &mut io::sink()),
        };
        if left.map_err(|e| unreadable(&path, &self.tally, &e))? > 0 {
            return Err(ArchiveError::Damaged { path, fault: "something follows its end".into() });
        }
        let (bytes, sha256) = self.tally.end();
        Ok(Sealed { bytes, plain_bytes: self.plain_bytes, sha256 })
    }
}

impl Reading {
    /// What a failed read says of the archive.
    pub fn damaged(&self, error: &io::Error) -> ArchiveError {
        unreadable(&self.path, &self.tally, error)
    }
}

/// Bytes that are not to be had are no wrong bytes.
fn unreadable(path: &str, tally: &Tally, error: &io::Error) -> ArchiveError {
    let path = path.to_owned();
    match tally.unread() {
        Some(source) => ArchiveError::File { path, source },
        None => ArchiveError::Damaged { path, fault: error.to_string() },
    }
}

impl Read for Reading {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.inside {
            Inside::Packed(decoder) => decoder.read(into)?,
            Inside::Bare(opened) => opened.read(into)?,
        };
        self.plain_bytes += read as u64;
        Ok(read)
    }
}

fn pour(from: &mut impl Read, to: &mut impl Write, path: &Path, passed: &AtomicU64) -> Result<u64> {
    let name = || path.display().to_string();
    let (mut piece, mut poured) = (vec![0; PIECE_BYTES], 0);
    loop {
        let read = from.read(&mut piece);
        let read = read.map_err(|source| ArchiveError::Source { path: name(), source })?;
        if read == 0 {
            return Ok(poured);
        }
        let written = to.write_all(&piece[..read]);
        written.map_err(|source| ArchiveError::File { path: name(), source })?;
        poured += read as u64;
        passed.fetch_add(read as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives the bytes up to a place, then what the system says of a bad block.
    struct BadBlock {
        bytes: io::Cursor<Vec<u8>>,
        at: u64,
    }

    impl Read for BadBlock {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            const EIO: i32 = 5;
            let left = self.at.saturating_sub(self.bytes.position());
            match left {
                0 => Err(io::Error::from_raw_os_error(EIO)),
                left => (&mut self.bytes).take(left).read(into),
            }
        }
    }

    #[test]
    fn a_block_that_does_not_read_is_no_damage_and_a_changed_byte_is() {
        let folder = std::env::temp_dir().join(format!("yakin-bad-block-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let recipient = init(&folder.join("key")).unwrap();
        let opener = Opener::read(&folder.join("key")).unwrap();
        // bytes that zstd does not make smaller
        let mut state = 88172645463325252_u64;
        let plain: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .take(600_000)
        .collect();
        for name in ["a.zst.age", "a.age"] {
            let path = folder.join(name);
            let sealer = Sealer::new(std::slice::from_ref(&recipient)).unwrap();
            let packed = name.contains("zst");
            sealer.seal(plain.as_slice(), &path, packed, &AtomicU64::new(0)).unwrap();
            settle(&path).unwrap();
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            for at in [0, middle, bytes.len() - 1] {
                let bad = BadBlock { bytes: io::Cursor::new(bytes.clone()), at: at as u64 };
                let opened = opener.open_from(name.to_owned(), Box::new(bad));
                let error = opened.and_then(Reading::end).unwrap_err();
                assert!(matches!(error, ArchiveError::File { .. }), "{name} at {at}: {error}");
            }
            // in another's words
            let bad = BadBlock { bytes: io::Cursor::new(bytes.clone()), at: middle as u64 };
            let mut reading = opener.open_from(name.to_owned(), Box::new(bad)).unwrap();
            io::copy(&mut reading, &mut io::sink()).unwrap_err();
            let wrapped = reading.damaged(&io::Error::other("failed to read an entry"));
            assert!(!wrapped.is_damage() && wrapped.to_string().contains("error 5"), "{wrapped}");

            bytes[middle] ^= 1;
            fs::write(&path, bytes).unwrap();
            assert!(opener.open(&path).unwrap().end().unwrap_err().is_damage());
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
