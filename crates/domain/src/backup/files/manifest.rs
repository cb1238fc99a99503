//! What a set of files says of itself: its manifest, which names no file, and the sealed list, which names all.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use yakin_adapters::archive::{Opener, Sealed};

use super::super::verify::same;
use super::super::{BackupError, Contents, Described, Result, SetKind, Target, blocking};
use super::MOST_FILES;

/// The longest line of a list, in bytes.
const MOST_LINE: u64 = 16 << 10;

/// One set of files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FilesManifest {
    /// Of this file's form: 1.
    pub format: u32,
    pub kind: SetKind,
    /// `BKF_YYYYMMDD_NNN`.
    pub id: String,
    /// The business day in Tokyo.
    pub date: Date,
    pub begun_at: Timestamp,
    pub ended_at: Timestamp,
    pub yakin: String,
    /// The storage's URL without credentials.
    pub storage: String,
    pub compressed: bool,
    /// Public keys of those who can open it.
    pub recipients: Vec<String>,
    /// The archives that this set wrote itself.
    pub parts: Vec<Part>,
    pub list: List,
    /// Earlier sets whose archives hold files of this one.
    pub refers_to: Vec<Reference>,
    /// All files that the set stands for.
    pub files: u64,
    /// Their bytes.
    pub file_bytes: u64,
    /// Files that could not be read; the list says which and why.
    pub skipped: u64,
}

/// An archive of files in tar's format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    pub file: String,
    #[serde(flatten)]
    pub sealed: Sealed,
    pub files: u64,
    pub file_bytes: u64,
}

/// The sealed list: a line of JSON for each file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct List {
    pub file: String,
    #[serde(flatten)]
    pub sealed: Sealed,
}

/// What another set holds of this one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    pub set: String,
    pub files: u64,
    pub file_bytes: u64,
}

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Listed {
    File(Object),
    Skipped(Skipped),
}

/// A file that the set stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    pub key: String,
    pub size: u64,
    /// When it was written, by the storage's clock.
    pub modified: Timestamp,
    pub sha256: String,
    /// The set whose archive holds it.
    pub set: String,
    /// The archive.
    pub part: String,
}

/// A file that was not to be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    pub key: String,
    /// Why; `gone` where it was removed meanwhile.
    pub skipped: String,
}

impl Skipped {
    /// Whether it was only removed between list and reading.
    pub fn is_gone(&self) -> bool {
        self.skipped == "gone"
    }
}

impl Described for FilesManifest {
    const KIND: SetKind = SetKind::Files;

    fn id(&self) -> &str {
        &self.id
    }

    fn format(&self) -> u32 {
        self.format
    }

    fn date(&self) -> Date {
        self.date
    }

    fn begun_at(&self) -> Timestamp {
        self.begun_at
    }

    fn ended_at(&self) -> Timestamp {
        self.ended_at
    }

    fn compressed(&self) -> bool {
        self.compressed
    }

    fn recipients(&self) -> &[String] {
        &self.recipients
    }

    /// What it takes on the disk itself; inside, all that it stands for.
    fn contents(&self) -> Contents {
        let bytes = self.archives().iter().map(|(_, sealed)| sealed.bytes).sum();
        Contents { bytes, plain_bytes: self.file_bytes }
    }

    fn archives(&self) -> Vec<(&str, &Sealed)> {
        let parts = self.parts.iter().map(|p| (p.file.as_str(), &p.sealed));
        parts.chain([(self.list.file.as_str(), &self.list.sealed)]).collect()
    }

    fn target(&self) -> Target {
        Target::Files(self.storage.clone())
    }

    fn refers_to(&self) -> Vec<String> {
        self.refers_to.iter().map(|r| r.set.clone()).collect()
    }

    fn files(&self) -> Option<u64> {
        Some(self.files)
    }
}

/// Reads the list of a set in its folder; it is what the manifest says.
pub async fn read_list(
    opener: &Arc<Opener>,
    set: &Path,
    manifest: &FilesManifest,
) -> Result<(Vec<Object>, Vec<Skipped>)> {
    let (opener, list, path) =
        (opener.clone(), manifest.list.clone(), set.join(&manifest.list.file));
    blocking(move || {
        let (mut files, mut skipped) = (Vec::new(), Vec::new());
        let wrong = |fault: String| BackupError::Unproven(format!("{}: {fault}", path.display()));
        let mut reading = BufReader::new(opener.open(&path)?);
        loop {
            let mut line = Vec::new();
            let read = (&mut reading).take(MOST_LINE).read_until(b'\n', &mut line);
            if read.map_err(|e| reading.get_ref().damaged(&e))? == 0 {
                break;
            }
            match serde_json::from_slice(&line).map_err(|e| wrong(e.to_string()))? {
                Listed::File(object) => files.push(object),
                Listed::Skipped(one) => skipped.push(one),
            }
            if files.len() + skipped.len() > MOST_FILES {
                return Err(wrong(format!("over {MOST_FILES} lines")));
            }
        }
        same(&list.file, &list.sealed, &reading.into_inner().end()?)?;
        Ok((files, skipped))
    })
    .await
}
