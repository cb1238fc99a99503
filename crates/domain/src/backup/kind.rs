//! The two kinds of sets, and what both kinds' manifests have in common.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use yakin_adapters::archive::Sealed;

use super::Contents;

/// What a set holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SetKind {
    Databases,
    Files,
}

impl SetKind {
    /// Both.
    pub const ALL: [SetKind; 2] = [SetKind::Databases, SetKind::Files];

    /// Its word in rows and lists.
    pub fn word(self) -> &'static str {
        match self {
            SetKind::Databases => "databases",
            SetKind::Files => "files",
        }
    }

    /// How the ids of its sets begin.
    pub fn prefix(self) -> &'static str {
        match self {
            SetKind::Databases => "BKP_",
            SetKind::Files => "BKF_",
        }
    }

    /// The kind of the set of this id; none where it is no set's id.
    pub fn of(id: &str) -> Option<SetKind> {
        let plain = !id.contains(['/', '.', '\\']);
        SetKind::ALL.into_iter().find(|kind| plain && id.starts_with(kind.prefix()))
    }
}

/// A set's manifest, of either kind.
pub trait Described: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    const KIND: SetKind;
    fn id(&self) -> &str;
    /// The version of the file's form.
    fn format(&self) -> u32;
    fn date(&self) -> Date;
    fn begun_at(&self) -> Timestamp;
    fn ended_at(&self) -> Timestamp;
    fn compressed(&self) -> bool;
    fn recipients(&self) -> &[String];
    fn contents(&self) -> Contents;
    /// Each archive's file name with what it must be.
    fn archives(&self) -> Vec<(&str, &Sealed)>;
    /// What it is a set of.
    fn target(&self) -> Target;
    /// Other sets without which it is nothing.
    fn refers_to(&self) -> Vec<String> {
        Vec::new()
    }
    fn files(&self) -> Option<u64> {
        None
    }
}

/// What a set is of: with the business date the key under which one set is enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Databases of the cluster, by name.
    Databases(Vec<String>),
    /// A storage, by its URL without credentials.
    Files(String),
}

impl Target {
    pub fn kind(&self) -> SetKind {
        match self {
            Target::Databases(_) => SetKind::Databases,
            Target::Files(_) => SetKind::Files,
        }
    }

    /// As its row has it.
    pub(super) fn databases(&self) -> &[String] {
        match self {
            Target::Databases(names) => names,
            Target::Files(_) => &[],
        }
    }

    /// As its row has it.
    pub(super) fn storage(&self) -> Option<&str> {
        match self {
            Target::Databases(_) => None,
            Target::Files(url) => Some(url),
        }
    }
}
