//! A relay that is a folder: each letter becomes an `.eml` file, for demonstrations and staging.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::spawn_blocking;

use super::compose::Letter;
use crate::Answer;

/// Of a recipient's address in a file's name, in bytes.
const LONGEST_NAME: usize = 100;

/// Makes the folder where it is missing.
pub(super) async fn make(folder: &Path) -> Result<(), Answer> {
    let path = folder.to_owned();
    let made = blocking(move || fs::create_dir_all(path)).await;
    made.map_err(|e| unreachable(folder, &e))
}

/// Writes the letter whole or not at all, as `<time>-<number>-<recipient>.eml`; no file is ever
/// replaced.
pub(super) async fn put(folder: &Path, letter: &Letter, filed: &AtomicU64) -> Answer {
    let number = filed.fetch_add(1, Ordering::Relaxed);
    let path = folder.to_owned();
    let letter = letter.clone();
    match blocking(move || write(&path, &letter, number)).await {
        Ok(name) => Answer::Sent { receipt: Some(name) },
        Err(e) => unreachable(folder, &e),
    }
}

fn unreachable(folder: &Path, e: &io::Error) -> Answer {
    Answer::Unreachable { reason: format!("cannot write to {}: {e}", folder.display()) }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.unwrap_or_else(|e| Err(io::Error::other(e)))
}

fn write(folder: &Path, letter: &Letter, number: u64) -> io::Result<String> {
    fs::create_dir_all(folder)?;
    let (half, mut file) = unfinished(folder, number)?;
    let named = file
        .write_all(letter.bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| give_name(folder, &half, letter, number));
    let removed = fs::remove_file(&half);
    let name = named?;
    removed?;
    File::open(folder)?.sync_all()?;
    Ok(name)
}

/// A file that no other process or session writes to.
fn unfinished(folder: &Path, number: u64) -> io::Result<(PathBuf, File)> {
    for n in number.. {
        let path = folder.join(format!(".{}-{n}.part", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::other("no number is left"))
}

/// A second name, which unlike renaming never replaces a file.
fn give_name(folder: &Path, half: &Path, letter: &Letter, number: u64) -> io::Result<String> {
    let time = letter.date.strftime("%Y%m%dT%H%M%SZ");
    let recipient = path_safe(letter.recipient());
    for n in number.. {
        let name = format!("{time}-{n:06}-{recipient}.eml");
        match fs::hard_link(half, folder.join(&name)) {
            Ok(()) => return Ok(name),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::other("no number is left"))
}

fn path_safe(address: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@' | '+');
    address.chars().map(|c| if safe(c) { c } else { '_' }).take(LONGEST_NAME).collect()
}
