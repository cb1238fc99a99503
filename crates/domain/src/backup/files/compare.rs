//! What has changed in a storage since an earlier set: by size and time, and where only the time differs by digest.

use std::collections::HashMap;

use futures::StreamExt;
use sha2::{Digest, Sha256};
use yakin_adapters::storage::{Found, Storage, StorageError};

use super::super::{Folder, Result, Whole};
use super::{FilesManifest, Object, is_of_the_file};

/// A set refers to so many others at most; what more of them hold is written anew.
const MOST_REFERRED: usize = 20;

/// The set that the storage is compared with, and its list.
pub struct Base {
    pub manifest: FilesManifest,
    pub files: Vec<Object>,
}

/// What is to be done with each file.
#[derive(Debug, Default, PartialEq)]
pub struct Compared {
    /// In earlier sets already.
    pub kept: Vec<Object>,
    /// To be written.
    pub fresh: Vec<Found>,
}

impl Compared {
    /// Bytes to be written, before they are compressed.
    pub fn fresh_bytes(&self) -> u64 {
        self.fresh.iter().map(|f| f.size).sum()
    }
}

/// What the storage is compared with.
pub struct Earlier<'a> {
    pub folder: &'a Folder,
    /// Who must be able to open what is referred to.
    pub recipients: Vec<String>,
    /// Without one, all is fresh.
    pub base: Option<Base>,
}

/// Compares. `judge_by_digest` reads files whose time alone differs.
pub async fn compare(
    storage: &Storage,
    earlier: Earlier<'_>,
    found: Vec<Found>,
    judge_by_digest: bool,
) -> Result<Compared> {
    let Earlier { folder, recipients, base } = earlier;
    let Some(base) = base else { return Ok(Compared { kept: Vec::new(), fresh: found }) };
    let mut known: HashMap<String, Object> =
        base.files.into_iter().map(|o| (o.key.clone(), o)).collect();
    let mut compared = Compared::default();
    for file in found {
        match known.remove(&file.key) {
            Some(object) if object.size == file.size => {
                let alike = object.modified == file.modified
                    || judge_by_digest
                        && digest(storage, &file.key).await? == Some(object.sha256.clone());
                match alike {
                    true => compared.kept.push(Object { modified: file.modified, ..object }),
                    false => compared.fresh.push(file),
                }
            }
            _ => compared.fresh.push(file),
        }
    }
    let whole = |id: &str| whole_set(folder, id, &recipients);
    worth_keeping(compared, whole)
}

/// The file's digest; none where it cannot be read, which its writer will find and say.
async fn digest(storage: &Storage, key: &str) -> Result<Option<String>> {
    let read = async {
        let mut reading = storage.get_stream(key).await?;
        let mut sum = Sha256::new();
        while let Some(piece) = reading.pieces.next().await {
            sum.update(&piece?);
        }
        Ok::<_, StorageError>(hex::encode(sum.finalize()))
    };
    match read.await {
        Ok(sum) => Ok(Some(sum)),
        Err(error) if is_of_the_file(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The bytes of files that a set's own archives hold; none where it is not whole, not proven, or sealed for others.
fn whole_set(folder: &Folder, id: &str, recipients: &[String]) -> Result<Option<u64>> {
    let Some(Whole { manifest, proof, .. }) = folder.readable::<FilesManifest>(id)? else {
        return Ok(None);
    };
    let set = folder.set(id);
    let there = |file: &str, bytes: u64| {
        std::fs::metadata(set.join(file)).is_ok_and(|m| m.is_file() && m.len() == bytes)
    };
    let whole = manifest.parts.iter().all(|p| there(&p.file, p.sealed.bytes));
    let proven = proof.verified_at.is_some() && manifest.recipients == recipients;
    Ok((whole && proven).then(|| manifest.parts.iter().map(|p| p.file_bytes).sum()))
}

/// Lets go of sets that are not whole, of those of which less than half is still used, and of the least used beyond
/// [`MOST_REFERRED`]: their files are written anew, so that old archives can go one day.
fn worth_keeping(
    compared: Compared,
    own_bytes: impl Fn(&str) -> Result<Option<u64>>,
) -> Result<Compared> {
    let mut used: HashMap<String, u64> = HashMap::new();
    for object in &compared.kept {
        *used.entry(object.set.clone()).or_default() += object.size;
    }
    let mut sets = Vec::new();
    for (set, bytes) in used {
        if own_bytes(&set)?.is_some_and(|own| bytes.saturating_mul(2) >= own) {
            sets.push((bytes, set));
        }
    }
    sets.sort_unstable_by(|a, b| b.cmp(a));
    sets.truncate(MOST_REFERRED);
    let (kept, gone): (Vec<_>, Vec<_>) =
        compared.kept.into_iter().partition(|o| sets.iter().any(|(_, set)| *set == o.set));
    let again = gone.into_iter().map(|o| Found { key: o.key, size: o.size, modified: o.modified });
    let mut fresh = compared.fresh;
    fresh.extend(again);
    fresh.sort_unstable();
    Ok(Compared { kept, fresh })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail

    use jiff::Timestamp;
    use yakin_adapters::archive::Sealed;

    use super::super::super::manifest::write_manifest;
    use super::super::super::{Proof, SetKind};
    use super::super::{List, Part};
    use super::*;

    fn object(n: usize, size: u64, set: &str) -> Object {
        Object {
            key: format!("k{n:03}"),
            size,
            modified: Timestamp::UNIX_EPOCH,
            sha256: String::new(),
            set: set.to_owned(),
            part: String::new(),
        }
    }

    #[test]
    fn half_used_sets_stay_and_the_least_used_of_too_many_go() {
        let own = |id: &str| {
            Ok(match id {
                "half" => Some(100),
                "less" => Some(101),
                "lost" => None,
                _ => Some(10),
            })
        };
        let kept = vec![object(1, 50, "half"), object(2, 50, "less"), object(3, 9, "lost")];
        let compared = worth_keeping(Compared { kept, fresh: Vec::new() }, own).unwrap();
        assert_eq!(compared.kept, [object(1, 50, "half")]);
        let keys: Vec<_> = compared.fresh.iter().map(|f| f.key.as_str()).collect();
        assert_eq!(keys, ["k002", "k003"]);

        let many = (0..MOST_REFERRED + 2).map(|n| object(n, 10 + n as u64, &format!("s{n:03}")));
        let compared =
            worth_keeping(Compared { kept: many.collect(), fresh: Vec::new() }, own).unwrap();
        assert_eq!(compared.kept.len(), MOST_REFERRED);
        let keys: Vec<_> = compared.fresh.iter().map(|f| f.key.as_str()).collect();
        assert_eq!(keys, ["k000", "k001"], "the smallest");
    }

    #[test]
    fn a_set_is_referred_to_where_it_is_whole_proven_and_opens_for_the_same_people() {
        let place = std::env::temp_dir().join(format!("yakin-whole-{}", std::process::id()));
        let folder = Folder::open(&place).unwrap();
        let (id, us) = ("BKF_20261101_001", vec!["age1us".to_owned()]);
        folder.begin(id).unwrap();
        let sealed = Sealed { bytes: 5, plain_bytes: 9, sha256: String::new() };
        let at = Timestamp::UNIX_EPOCH;
        let part = Part { file: "p".to_owned(), sealed: sealed.clone(), files: 1, file_bytes: 7 };
        let manifest = FilesManifest {
            format: 1,
            kind: SetKind::Files,
            id: id.to_owned(),
            date: jiff::civil::date(2026, 11, 1),
            begun_at: at,
            ended_at: at,
            yakin: String::new(),
            storage: String::new(),
            compressed: true,
            recipients: us.clone(),
            parts: vec![part],
            list: List { file: "l".to_owned(), sealed },
            refers_to: Vec::new(),
            files: 1,
            file_bytes: 7,
            skipped: 0,
        };
        write_manifest(&folder.set(id), &manifest).unwrap();
        std::fs::write(folder.set(id).join("p"), "12345").unwrap();
        assert_eq!(whole_set(&folder, id, &us).unwrap(), None, "not proven");
        Proof { verified_at: Some(at), ..Proof::default() }.write(&folder.set(id)).unwrap();
        assert_eq!(whole_set(&folder, id, &us).unwrap(), Some(7));
        assert_eq!(whole_set(&folder, id, &["age1new".to_owned()]).unwrap(), None);
        assert_eq!(whole_set(&folder, "BKF_20261101_002", &us).unwrap(), None);
        std::fs::write(folder.set(id).join("p"), "1234").unwrap();
        assert_eq!(whole_set(&folder, id, &us).unwrap(), None, "short");
        std::fs::remove_dir_all(place).unwrap();
    }
}
