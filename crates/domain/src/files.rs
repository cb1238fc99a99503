//! The files of tenants: rows in `app.files` over the storage. A file is stored before its row, under a key that
//! names what it is: stored a second time, it is the same file.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use yakin_adapters::Answer;
use yakin_adapters::mail::Attachment;
use yakin_adapters::storage::{Storage, StorageError, Stored};
use yakin_engine::outcome::{Cause, Stop};
use yakin_engine::run::TenantRun;
use yakin_engine::tx::Tx;

use crate::delivery::Outside;

/// The largest file that goes with a mail, in bytes.
pub const LARGEST_ATTACHMENT: usize = 10 * 1024 * 1024;

/// A storage that failed, in the words of work: what may heal is tried again.
pub fn stop(error: StorageError) -> Stop {
    use StorageError::{Conflict, Missing, Refused, Settings, TooLarge};
    match error {
        Settings(_) | Missing { .. } | Conflict { .. } | Refused { .. } | TooLarge { .. } => {
            Stop::give_up(Cause::Storage, error.to_string())
        }
        // full, denied, unreachable, damaged: a person or the store may mend it meanwhile
        _ => Stop::retry(Cause::Storage, error.to_string()),
    }
}

/// Puts bytes into the storage; no row yet.
pub async fn put(storage: &Storage, key: &str, bytes: Vec<u8>) -> Result<Stored, Stop> {
    storage.put(key, bytes).await.map_err(stop)
}

/// Writes the row of a stored file, as the tenant; returns its id. The row of an earlier attempt is taken over.
pub async fn record(
    tx: &mut Tx,
    key: &str,
    file_type: &str,
    stored: &Stored,
    at: Timestamp,
) -> Result<i64, Stop> {
    Ok(sqlx::query_scalar(
        "INSERT INTO app.files (tenant_id, key, file_type, size_bytes, sha256, created_at)
         VALUES (yakin.current_tenant(), $1, $2, $3, $4, $5)
         ON CONFLICT (tenant_id, key) WHERE deleted_at IS NULL
            DO UPDATE SET size_bytes = excluded.size_bytes, sha256 = excluded.sha256
         RETURNING file_id",
    )
    .bind(key)
    .bind(file_type)
    .bind(i64::try_from(stored.size).unwrap_or(i64::MAX))
    .bind(&stored.sha256)
    .bind(at.to_sqlx())
    .fetch_one(tx)
    .await?)
}

/// A file of the tenant as an attachment. What can never be sent is the answer; a storage that fails is a stop.
pub async fn attachment(
    run: &TenantRun,
    outside: &Outside,
    id: i64,
) -> Result<Result<Attachment, Answer>, Stop> {
    let refused = |reason: String| Ok(Err(Answer::Permanent { reason }));
    let found: Option<(String, String, i64)> = run
        .read(async |tx| {
            Ok(sqlx::query_as(
                "SELECT key, file_type, size_bytes FROM app.files
                  WHERE tenant_id = yakin.current_tenant() AND file_id = $1 AND deleted_at IS NULL",
            )
            .bind(id)
            .fetch_optional(tx)
            .await?)
        })
        .await?;
    let Some((key, file_type, size)) = found else {
        return refused(format!("attachment {id} is no file of this tenant"));
    };
    if size > LARGEST_ATTACHMENT as i64 {
        return refused(format!("attachment {key} has {size} bytes; at most {LARGEST_ATTACHMENT}"));
    }
    let Some(storage) = &outside.storage else {
        return Err(Stop::blocked(
            "no storage is configured ([storage]): attachments cannot be read",
        ));
    };
    match storage.get(&key, LARGEST_ATTACHMENT as u64).await {
        Ok(bytes) => {
            let name = key.rsplit('/').next().unwrap_or(&key).to_owned();
            let content_type = content_type(&file_type).to_owned();
            Ok(Ok(Attachment { name, content_type, bytes }))
        }
        Err(StorageError::Missing { .. }) => {
            refused(format!("attachment {key} is not in the storage"))
        }
        // as often as it is asked for, and the tenant's other mail must not wait for it
        Err(error @ (StorageError::TooLarge { .. } | StorageError::Refused { .. })) => {
            refused(format!("attachment {key}: {error}"))
        }
        Err(error) => Err(stop(error)),
    }
}

/// The media type of a kind of file.
pub fn content_type(file_type: &str) -> &'static str {
    match file_type {
        "pdf" => "application/pdf",
        "csv" => "text/csv",
        "json" => "application/json",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        _ => "application/octet-stream",
    }
}
