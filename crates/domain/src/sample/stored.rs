//! Stand-ins for small files of the sample: bytes of the size that their rows say, under their keys.

use sqlx::PgConnection;
use yakin_adapters::storage::Storage;

use super::SampleError;

/// The most files, and the largest, in bytes.
const MOST: i64 = 200;
const LARGEST: i64 = 32 << 10;

/// Puts them into a storage; says how many. The login must see all rows.
pub async fn store_some(
    connection: &mut PgConnection,
    storage: &Storage,
) -> Result<usize, SampleError> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT key, size_bytes FROM app.files
          WHERE deleted_at IS NULL AND size_bytes <= $1 ORDER BY key LIMIT $2",
    )
    .bind(LARGEST)
    .bind(MOST)
    .fetch_all(connection)
    .await
    .map_err(super::database("stored files"))?;
    for (key, size) in &rows {
        let line = format!("a stand-in for {key}\n");
        let bytes: Vec<u8> =
            line.bytes().cycle().take(usize::try_from(*size).unwrap_or(0)).collect();
        let put = storage.put(key, bytes).await;
        put.map_err(|e| SampleError::Spec(format!("stored files: {e}")))?;
    }
    Ok(rows.len())
}
