//! What a set's folder says of itself: `manifest.json`, written last and never changed, and `proof.json`, what has been
//! proven of it since.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use yakin_adapters::archive::{self, Sealed};
use yakin_adapters::storage::Stored;

use super::{BackupError, Described, Result, SetKind, Target};

/// The manifest's name in the set's folder.
pub const MANIFEST: &str = "manifest.json";
const PROOF: &str = "proof.json";
/// The largest manifest, in bytes.
const MOST_BYTES: u64 = 256 << 20;

/// One set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of this file's form: 1.
    pub format: u32,
    /// `BKP_YYYYMMDD_NNN`.
    pub id: String,
    /// The business day in Tokyo.
    pub date: Date,
    pub begun_at: Timestamp,
    pub ended_at: Timestamp,
    pub yakin: String,
    /// As the server names it.
    pub server: String,
    /// Major version of pg_dump; pg_restore must be as new.
    pub tools: u32,
    pub compressed: bool,
    /// Public keys of those who can open it.
    pub recipients: Vec<String>,
    pub databases: Vec<DatabaseDump>,
    /// Databases that were dropped while the others were dumped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped_meanwhile: Vec<String>,
    pub globals: Globals,
}

/// A database's dump, in pg_dump's custom format inside the archive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatabaseDump {
    pub name: String,
    pub file: String,
    #[serde(flatten)]
    pub sealed: Sealed,
    pub encoding: String,
    pub collate: String,
    pub ctype: String,
    /// The roles that its owners and rights name. Older manifests do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    /// With the rows of the dump's own snapshot.
    pub tables: Vec<TableRows>,
    /// Tables of extensions whose rows are in the dump too. How many is the extension's business.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extension_tables: Vec<TableName>,
}

impl DatabaseDump {
    /// Rows of all tables together.
    pub fn rows(&self) -> i64 {
        self.tables.iter().map(|t| t.rows).sum()
    }
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub struct TableName {
    pub schema: String,
    pub name: String,
}

/// A table's rows in the dump.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableRows {
    pub schema: String,
    pub name: String,
    pub rows: i64,
    /// Whether its rows were left out on purpose.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_rows: bool,
}

/// Roles, memberships, tablespaces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Globals {
    pub file: String,
    #[serde(flatten)]
    pub sealed: Sealed,
    /// Whether the roles' password hashes are in it.
    pub passwords: bool,
}

/// Sizes of a whole set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    /// On the disk, without the manifest.
    pub bytes: u64,
    /// Of what is inside.
    pub plain_bytes: u64,
}

impl Manifest {
    /// Writes it into the set's folder; gives its SHA-256.
    pub(super) fn write(&self, folder: &Path) -> Result<String> {
        write_manifest(folder, self)
    }

    /// Reads the manifest of a set's folder, and its SHA-256; none where the set is not whole.
    pub fn read(folder: &Path) -> Result<Option<(Manifest, String)>> {
        read_manifest(folder)
    }
}

impl Described for Manifest {
    const KIND: SetKind = SetKind::Databases;

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

    fn contents(&self) -> Contents {
        let sealed = self.archives();
        sealed.iter().fold(Contents { bytes: 0, plain_bytes: 0 }, |sum, (_, sealed)| Contents {
            bytes: sum.bytes + sealed.bytes,
            plain_bytes: sum.plain_bytes + sealed.plain_bytes,
        })
    }

    fn archives(&self) -> Vec<(&str, &Sealed)> {
        let databases = self.databases.iter().map(|d| (d.file.as_str(), &d.sealed));
        databases.chain([(self.globals.file.as_str(), &self.globals.sealed)]).collect()
    }

    fn target(&self) -> Target {
        Target::Databases(self.databases.iter().map(|d| d.name.clone()).collect())
    }
}

/// Writes a manifest into the set's folder; gives its SHA-256.
pub(super) fn write_manifest(folder: &Path, manifest: &impl Described) -> Result<String> {
    write(folder, MANIFEST, manifest)
}

/// Reads the manifest of a set's folder, and its SHA-256; none where the set is not whole.
pub(super) fn read_manifest<M: Described>(folder: &Path) -> Result<Option<(M, String)>> {
    let path = folder.join(MANIFEST);
    let Some(bytes) = read(&path)? else { return Ok(None) };
    let unreadable = |fault: String| BackupError::Unproven(format!("{}: {fault}", path.display()));
    let manifest: M = serde_json::from_slice(&bytes).map_err(|e| unreadable(e.to_string()))?;
    if manifest.format() != 1 {
        let fault = format!("its form is {}, expected 1: use a newer Yakin", manifest.format());
        return Err(unreadable(fault));
    }
    for (file, _) in manifest.archives() {
        if file.is_empty() || file.starts_with('.') || file.contains(['/', '\\']) {
            return Err(unreadable(format!("'{file}' is no name of an archive")));
        }
    }
    Ok(Some((manifest, Stored::of(&bytes).sha256)))
}

/// What has been proven of a set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// All bytes were read back, opened and listed.
    pub verified_at: Option<Timestamp>,
    /// Restored into a scratch database with the manifest's row counts.
    pub recovery_tested_at: Option<Timestamp>,
    pub copied_at: Option<Timestamp>,
    /// The second place that has the copy, by its URL without credentials. Older proofs do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied_to: Option<String>,
}

impl Proof {
    /// Whether a copy is in this second place.
    pub fn is_copied_to(&self, place: &str) -> bool {
        self.copied_at.is_some() && self.copied_to.as_deref().is_none_or(|to| to == place)
    }

    /// What has been proven of the set in this folder; nothing where nothing is written.
    pub fn read(folder: &Path) -> Result<Proof> {
        let path = folder.join(PROOF);
        let Some(bytes) = read(&path)? else { return Ok(Proof::default()) };
        serde_json::from_slice(&bytes)
            .map_err(|e| BackupError::Unproven(format!("{}: {e}", path.display())))
    }

    /// Writes it into the set's folder.
    pub fn write(&self, folder: &Path) -> Result<()> {
        write(folder, PROOF, self).map(|_| ())
    }
}

fn write(folder: &Path, name: &str, value: &impl Serialize) -> Result<String> {
    use std::io::Write;
    let path = folder.join(name);
    let failed = |source| BackupError::File { path: path.display().to_string(), source };
    let bytes = serde_json::to_vec_pretty(value).map_err(|e| failed(e.into()))?;
    let mut file = fs::File::create(archive::partial(&path)).map_err(failed)?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    archive::settle(&path)?;
    Ok(Stored::of(&bytes).sha256)
}

fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let failed = |source| BackupError::File { path: path.display().to_string(), source };
    match fs::metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed(e)),
        Ok(meta) if meta.len() > MOST_BYTES => {
            let text = format!("{}: {} bytes, at most {MOST_BYTES}", path.display(), meta.len());
            return Err(BackupError::Unproven(text));
        }
        Ok(_) => {}
    }
    fs::read(path).map(Some).map_err(failed)
}
