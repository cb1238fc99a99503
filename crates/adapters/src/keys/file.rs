//! The key file: lines of `<key id> <base64 of 32 bytes>`, newest first; `#` begins a remark.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::{Key, Keys, KeysError, Result};

const KEY_BYTES: usize = 32;
const MOST_KEYS: usize = 1000;
const MOST_BYTES: u64 = 256 << 10;

pub fn read(path: &Path) -> Result<Keys> {
    parse(path, &text(path, &open(path)?)?)
}

pub fn init(path: &Path) -> Result<String> {
    let failed = |source| file_error(path, source);
    if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    }
    let (id, line) = new_line()?;
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = made.map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => KeysError::Exists { path: path.display().to_string() },
        _ => failed(e),
    })?;
    let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_all());
    if let Err(error) = written.and_then(|()| sync_folder(path)) {
        // half a key file would stop every later start
        std::fs::remove_file(path).map_err(failed)?;
        return Err(failed(error));
    }
    Ok(id)
}

pub fn rotate(path: &Path) -> Result<String> {
    let failed = |source| file_error(path, source);
    // the file itself, so that a link to it stays a link
    let path = &path.canonicalize().map_err(failed)?;
    let old = open(path)?;
    // two that rotate at once would lose a key
    old.lock().map_err(failed)?;
    let (seen, there) = (old.metadata().map_err(failed)?, std::fs::metadata(path).map_err(failed)?);
    if (seen.dev(), seen.ino()) != (there.dev(), there.ino()) {
        let fault = "another rotation has just ended; look at it, then repeat this one if wanted";
        return Err(KeysError::Unusable { path: path.display().to_string(), fault });
    }
    let text = text(path, &old)?;
    if parse(path, &text)?.0.len() >= MOST_KEYS {
        return Err(too_many(path));
    }
    let (id, line) = new_line()?;
    let mut new_path = path.as_os_str().to_owned();
    new_path.push(".new");
    let new_path = PathBuf::from(new_path);
    // only whoever holds the lock writes here: what is there is a rotation that was killed
    if new_path.exists() {
        std::fs::remove_file(&new_path).map_err(failed)?;
    }
    let replaced = (|| {
        let mut new = OpenOptions::new();
        let mut new = new.write(true).create_new(true).mode(0o600).open(&new_path)?;
        // root may rotate for the user whose file it is
        fchown(&new, Some(seen.uid()), Some(seen.gid()))?;
        new.write_all(line.as_bytes())?;
        new.write_all(text.as_bytes())?;
        new.sync_all()?;
        std::fs::rename(&new_path, path)?;
        sync_folder(path)
    })();
    replaced.map_err(failed)?;
    Ok(id)
}

/// Opens a key file that only its owner can read.
fn open(path: &Path) -> Result<File> {
    let shown = || path.display().to_string();
    let file = File::open(path).map_err(|e| match e.kind() {
        ErrorKind::NotFound => KeysError::Missing { path: shown() },
        _ => file_error(path, e),
    })?;
    let meta = file.metadata().map_err(|e| file_error(path, e))?;
    if !meta.is_file() {
        return Err(KeysError::Unusable { path: shown(), fault: "it is not a file" });
    }
    match meta.mode() & 0o7777 {
        mode if mode & 0o077 != 0 => Err(KeysError::Mode { path: shown(), mode }),
        _ => Ok(file),
    }
}

fn text(path: &Path, file: &File) -> Result<Zeroizing<String>> {
    // as large as it can become: growing would leave copies behind
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_BYTES as usize + 1));
    let mut bounded = file.take(MOST_BYTES + 1);
    bounded.read_to_end(&mut bytes).map_err(|e| file_error(path, e))?;
    let unusable = |fault| KeysError::Unusable { path: path.display().to_string(), fault };
    if bytes.len() as u64 > MOST_BYTES {
        return Err(unusable("it has over 256 KiB"));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(unusable("it is not text")),
    }
}

fn parse(path: &Path, text: &str) -> Result<Keys> {
    let mut keys: Vec<Key> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let wrong =
            |fault| KeysError::Line { path: path.display().to_string(), line: number, fault };
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.split_ascii_whitespace();
        let (Some(id), Some(key), None) = (words.next(), words.next(), words.next()) else {
            return Err(wrong("expected a key id and the base64 of 32 bytes"));
        };
        let good = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if id.len() > 64 || !id.chars().all(good) {
            return Err(wrong("a key id has letters, digits, '-', '.', '_', at most 64"));
        }
        if keys.iter().any(|k| k.id == id) {
            return Err(wrong("this key id stands on an earlier line"));
        }
        let bytes = STANDARD.decode(key).map(Zeroizing::new);
        let bytes = bytes.map_err(|_| wrong("the key is not base64"))?;
        let key = Key::new(id, &bytes).filter(|_| bytes.len() == KEY_BYTES);
        keys.push(key.ok_or_else(|| wrong("the key does not have 32 bytes"))?);
        if keys.len() > MOST_KEYS {
            return Err(too_many(path));
        }
    }
    if keys.is_empty() {
        let fault = "it has no key";
        return Err(KeysError::Unusable { path: path.display().to_string(), fault });
    }
    Ok(Keys(keys))
}

/// A new key's id and line.
fn new_line() -> Result<(String, Zeroizing<String>)> {
    let (mut name, mut key) = ([0; 6], Zeroizing::new([0; KEY_BYTES]));
    let random = SystemRandom::new();
    random.fill(&mut name).map_err(|_| KeysError::Random)?;
    random.fill(&mut *key).map_err(|_| KeysError::Random)?;
    let id = format!("k-{}", hex::encode(name));
    let encoded = Zeroizing::new(STANDARD.encode(*key));
    let line = Zeroizing::new(format!("{id} {}\n", encoded.as_str()));
    Ok((id, line))
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let dir = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir)?.sync_all()
}

fn too_many(path: &Path) -> KeysError {
    KeysError::Unusable { path: path.display().to_string(), fault: "it has over 1000 keys" }
}

fn file_error(path: &Path, source: io::Error) -> KeysError {
    match source.kind() {
        ErrorKind::NotFound => KeysError::Missing { path: path.display().to_string() },
        _ => KeysError::File { path: path.display().to_string(), source },
    }
}
