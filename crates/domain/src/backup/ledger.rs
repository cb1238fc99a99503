//! The rows of sets, `app.backup_sets`: one statement each, in the caller's transaction.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use yakin_engine::outcome::Stop;
use yakin_engine::tx::Tx;

use super::{Contents, Manifest, Proof};

/// A set about to be written.
pub struct Begin<'a> {
    pub date: Date,
    pub place: &'a str,
    pub run: i64,
    pub databases: Vec<String>,
    pub compressed: bool,
    pub recipients: Vec<String>,
    pub expires_on: Date,
    pub at: Timestamp,
    /// The highest number of the day that the folder knows.
    pub number_known: i32,
}

/// Writes its row; gives its id, `BKP_YYYYMMDD_NNN`. Numbers count up within the day.
pub async fn begin(tx: &mut Tx, set: &Begin<'_>) -> Result<String, Stop> {
    Ok(sqlx::query_scalar(include_str!("begin.sql"))
        .bind(set.date.to_sqlx())
        .bind(set.place)
        .bind(set.run)
        .bind(&set.databases)
        .bind(set.compressed)
        .bind(&set.recipients)
        .bind(set.expires_on.to_sqlx())
        .bind(set.at.to_sqlx())
        .bind(set.number_known)
        .fetch_one(tx)
        .await?)
}

/// The whole set that an earlier attempt of this run wrote, if it came so far.
pub async fn of_run(tx: &mut Tx, run: i64) -> Result<Option<String>, Stop> {
    Ok(sqlx::query_scalar(
        "SELECT backup_id FROM app.backup_sets
          WHERE run_id = $1 AND state IN ('written', 'verified') ORDER BY backup_id DESC LIMIT 1",
    )
    .bind(run)
    .fetch_optional(tx)
    .await?)
}

/// A whole set that the folder has and the rows do not know as whole: its writer was killed between the two, or the
/// rows came back from a backup. `run` is who found it.
pub async fn adopt(
    tx: &mut Tx,
    (manifest, sum): (&Manifest, &str),
    place: &str,
    run: i64,
    expires_on: Date,
) -> Result<(), Stop> {
    let databases: Vec<&str> = manifest.databases.iter().map(|d| d.name.as_str()).collect();
    sqlx::query(include_str!("adopt.sql"))
        .bind(&manifest.id)
        .bind(manifest.date.to_sqlx())
        .bind(place)
        .bind(run)
        .bind(databases)
        .bind(manifest.compressed)
        .bind(&manifest.recipients)
        .bind(expires_on.to_sqlx())
        .bind(manifest.begun_at.to_sqlx())
        .execute(&mut *tx)
        .await?;
    written(tx, manifest, sum).await
}

/// Sets of this place whose writer is gone.
pub async fn interrupted(tx: &mut Tx, place: &str, at: Timestamp) -> Result<(), Stop> {
    sqlx::query(
        "UPDATE app.backup_sets SET state = 'failed', ended_at = $2, error = 'interrupted'
          WHERE place = $1 AND state = 'writing'",
    )
    .bind(place)
    .bind(at.to_sqlx())
    .execute(tx)
    .await?;
    Ok(())
}

/// The set is whole.
pub async fn written(tx: &mut Tx, manifest: &Manifest, sum: &str) -> Result<(), Stop> {
    let Contents { bytes, plain_bytes } = manifest.contents();
    sqlx::query(
        "UPDATE app.backup_sets
            SET state = 'written', ended_at = $2, bytes = $3, plain_bytes = $4, manifest_sha256 = $5
          WHERE backup_id = $1 AND state = 'writing'",
    )
    .bind(&manifest.id)
    .bind(manifest.ended_at.to_sqlx())
    .bind(i64::try_from(bytes).unwrap_or(i64::MAX))
    .bind(i64::try_from(plain_bytes).unwrap_or(i64::MAX))
    .bind(sum)
    .execute(tx)
    .await?;
    Ok(())
}

/// What has been proven of the set; what was proven before stays.
pub async fn proven(tx: &mut Tx, id: &str, proof: &Proof, copied_to: &str) -> Result<(), Stop> {
    sqlx::query(
        "UPDATE app.backup_sets
            SET state = CASE WHEN $2 IS NULL OR state NOT IN ('written', 'verified') THEN state ELSE 'verified' END,
                verified_at = coalesce($2, verified_at),
                recovery_tested_at = coalesce($3, recovery_tested_at),
                copied_at = coalesce($4, copied_at),
                copied_to = CASE WHEN $4 IS NULL THEN copied_to ELSE $5 END
          WHERE backup_id = $1",
    )
    .bind(id)
    .bind(proof.verified_at.map(|t| t.to_sqlx()))
    .bind(proof.recovery_tested_at.map(|t| t.to_sqlx()))
    .bind(proof.copied_at.map(|t| t.to_sqlx()))
    .bind(copied_to)
    .execute(tx)
    .await?;
    Ok(())
}

/// The set came to nothing.
pub async fn failed(tx: &mut Tx, id: &str, error: &str, at: Timestamp) -> Result<(), Stop> {
    let error: String = error.chars().take(4000).collect();
    sqlx::query(
        "UPDATE app.backup_sets SET state = 'failed', ended_at = $3, error = $2 WHERE backup_id = $1",
    )
    .bind(id)
    .bind(error)
    .bind(at.to_sqlx())
    .execute(tx)
    .await?;
    Ok(())
}

/// Sets past their day, oldest first: never one of the newest three that are verified.
pub async fn expired(tx: &mut Tx, place: &str, today: Date) -> Result<Vec<String>, Stop> {
    Ok(sqlx::query_scalar(include_str!("expired.sql"))
        .bind(place)
        .bind(today.to_sqlx())
        .fetch_all(tx)
        .await?)
}

/// The set's files are gone.
pub async fn expire(tx: &mut Tx, id: &str) -> Result<(), Stop> {
    sqlx::query("UPDATE app.backup_sets SET state = 'expired' WHERE backup_id = $1")
        .bind(id)
        .execute(tx)
        .await?;
    Ok(())
}

/// Bytes of the newest good set of the same databases before this one.
pub async fn size_before(
    tx: &mut Tx,
    place: &str,
    databases: &[String],
    but: Option<&str>,
) -> Result<Option<i64>, Stop> {
    Ok(sqlx::query_scalar(
        "SELECT bytes FROM app.backup_sets
          WHERE place = $1 AND databases = $2 AND state IN ('written', 'verified', 'expired')
            AND backup_id IS DISTINCT FROM $3
          ORDER BY backup_id DESC LIMIT 1",
    )
    .bind(place)
    .bind(databases)
    .bind(but)
    .fetch_optional(tx)
    .await?)
}

/// Of the sets begun since an instant: (failed, all).
pub async fn failures(tx: &mut Tx, place: &str, since: Timestamp) -> Result<(i64, i64), Stop> {
    Ok(sqlx::query_as(
        "SELECT count(*) FILTER (WHERE state = 'failed'), count(*) FROM app.backup_sets
          WHERE place = $1 AND begun_at >= $2",
    )
    .bind(place)
    .bind(since.to_sqlx())
    .fetch_one(tx)
    .await?)
}
