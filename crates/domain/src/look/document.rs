//! An invoice's document, as it was registered or not at all.

use sqlx::postgres::PgPool;
use yakin_adapters::storage::{Storage, StorageError, Stored};
use yakin_engine::error::{Doing, EngineError};

use super::invoices::no_invoice;
use super::{Bound, begin};

/// The largest document that is read, in bytes.
const LARGEST: u64 = 32 << 20;

/// A document's bytes, which are those that were registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paper {
    pub bytes: Vec<u8>,
    /// 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum PaperError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("invoice {0} has no document (yet)")]
    NotReady(String),
    #[error("no storage is configured ([storage]): documents cannot be read")]
    NoStorage,
    /// What the storage has is not what was registered, or it has nothing.
    #[error("the document of invoice {number} is not the one that was registered: {reason}")]
    Damaged { number: String, reason: String },
    /// The storage failed; it may heal.
    #[error("reading the document of invoice {number}: {source}")]
    Storage { number: String, source: Box<StorageError> },
}

/// The document of the invoice of that number, compared with its registered digest.
pub async fn invoice_document(
    pool: &PgPool,
    bound: Bound<'_>,
    storage: Option<&Storage>,
    number: &str,
) -> Result<Paper, PaperError> {
    let doing = "looking for a document";
    let mut tx = begin(pool, bound).await.doing(doing)?;
    let found: Option<(Option<String>, Option<String>)> = sqlx::query_as(concat!(
        "SELECT i.document_key, i.document_sha256 FROM app.invoices i WHERE ",
        include_str!("invoice_visible.sql"),
        " AND i.number = $2"
    ))
    .bind(bound)
    .bind(number)
    .fetch_optional(&mut tx)
    .await
    .doing(doing)?;
    tx.commit().await.doing(doing)?;
    let (Some(key), Some(registered)) = found.ok_or_else(|| no_invoice(number))? else {
        return Err(PaperError::NotReady(number.to_owned()));
    };
    let storage = storage.ok_or(PaperError::NoStorage)?;
    let number = number.to_owned();
    let bytes = match storage.get(&key, LARGEST).await {
        Ok(bytes) => bytes,
        Err(
            source @ (StorageError::Missing { .. }
            | StorageError::Corrupt { .. }
            | StorageError::TooLarge { .. }
            | StorageError::Refused { .. }),
        ) => return Err(PaperError::Damaged { number, reason: source.to_string() }),
        Err(source) => return Err(PaperError::Storage { number, source: Box::new(source) }),
    };
    let sha256 = Stored::of(&bytes).sha256;
    if sha256 != registered {
        let reason = format!("'{key}' has SHA-256 {sha256}, expected {registered}");
        return Err(PaperError::Damaged { number, reason });
    }
    Ok(Paper { bytes, sha256 })
}
