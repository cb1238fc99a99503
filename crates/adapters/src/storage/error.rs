//! Why a file could not be written or read, by what the caller can do about it.

use std::error::Error;
use std::io::{self, ErrorKind};

use object_store::client::{HttpError, HttpErrorKind};

/// A storage that did not do what it was asked. No message holds a credential.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The configuration names no usable place.
    #[error("storage: {0}")]
    Settings(String),
    /// No file has this key.
    #[error("{store} has no file '{key}'")]
    Missing { store: String, key: String },
    /// A file with other contents has this key.
    #[error("{store} has another file '{key}' already, which must not be replaced")]
    Conflict { store: String, key: String },
    /// The key cannot be used anywhere.
    #[error("file key '{key}' is refused: {reason}")]
    Refused { key: String, reason: String },
    /// The file is larger than the caller wants or a store can take.
    #[error("{store}: '{key}' has {size} bytes, at most {limit} are taken")]
    TooLarge { store: String, key: String, size: u64, limit: u64 },
    /// No room: try again when there is.
    #[error("{store} is full: {doing} '{key}': {reason}")]
    Full { store: String, doing: &'static str, key: String, reason: String },
    /// Rights or credentials are wrong: a person must mend them.
    #[error("{store} denies {doing} '{key}': {reason}; mend its rights, or the keys in [storage]")]
    Denied { store: String, doing: &'static str, key: String, reason: String },
    /// It did not answer: try again later.
    #[error("{store} cannot be reached, {doing} '{key}': {reason}")]
    Unreachable { store: String, doing: &'static str, key: String, reason: String },
    /// What is there is not what was written.
    #[error("{store}: '{key}' is damaged: expected {expected}, found {found}")]
    Corrupt { store: String, key: String, expected: String, found: String },
    /// What was to be stored could not be read.
    #[error("reading what becomes '{key}': {source}")]
    Source { key: String, source: io::Error },
    /// Anything else.
    #[error("{store}: {doing} '{key}': {reason}")]
    Failed { store: String, doing: &'static str, key: String, reason: String },
}

/// What was being done when an error came.
pub struct Act<'a> {
    pub store: &'a str,
    pub doing: &'static str,
    pub key: &'a str,
}

impl Act<'_> {
    fn names(&self) -> (String, &'static str, String) {
        (self.store.to_owned(), self.doing, self.key.to_owned())
    }

    pub fn too_large(&self, size: u64, limit: u64) -> StorageError {
        let (store, _, key) = self.names();
        StorageError::TooLarge { store, key, size, limit }
    }

    pub fn corrupt(&self, expected: String, found: String) -> StorageError {
        let (store, _, key) = self.names();
        StorageError::Corrupt { store, key, expected, found }
    }

    pub fn missing(&self) -> StorageError {
        let (store, _, key) = self.names();
        StorageError::Missing { store, key }
    }

    pub fn unreachable(&self, reason: String) -> StorageError {
        let (store, doing, key) = self.names();
        StorageError::Unreachable { store, doing, key, reason }
    }

    fn full(&self, reason: String) -> StorageError {
        let (store, doing, key) = self.names();
        StorageError::Full { store, doing, key, reason }
    }

    fn denied(&self, reason: String) -> StorageError {
        let (store, doing, key) = self.names();
        StorageError::Denied { store, doing, key, reason }
    }

    fn failed(&self, reason: String) -> StorageError {
        let (store, doing, key) = self.names();
        StorageError::Failed { store, doing, key, reason }
    }

    fn refused(&self, reason: &str) -> StorageError {
        StorageError::Refused { key: self.key.to_owned(), reason: reason.to_owned() }
    }

    /// Sorts an error of the operating system.
    pub fn io(&self, error: &io::Error) -> StorageError {
        let reason = error.to_string();
        match error.kind() {
            ErrorKind::NotFound => self.missing(),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                self.full(reason)
            }
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => self.denied(reason),
            ErrorKind::TimedOut
            | ErrorKind::HostUnreachable
            | ErrorKind::StaleNetworkFileHandle => self.unreachable(reason),
            ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
                self.refused("a file and a folder cannot have the same name")
            }
            ErrorKind::InvalidFilename => self.refused("the file system takes no name so long"),
            _ => self.failed(reason),
        }
    }
}

/// Sorts an error of the client. Its own text is not passed on whole: a bucket's answer repeats
/// what the request was signed with.
pub fn sort(act: &Act<'_>, error: &object_store::Error) -> StorageError {
    let reason = reason(error);
    for cause in causes(error) {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            if matches!(error, object_store::Error::AlreadyExists { .. }) {
                break;
            }
            return act.io(io);
        }
        if let Some(http) = cause.downcast_ref::<HttpError>() {
            return match http.kind() {
                HttpErrorKind::Decode => act.failed(reason),
                _ => act.unreachable(reason),
            };
        }
    }
    match error {
        object_store::Error::NotFound { .. } if !reason.contains("NoSuchBucket") => act.missing(),
        object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. } => {
            let (store, _, key) = act.names();
            StorageError::Conflict { store, key }
        }
        object_store::Error::PermissionDenied { .. }
        | object_store::Error::Unauthenticated { .. } => act.denied(reason),
        object_store::Error::InvalidPath { source } => act.refused(&source.to_string()),
        _ => by_status(act, &error.to_string(), reason),
    }
}

/// The client tells most statuses, and all of a list, only in words.
fn by_status(act: &Act<'_>, text: &str, reason: String) -> StorageError {
    let status = text.split_once("status code: ").and_then(|(_, rest)| rest.get(..3));
    let said = |words: &[&str]| words.iter().any(|word| text.contains(word));
    match status {
        _ if said(&["NoSuchBucket"]) => {
            StorageError::Settings(format!("the bucket of {} is not there", act.store))
        }
        Some("507") => act.full(reason),
        _ if said(&["XMinioStorageFull", "QuotaExceeded", "InsufficientStorage"]) => {
            act.full(reason)
        }
        Some("401" | "403") => act.denied(reason),
        Some("429") => act.unreachable(reason),
        Some(status) if status.starts_with('5') => act.unreachable(reason),
        _ => act.failed(reason),
    }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |e: &&'a (dyn Error + 'static)| (*e).source()).take(16)
}

/// What the client says of an error that goes to a log.
pub fn said(error: &object_store::Error) -> String {
    reason(error)
}

/// A bucket's code and message; else the innermost cause.
fn reason(error: &object_store::Error) -> String {
    let text = error.to_string();
    let tag = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(inside, _)| inside)
    };
    let said = match (tag("Code"), tag("Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ if text.contains("status code: ") => {
            let (_, rest) = text.split_once("status code: ").unwrap_or_default();
            format!("it answers {}", rest.split(':').next().unwrap_or_default())
        }
        _ => causes(error).last().map_or(text.clone(), |e| e.to_string()),
    };
    said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}
