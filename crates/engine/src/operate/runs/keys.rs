//! Keys of calls that may come again (`Idempotency-Key`): kept with the run that the first one started.

use super::{Begun, Once};
use crate::error::{Doing, EngineError};
use crate::tx::Tx;

/// Keys older than this start a new run.
const KEPT_DAYS: i32 = 7;

const DOING: &str = "looking up a key";

/// The run that an earlier call under this key started.
pub(super) async fn begun(tx: &mut Tx, once: &Once) -> Result<Option<Begun>, EngineError> {
    let earlier: Option<(i64, Vec<u8>)> = sqlx::query_as(
        "SELECT run_id, request_sha256 FROM yakin.start_keys
          WHERE caller = $1 AND key = $2 AND real_created > clock_timestamp() - make_interval(days => $3)",
    )
    .bind(&once.caller)
    .bind(&once.key)
    .bind(KEPT_DAYS)
    .fetch_optional(tx.inner().doing(DOING)?)
    .await
    .doing(DOING)?;
    match earlier {
        Some((run, request)) if request == once.request => Ok(Some(Begun { run, repeated: true })),
        Some((run, _)) => Err(EngineError::conflict(format!(
            "key '{}' came with another request before, which started run {run}; take a new key for a new request",
            once.key
        ))),
        None => Ok(None),
    }
}

/// Keeps the key with its run, and forgets it of before and some others that are too old.
pub(super) async fn keep(tx: &mut Tx, once: &Once, run: i64) -> Result<(), EngineError> {
    sqlx::query(
        "DELETE FROM yakin.start_keys WHERE real_created <= clock_timestamp() - make_interval(days => $1)
            AND ((caller, key) = ($2, $3) OR (caller, key) IN (
                 SELECT caller, key FROM yakin.start_keys
                  WHERE real_created <= clock_timestamp() - make_interval(days => $1) ORDER BY real_created LIMIT 100))",
    )
    .bind(KEPT_DAYS)
    .bind(&once.caller)
    .bind(&once.key)
    .execute(tx.inner().doing(DOING)?)
    .await
    .doing(DOING)?;
    let kept = sqlx::query(
        "INSERT INTO yakin.start_keys (caller, key, request_sha256, run_id) VALUES ($1, $2, $3, $4)
         ON CONFLICT (caller, key) DO NOTHING",
    )
    .bind(&once.caller)
    .bind(&once.key)
    .bind(&once.request[..])
    .bind(run)
    .execute(tx.inner().doing(DOING)?)
    .await
    .doing(DOING)?;
    if kept.rows_affected() == 1 {
        return Ok(());
    }
    // another batch's call took the key at this instant
    Err(EngineError::conflict(format!(
        "key '{}' came with another request before; take a new key for a new request",
        once.key
    )))
}
