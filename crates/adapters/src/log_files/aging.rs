//! Old log files: compressed into the folder `archive` beside them with their digest, later deleted. A file goes only
//! once its copy was read back; one that is written, or that a node holds, stays.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::{Timestamp, ToSpan};
use sha2::{Digest, Sha256};

use super::keeper::hold;
use crate::open_files::OpenFiles;

/// The folder of the archive, below the log folder.
const ARCHIVE: &str = "archive";
const PACKED: &str = ".zst";
const PARTIAL: &str = ".tmp";
const DIGEST: &str = ".sha256";
const LEVEL: i32 = 3;
/// The most files of a folder that are looked at.
const MOST_FILES: usize = 100_000;
/// How many archives may have the same name.
const MOST_NUMBERS: u32 = 10_000;

/// When files go, in days since they were last written.
#[derive(Clone, Copy, Debug)]
pub struct Ages {
    pub archive_after_days: i64,
    pub delete_after_days: i64,
}

/// What was done in a folder, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Aged {
    /// Log files that were there before.
    pub files: u64,
    pub archived: u64,
    /// Of the archived files, before and after.
    pub bytes_before: u64,
    pub bytes_after: u64,
    pub deleted: u64,
    pub bytes_deleted: u64,
    /// Old, but in use: left alone.
    pub in_use: u64,
}

/// A folder whose log files could not be put away; names the file.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {path}: {source}")]
pub struct AgingError {
    pub doing: &'static str,
    pub path: String,
    pub source: io::Error,
}

type Result<T> = std::result::Result<T, AgingError>;

/// Puts old files of `dir` away and deletes old archives; `planned` only counts.
pub fn age(dir: &Path, now: Timestamp, ages: Ages, planned: bool) -> Result<Aged> {
    let archive = dir.join(ARCHIVE);
    let days = |n: i64| now.checked_sub((24 * n).hours()).unwrap_or(Timestamp::MIN);
    let open = OpenFiles::look().map_err(|e| failed("looking for open files in", dir, e))?;
    let mut aged = Aged::default();
    let old = old_files(dir, days(ages.archive_after_days), &mut aged.files)?;
    if !old.is_empty() && !planned {
        let made = DirBuilder::new().recursive(true).mode(0o750).create(&archive);
        made.map_err(|e| failed("making", &archive, e))?;
    }
    for path in old {
        let meta = path.metadata().map_err(|e| failed("looking at", &path, e))?;
        let held = hold(&path).map_err(|e| failed("opening", &path, e))?;
        let Some(held) = held.filter(|_| !open.writes(&meta)) else {
            aged.in_use += 1;
            continue;
        };
        if !planned {
            let packed = put_away(&path, &held, &archive);
            aged.bytes_after += packed.map_err(|e| failed("archiving", &path, e))?;
        }
        aged.archived += 1;
        aged.bytes_before += meta.len();
    }
    if archive.is_dir() {
        delete_old(&archive, days(ages.delete_after_days), planned, &mut aged)?;
    }
    Ok(aged)
}

/// The files of a folder that were last written before; counts all.
fn old_files(dir: &Path, before: Timestamp, files: &mut u64) -> Result<Vec<PathBuf>> {
    let mut old = Vec::new();
    let entries = fs::read_dir(dir).map_err(|e| failed("reading", dir, e))?;
    for entry in entries.take(MOST_FILES) {
        let entry = entry.map_err(|e| failed("reading", dir, e))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // a link may lead anywhere; what is hidden or half made is somebody's at work
        let is_file = entry.file_type().is_ok_and(|t| t.is_file());
        if !is_file || name.starts_with('.') || name.ends_with(PARTIAL) {
            continue;
        }
        *files += 1;
        let path = entry.path();
        let written = entry.metadata().and_then(|m| m.modified());
        let written = written.map_err(|e| failed("looking at", &path, e))?;
        if Timestamp::try_from(written).is_ok_and(|at| at <= before) {
            old.push(path);
        }
    }
    old.sort();
    Ok(old)
}

fn delete_old(archive: &Path, before: Timestamp, planned: bool, aged: &mut Aged) -> Result<()> {
    for path in old_files(archive, before, &mut 0)? {
        if !path.to_string_lossy().ends_with(PACKED) {
            continue;
        }
        let size = path.metadata().map_err(|e| failed("looking at", &path, e))?.len();
        if !planned {
            fs::remove_file(&path).map_err(|e| failed("deleting", &path, e))?;
            match fs::remove_file(with(&path, DIGEST)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("deleting the digest of", &path, e));
                }
                _ => {}
            }
        }
        aged.deleted += 1;
        aged.bytes_deleted += size;
    }
    Ok(())
}

/// Writes the archive under a temporary name, reads it back, names it, and takes the file away. Gives its size.
fn put_away(path: &Path, held: &File, archive: &Path) -> io::Result<u64> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let packed_already = name.ends_with(PACKED);
    let before = held.metadata()?;
    let digest = digest(File::open(path)?, packed_already)?;
    let Some(target) = free_name(archive, name.trim_end_matches(PACKED), &digest)? else {
        // an attempt that was cut off has archived the same bytes
        fs::remove_file(path)?;
        return Ok(0);
    };
    let partial = with(&target, PARTIAL);
    let mut options = OpenOptions::new();
    let mut new = options.write(true).create(true).truncate(true).mode(0o640).open(&partial)?;
    if packed_already {
        io::copy(&mut File::open(path)?, &mut new)?;
    } else {
        let mut encoder = zstd::Encoder::new(&mut new, LEVEL)?;
        encoder.include_checksum(true)?;
        io::copy(&mut File::open(path)?, &mut encoder)?;
        encoder.finish()?;
    }
    new.set_modified(before.modified()?)?;
    new.sync_all()?;
    let back = self::digest(File::open(&partial)?, true)?;
    let after = path.metadata()?;
    if back != digest || (after.len(), after.modified()?) != (before.len(), before.modified()?) {
        fs::remove_file(&partial)?;
        return Err(io::Error::other("its archive differs from it; it stays where it is"));
    }
    let line = format!("{digest}  {name}\n", name = name.trim_end_matches(PACKED));
    let mut noted = OpenOptions::new();
    let noted =
        noted.write(true).create(true).truncate(true).mode(0o640).open(with(&target, DIGEST));
    noted.and_then(|mut file| file.write_all(line.as_bytes()).and_then(|()| file.sync_all()))?;
    fs::rename(&partial, &target)?;
    File::open(archive)?.sync_all()?;
    fs::remove_file(path)?;
    Ok(new.metadata()?.len())
}

/// A name in the archive that is free; none where an archive of that name holds the same bytes.
fn free_name(archive: &Path, name: &str, digest: &str) -> io::Result<Option<PathBuf>> {
    for number in 0..MOST_NUMBERS {
        let number = if number == 0 { String::new() } else { format!(".{number}") };
        let target = archive.join(format!("{name}{number}{PACKED}"));
        if !target.exists() {
            return Ok(Some(target));
        }
        if self::digest(File::open(&target)?, true).is_ok_and(|there| there == digest) {
            return Ok(None);
        }
    }
    Err(io::Error::other(format!("{MOST_NUMBERS} archives have its name")))
}

/// The SHA-256 of what the file holds, unpacked.
fn digest(file: File, packed: bool) -> io::Result<String> {
    let mut reader: Box<dyn Read> =
        if packed { Box::new(zstd::Decoder::new(file)?) } else { Box::new(file) };
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 64 << 10]);
    loop {
        match reader.read(&mut buffer)? {
            0 => break,
            n => hash.update(&buffer[..n]),
        }
    }
    Ok(hex::encode(hash.finalize()))
}

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut text = path.as_os_str().to_owned();
    text.push(ending);
    PathBuf::from(text)
}

fn failed(doing: &'static str, path: &Path, source: io::Error) -> AgingError {
    AgingError { doing, path: path.display().to_string(), source }
}
