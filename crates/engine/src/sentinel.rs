//! When PostgreSQL is gone: batches that survive it go on by the node's last known timetable, and what they found is
//! kept in files until the database is back. At least once, not exactly once. No batch of the catalogue does so yet.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::{Timestamp, ToSpan};
use jiff_sqlx::ToSqlx;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPool;

use crate::tx::Tx;

/// What a batch with `survives_database` does without the database.
pub trait Survivor: Send + Sync {
    /// The batch's id.
    fn batch(&self) -> &'static str;
    /// The work of one firing; must not need the database.
    fn check(&self, planned_at: Timestamp) -> BoxFuture<'_, Found>;
}

/// What a survivor found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    pub well: bool,
    pub message: String,
}

/// A firing that was carried out without the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spooled {
    pub batch: String,
    pub planned_at: Timestamp,
    pub found: Found,
}

/// A planned instant of the last known timetable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Planned {
    batch: String,
    planned_at: Timestamp,
}

/// The watch of one host, in a folder of its own.
pub struct Sentinel {
    dir: PathBuf,
    survivors: Vec<Arc<dyn Survivor>>,
}

impl Sentinel {
    /// Keeps timetable, spool and lock in `dir`.
    pub fn new(dir: &Path, survivors: Vec<Arc<dyn Survivor>>) -> io::Result<Sentinel> {
        std::fs::create_dir_all(dir)?;
        Ok(Sentinel { dir: dir.to_owned(), survivors })
    }

    /// Writes the survivors' coming firings to the timetable: whole or not at all.
    pub async fn remember(&self, pool: &PgPool) -> io::Result<usize> {
        let batches: Vec<&str> = self.survivors.iter().map(|s| s.batch()).collect();
        let rows: Vec<(String, jiff_sqlx::Timestamp)> = sqlx::query_as(
            "SELECT batch_id, planned_at FROM yakin.firings WHERE state = 'planned' AND batch_id = ANY ($1)
              ORDER BY planned_at, batch_id LIMIT 10000",
        )
        .bind(batches)
        .fetch_all(pool)
        .await
        .map_err(io::Error::other)?;
        let planned: Vec<Planned> = rows
            .into_iter()
            .map(|(batch, at)| Planned { batch, planned_at: at.to_jiff() })
            .collect();
        let fresh = self.dir.join("timetable.partial");
        let mut file = File::create(&fresh)?;
        file.write_all(&serde_json::to_vec(&planned)?)?;
        file.sync_all()?;
        std::fs::rename(fresh, self.dir.join("timetable.json"))?;
        Ok(planned.len())
    }

    /// Carries out the timetable's firings that are due after `since` up to `now`, if no other node of this host does;
    /// each result is on disk before the next begins.
    pub async fn stand_in(&self, since: Timestamp, now: Timestamp) -> io::Result<Vec<Spooled>> {
        let Some(_alone) = self.lock()? else { return Ok(Vec::new()) };
        let text = match std::fs::read(self.dir.join("timetable.json")) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let planned: Vec<Planned> = serde_json::from_slice(&text)?;
        let already = self.spooled()?;
        let mut done = Vec::new();
        for firing in planned.iter().filter(|f| f.planned_at > since && f.planned_at <= now) {
            let known = already
                .iter()
                .any(|s| s.batch == firing.batch && s.planned_at == firing.planned_at);
            let survivor = self.survivors.iter().find(|s| s.batch() == firing.batch);
            if let (Some(survivor), false) = (survivor, known) {
                let found = survivor.check(firing.planned_at).await;
                let result =
                    Spooled { batch: firing.batch.clone(), planned_at: firing.planned_at, found };
                self.append(&result)?;
                if !result.found.well {
                    tracing::error!(
                        batch = result.batch,
                        "without the database: {}",
                        result.found.message
                    );
                }
                done.push(result);
            }
        }
        Ok(done)
    }

    /// Writes the spool to the ledger and empties it; a firing that has ended otherwise meanwhile stays as it is.
    pub async fn replay(&self, pool: &PgPool, now: Timestamp) -> io::Result<usize> {
        let Some(_alone) = self.lock()? else { return Ok(0) };
        let spooled = self.spooled()?;
        let mut written = 0;
        let mut tx = Tx::engine(pool).await.map_err(io::Error::other)?;
        for result in &spooled {
            let outcome = if result.found.well { "succeeded" } else { "failed" };
            let run: Option<i64> = sqlx::query_scalar(include_str!("sentinel_replay.sql"))
                .bind(&result.batch)
                .bind(result.planned_at.to_sqlx())
                .bind(outcome)
                .bind(&result.found.message)
                .bind(now.to_sqlx())
                .fetch_optional(tx.inner().map_err(io::Error::other)?)
                .await
                .map_err(io::Error::other)?;
            written += usize::from(run.is_some());
        }
        tx.commit().await.map_err(io::Error::other)?;
        match std::fs::remove_file(self.dir.join("spool.jsonl")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(written),
        }
    }

    fn spooled(&self) -> io::Result<Vec<Spooled>> {
        match std::fs::read_to_string(self.dir.join("spool.jsonl")) {
            Ok(text) => {
                text.lines().map(|l| serde_json::from_str(l).map_err(io::Error::other)).collect()
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn append(&self, result: &Spooled) -> io::Result<()> {
        let mut file =
            OpenOptions::new().create(true).append(true).open(self.dir.join("spool.jsonl"))?;
        writeln!(file, "{}", serde_json::to_string(result)?)?;
        file.sync_all()
    }

    /// One node per host: the kernel gives the lock back when its holder ends, however it ends.
    fn lock(&self) -> io::Result<Option<File>> {
        let file =
            OpenOptions::new().create(true).append(true).open(self.dir.join("sentinel.lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

/// The instant from which a node stands in: a minute before its last good planning step, so that no minute falls
/// between.
pub fn stand_in_since(last_good: Timestamp) -> Timestamp {
    last_good.checked_sub(1.minute()).unwrap_or(last_good)
}
