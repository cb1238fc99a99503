//! The rows of sets, `app.backup_sets`: one statement each, in the caller's transaction.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use yakin_engine::outcome::Stop;
use yakin_engine::tx::Tx;

use super::retention::Kept;
use super::{Contents, Described, Proof, SetKind, Target};

/// A set about to be written.
pub struct Begin<'a> {
    pub date: Date,
    pub place: &'a str,
    pub run: i64,
    pub target: &'a Target,
    pub compressed: bool,
    pub recipients: Vec<String>,
    pub expires_on: Date,
    pub at: Timestamp,
    /// The highest number of the day that the folder knows.
    pub number_known: i32,
}

/// Writes its row; gives its id, such as `BKP_YYYYMMDD_NNN`. Numbers count up within the day.
pub async fn begin(tx: &mut Tx, set: &Begin<'_>) -> Result<String, Stop> {
    let kind = set.target.kind();
    Ok(sqlx::query_scalar(include_str!("begin.sql"))
        .bind(set.date.to_sqlx())
        .bind(set.place)
        .bind(set.run)
        .bind(set.target.databases())
        .bind(set.compressed)
        .bind(&set.recipients)
        .bind(set.expires_on.to_sqlx())
        .bind(set.at.to_sqlx())
        .bind(kind.word())
        .bind(set.target.storage())
        .bind(set.number_known)
        .bind(kind.prefix())
        .fetch_one(tx)
        .await?)
}

/// The whole set of a kind that an earlier attempt of this run wrote, if it came so far.
pub async fn of_run(tx: &mut Tx, run: i64, kind: SetKind) -> Result<Option<String>, Stop> {
    Ok(sqlx::query_scalar(
        "SELECT backup_id FROM app.backup_sets
          WHERE run_id = $1 AND kind = $2 AND state IN ('written', 'verified') ORDER BY backup_id DESC LIMIT 1",
    )
    .bind(run)
    .bind(kind.word())
    .fetch_optional(tx)
    .await?)
}

/// Which set would do as well as a new one.
pub struct Reusable<'a> {
    pub place: &'a str,
    pub target: &'a Target,
    pub date: Date,
    pub recipients: &'a [String],
    /// Begun at this instant or later.
    pub since: Timestamp,
}

/// The newest set that is proven and would do.
pub async fn reusable(tx: &mut Tx, wanted: &Reusable<'_>) -> Result<Option<String>, Stop> {
    Ok(sqlx::query_scalar(include_str!("reusable.sql"))
        .bind(wanted.place)
        .bind(wanted.target.kind().word())
        .bind(wanted.date.to_sqlx())
        .bind(wanted.target.databases())
        .bind(wanted.target.storage())
        .bind(wanted.recipients)
        .bind(wanted.since.to_sqlx())
        .fetch_optional(tx)
        .await?)
}

/// The set is kept to this day at least; a later one stays.
pub async fn keep_until(tx: &mut Tx, id: &str, day: Date) -> Result<(), Stop> {
    sqlx::query(
        "UPDATE app.backup_sets SET expires_on = $2 WHERE backup_id = $1 AND expires_on < $2",
    )
    .bind(id)
    .bind(day.to_sqlx())
    .execute(tx)
    .await?;
    Ok(())
}

/// A whole set that the folder has and the rows do not know as whole: its writer was killed between the two, or the
/// rows came back from a backup. `run` is who found it.
pub async fn adopt<M: Described>(
    tx: &mut Tx,
    (manifest, sum): (&M, &str),
    place: &str,
    run: i64,
    expires_on: Date,
) -> Result<(), Stop> {
    let target = manifest.target();
    sqlx::query(include_str!("adopt.sql"))
        .bind(manifest.id())
        .bind(manifest.date().to_sqlx())
        .bind(place)
        .bind(run)
        .bind(target.databases())
        .bind(manifest.compressed())
        .bind(manifest.recipients())
        .bind(expires_on.to_sqlx())
        .bind(manifest.begun_at().to_sqlx())
        .bind(M::KIND.word())
        .bind(target.storage())
        .execute(&mut *tx)
        .await?;
    written(tx, manifest, sum).await
}

/// Sets of a kind at this place whose writer is gone.
pub async fn interrupted(
    tx: &mut Tx,
    place: &str,
    kind: SetKind,
    at: Timestamp,
) -> Result<(), Stop> {
    sqlx::query(
        "UPDATE app.backup_sets SET state = 'failed', ended_at = $3, error = 'interrupted'
          WHERE place = $1 AND kind = $2 AND state = 'writing'",
    )
    .bind(place)
    .bind(kind.word())
    .bind(at.to_sqlx())
    .execute(tx)
    .await?;
    Ok(())
}

/// The set is whole.
pub async fn written<M: Described>(tx: &mut Tx, manifest: &M, sum: &str) -> Result<(), Stop> {
    let Contents { bytes, plain_bytes } = manifest.contents();
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    sqlx::query(
        "UPDATE app.backup_sets
            SET state = 'written', ended_at = $2, bytes = $3, plain_bytes = $4, manifest_sha256 = $5, files = $6,
                refers_to = $7, databases = $8
          WHERE backup_id = $1 AND state = 'writing'",
    )
    .bind(manifest.id())
    .bind(manifest.ended_at().to_sqlx())
    .bind(number(bytes))
    .bind(number(plain_bytes))
    .bind(sum)
    .bind(manifest.files().map(number))
    .bind(manifest.refers_to())
    .bind(manifest.target().databases())
    .execute(tx)
    .await?;
    Ok(())
}

/// What has been proven of the set; what was proven before stays.
pub async fn proven(tx: &mut Tx, id: &str, proof: &Proof) -> Result<(), Stop> {
    sqlx::query(
        "UPDATE app.backup_sets
            SET state = CASE WHEN $2 IS NULL OR state NOT IN ('written', 'verified') THEN state ELSE 'verified' END,
                verified_at = coalesce($2, verified_at),
                recovery_tested_at = coalesce($3, recovery_tested_at),
                copied_at = coalesce($4, copied_at),
                copied_to = coalesce($5, copied_to)
          WHERE backup_id = $1",
    )
    .bind(id)
    .bind(proof.verified_at.map(|t| t.to_sqlx()))
    .bind(proof.recovery_tested_at.map(|t| t.to_sqlx()))
    .bind(proof.copied_at.map(|t| t.to_sqlx()))
    .bind(&proof.copied_to)
    .execute(tx)
    .await?;
    Ok(())
}

/// The set does not prove what it did: its files stay, for what can still be had of them.
pub async fn unproven(tx: &mut Tx, ids: &[String], error: &str) -> Result<(), Stop> {
    sqlx::query(
        "UPDATE app.backup_sets SET state = 'written', verified_at = NULL, error = $2
          WHERE backup_id = ANY ($1) AND state IN ('written', 'verified')",
    )
    .bind(ids)
    .bind(cut(error))
    .execute(tx)
    .await?;
    Ok(())
}

/// The set came to nothing.
pub async fn failed(tx: &mut Tx, id: &str, error: &str, at: Timestamp) -> Result<(), Stop> {
    sqlx::query(
        "UPDATE app.backup_sets SET state = 'failed', ended_at = $3, error = $2 WHERE backup_id = $1",
    )
    .bind(id)
    .bind(cut(error))
    .bind(at.to_sqlx())
    .execute(tx)
    .await?;
    Ok(())
}

fn cut(error: &str) -> String {
    error.chars().take(4000).collect()
}

/// The whole sets of a kind, newest first; `today` says which are past their day.
pub async fn kept(tx: &mut Tx, place: &str, kind: SetKind, today: Date) -> Result<Vec<Kept>, Stop> {
    Ok(sqlx::query_as(include_str!("kept.sql"))
        .bind(place)
        .bind(kind.word())
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

/// Proven sets of a kind without a copy in this second place, begun since an instant, oldest first.
pub async fn without_copy(
    tx: &mut Tx,
    (place, second): (&str, &str),
    kind: SetKind,
    since: Timestamp,
) -> Result<Vec<String>, Stop> {
    Ok(sqlx::query_scalar(
        "SELECT backup_id FROM app.backup_sets
          WHERE place = $1 AND kind = $2 AND state = 'verified' AND begun_at >= $3
            AND (copied_at IS NULL OR copied_to IS DISTINCT FROM $4)
          ORDER BY backup_id LIMIT 100",
    )
    .bind(place)
    .bind(kind.word())
    .bind(since.to_sqlx())
    .bind(second)
    .fetch_all(tx)
    .await?)
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
            AND kind = 'databases' AND backup_id IS DISTINCT FROM $3
          ORDER BY backup_id DESC LIMIT 1",
    )
    .bind(place)
    .bind(databases)
    .bind(but)
    .fetch_optional(tx)
    .await?)
}

/// The usual size of the sets of the same target since an instant, that one left out.
pub async fn median(
    tx: &mut Tx,
    place: &str,
    target: &Target,
    but: &str,
    since: Timestamp,
) -> Result<Option<i64>, Stop> {
    Ok(sqlx::query_scalar(include_str!("median.sql"))
        .bind(place)
        .bind(target.kind().word())
        .bind(target.databases())
        .bind(target.storage())
        .bind(but)
        .bind(since.to_sqlx())
        .fetch_one(tx)
        .await?)
}

/// Of the sets of databases begun since an instant: (failed, all).
pub async fn failures(tx: &mut Tx, place: &str, since: Timestamp) -> Result<(i64, i64), Stop> {
    Ok(sqlx::query_as(
        "SELECT count(*) FILTER (WHERE state = 'failed'), count(*) FROM app.backup_sets
          WHERE place = $1 AND kind = 'databases' AND begun_at >= $2",
    )
    .bind(place)
    .bind(since.to_sqlx())
    .fetch_one(tx)
    .await?)
}
