//! The files of tenants: rows in `app.files` over the storage. A file is stored before its row, under a key that
//! names what it is: stored a second time, it is the same file.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use yakin_adapters::Answer;
use yakin_adapters::mail::{Attachment, MOST_ATTACHMENTS};
use yakin_adapters::storage::{Storage, StorageError, Stored};
use yakin_engine::outcome::{Cause, Stop};
use yakin_engine::run::TenantRun;
use yakin_engine::tx::Tx;

use crate::delivery::Outside;

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

/// A file of the tenant, as its row has it.
#[derive(sqlx::FromRow)]
struct FileRow {
    file_id: i64,
    key: String,
    file_type: String,
    size_bytes: i64,
}

/// Files of the tenant as attachments, in this order, of at most so many bytes together. Their number and sizes are
/// judged before any is read. What can never be sent is the answer; a storage that fails is a stop.
pub async fn attachments(
    run: &TenantRun,
    outside: &Outside,
    ids: &[i64],
    most_bytes: usize,
) -> Result<Result<Vec<Attachment>, Answer>, Stop> {
    if ids.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    if ids.len() > MOST_ATTACHMENTS {
        let found = ids.len();
        return refused(format!("{found} attachments; at most {MOST_ATTACHMENTS}"));
    }
    let rows: Vec<FileRow> = run
        .read(async |tx| {
            Ok(sqlx::query_as(include_str!("files_attached.sql")).bind(ids).fetch_all(tx).await?)
        })
        .await?;
    if let Some(id) = ids.iter().find(|id| !rows.iter().any(|r| r.file_id == **id)) {
        return refused(format!("attachment {id} is no file of this tenant"));
    }
    if let Some(row) = rows.iter().find(|r| r.size_bytes > most_bytes as i64) {
        let FileRow { key, size_bytes, .. } = row;
        return refused(format!("attachment {key} has {size_bytes} bytes; at most {most_bytes}"));
    }
    let bytes: u64 = rows.iter().map(|r| r.size_bytes.unsigned_abs()).sum();
    if bytes > most_bytes as u64 {
        return refused(format!("attachments of {bytes} bytes; at most {most_bytes}"));
    }
    let Some(storage) = &outside.storage else {
        let why = "no storage is configured ([storage]): attachments cannot be read";
        return Err(Stop::blocked(why));
    };
    let (mut attachments, mut left) = (Vec::new(), most_bytes);
    for row in rows {
        match read(storage, row, left).await? {
            Ok(attachment) => {
                left = left.saturating_sub(attachment.bytes.len());
                attachments.push(attachment);
            }
            Err(answer) => return Ok(Err(answer)),
        }
    }
    Ok(Ok(attachments))
}

/// Reads one of at most so many bytes, whatever its row says.
async fn read(
    storage: &Storage,
    row: FileRow,
    most_bytes: usize,
) -> Result<Result<Attachment, Answer>, Stop> {
    match storage.get(&row.key, most_bytes as u64).await {
        Ok(bytes) => {
            let name = row.key.rsplit('/').next().unwrap_or(&row.key).to_owned();
            let content_type = content_type(&row.file_type).to_owned();
            Ok(Ok(Attachment { name, content_type, bytes }))
        }
        Err(error) if is_of_the_file(&error) => refused(format!("attachment {}: {error}", row.key)),
        Err(error) => Err(stop(error)),
    }
}

/// Whether the file is to blame and not the storage: another file could be read.
fn is_of_the_file(error: &StorageError) -> bool {
    use StorageError::{Corrupt, Missing, Refused, TooLarge};
    matches!(error, Missing { .. } | Refused { .. } | TooLarge { .. } | Corrupt { .. })
}

fn refused<T>(reason: String) -> Result<Result<T, Answer>, Stop> {
    Ok(Err(Answer::Permanent { reason }))
}

/// The media type of a kind of file.
pub fn content_type(file_type: &str) -> &'static str {
    match file_type {
        "pdf" => "application/pdf",
        "csv" => "text/csv",
        "json" => "application/json",
        "html" => "text/html",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        _ => "application/octet-stream",
    }
}
