//! Reads a set back: each archive is decrypted and unpacked to its last byte, its checksum compared, and each dump's table
//! of contents compared with the manifest.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use yakin_adapters::archive::{Opener, Sealed};
use yakin_adapters::postgres_tools::Tools;

use super::{
    BackupError, DatabaseDump, FilesManifest, Folder, Manifest, Proof, Result, SetKind, blocking,
};

/// Proves a set in its folder. Nothing is written.
pub async fn verify(
    tools: &Tools,
    opener: &Arc<Opener>,
    set: &Path,
    manifest: &Manifest,
) -> Result<()> {
    for dump in &manifest.databases {
        let (to, contents) = tools.contents()?;
        let path = set.join(&dump.file);
        let reading = read_through(opener, &path, to);
        let (sealed, listed) = tokio::join!(reading, contents.read());
        same(&dump.file, &dump.sealed, &sealed?)?;
        same_tables(dump, &listed?)?;
    }
    let globals = &manifest.globals;
    let sealed = read_through(opener, &set.join(&globals.file), std::io::sink()).await?;
    same(&globals.file, &globals.sealed, &sealed)
}

/// Takes back what was proven of a set that does not read back, and of all that need its archives; gives their ids. The
/// files stay, for what can still be had of them.
pub fn unprove(folder: &Folder, id: &str) -> Result<Vec<String>> {
    let mut doubted = vec![id.to_owned()];
    if SetKind::of(id) == Some(SetKind::Files) {
        let sets = folder.sets::<FilesManifest>()?.whole.into_iter().map(|set| set.manifest);
        let needs_it = |m: &FilesManifest| m.refers_to.iter().any(|r| r.set == id);
        doubted.extend(sets.filter(needs_it).map(|m| m.id));
    }
    for id in &doubted {
        let set = folder.set(id);
        match Proof::read(&set) {
            Ok(proof) if proof.verified_at.is_some() => {
                Proof { verified_at: None, ..proof }.write(&set)?;
            }
            Ok(_) => {}
            // what cannot be read proves nothing
            Err(error) if error.is_damage() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(doubted)
}

/// Reads an archive to its end; what is inside goes `to` as long as that takes it. It ends early when nobody waits for it
/// any more.
pub(super) async fn read_through(
    opener: &Arc<Opener>,
    path: &Path,
    to: impl Write + Send + 'static,
) -> Result<Sealed> {
    let (opener, path) = (opener.clone(), path.to_owned());
    let waiting = Waiting::default();
    let left = waiting.0.clone();
    blocking(move || {
        let mut reading = opener.open(&path)?;
        let (mut piece, mut to) = (vec![0; 128 << 10], Some(to));
        loop {
            if left.load(Ordering::Relaxed) {
                return Err(BackupError::Interrupted);
            }
            let read = reading.read(&mut piece).map_err(|e| reading.damaged(&e))?;
            if read == 0 {
                break;
            }
            // a listing program closes the pipe when it has seen enough
            if to.as_mut().is_some_and(|to| to.write_all(&piece[..read]).is_err()) {
                to = None;
            }
        }
        drop(to);
        Ok(reading.end()?)
    })
    .await
}

/// Says when it is dropped that nobody waits any more.
#[derive(Default)]
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Compares an archive with what the manifest says of it.
pub(super) fn same(file: &str, expected: &Sealed, found: &Sealed) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    let text = |s: &Sealed| format!("{} bytes, SHA-256 {}", s.bytes, s.sha256);
    Err(BackupError::Unproven(format!(
        "{file} is {}, the manifest says {}",
        text(found),
        text(expected)
    )))
}

/// The tables whose rows the dump carries are those of the manifest; those of extensions may come too.
fn same_tables(dump: &DatabaseDump, listed: &str) -> Result<()> {
    const DATA: &str = " TABLE DATA ";
    let expected: HashSet<String> = dump
        .tables
        .iter()
        .filter(|t| !t.without_rows)
        .map(|t| format!("{} {}", t.schema, t.name))
        .collect();
    let of_extensions: HashSet<String> =
        dump.extension_tables.iter().map(|t| format!("{} {}", t.schema, t.name)).collect();
    let mut found = HashSet::new();
    for line in listed.lines().filter(|l| !l.starts_with(';')) {
        let Some((_, rest)) = line.split_once(DATA) else { continue };
        // schema, table and owner stand with spaces between them, which names may have too
        let ends = rest.match_indices(' ').map(|(at, _)| &rest[..at]);
        match ends.rev().find(|name| expected.contains(*name) || of_extensions.contains(*name)) {
            Some(name) => found.insert(name.to_owned()),
            None => {
                return Err(BackupError::Unproven(format!(
                    "{} holds rows of a table that its manifest does not name: {rest}",
                    dump.file
                )));
            }
        };
    }
    let mut missing: Vec<_> = expected.difference(&found).collect();
    missing.sort();
    match missing.first() {
        None => Ok(()),
        Some(first) => Err(BackupError::Unproven(format!(
            "{} lacks the rows of {} tables of its manifest, first {first}",
            dump.file,
            missing.len()
        ))),
    }
}
