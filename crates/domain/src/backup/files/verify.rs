//! Reads a set of files back: every archive that holds a file of it, its own and those of earlier sets, to the last byte,
//! and compares each file's digest with the list.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use yakin_adapters::archive::{Opener, Sealed};

use super::super::verify::same;
use super::super::{BackupError, Folder, Result, blocking};
use super::{FilesManifest, Object, read_list};

/// What did not prove itself, and whose it is: this set's, or an earlier one's that it refers to.
#[derive(Debug)]
pub struct Damage {
    pub set: String,
    pub error: BackupError,
}

/// Proves a set of files in its folder. Nothing is written.
pub async fn verify_files(
    opener: &Arc<Opener>,
    folder: &Folder,
    manifest: &FilesManifest,
) -> std::result::Result<(), Damage> {
    let own = |error| Damage { set: manifest.id.clone(), error };
    let (files, _) = read_list(opener, &folder.set(&manifest.id), manifest).await.map_err(own)?;
    let sum = (files.len() as u64, files.iter().map(|f| f.size).sum::<u64>());
    if sum != (manifest.files, manifest.file_bytes) {
        let text = format!(
            "the list of {} has {} files with {} bytes, the manifest says {} with {}",
            manifest.id, sum.0, sum.1, manifest.files, manifest.file_bytes
        );
        return Err(own(BackupError::Unproven(text)));
    }
    for ((set, part), wanted) in by_part(files) {
        let damaged = |error| Damage { set: set.clone(), error };
        let sealed = sealed(folder, manifest, &set, &part).map_err(damaged)?;
        let path = folder.set(&set).join(&part);
        let sound = read_part(opener, path, (&part, sealed), wanted, |object, from| {
            let found = copy_and_digest(from, &mut std::io::sink())?;
            Ok(found == object.sha256)
        });
        let unsound = sound.await.map_err(damaged)?;
        if let Some(first) = unsound.first() {
            let text = format!(
                "{part} of {set} lacks {} of its files, or has them otherwise; the first is {}",
                unsound.len(),
                first.key
            );
            return Err(damaged(BackupError::Unproven(text)));
        }
    }
    Ok(())
}

/// The files by set and archive.
pub(super) fn by_part(files: Vec<Object>) -> BTreeMap<(String, String), Vec<Object>> {
    let mut parts = BTreeMap::<_, Vec<Object>>::new();
    for file in files {
        parts.entry((file.set.clone(), file.part.clone())).or_default().push(file);
    }
    parts
}

/// What an archive must be, by the manifest of the set that wrote it.
pub(super) fn sealed(
    folder: &Folder,
    manifest: &FilesManifest,
    set: &str,
    part: &str,
) -> Result<Sealed> {
    let found =
        |m: &FilesManifest| m.parts.iter().find(|p| p.file == part).map(|p| p.sealed.clone());
    let sealed = match set == manifest.id {
        true => found(manifest),
        false if !manifest.refers_to.iter().any(|r| r.set == set) => {
            let text = format!("the list of {} names {set}, its manifest does not", manifest.id);
            return Err(BackupError::Unproven(text));
        }
        false => folder.manifest::<FilesManifest>(set)?.and_then(|(m, _)| found(&m)),
    };
    sealed.ok_or_else(|| {
        let text = format!("{} needs {part} of {set}, which is not there", manifest.id);
        BackupError::Unproven(text)
    })
}

/// Walks through an archive: `take` gets each wanted file with its bytes, and says whether it is sound. Gives those that
/// were not, or did not come.
pub(super) async fn read_part(
    opener: &Arc<Opener>,
    path: PathBuf,
    (part, expected): (&str, Sealed),
    wanted: Vec<Object>,
    mut take: impl FnMut(&Object, &mut dyn Read) -> std::io::Result<bool> + Send + 'static,
) -> Result<Vec<Object>> {
    let (opener, part) = (opener.clone(), part.to_owned());
    blocking(move || {
        let mut reading = opener.open(&path)?;
        let mut wanted: HashMap<String, Object> =
            wanted.into_iter().map(|o| (o.key.clone(), o)).collect();
        let mut unsound = Vec::new();
        let mut walk = || -> std::io::Result<()> {
            let mut tar = tar::Archive::new(&mut reading);
            for entry in tar.entries()? {
                let mut entry = entry?;
                let key = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
                // what is not wanted has changed since, or could not be read to its end
                let Some(object) = wanted.remove(&key) else { continue };
                if entry.size() != object.size || !take(&object, &mut entry)? {
                    unsound.push(object);
                }
            }
            Ok(())
        };
        let walked = walk();
        walked.map_err(|e| reading.damaged(&e))?;
        same(&part, &expected, &reading.end()?)?;
        unsound.extend(wanted.into_values());
        unsound.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Ok(unsound)
    })
    .await
}

/// Copies all, and gives the SHA-256.
pub(super) fn copy_and_digest(
    from: &mut dyn Read,
    to: &mut dyn std::io::Write,
) -> std::io::Result<String> {
    let (mut sum, mut piece) = (Sha256::new(), vec![0; 128 << 10]);
    loop {
        let read = from.read(&mut piece)?;
        if read == 0 {
            return Ok(hex::encode(sum.finalize()));
        }
        sum.update(&piece[..read]);
        to.write_all(&piece[..read])?;
    }
}

/// Whether a key can be a path below a folder, and nowhere else.
pub(super) fn stays_below(key: &str) -> bool {
    let plain = |part: std::path::Component<'_>| matches!(part, std::path::Component::Normal(_));
    !key.is_empty() && !key.contains('\0') && Path::new(key).components().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_leads_out_of_the_folder() {
        for key in ["a", "tenant/青葉/経歴 書.pdf", "a/.b"] {
            assert!(stays_below(key), "{key}");
        }
        for key in ["", "/etc/passwd", "..", "a/../../b", "./a", "a\0b"] {
            assert!(!stays_below(key), "{key}");
        }
    }
}
